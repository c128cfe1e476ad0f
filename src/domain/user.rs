//! A user.

use chrono::{DateTime, Utc};

use super::{
    email::Email, id::UserId, legacy_name::LegacyName, login_name::LoginName, nickname::Nickname,
    phone::PhoneNumber, profile::Profile, role::Role,
};

/// An account, without its password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Its id.
    pub id: UserId,
    /// Its public name.
    pub nickname: Nickname,
    /// Where its mail goes; none only where there is another name.
    pub email: Option<Email>,
    /// When the address was verified.
    pub email_verified_at: Option<DateTime<Utc>>,
    /// Its phone number.
    pub phone_number: Option<PhoneNumber>,
    /// What it has in place of an address where an older API made it.
    pub legacy_name: Option<LegacyName>,
    /// What the user says of himself.
    pub profile: Profile,
    /// What the account may do.
    pub role: Role,
    /// Professional status.
    pub is_professional: bool,
    /// When the professional status last changed.
    pub professional_status_updated_at: Option<DateTime<Utc>>,
    /// When an administrator locked the account.
    pub locked_at: Option<DateTime<Utc>>,
    /// When the account is erased, if it was deleted.
    pub deletion_due_at: Option<DateTime<Utc>>,
    /// The last successful login.
    pub last_login_at: Option<DateTime<Utc>>,
    /// Time of registration.
    pub created_at: DateTime<Utc>,
    /// The last change, logins left out.
    pub updated_at: DateTime<Utc>,
    /// The number of this state of the account: grows with each change, logins left out.
    pub revision: i64,
}

impl User {
    /// The names under which he logs in.
    #[must_use]
    pub fn login_names(&self) -> Vec<LoginName> {
        let email = self.email.as_ref().map(LoginName::from);
        let phone_number = self.phone_number.as_ref().map(LoginName::from);
        let legacy_name = self.legacy_name.as_ref().map(LoginName::from);
        [email, phone_number, legacy_name]
            .into_iter()
            .flatten()
            .collect()
    }
}
