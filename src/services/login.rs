//! Logging in; `lockout.rs` beside has the mails and links of lockout.
//!
//! Each attempt is charged before its password is looked at, see [`crate::domain::lockout`], by the
//! name that was typed and whether or not there is such an account. A device on which the owner has
//! logged in before is counted apart, so that nobody can keep the owner out by failing in his name.

mod lockout;

use std::{sync::Arc, time::Duration};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::TimeDelta;
use secrecy::SecretString;

use super::{
    Ctx,
    access_tokens::{AccessToken, AccessTokens},
    mail::Mails,
    platform::Platform,
    rate_limits::{Limited, RateLimits},
};
use crate::{
    domain::{
        email::normalize_identifier,
        id::{SessionId, UserId},
        lockout::{Charge, LockoutPolicy},
        password::{PasswordHash, TypedPassword},
    },
    error::{Error, ErrorCode, Result},
    infra::{
        keys::PurposeKey,
        password_hasher::{PasswordHasher, Verdict},
    },
    repository::{
        login_throttle::{self, Bucket},
        sessions::{self, NewSession},
        users,
    },
};

pub use lockout::NOTIFY_LOCKOUT;

/// Bytes of a device's id.
const DEVICE_ID: usize = 16;

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
    platform: Platform,
    hasher: Arc<PasswordHasher>,
    access_tokens: Arc<AccessTokens>,
    mails: Arc<Mails>,
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
    pub fn new(
        platform: Platform,
        hasher: Arc<PasswordHasher>,
        access_tokens: Arc<AccessTokens>,
        mails: Arc<Mails>,
        limits: Arc<RateLimits>,
        options: Options,
    ) -> Self {
        Self {
            platform,
            hasher,
            access_tokens,
            mails,
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
            let mut connection = self.platform.pool.acquire().await?;
            let now = self.platform.clock.database_override();
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
                let mut connection = self.platform.pool.acquire().await?;
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
            let mut connection = self.platform.pool.acquire().await?;
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
            let mut connection = self.platform.pool.acquire().await?;
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
            id: SessionId(self.platform.random.uuid_v7(ctx.now)),
            user_id,
            user_agent: ctx.client.user_agent.as_deref(),
            client_address: ctx.client.address.map(|address| address.to_string()),
            created_at: ctx.now,
            expires_at: ctx.now + self.options.session_lifetime,
        };
        let mut transaction = self.platform.pool.begin().await?;
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

    fn key(&self, identifier: &str) -> [u8; 32] {
        self.options.throttle_key.tag(&[identifier.as_bytes()])
    }

    /// Names a device to this account: an id and its signature. The device keeps its id from login
    /// to login.
    fn device_token(&self, device: Option<[u8; DEVICE_ID]>, key: &[u8; 32]) -> SecretString {
        let id = device.unwrap_or_else(|| self.platform.random.bytes());
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
