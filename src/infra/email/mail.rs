//! Which mails there are.

use serde::{Deserialize, Serialize};

use super::values::{SiteUrl, Values};

/// A mail that we send. Its name, as in [`Mail::name`], is stored in jobs: it never changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mail {
    /// Asks a new user to confirm the address.
    ///
    /// Values: `name`; `link`, which confirms; `hours` for which it does.
    EmailVerification,
    /// Tells that the account is locked.
    ///
    /// Values: `name`; the flag `by_administrator`; where it is not set, `link`, which unlocks.
    AccountLocked,
    /// Tells that the account is not locked any more.
    ///
    /// Values: `name`.
    AccountUnlocked,
    /// Tells that somebody tried to register with the address of an existing account.
    ///
    /// Values: `name`.
    AccountExists,
    /// Tells that a session was ended because a used key of it came back.
    ///
    /// Values: `name`.
    SessionReuse,
}

impl Mail {
    /// Every mail.
    pub const ALL: [Self; 5] = [
        Self::EmailVerification,
        Self::AccountLocked,
        Self::AccountUnlocked,
        Self::AccountExists,
        Self::SessionReuse,
    ];

    /// The name that is stored and that its template's file bears.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::EmailVerification => "email_verification",
            Self::AccountLocked => "account_locked",
            Self::AccountUnlocked => "account_unlocked",
            Self::AccountExists => "account_exists",
            Self::SessionReuse => "session_reuse",
        }
    }

    /// The mail with that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mail| mail.name() == name)
    }

    /// Values as the mail gets them, one set for each case of its template: each template is
    /// rendered with them when it is loaded. The first word names the case.
    pub(super) fn samples(self, site: &SiteUrl) -> Vec<(&'static str, Values)> {
        let named = || Values::new().text("name", "Anna");
        match self {
            Self::EmailVerification => vec![(
                "only",
                named()
                    .link("link", site.link(&["verify-email", "0198b2c4", "t0-k_e~n"]))
                    .number("hours", 24),
            )],
            Self::AccountLocked => vec![
                (
                    "failed_logins",
                    named().flag("by_administrator", false).link(
                        "link",
                        site.link(&["unlock-account", "0198b2c4", "t0-k_e~n"]),
                    ),
                ),
                ("by_administrator", named().flag("by_administrator", true)),
            ],
            Self::AccountUnlocked | Self::AccountExists | Self::SessionReuse => {
                vec![("only", named())]
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mail_is_stored_under_its_name_and_read_back() {
        for mail in Mail::ALL {
            let stored = serde_json::to_value(mail).unwrap();
            assert_eq!(stored, serde_json::json!(mail.name()));
            assert_eq!(serde_json::from_value::<Mail>(stored).unwrap(), mail);
            assert_eq!(Mail::from_name(mail.name()), Some(mail));
        }
        assert_eq!(Mail::from_name("no_such_mail"), None);
    }
}
