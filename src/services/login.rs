//! Logging in, lockout, and unlocking by mail.
//!
//! Each attempt is charged before its password is looked at, see [`crate::domain::lockout`], by the
//! name that was typed and whether or not there is such an account. A device on which the owner has
//! logged in before is counted apart, so that nobody can keep the owner out by failing in his name.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgPool};

use super::{
    Ctx,
    access_tokens::{AccessToken, AccessTokens},
    mail::{Mails, UserMail},
    queue::Queue,
    rate_limits::{Limited, RateLimits},
};
use crate::{
    domain::{
        email::{Email, normalize_identifier},
        id::{SessionId, UserId},
        lockout::{Charge, LockoutPolicy},
        password::{PasswordHash, TypedPassword},
        token::{OneTimeToken, Purpose},
    },
    error::{Error, ErrorCode, Result},
    infra::{
        clock::Clock,
        keys::PurposeKey,
        password_hasher::{PasswordHasher, Verdict},
        random::Random,
    },
    repository::{
        jobs::{JobKind, NewJob},
        login_throttle::{self, Bucket},
        notices::{self, Notice},
        one_time_tokens,
        sessions::{self, NewSession},
        users,
    },
};

/// The job that tells the owner of an account, if there is one, that it is locked.
pub const NOTIFY_LOCKOUT: JobKind = JobKind {
    name: "notify_lockout",
    max_attempts: 10,
};

/// How often an owner is told at most.
const NOTICE_WAIT: TimeDelta = TimeDelta::hours(1);
/// Bytes of a device's id.
const DEVICE_ID: usize = 16;

#[derive(Debug, Serialize, Deserialize)]
struct Lockout {
    identifier: String,
}

/// A successful login.
#[derive(Debug)]
pub struct LoggedIn {
    /// Whose it is.
    pub user_id: UserId,
    /// What he presents from now on.
    pub access_token: AccessToken,
    /// What tells next time that he has logged in on this device before.
    pub device_token: SecretString,
}

/// Keys, limits and lifetimes of logins.
#[derive(Debug, Clone)]
pub struct Options {
    /// The lockout.
    pub lockout: LockoutPolicy,
    /// How long a session lives.
    pub session_lifetime: TimeDelta,
    /// Hashes the names of accounts in `login_throttle`.
    pub throttle_key: PurposeKey,
    /// Signs device tokens.
    pub device_key: PurposeKey,
}

/// Logs users in.
pub struct Login {
    pool: PgPool,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    hasher: Arc<PasswordHasher>,
    access_tokens: Arc<AccessTokens>,
    mails: Arc<Mails>,
    queue: Queue,
    limits: Arc<RateLimits>,
    options: Options,
}

/// An attempt, and where it is counted.
struct Attempt<'a> {
    typed: &'a TypedPassword,
    identifier: String,
    key: [u8; 32],
    device: Option<[u8; DEVICE_ID]>,
}

impl Attempt<'_> {
    fn bucket(&self) -> Bucket<'_> {
        Bucket {
            key: &self.key,
            device: self.device.as_ref().map_or(&[], |id| id.as_slice()),
        }
    }
}

