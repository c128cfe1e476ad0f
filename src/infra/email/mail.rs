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
    /// Carries a link to a new password.
    ///
    /// Values: `name`; `link`, which leads to the form; `minutes` for which it does.
    PasswordReset,
    /// Tells that the password was changed.
    ///
    /// Values: `name`.
    PasswordChanged,
    /// Asks a new address to confirm that it takes the place of the old one.
    ///
    /// Values: `name`; `link`, which confirms; `hours` for which it does.
    EmailChange,
    /// Tells the old address that another one took its place.
    ///
    /// Values: `name`; `address`, the new one as far as it is told; `link`, which undoes the
    /// change; `hours` for which it does.
    EmailChanged,
    /// Tells that the account will be erased.
    ///
    /// Values: `name`; `date` on which it is; `link`, which restores it.
    AccountDeletion,
    /// Tells that the account will not be erased.
    ///
    /// Values: `name`.
    AccountRestored,
    /// Tells that a session was ended because somebody used a refresh token of it again.
    ///
    /// Values: `name`.
    SessionReuse,
    /// Tells that somebody changed the role.
    ///
    /// Values: `name`; `role`, the new one; `former_role`; the flag `has_reason`; where it is set,
    /// `reason`.
    RoleChanged,
    /// Carries a link to the first password of an account that somebody else made.
    ///
    /// Values: `name`; `link`, which leads to the form; `days` for which it does.
    Invitation,
}

impl Mail {
    /// Every mail.
    pub const ALL: [Self; 13] = [
        Self::EmailVerification,
        Self::AccountLocked,
        Self::AccountUnlocked,
        Self::AccountExists,
        Self::PasswordReset,
        Self::PasswordChanged,
        Self::EmailChange,
        Self::EmailChanged,
        Self::AccountDeletion,
        Self::AccountRestored,
        Self::SessionReuse,
        Self::RoleChanged,
        Self::Invitation,
    ];

    /// The name that is stored and that its template's file bears.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::EmailVerification => "email_verification",
            Self::AccountLocked => "account_locked",
            Self::AccountUnlocked => "account_unlocked",
            Self::AccountExists => "account_exists",
            Self::PasswordReset => "password_reset",
            Self::PasswordChanged => "password_changed",
            Self::EmailChange => "email_change",
            Self::EmailChanged => "email_changed",
            Self::AccountDeletion => "account_deletion",
            Self::AccountRestored => "account_restored",
            Self::SessionReuse => "session_reuse",
            Self::RoleChanged => "role_changed",
            Self::Invitation => "invitation",
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
            Self::PasswordReset => vec![(
                "only",
                named()
                    .link("link", site.link(&["password-reset", "t0-k_e~n"]))
                    .number("minutes", 30),
            )],
            Self::EmailChange => vec![(
                "only",
                named()
                    .link(
                        "link",
                        site.link(&["confirm-email", "0198b2c4", "t0-k_e~n"]),
                    )
                    .number("hours", 24),
            )],
            Self::EmailChanged => vec![(
                "only",
                named()
                    .text("address", "a…@example.org")
                    .link(
                        "link",
                        site.link(&["undo-email-change", "0198b2c4", "t0-k_e~n"]),
                    )
                    .number("hours", 72),
            )],
            Self::AccountDeletion => vec![(
                "only",
                named().text("date", "5 December 2026").link(
                    "link",
                    site.link(&["restore-account", "0198b2c4", "t0-k_e~n"]),
                ),
            )],
            Self::RoleChanged => {
                let changed = |has_reason| {
                    named()
                        .text("role", "MANAGER")
                        .text("former_role", "AUTHENTICATED")
                        .flag("has_reason", has_reason)
                };
                vec![
                    (
                        "reason",
                        changed(true).text("reason", "You run the office from now on."),
                    ),
                    ("no_reason", changed(false)),
                ]
            }
            Self::Invitation => vec![(
                "only",
                named()
                    .link("link", site.link(&["password-reset", "t0-k_e~n"]))
                    .number("days", 7),
            )],
            Self::AccountUnlocked
            | Self::AccountExists
            | Self::PasswordChanged
            | Self::AccountRestored
            | Self::SessionReuse => vec![("only", named())],
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
