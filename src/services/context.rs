//! For whom, from where and when a use case runs.

use std::net::IpAddr;

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use sqlx::PgConnection;

use crate::{
    domain::{
        actor::Actor,
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
    /// The request that asked for it.
    pub request_id: RequestId,
    /// Who sent that request.
    pub client: Client,
    /// The one time of the whole operation.
    pub now: DateTime<Utc>,
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
            request_id,
            client: Client::default(),
            now,
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

    /// Lets pass whom the permission is granted.
    ///
    /// # Errors
    ///
    /// [`Error::Unauthenticated`] for one who didn't log in, [`Error::Forbidden`] for one whose
    /// role doesn't have it.
    pub fn require(&self, permission: Permission) -> Result<()> {
        match self.actor {
            Actor::System | Actor::Operator => Ok(()),
            Actor::User { role, .. } if role.grants(permission) => Ok(()),
            Actor::User { .. } => Err(Error::Forbidden(ErrorCode::OperationNotPermitted)),
            Actor::Service if permission == Permission::IntrospectTokens => Ok(()),
            Actor::Service => Err(Error::Forbidden(ErrorCode::OperationNotPermitted)),
            Actor::Nobody => Err(Error::Unauthenticated(ErrorCode::NotAuthenticated)),
        }
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
