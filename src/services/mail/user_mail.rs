//! Which mails users get, and what a job remembers of one.

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    domain::{
        id::EmailChangeId,
        message::MessageId,
        role_change::RoleChangeId,
        token::{
            EMAIL_CHANGE_LIFETIME, EMAIL_UNDO_LIFETIME, INVITATION_LIFETIME, OneTimeToken, Purpose,
            RESET_LIFETIME, UNLOCK_LIFETIME, VERIFICATION_LIFETIME,
        },
    },
    error::Result,
    infra::email::Mail,
    repository::email_changes::Side,
};

/// A mail to a user.
#[derive(Debug, Clone, Copy)]
pub enum UserMail<'a> {
    /// A link that verifies the address.
    EmailVerification(&'a OneTimeToken),
    /// Locked after failed logins, with a link that unlocks.
    LockedAfterFailedLogins(&'a OneTimeToken),
    /// Locked by an administrator.
    LockedByAdministrator,
    /// Unlocked.
    Unlocked,
    /// Somebody tried to register with the account's address.
    AccountExists,
    /// A link to a new password.
    PasswordReset(&'a OneTimeToken),
    /// The password was changed.
    PasswordChanged,
    /// A link, to a new address, that makes it the account's.
    EmailChange(EmailChangeId, &'a OneTimeToken),
    /// A link, to the old address, that undoes the change.
    EmailChanged(EmailChangeId, &'a OneTimeToken),
    /// The account will be erased at this time; with a link that restores it until then.
    AccountDeletion(&'a OneTimeToken, DateTime<Utc>),
    /// The account will not be erased.
    AccountRestored,
    /// Somebody used an old refresh token of a session, which was ended.
    SessionReuse,
    /// Somebody changed the role.
    RoleChanged(RoleChangeId),
    /// Somebody made the account; with a link to a first password.
    Invitation(&'a OneTimeToken),
}

impl<'a> UserMail<'a> {
    pub(super) fn mail(self) -> Mail {
        match self {
            Self::EmailVerification(_) => Mail::EmailVerification,
            Self::LockedAfterFailedLogins(_) | Self::LockedByAdministrator => Mail::AccountLocked,
            Self::Unlocked => Mail::AccountUnlocked,
            Self::AccountExists => Mail::AccountExists,
            Self::PasswordReset(_) => Mail::PasswordReset,
            Self::PasswordChanged => Mail::PasswordChanged,
            Self::EmailChange(..) => Mail::EmailChange,
            Self::EmailChanged(..) => Mail::EmailChanged,
            Self::AccountDeletion(..) => Mail::AccountDeletion,
            Self::AccountRestored => Mail::AccountRestored,
            Self::SessionReuse => Mail::SessionReuse,
            Self::RoleChanged(_) => Mail::RoleChanged,
            Self::Invitation(_) => Mail::Invitation,
        }
    }

    /// The token of its link, and until when that is good.
    pub(super) fn token(self, now: DateTime<Utc>) -> Option<(&'a OneTimeToken, DateTime<Utc>)> {
        match self {
            Self::EmailVerification(token) => Some((token, now + VERIFICATION_LIFETIME)),
            Self::LockedAfterFailedLogins(token) => Some((token, now + UNLOCK_LIFETIME)),
            Self::PasswordReset(token) => Some((token, now + RESET_LIFETIME)),
            Self::EmailChange(_, token) => Some((token, now + EMAIL_CHANGE_LIFETIME)),
            Self::EmailChanged(_, token) => Some((token, now + EMAIL_UNDO_LIFETIME)),
            Self::AccountDeletion(token, due_at) => Some((token, due_at)),
            Self::Invitation(token) => Some((token, now + INVITATION_LIFETIME)),
            Self::LockedByAdministrator
            | Self::Unlocked
            | Self::AccountExists
            | Self::PasswordChanged
            | Self::AccountRestored
            | Self::SessionReuse
            | Self::RoleChanged(_) => None,
        }
    }

    /// The change of the address that it is about.
    pub(super) fn email_change(self) -> Option<EmailChangeId> {
        match self {
            Self::EmailChange(id, _) | Self::EmailChanged(id, _) => Some(id),
            _ => None,
        }
    }

    /// The change of the role that it is about.
    pub(super) fn role_change(self) -> Option<RoleChangeId> {
        match self {
            Self::RoleChanged(id) => Some(id),
            _ => None,
        }
    }
}

/// What a job remembers of a mail. The address is not in it: mail goes to the address that the
/// account, or the change of its address, has when it is sent.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Envelope {
    pub(super) mail: Mail,
    pub(super) user_id: Uuid,
    pub(super) message_id: MessageId,
    #[serde(default)]
    pub(super) by_administrator: bool,
    #[serde(default)]
    pub(super) email_change: Option<Uuid>,
    #[serde(default)]
    pub(super) role_change: Option<RoleChangeId>,
    #[serde(default)]
    pub(super) link_expires_at: Option<DateTime<Utc>>,
}

/// Whose token a mail carries.
#[derive(Debug, Clone, Copy)]
pub(super) enum Carries {
    /// It has no link.
    Nothing,
    /// A token of the account's.
    Token(Purpose),
    /// One of the tokens of a change of address; the mail goes to that side.
    EmailChange(EmailChangeId, Side),
}

impl Envelope {
    pub(super) fn carries(&self) -> Result<Carries> {
        let change = |side| -> Result<Carries> {
            let id = self.email_change.map(EmailChangeId);
            let id = id.context("the mail is about a change of address and names none")?;
            Ok(Carries::EmailChange(id, side))
        };
        Ok(match self.mail {
            Mail::EmailVerification => Carries::Token(Purpose::EmailVerification),
            Mail::AccountLocked if !self.by_administrator => Carries::Token(Purpose::AccountUnlock),
            Mail::PasswordReset | Mail::Invitation => Carries::Token(Purpose::PasswordReset),
            Mail::AccountDeletion => Carries::Token(Purpose::AccountRestore),
            Mail::EmailChange => change(Side::New)?,
            Mail::EmailChanged => change(Side::Old)?,
            Mail::AccountLocked
            | Mail::AccountUnlocked
            | Mail::AccountExists
            | Mail::PasswordChanged
            | Mail::AccountRestored
            | Mail::SessionReuse
            | Mail::RoleChanged => Carries::Nothing,
        })
    }
}
