//! A user.

use chrono::{DateTime, Utc};

use super::{email::Email, id::UserId, nickname::Nickname, profile::Profile, role::Role};

/// An account, without its password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Its id.
    pub id: UserId,
    /// Its public name.
    pub nickname: Nickname,
    /// Where its mail goes.
    pub email: Email,
    /// When the address was verified.
    pub email_verified_at: Option<DateTime<Utc>>,
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
    /// The last successful login.
    pub last_login_at: Option<DateTime<Utc>>,
    /// Time of registration.
    pub created_at: DateTime<Utc>,
    /// The last change, logins left out.
    pub updated_at: DateTime<Utc>,
}
