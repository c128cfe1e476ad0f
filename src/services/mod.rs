//! Use cases: they own every rule. One file a family.
//!
//! # How to add a use case
//!
//! A method whose first argument is `&Ctx` and whose first line is `ctx.require(..)`, unless
//! anybody may do it. It hashes before it opens a transaction, opens at most one, and begins and
//! commits it visibly; what has an effect outside the database is a job in that transaction.

pub mod access_tokens;
mod address_job;
pub mod adoption;
pub mod context;
pub mod deletion;
pub mod email_change;
pub mod export;
pub mod idempotency;
pub mod login;
pub mod mail;
pub mod maintenance;
pub mod me;
pub mod nicknames;
pub mod password_reset;
pub mod passwords;
pub mod platform;
pub mod preferences;
pub mod profiles;
pub mod queue;
pub mod rate_limits;
pub mod registration;
pub mod schema;
pub mod session_cache;
pub mod sessions;
pub mod signing_keys;
pub mod users;
pub mod verification;

use std::sync::Arc;

use self::{
    deletion::Deletion, email_change::EmailChanges, export::Export, idempotency::Idempotency,
    login::Login, mail::Mails, maintenance::Maintenance, me::Me, password_reset::PasswordReset,
    passwords::Passwords, preferences::Preferences, profiles::Profiles, registration::Registration,
    sessions::Sessions, signing_keys::SigningKeys, users::Users, verification::Verification,
};
use crate::{error::Error, infra::password_hasher::Busy};

pub use context::{Client, Ctx};

/// Every service, built once; cheap to clone.
#[derive(Clone)]
pub struct Services {
    /// Knows requests that are sent again.
    pub idempotency: Arc<Idempotency>,
    /// Makes accounts.
    pub registration: Arc<Registration>,
    /// Verifies addresses.
    pub verification: Arc<Verification>,
    /// Logs in.
    pub login: Arc<Login>,
    /// Tells who uses a session, and ends sessions.
    pub sessions: Arc<Sessions>,
    /// Signs access tokens.
    pub signing_keys: Arc<SigningKeys>,
    /// One's own account.
    pub me: Arc<Me>,
    /// One's own preferences.
    pub preferences: Arc<Preferences>,
    /// Public profiles.
    pub profiles: Arc<Profiles>,
    /// Sets passwords of people who have forgotten theirs.
    pub password_reset: Arc<PasswordReset>,
    /// Checks and changes passwords of users who are logged in.
    pub passwords: Arc<Passwords>,
    /// Changes addresses for their owners.
    pub email_changes: Arc<EmailChanges>,
    /// Deletes accounts for their owners, and restores them.
    pub deletion: Arc<Deletion>,
    /// Tells users what is kept of them.
    pub export: Arc<Export>,
    /// Manages users.
    pub users: Arc<Users>,
    /// Enqueues and sends mail.
    pub mails: Arc<Mails>,
    /// Clears away what has expired.
    pub maintenance: Arc<Maintenance>,
}

impl From<Busy> for Error {
    fn from(busy: Busy) -> Self {
        Self::Unavailable(busy.into())
    }
}
