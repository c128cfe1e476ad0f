//! For whom, from where and when a use case runs.

use std::net::IpAddr;

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use sqlx::PgConnection;

use super::audit::{Act, Refusals};
use crate::{
    domain::{
        actor::Actor,
        audit::Action,
        id::{RequestId, SessionId, UserId},
        permission::Permission,
    },
    error::{Error, ErrorCode, Result},
    repository::sessions,
};

/// The first argument of each use case.
#[derive(Debug, Clone)]
pub struct Ctx {
    /// On whose account it runs.
    pub actor: Actor,
    /// The operating system's account of an operator.
    pub account: Option<String>,
    /// The request that asked for it.
    pub request_id: RequestId,
    /// Who sent that request.
    pub client: Client,
    /// The one time of the whole operation.
    pub now: DateTime<Utc>,
    /// What was refused, for the audit log.
    pub refusals: Refusals,
}

/// Who sent a request, as far as can be told.
#[derive(Debug, Clone, Default)]
pub struct Client {
    /// His address; behind a trusted proxy the one that it names.
    pub address: Option<IpAddr>,
    /// His `User-Agent`, cut to 512 characters.
    pub user_agent: Option<String>,
    /// What he presents as proof that owners of accounts have logged in on this device before.
    pub device_tokens: Vec<SecretString>,
}

impl Ctx {
    /// For the worker and for steps at start.
    #[must_use]
    pub fn system(request_id: RequestId, now: DateTime<Utc>) -> Self {
        Self {
            actor: Actor::System,
            account: None,
            request_id,
            client: Client::default(),
            now,
            refusals: Refusals::default(),
        }
    }

    /// For the command line.
    #[must_use]
    pub fn operator(request_id: RequestId, now: DateTime<Utc>) -> Self {
        Self {
            actor: Actor::Operator,
            ..Self::system(request_id, now)
        }
    }

    /// Lets pass whom the permission is granted. A refusal is noted for the audit log.
    ///
    /// # Errors
    ///
    /// [`Error::Unauthenticated`] for one who didn't log in, [`Error::Forbidden`] for one whose
    /// role doesn't have it.
    pub fn require(&self, permission: Permission) -> Result<()> {
        self.require_for(permission, None)
    }

    /// The same for what is done to this user, who may not even be there.
    ///
    /// # Errors
    ///
    /// As of [`Self::require`].
    pub fn require_on(&self, permission: Permission, id: UserId) -> Result<()> {
        self.require_for(permission, Some(id))
    }

    fn require_for(&self, permission: Permission, subject: Option<UserId>) -> Result<()> {
        let is_granted = match self.actor {
            Actor::System | Actor::Operator => true,
            Actor::User { role, .. } => role.grants(permission),
            Actor::Service => permission == Permission::IntrospectTokens,
            Actor::Nobody => return Err(Error::Unauthenticated(ErrorCode::NotAuthenticated)),
        };
        if is_granted {
            return Ok(());
        }
        Err(self.refuse(permission, subject, ErrorCode::OperationNotPermitted))
    }

    /// The refusal of what needs this permission, noted for the audit log.
    pub(super) fn refuse(
        &self,
        permission: Permission,
        subject: Option<UserId>,
        code: ErrorCode,
    ) -> Error {
        let act = Act::new(Action::of(permission)).refused();
        let act = match subject {
            Some(id) => act.on(id),
            None => act,
        };
        self.refusals.note(act.entry(self));
        Error::Forbidden(code)
    }

    /// Makes sure, in the caller's transaction, that the session of a user who asks hasn't ended since his
    /// request began.
    ///
    /// # Errors
    ///
    /// [`Error::Unauthenticated`] when it has.
    pub(super) async fn still_logged_in(&self, connection: &mut PgConnection) -> Result<()> {
        match self.actor {
            Actor::User { id, session, .. }
                if !sessions::is_there(connection, session, id).await? =>
            {
                Err(Error::Unauthenticated(ErrorCode::NotAuthenticated))
            }
            _ => Ok(()),
        }
    }

    /// The user who asks, and the session that he uses.
    ///
    /// # Errors
    ///
    /// [`Error::Unauthenticated`] for one who didn't log in, [`Error::Forbidden`] for what is no user.
    pub fn user(&self) -> Result<(UserId, SessionId)> {
        match self.actor {
            Actor::User { id, session, .. } => Ok((id, session)),
            Actor::Nobody => Err(Error::Unauthenticated(ErrorCode::NotAuthenticated)),
            Actor::Service | Actor::System | Actor::Operator => {
                Err(Error::Forbidden(ErrorCode::OperationNotPermitted))
            }
        }
    }
}
