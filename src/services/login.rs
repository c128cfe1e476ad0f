//! Logging in; beside, `devices.rs` has the tokens of known devices, `lockout.rs` the mails and
//! links of lockout, and `opening.rs` the sessions that logins open.
//!
//! Each attempt is charged before its password is looked at, see [`crate::domain::lockout`], by the
//! name that was typed and whether or not there is such an account. A device on which the owner has
//! logged in before is counted apart, so that nobody can keep the owner out by failing in his name.

mod devices;
mod lockout;
mod opening;

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use chrono::{DateTime, TimeDelta, Utc};
use secrecy::SecretString;
use tracing::{Instrument as _, instrument};

use super::{
    Ctx,
    access_tokens::{AccessToken, AccessTokens},
    audit::Act,
    mail::Mails,
    platform::Platform,
    rate_limits::{Limited, RateLimits},
    session_cache::SessionCache,
    sessions::RefreshKey,
};
use crate::{
    domain::{
        actor::Actor,
        audit::Action,
        id::{SessionId, UserId},
        lockout::{Charge, LockoutPolicy},
        login_name::LoginName,
        password::TypedPassword,
        phone::Region,
        role::Role,
    },
    error::{Error, ErrorCode, Result},
    infra::{
        keys::PurposeKey,
        password_hasher::{PasswordHasher, Verdict},
    },
    repository::{
        login_throttle::{self, Bucket},
        users::{self, Credentials},
    },
};

use devices::{DEVICE_ID, Owner};
pub use devices::{DEVICE_LIFETIME, DeviceToken};
pub use lockout::NOTIFY_LOCKOUT;
pub use opening::{Opening, SessionKind};

/// A successful login.
#[derive(Debug)]
pub struct LoggedIn {
    /// Whose it is.
    pub user_id: UserId,
    /// His role.
    pub role: Role,
    /// His new session.
    pub session_id: SessionId,
    /// From when on the session is refused, if it isn't used.
    pub expires_at: DateTime<Utc>,
    /// What he presents from now on.
    pub access_token: AccessToken,
    /// The refresh token, or what the cookie holds.
    pub secret: SecretString,
    /// What tells next time that he has logged in on this device before.
    pub device_token: DeviceToken,
}

impl LoggedIn {
    /// Who he is from now on.
    #[must_use]
    pub fn actor(&self) -> Actor {
        Actor::User {
            id: self.user_id,
            role: self.role,
            session: self.session_id,
        }
    }
}

/// Keys, limits and lifetimes of logins.
#[derive(Debug, Clone)]
pub struct Options {
    /// The lockout.
    pub lockout: LockoutPolicy,
    /// How long a session lives without being used.
    pub session_lifetime: TimeDelta,
    /// Signs refresh tokens.
    pub refresh_key: PurposeKey,
    /// Hashes the names of accounts in `login_throttle`.
    pub throttle_key: PurposeKey,
    /// Signs device tokens.
    pub device_key: PurposeKey,
    /// Whether nobody may learn who has an account, not even by registering first.
    pub hide_account_existence: bool,
    /// The country of phone numbers that stand without a country's code.
    pub phone_default_region: Region,
}

/// Logs users in.
pub struct Login {
    platform: Platform,
    hasher: Arc<PasswordHasher>,
    access_tokens: Arc<AccessTokens>,
    mails: Arc<Mails>,
    limits: Arc<RateLimits>,
    cache: Arc<SessionCache>,
    refresh_key: RefreshKey,
    options: Options,
}

/// An attempt, and where it is counted.
struct Attempt {
    name: LoginName,
    /// Of the account of this name, if there is one.
    user_id: Option<UserId>,
    key: [u8; 32],
    device: Option<[u8; DEVICE_ID]>,
    opening: Opening,
}

