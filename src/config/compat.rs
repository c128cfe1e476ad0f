//! The older APIs.

use std::str::FromStr;

use super::Reader;

/// An older API whose clients are served too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CompatApi {
    /// Forms, and a session in a cookie.
    CookieSession,
    /// JSON, and a token; with preferences.
    Mflix,
    /// JSON, phone numbers, and two tokens.
    Phone,
}

impl CompatApi {
    /// What it lets its clients do that the native API doesn't.
    fn habits(self) -> &'static str {
        match self {
            Self::CookieSession => {
                "`cookie-session` keeps older, weaker habits: passwords of any length, logins before the address is \
                 verified, answers that tell who has an account, and password resets without a mail: whoever knows the \
                 name of an account that was never verified can set its password"
            }
            Self::Mflix => {
                "`mflix` keeps older, weaker habits: logins before the address is verified, answers that tell who has \
                 an account, and deletion at once"
            }
            Self::Phone => {
                "`phone` keeps older, weaker habits: answers that tell who has an account, phone numbers that nobody \
                 has verified, and new passwords without the former one"
            }
        }
    }
}

impl FromStr for CompatApi {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "cookie-session" => Ok(Self::CookieSession),
            "mflix" => Ok(Self::Mflix),
            "phone" => Ok(Self::Phone),
            _ => Err("must be of cookie-session, mflix and phone"),
        }
    }
}

/// The older APIs that are switched on, each once.
pub(super) fn read(reader: &mut Reader<'_>, hide_account_existence: bool) -> Vec<CompatApi> {
    const NAME: &str = "COMPAT_APIS";
    reader.section("Service");
    let mut apis: Vec<CompatApi> = reader.list(
        NAME,
        "Older APIs whose clients are served too, separated by commas: `cookie-session`, `mflix`, `phone`. They keep older, weaker habits; see the README.",
    );
    apis.sort_unstable();
    apis.dedup();
    if hide_account_existence && !apis.is_empty() {
        reader.problem(
            NAME,
            "can't be combined with HIDE_ACCOUNT_EXISTENCE: the older APIs tell who has an account",
        );
    }
    for api in &apis {
        reader.warning(NAME, api.habits());
    }
    apis
}