impl Login {
    /// The service on this database.
    #[expect(
        clippy::too_many_arguments,
        reason = "each is a part that a login really uses; a struct of them would be another name for it"
    )]
    pub fn new(
        pool: PgPool,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        hasher: Arc<PasswordHasher>,
        access_tokens: Arc<AccessTokens>,
        mails: Arc<Mails>,
        queue: Queue,
        limits: Arc<RateLimits>,
        options: Options,
    ) -> Self {
        Self {
            pool,
            clock,
            random,
            hasher,
            access_tokens,
            mails,
            queue,
            limits,
            options,
        }
    }

    /// Logs in by address and password, and makes a session.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::InvalidCredentials`]; with the right password [`ErrorCode::EmailNotVerified`];
    /// [`Error::Locked`], [`Error::RateLimited`]; [`Error::Unavailable`] also when attempts can't be counted.
    ///
    /// # Concurrency
    ///
    /// Of any number of attempts at once no more passwords are looked at than the lockout allows.
    pub async fn log_in(
        &self,
        ctx: &Ctx,
        username: &str,
        typed: &TypedPassword,
    ) -> Result<LoggedIn> {
        self.limits.check(ctx, Limited::Login)?;
        let attempt = self.attempt(ctx, username, typed);
        let charge = {
            let mut connection = self.pool.acquire().await?;
            let now = self.clock.database_override();
            login_throttle::charge(&mut connection, attempt.bucket(), self.options.lockout, now)
                .await?
        };
        let reached_limit = match charge {
            Charge::Admitted { reached_limit } => reached_limit,
            Charge::Refused { retry_after } => {
                outcome("locked_out");
                return Err(Error::Locked {
                    retry_after: Some(retry_after.to_std().unwrap_or(Duration::ZERO)),
                });
            }
        };
        match self.check(ctx, &attempt).await {
            Err(error @ Error::Unauthenticated(ErrorCode::InvalidCredentials)) => {
                outcome("wrong");
                if reached_limit {
                    self.locked_out(ctx, attempt).await?;
                }
                Err(error)
            }
            // The password wasn't looked at, so nothing was tried.
            Err(error @ (Error::Unavailable(_) | Error::Internal(_))) => {
                let mut connection = self.pool.acquire().await?;
                login_throttle::refund(&mut connection, attempt.bucket(), self.options.lockout)
                    .await?;
                Err(error)
            }
            answer => answer,
        }
    }

    fn attempt<'a>(&self, ctx: &Ctx, username: &str, typed: &'a TypedPassword) -> Attempt<'a> {
        let identifier = normalize_identifier(username);
        let key = self.key(&identifier);
        let device = ctx
            .client
            .device_token
            .as_deref()
            .and_then(|token| self.read_device_token(token, &key));
        Attempt {
            typed,
            identifier,
            key,
            device,
        }
    }

    async fn check(&self, ctx: &Ctx, attempt: &Attempt<'_>) -> Result<LoggedIn> {
        let credentials = {
            let mut connection = self.pool.acquire().await?;
            users::find_credentials(&mut connection, &attempt.identifier).await?
        };
        let hash = credentials
            .as_ref()
            .map(|credentials| &credentials.password_hash);
        let verdict = self.hasher.verify(attempt.typed, hash).await?;
        let (Some(credentials), Verdict::Right { renewed }) = (credentials, verdict) else {
            return Err(Error::Unauthenticated(ErrorCode::InvalidCredentials));
        };
        if !credentials.is_verified || credentials.is_locked {
            let mut connection = self.pool.acquire().await?;
            login_throttle::clear(&mut connection, attempt.bucket()).await?;
            return Err(if credentials.is_locked {
                outcome("locked_by_administrator");
                Error::Locked { retry_after: None }
            } else {
                outcome("unverified");
                Error::Unauthenticated(ErrorCode::EmailNotVerified)
            });
        }
        let (user_id, hash) = (credentials.user_id, &credentials.password_hash);
        self.open_session(ctx, attempt, user_id, hash, renewed.as_ref())
            .await
    }

    async fn open_session(
        &self,
        ctx: &Ctx,
        attempt: &Attempt<'_>,
        user_id: UserId,
        hash: &PasswordHash,
        renewed: Option<&PasswordHash>,
    ) -> Result<LoggedIn> {
        let session = NewSession {
            id: SessionId(self.random.uuid_v7(ctx.now)),
            user_id,
            user_agent: ctx.client.user_agent.as_deref(),
            client_address: ctx.client.address.map(|address| address.to_string()),
            created_at: ctx.now,
            expires_at: ctx.now + self.options.session_lifetime,
        };
        let mut transaction = self.pool.begin().await?;
        let role = users::record_login(&mut transaction, user_id, hash, renewed, ctx.now)
            .await?
            .ok_or(Error::Unauthenticated(ErrorCode::InvalidCredentials))?;
        sessions::insert(&mut transaction, &session).await?;
        login_throttle::clear(&mut transaction, attempt.bucket()).await?;
        transaction.commit().await?;
        outcome("success");
        tracing::info!(%user_id, session_id = %session.id, "logged in");
        let access_token =
            self.access_tokens
                .issue(user_id, session.id, role, ctx.now, session.expires_at)?;
        Ok(LoggedIn {
            user_id,
            access_token,
            device_token: self.device_token(attempt.device, &attempt.key),
        })
    }

    async fn locked_out(&self, ctx: &Ctx, attempt: Attempt<'_>) -> Result<()> {
        metrics::counter!("lockouts_total").increment(1);
        tracing::warn!(request_id = %ctx.request_id, client = ?ctx.client.address, "too many failed logins: an account name is locked for a while");
        if attempt.device.is_some() {
            // The owner's own device: he knows.
            return Ok(());
        }
        // The same for names without an account: a job looks.
        let payload = serde_json::to_value(Lockout {
            identifier: attempt.identifier,
        })
        .context("can't write a job")?;
        let mut connection = self.pool.acquire().await?;
        self.queue
            .enqueue(&mut connection, &NewJob::new(NOTIFY_LOCKOUT, payload))
            .await?;
        self.queue.wake();
        Ok(())
    }

    /// Does the job [`NOTIFY_LOCKOUT`]: mails the account's owner a link that unlocks, once an hour at most.
    ///
    /// # Errors
    ///
    /// If the database fails, or the job is not one of ours.
    ///
    /// # Concurrency
    ///
    /// The user's row is locked, so that he isn't deleted meanwhile.
    pub async fn notify_lockout(
        &self,
        payload: &serde_json::Value,
        now: DateTime<Utc>,
    ) -> Result<()> {
        let Lockout { identifier } =
            Deserialize::deserialize(payload).context("can't read a job")?;
        let mut transaction = self.pool.begin().await?;
        let Some(user) = users::find_by_email(&mut transaction, &identifier).await? else {
            return Ok(());
        };
        let Some(user) = users::find_for_update(&mut transaction, user.id).await? else {
            return Ok(());
        };
        if user.email_verified_at.is_none()
            || !notices::claim(
                &mut transaction,
                user.id,
                Notice::AccountLocked,
                now,
                NOTICE_WAIT,
            )
            .await?
        {
            return Ok(());
        }
        let token = OneTimeToken::generate(&*self.random);
        one_time_tokens::replace(
            &mut transaction,
            user.id,
            Purpose::AccountUnlock,
            &token,
            now,
        )
        .await?;
        let mail = UserMail::LockedAfterFailedLogins(&token);
        self.mails
            .enqueue(&mut transaction, user.id, mail, now)
            .await?;
        transaction.commit().await?;
        self.queue.wake();
        Ok(())
    }

    /// Uses the token of a lock notice: the account takes logins again, and the device that it was
    /// used on counts as the owner's.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::InvalidUnlockToken`] when it is unknown, used, replaced or expired.
    pub async fn unlock(
        &self,
        ctx: &Ctx,
        user_id: UserId,
        token: &OneTimeToken,
    ) -> Result<SecretString> {
        let refused = || Error::InvalidToken(ErrorCode::InvalidUnlockToken);
        let mut transaction = self.pool.begin().await?;
        let good = one_time_tokens::consume(
            &mut transaction,
            user_id,
            Purpose::AccountUnlock,
            token,
            ctx.now,
        )
        .await?;
        if !good {
            return Err(refused());
        }
        let user = users::find(&mut transaction, user_id)
            .await?
            .ok_or_else(refused)?;
        let key = self.key(&user.email.normalized());
        login_throttle::clear_all(&mut transaction, &key, None).await?;
        transaction.commit().await?;
        tracing::info!(%user_id, "lockout ended by the owner");
        Ok(self.device_token(None, &key))
    }

    /// Ends the lockout of an account in the caller's transaction; answers whether there was one.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub async fn end_lockout(&self, connection: &mut PgConnection, email: &Email) -> Result<bool> {
        let key = self.key(&email.normalized());
        login_throttle::clear_all(connection, &key, self.clock.database_override()).await
    }

    fn key(&self, identifier: &str) -> [u8; 32] {
        self.options.throttle_key.tag(&[identifier.as_bytes()])
    }

    /// Names a device to this account: an id and its signature. The device keeps its id from login
    /// to login.
    fn device_token(&self, device: Option<[u8; DEVICE_ID]>, key: &[u8; 32]) -> SecretString {
        let id = device.unwrap_or_else(|| self.random.bytes());
        let signature = self.options.device_key.tag(&[&id, key]);
        BASE64_URL_SAFE_NO_PAD
            .encode([id.as_slice(), &signature].concat())
            .into()
    }

    /// The device that a token names, if we signed it for this account.
    fn read_device_token(&self, token: &str, key: &[u8; 32]) -> Option<[u8; DEVICE_ID]> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(token).ok()?;
        let (id, signature) = bytes.split_first_chunk()?;
        self.options
            .device_key
            .verify(&[id, key], signature)
            .then_some(*id)
    }
}

fn outcome(outcome: &'static str) {
    metrics::counter!("logins_total", "outcome" => outcome).increment(1);
}