impl Attempt {
    /// Something that became of it, by somebody who may be anybody.
    fn act(&self, action: Action) -> Act {
        match self.user_id {
            Some(id) => Act::new(action).on(id),
            None => Act::new(action),
        }
    }

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
        cache: Arc<SessionCache>,
        options: Options,
    ) -> Self {
        Self {
            platform,
            hasher,
            access_tokens,
            mails,
            limits,
            cache,
            refresh_key: RefreshKey::new(options.refresh_key.clone()),
            options,
        }
    }

    /// Logs in by address or phone number and password, and makes a session.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::InvalidCredentials`]; with the right password [`ErrorCode::EmailNotVerified`];
    /// [`Error::Locked`], [`Error::RateLimited`]; [`Error::Unavailable`] also when attempts can't be counted.
    ///
    /// # Concurrency
    ///
    /// Of any number of attempts at once no more passwords are looked at than the lockout allows. An
    /// attempt is brought to its end even when its client goes away: nobody locks an account by that
    /// without its owner being told.
    pub async fn log_in(
        self: &Arc<Self>,
        ctx: &Ctx,
        username: &str,
        typed: TypedPassword,
        opening: Opening,
    ) -> Result<LoggedIn> {
        let name = LoginName::read(username, self.options.phone_default_region);
        self.log_in_as(ctx, name, typed, opening).await
    }

    /// The same for a name that was read already: an older API has names of its own.
    ///
    /// # Errors
    ///
    /// As of [`Self::log_in`].
    ///
    /// # Concurrency
    ///
    /// As of [`Self::log_in`].
    #[instrument(skip_all, fields(request_id = %ctx.request_id))]
    pub async fn log_in_as(
        self: &Arc<Self>,
        ctx: &Ctx,
        name: LoginName,
        typed: TypedPassword,
        opening: Opening,
    ) -> Result<LoggedIn> {
        self.limits.check(ctx, Limited::Login)?;
        let (login, ctx) = (Arc::clone(self), ctx.clone());
        let attempt = async move { login.try_password(&ctx, name, typed, opening).await };
        self.platform
            .detached
            .spawn(attempt.in_current_span())
            .await
            .context("an attempt to log in failed")?
    }

    async fn try_password(
        &self,
        ctx: &Ctx,
        name: LoginName,
        typed: TypedPassword,
        opening: Opening,
    ) -> Result<LoggedIn> {
        let (attempt, credentials, charge) = {
            let mut connection = self.platform.pool.acquire().await?;
            let mut attempt = Attempt {
                user_id: None,
                key: self.key(&name),
                device: self.find_device(&mut connection, ctx, &name).await?,
                name,
                opening,
            };
            let charge = login_throttle::charge(
                &mut connection,
                attempt.bucket(),
                &attempt.name,
                self.options.lockout,
                self.platform.clock.database_override(),
            );
            let (charge, credentials) = charge.await.map_err(unavailable)?;
            attempt.user_id = credentials.as_ref().map(|found| found.user_id);
            (attempt, credentials, charge)
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
        match self.check(ctx, &attempt, &typed, credentials).await {
            Err(error @ Error::Unauthenticated(ErrorCode::InvalidCredentials)) => {
                outcome("wrong");
                self.note_failure(ctx, &attempt).await;
                if reached_limit && let Err(failure) = self.locked_out(ctx, attempt).await {
                    tracing::error!(error = %failure, "the owner of a locked account isn't told");
                }
                Err(error)
            }
            // No guess was answered: the password wasn't looked at, or it was right and what follows failed.
            Err(error @ (Error::Unavailable(_) | Error::Internal(_))) => {
                if let Err(failure) = self.refund(&attempt).await {
                    tracing::warn!(error = %failure, "an attempt that was none stays charged");
                }
                Err(error)
            }
            // The right password of an account that takes no logins.
            Err(error @ (Error::Unauthenticated(_) | Error::Locked { .. })) => {
                self.note_failure(ctx, &attempt).await;
                Err(error)
            }
            answer => answer,
        }
    }

    /// Tells the audit log of a failed login: the same for names without an account, so that the time
    /// doesn't tell.
    async fn note_failure(&self, ctx: &Ctx, attempt: &Attempt) {
        let act = attempt.act(Action::LoginFailed).failed();
        let audit = &self.platform.audit;
        let noted = async {
            let mut connection = self.platform.pool.acquire().await?;
            audit.record(&mut connection, ctx, act).await
        };
        if let Err(failure) = noted.await {
            // The guess was answered: it must not be taken back for this.
            tracing::error!(error = %failure, request_id = %ctx.request_id, "a failed login isn't audited");
        }
    }

    async fn refund(&self, attempt: &Attempt) -> Result<()> {
        let mut connection = self.platform.pool.acquire().await?;
        login_throttle::refund(&mut connection, attempt.bucket()).await
    }

    async fn check(
        &self,
        ctx: &Ctx,
        attempt: &Attempt,
        typed: &TypedPassword,
        credentials: Option<Credentials>,
    ) -> Result<LoggedIn> {
        if let Some(logged_in) = self.check_once(ctx, attempt, typed, credentials).await? {
            return Ok(logged_in);
        }
        // Two logins at once may both renew an outdated hash: the second looks again.
        let mut connection = self.platform.pool.acquire().await?;
        let credentials = users::find_credentials(&mut connection, &attempt.name).await?;
        drop(connection);
        self.check_once(ctx, attempt, typed, credentials)
            .await?
            .ok_or(Error::Unauthenticated(ErrorCode::InvalidCredentials))
    }

    /// Answers none when the account changed while its password was compared.
    async fn check_once(
        &self,
        ctx: &Ctx,
        attempt: &Attempt,
        typed: &TypedPassword,
        credentials: Option<Credentials>,
    ) -> Result<Option<LoggedIn>> {
        let hash = credentials
            .as_ref()
            .map(|credentials| &credentials.password_hash);
        let verdict = self.hasher.verify(typed, hash).await?;
        let (Some(credentials), Verdict::Right { renewed }) = (credentials, verdict) else {
            return Err(Error::Unauthenticated(ErrorCode::InvalidCredentials));
        };
        let is_unverified = attempt.opening.for_verified && !credentials.is_verified;
        if self.options.hide_account_existence && is_unverified {
            // Who registered with an address must not learn here whether it had an account.
            return Err(Error::Unauthenticated(ErrorCode::InvalidCredentials));
        }
        if credentials.is_deleted {
            // Until it is erased or restored, it is as if it were not there.
            return Err(Error::Unauthenticated(ErrorCode::InvalidCredentials));
        }
        if is_unverified || credentials.is_locked {
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

    fn key(&self, name: &LoginName) -> [u8; 32] {
        self.options.throttle_key.tag(&name.counted_as())
    }
}

/// While attempts can't be counted nobody may log in, whatever the reason.
fn unavailable(error: Error) -> Error {
    match error {
        Error::Internal(source) => Error::Unavailable(source),
        error => error,
    }
}

fn outcome(outcome: &'static str) {
    metrics::counter!("logins_total", "outcome" => outcome).increment(1);
}
