//! Requests that make something and may be sent again: the work is done once, and the answer is the
//! same for a day.
//!
//! # How to make a use case repeatable
//!
//! 1. `Idempotency::claim` its key, before anything is hashed or stored.
//! 2. Do the work, and `Idempotency::store` its outcome in the same transaction, last: a crash
//!    loses both or none.
//! 3. `Idempotency::settle` whatever came of it: a refusal by rule is kept as the answer, and after a
//!    failure the request may run again.
//!
//! Do all three in a task that goes on when the client goes away, or he waits for the lease's end when
//! he comes back. Answers that hold a secret, such as those of a login, must not be kept.

use anyhow::{Context as _, anyhow};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;

use super::{Ctx, platform::Platform};
use crate::{
    domain::{actor::Actor, idempotency::IdempotencyKey, user::User},
    error::{Error, ErrorCode, Result},
    infra::keys::PurposeKey,
    repository::{
        idempotency_keys::{self, Claim, Claimed},
        users::Snapshot,
    },
};

/// A request that may be sent again: its key, and what tells its body from others.
#[derive(Debug, Clone)]
pub struct Repeatable {
    key: IdempotencyKey,
    digest: [u8; 32],
}

/// The answer to a request that may be sent again.
#[derive(Debug)]
pub struct Answered<T> {
    /// What it is answered.
    pub result: Result<T>,
    /// Whether that was the answer to an earlier request, whose work isn't done again.
    pub is_replay: bool,
}

impl<T> Answered<T> {
    /// The answer to a request that is answered for the first time.
    pub(super) fn now(result: Result<T>) -> Self {
        Self {
            result,
            is_replay: false,
        }
    }

    /// The answer of an earlier request.
    pub(super) fn again(result: Result<T>) -> Self {
        Self {
            result,
            is_replay: true,
        }
    }
}

/// What couldn't be answered is no replay.
impl<T> From<Result<Self>> for Answered<T> {
    fn from(answered: Result<Self>) -> Self {
        answered.unwrap_or_else(|error| Self::now(Err(error)))
    }
}

/// What is asked for: the same key for another operation is another key. The names are hashed, and stay
/// as they are.
#[derive(Debug, Clone, Copy)]
pub(super) enum Operation {
    Register,
    AddUser,
}

impl Operation {
    fn as_str(self) -> &'static str {
        match self {
            Self::Register => "register",
            Self::AddUser => "add_user",
        }
    }
}

/// What a claim of a key leads to.
pub(super) enum Begun {
    /// The work is to be done.
    Run(Claim),
    /// It was done or refused before. It made this user; none: nobody may learn whether it made one.
    Answered(Result<Option<Box<User>>>),
}

/// What is stored of an answer. The names of its variants stay as they are.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Stored {
    User(Box<Snapshot>),
    Undisclosed,
    Conflict(String),
    Forbidden(String),
}

/// Knows requests that are sent again.
pub struct Idempotency {
    platform: Platform,
    key: PurposeKey,
}

impl Idempotency {
    /// The service on this database. Keys are forgotten when `key` changes.
    #[must_use]
    pub fn new(platform: Platform, key: PurposeKey) -> Self {
        Self { platform, key }
    }

    /// A request with this key and this body, byte for byte.
    #[must_use]
    pub fn identify(&self, key: IdempotencyKey, body: &[u8]) -> Repeatable {
        let digest = self.key.tag(&[b"request", key.as_str().as_bytes(), body]);
        Repeatable { key, digest }
    }

    /// Claims the key of a request, or tells how the request was answered.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::IdempotencyKeyInUse`] while the first request runs,
    /// [`ErrorCode::IdempotencyKeyReused`] where its body was another; if the database fails.
    ///
    /// # Concurrency
    ///
    /// Of any number of requests at once, on any number of instances, one runs.
    pub(super) async fn claim(
        &self,
        ctx: &Ctx,
        operation: Operation,
        request: &Repeatable,
    ) -> Result<Begun> {
        let mut connection = self.platform.pool.acquire().await?;
        let scope = self.scope(ctx, operation, &request.key);
        let now = self.platform.clock.database_override();
        let claimed = idempotency_keys::claim(&mut connection, scope, request.digest, now).await?;
        match claimed {
            Claimed::Run(claim) => Ok(Begun::Run(claim)),
            Claimed::Answered(stored) => {
                let stored = serde_json::from_value(stored).context("can't read an answer")?;
                Ok(Begun::Answered(made(stored)?))
            }
            Claimed::Running => Err(Error::Conflict(ErrorCode::IdempotencyKeyInUse)),
            Claimed::OtherRequest => Err(Error::Conflict(ErrorCode::IdempotencyKeyReused)),
        }
    }

