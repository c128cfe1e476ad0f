//! The audit log: what stands in it. `entry.rs` beside has an entry as it is kept and its place in the
//! chain, `filter.rs` which entries somebody asks for, `change.rs` what a change of a user changed.
//!
//! # How to audit a use case
//!
//! 1. A variant of [`Action`] here, with its name for ever.
//! 2. `platform.audit.record(..)` in the transaction of the act, see `services::audit`.
//! 3. Where it has a permission of its own: an arm in [`Action::of`], so that refused attempts are told
//!    by name.

mod change;
mod entry;
mod filter;

use std::net::IpAddr;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::{
    id::{RequestId, UserId},
    permission::Permission,
};

pub use change::{Change, gone, made};
pub use entry::{AuditEntry, GENESIS};
pub use filter::AuditFilter;

macro_rules! names {
    ($(#[doc = $type_doc:literal])+ $type:ident { $($(#[doc = $doc:literal])+ $variant:ident = $name:literal,)+ }) => {
        $(#[doc = $type_doc])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $type { $($(#[doc = $doc])+ $variant,)+ }

        impl $type {
            /// Every one.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// Its name, in answers and in the database.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// The one of this name.
            #[must_use]
            pub fn named(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}

names! {
    /// What was done or tried. Names are never reworded: rows keep them.
    Action {
        /// Somebody made an account for himself.
        UserRegistered = "user_registered",
        /// Somebody made an account for somebody else.
        UserAdded = "user_added",
        /// The service at start, or an operator, made an administrator.
        AdministratorMade = "administrator_made",
        /// An import of users from a file was begun; each of its users has an entry of his own.
        UsersImported = "users_imported",
        /// An import of users was given up before its end.
        ImportGivenUp = "import_given_up",
        /// An account's data were changed, its role left out.
        UserChanged = "user_changed",
        /// An account's role was changed.
        RoleChanged = "role_changed",
        /// An account was locked by somebody with the right to.
        UserLocked = "user_locked",
        /// Such a lock was lifted, or a lockout after failed logins was.
        UserUnlocked = "user_unlocked",
        /// An account was deleted, and is gone.
        UserDeleted = "user_deleted",
        /// An account was closed by its owner or an operator, to be erased later.
        DeletionRequested = "deletion_requested",
        /// An account that was closed was opened again.
        UserRestored = "user_restored",
        /// An account that was closed was erased when its time had come.
        UserErased = "user_erased",
        /// Another verification mail was asked for.
        VerificationRequested = "verification_requested",
        /// Another verification mail was made.
        VerificationMailed = "verification_mailed",
        /// An address was verified.
        EmailVerified = "email_verified",
        /// Somebody logged in.
        SessionOpened = "session_opened",
        /// Somebody didn't know the password, or logged in to an account that takes no logins.
        LoginFailed = "login_failed",
        /// A name was locked after too many failed logins.
        LockedOut = "locked_out",
        /// The link that ends a lockout was mailed.
        UnlockMailed = "unlock_mailed",
        /// A lockout was ended by that link.
        LockoutEnded = "lockout_ended",
        /// A session was ended.
        SessionEnded = "session_ended",
        /// Several sessions were ended.
        SessionsEnded = "sessions_ended",
        /// Somebody's sessions were listed.
        SessionsListed = "sessions_listed",
        /// A used refresh token came back, and its session was ended.
        RefreshTokenReused = "refresh_token_reused",
        /// Somebody asked what a token says.
        TokenIntrospected = "token_introspected",
        /// A password was changed by its owner.
        PasswordChanged = "password_changed",
        /// A password was set by an operator.
        PasswordSet = "password_set",
        /// Somebody who was logged in didn't know his own password when asked for it.
        PasswordProofFailed = "password_proof_failed",
        /// A link to a new password was asked for.
        PasswordResetRequested = "password_reset_requested",
        /// A link to a new password was mailed.
        PasswordResetMailed = "password_reset_mailed",
        /// A password was set by such a link.
        PasswordReset = "password_reset",
        /// An owner asked for another address.
        EmailChangeRequested = "email_change_requested",
        /// Another address was confirmed.
        EmailChanged = "email_changed",
        /// A change of address was taken back.
        EmailChangeUndone = "email_change_undone",
        /// Preferences were replaced.
        PreferencesChanged = "preferences_changed",
        /// Users were listed.
        UsersListed = "users_listed",
        /// An export of users began.
        UsersExported = "users_exported",
        /// An export of users with the hashes of their passwords began.
        PasswordHashesExported = "password_hashes_exported",
        /// An export of users ended, or broke off.
        ExportEnded = "export_ended",
        /// A user was read.
        UserRead = "user_read",
        /// The keys of access tokens were listed.
        KeysListed = "keys_listed",
        /// The keys of access tokens were rotated.
        KeysRotated = "keys_rotated",
        /// The database of another service was taken over, or the whole of ours was looked at.
        DatabaseAdopted = "database_adopted",
        /// The audit log was read.
        AuditLogRead = "audit_log_read",
        /// The oldest part of the audit log was removed.
        AuditLogTrimmed = "audit_log_trimmed",
    }
}

impl Action {
    /// What somebody tries who needs this permission.
    #[must_use]
    pub fn of(permission: Permission) -> Self {
        match permission {
            Permission::BrowseUsers => Self::UsersListed,
            Permission::ReadUser => Self::UserRead,
            Permission::EditUser => Self::UserChanged,
            Permission::ChangeRole => Self::RoleChanged,
            Permission::AddUser => Self::UserAdded,
            Permission::DeleteUser => Self::UserDeleted,
            Permission::LockUser => Self::UserLocked,
            Permission::UnlockUser => Self::UserUnlocked,
            Permission::ListSessions => Self::SessionsListed,
            Permission::EndSessions => Self::SessionsEnded,
            Permission::IntrospectTokens => Self::TokenIntrospected,
            Permission::ListKeys => Self::KeysListed,
            Permission::RotateKeys => Self::KeysRotated,
            Permission::ManageDatabase => Self::DatabaseAdopted,
            Permission::RestoreUser => Self::UserRestored,
            Permission::ReadAuditLog => Self::AuditLogRead,
            Permission::ExportUsers => Self::UsersExported,
            Permission::ExportPasswordHashes => Self::PasswordHashesExported,
            Permission::VouchForAddress => Self::EmailVerified,
            Permission::SetPassword => Self::PasswordSet,
            Permission::ImportUsers => Self::UsersImported,
        }
    }
}

names! {
    /// How it went.
    Outcome {
        /// It was done.
        Success = "success",
        /// The actor may not do it.
        Refused = "refused",
        /// The actor didn't prove what he had to.
        Failed = "failed",
    }
}

names! {
    /// What acted.
    ActorKind {
        /// A user who proved who he is.
        User = "user",
        /// Another service.
        Service = "service",
        /// The service itself.
        System = "system",
        /// An operator at the command line.
        Operator = "operator",
        /// Somebody who didn't say who he is.
        Nobody = "nobody",
    }
}

/// What something was done to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// A user.
    User(UserId),
    /// A key of access tokens, by its name.
    SigningKey(String),
}

impl Subject {
    /// What kind of thing it is.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::User(_) => "user",
            Self::SigningKey(_) => "signing_key",
        }
    }

    /// Which one.
    #[must_use]
    pub fn id(&self) -> String {
        match self {
            Self::User(id) => id.to_string(),
            Self::SigningKey(name) => name.clone(),
        }
    }
}

/// Members of an object that changed.
pub type Members = Map<String, Value>;

/// An entry to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEntry {
    /// When.
    pub at: DateTime<Utc>,
    /// What acted.
    pub actor_kind: ActorKind,
    /// Which user, if one.
    pub actor_id: Option<UserId>,
    /// Which account of the operating system, if an operator.
    pub actor_name: Option<String>,
    /// What was done.
    pub action: Action,
    /// What to.
    pub subject: Option<Subject>,
    /// In which request.
    pub request_id: RequestId,
    /// From where.
    pub client_address: Option<IpAddr>,
    /// By what program, at most 512 characters.
    pub device: Option<String>,
    /// What changed, as it was.
    pub before: Option<Members>,
    /// What changed, as it is since.
    pub after: Option<Members>,
    /// How it went.
    pub outcome: Outcome,
}

/// A place in the list of entries, which has the newest first.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
pub struct Position {
    /// The time of the entry.
    pub at: DateTime<Utc>,
    /// Its id.
    pub id: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_fit_the_database() {
        let mut names: Vec<_> = Action::ALL.iter().map(|action| action.as_str()).collect();
        for name in &names {
            let is_plain = |c: char| c.is_ascii_lowercase() || c == '_';
            assert!(name.len() <= 64 && name.chars().all(is_plain), "{name}");
            assert_eq!(Action::named(name).map(Action::as_str), Some(*name));
        }
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Action::ALL.len());
    }

    #[test]
    fn what_needs_different_permissions_has_different_names() {
        let mut actions: Vec<_> = Permission::ALL
            .into_iter()
            .map(|permission| Action::of(permission).as_str())
            .collect();
        actions.sort_unstable();
        actions.dedup();
        assert_eq!(actions.len(), Permission::ALL.len());
    }
}
