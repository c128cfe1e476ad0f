//! Use cases: they own every rule. One file a family.
//!
//! # How to add a use case
//!
//! A method whose first argument is `&Ctx` and whose first line is `ctx.require(..)`, unless
//! anybody may do it. It hashes before it opens a transaction, opens at most one, and begins and
//! commits it visibly; what has an effect outside the database is a job in that transaction. What it
//! changes stands in the audit log, written in that transaction too: see [`audit`].

pub mod access_tokens;
mod address_job;
pub mod adoption;
pub mod audit;
pub mod context;
pub mod cursors;
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
pub mod roles;
pub mod schema;
pub mod session_cache;
pub mod sessions;
pub mod signing_keys;
pub mod user_export;
pub mod user_imports;
pub mod user_search;
pub mod users;
pub mod verification;

use std::sync::Arc;

use self::{
    audit::AuditLog, deletion::Deletion, email_change::EmailChanges, export::Export,
    idempotency::Idempotency, login::Login, mail::Mails, maintenance::Maintenance, me::Me,
    password_reset::PasswordReset, passwords::Passwords, preferences::Preferences,
    profiles::Profiles, registration::Registration, roles::Roles, sessions::Sessions,
    signing_keys::SigningKeys, user_export::UserExport, user_imports::UserImports,
    user_search::UserSearch, users::Users, verification::Verification,
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
    /// Exports users.
    pub user_export: Arc<UserExport>,
    /// Searches users.
    pub user_search: Arc<UserSearch>,
    /// Manages users.
    pub users: Arc<Users>,
    /// Imports users from files.
    pub user_imports: Arc<UserImports>,
    /// Changes roles.
    pub roles: Arc<Roles>,
    /// Enqueues and sends mail.
    pub mails: Arc<Mails>,
    /// Clears away what has expired.
    pub maintenance: Arc<Maintenance>,
    /// Reads and verifies the audit log.
    pub audit: Arc<AuditLog>,
}

impl From<Busy> for Error {
    fn from(busy: Busy) -> Self {
        Self::Unavailable(busy.into())
    }
}