    /// Stores what came of the work, in its transaction and last: the user whom it made, or none where
    /// nobody may learn whether it made one.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::IdempotencyKeyInUse`] where another request has taken the claim over: then the
    /// transaction must not be committed. If the database fails.
    pub(super) async fn store(
        &self,
        connection: &mut PgConnection,
        claim: &Claim,
        made: Option<&User>,
    ) -> Result<()> {
        let stored = match made {
            Some(user) => Stored::User(Box::new(user.into())),
            None => Stored::Undisclosed,
        };
        let user_id = made.map(|user| user.id);
        let stored = serde_json::to_value(stored).context("can't write an answer")?;
        if idempotency_keys::finish(connection, claim, &stored, user_id).await? {
            Ok(())
        } else {
            Err(Error::Conflict(ErrorCode::IdempotencyKeyInUse))
        }
    }

    /// Keeps a refusal by rule as the answer, and lets the request run again after a failure.
    ///
    /// # Errors
    ///
    /// `result`'s own; if the database fails to keep a refusal.
    pub(super) async fn settle<T>(&self, claim: &Claim, result: Result<T>) -> Result<T> {
        let Err(error) = result else {
            return result;
        };
        let refusal = match &error {
            // The claim is another request's now.
            Error::Conflict(ErrorCode::IdempotencyKeyInUse) => return Err(error),
            Error::Conflict(code) => Stored::Conflict(code.as_str().to_owned()),
            Error::Forbidden(code) => Stored::Forbidden(code.as_str().to_owned()),
            _ => {
                if let Err(failure) = self.release(claim).await {
                    tracing::warn!(error = %failure, "a request can't be repeated before its lease ends");
                }
                return Err(error);
            }
        };
        let refusal = serde_json::to_value(refusal).context("can't write an answer")?;
        let mut connection = self.platform.pool.acquire().await?;
        if idempotency_keys::finish(&mut connection, claim, &refusal, None).await? {
            Err(error)
        } else {
            Err(Error::Conflict(ErrorCode::IdempotencyKeyInUse))
        }
    }

    async fn release(&self, claim: &Claim) -> Result<()> {
        let mut connection = self.platform.pool.acquire().await?;
        // Where it doesn't hold any more, another request has it, or the answer is stored: a connection
        // that is lost during a commit doesn't tell.
        idempotency_keys::release(&mut connection, claim).await?;
        Ok(())
    }

    /// Each user has keys of his own. Those of strangers are common to all of them: whoever guesses one
    /// must know the body too.
    fn scope(&self, ctx: &Ctx, operation: Operation, key: &IdempotencyKey) -> [u8; 32] {
        let actor = match &ctx.actor {
            Actor::User { id, .. } => id.0.as_bytes().as_slice(),
            Actor::Nobody | Actor::Service | Actor::System | Actor::Operator => &[],
        };
        let operation = operation.as_str().as_bytes();
        self.key
            .tag(&[b"scope", operation, actor, key.as_str().as_bytes()])
    }
}

/// The answer that was stored; the outer error: it can't be read.
fn made(stored: Stored) -> Result<Result<Option<Box<User>>>> {
    let code = |name: &str| {
        ErrorCode::named(name).ok_or_else(|| anyhow!("a stored answer has an unknown code"))
    };
    Ok(match stored {
        Stored::User(user) => Ok(Some(Box::new((*user).try_into()?))),
        Stored::Undisclosed => Ok(None),
        Stored::Conflict(name) => Err(Error::Conflict(code(&name)?)),
        Stored::Forbidden(name) => Err(Error::Forbidden(code(&name)?)),
    })
}
