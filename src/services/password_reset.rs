//! A new password for whoever reads the account's mail; `open.rs` beside has what an older API does
//! without a mail, `operators.rs` what is done for somebody else.

mod open;
mod operators;

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;
use tracing::instrument;

use super::{
    Ctx, address_job,
    audit::Act,
    login::Login,
    mail::{Mails, UserMail},
    platform::Platform,
    rate_limits::{Limited, RateLimits},
    session_cache::SessionCache,
};
use crate::{
    domain::{
        audit::{Action, Change},
        email::Email,
        id::{RequestId, UserId},
        password::{Password, PasswordHash},
        role::Role,
        token::{OneTimeToken, Purpose, RESET_LIFETIME},
        user::User,
    },
    error::{Error, ErrorCode, FieldError, Result},
    infra::{keys::PurposeKey, password_hasher::PasswordHasher},
    repository::{
        email_changes,
        jobs::JobKind,
        notices::{self, Notice},
        one_time_tokens, sessions, users,
    },
};

/// The job that mails a link to a new password, if the address has an account.
pub const MAIL_PASSWORD_RESET: JobKind = JobKind {
    name: "mail_password_reset",
    max_attempts: 10,
};

/// How long an account must wait for the next such mail; the wait doubles each time.
const MAIL_WAIT: TimeDelta = TimeDelta::minutes(1);

/// Sets passwords of people who have forgotten theirs.
pub struct PasswordReset {
    platform: Platform,
    hasher: Arc<PasswordHasher>,
    cache: Arc<SessionCache>,
    login: Arc<Login>,
    mails: Arc<Mails>,
    limits: Arc<RateLimits>,
    dedupe_key: PurposeKey,
}

impl PasswordReset {
    /// The service on this database.
    pub fn new(
        platform: Platform,
        hasher: Arc<PasswordHasher>,
        cache: Arc<SessionCache>,
        login: Arc<Login>,
        mails: Arc<Mails>,
        limits: Arc<RateLimits>,
        dedupe_key: PurposeKey,
    ) -> Self {
        Self {
            platform,
            hasher,
            cache,
            login,
            mails,
            limits,
            dedupe_key,
        }
    }

    /// Asks for a link to a new password. It does the same for every address, so that neither the
    /// answer nor its time tells which ones have an account: a job looks.
    ///
    /// # Errors
    ///
    /// [`Error::RateLimited`], [`Error::Unavailable`].
    #[instrument(skip_all, fields(request_id = %ctx.request_id))]
    pub async fn request(&self, ctx: &Ctx, email: &Email) -> Result<()> {
        self.limits.check(ctx, Limited::Reset)?;
        let job = address_job::deduplicated(MAIL_PASSWORD_RESET, email, &self.dedupe_key)?;
        let mut transaction = self.platform.pool.begin().await?;
        self.platform.queue.enqueue(&mut transaction, &job).await?;
        let act = Act::new(Action::PasswordResetRequested);
        let audit = &self.platform.audit;
        audit.record(&mut transaction, ctx, act).await?;
        transaction.commit().await?;
        self.platform.queue.wake();
        Ok(())
    }

    /// Does the job [`MAIL_PASSWORD_RESET`]: issues a token and enqueues its mail, unless more have
    /// gone out lately than an owner would ask for. An address that was never verified gets it too:
    /// whoever uses it has proved that he reads the mail.
    ///
    /// # Errors
    ///
    /// If the database fails, or the job is not one of ours.
    ///
    /// # Concurrency
    ///
    /// The user's row is locked, so that jobs for one account take turns.
    pub async fn mail_link(&self, payload: &serde_json::Value, now: DateTime<Utc>) -> Result<()> {
        let email = address_job::read(payload)?;
        let mut transaction = self.platform.pool.begin().await?;
        let Some(user) = users::find_by_email(&mut transaction, &email).await? else {
            return Ok(());
        };
        let Some(user) = users::find_for_update(&mut transaction, user.id).await? else {
            return Ok(());
        };
        let notice = Notice::PasswordReset;
        if user.deletion_due_at.is_some()
            || !notices::claim(&mut transaction, user.id, notice, now, MAIL_WAIT).await?
        {
            return Ok(());
        }
        self.issue(&mut transaction, user.id, now).await?;
        transaction.commit().await?;
        self.platform.queue.wake();
        Ok(())
    }

    /// Issues a token in place of an older one, and enqueues its mail, in the caller's transaction.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub(super) async fn issue(
        &self,
        connection: &mut PgConnection,
        user_id: UserId,
        now: DateTime<Utc>,
    ) -> Result<()> {
        let token = OneTimeToken::new(self.platform.random.bytes());
        let (purpose, expires_at) = (Purpose::PasswordReset, now + RESET_LIFETIME);
        one_time_tokens::replace(connection, user_id, purpose, &token, now, expires_at).await?;
        self.mails
            .enqueue(connection, user_id, UserMail::PasswordReset(&token), now)
            .await?;
        let ctx = Ctx::system(RequestId(self.platform.random.uuid_v7(now)), now);
        let act = Act::new(Action::PasswordResetMailed).on(user_id);
        self.platform.audit.record(connection, &ctx, act).await
    }

    /// The same where whoever knows the password must not get in by it any more.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub(super) async fn require(
        &self,
        connection: &mut PgConnection,
        user_id: UserId,
        now: DateTime<Utc>,
    ) -> Result<()> {
        let nobodys = self.hasher.hash_of_nobody();
        users::set_password_hash(connection, user_id, &nobodys).await?;
        self.issue(connection, user_id, now).await
    }

    /// The same where whoever knew the account's name may have set its password, now that its address is
    /// verified; he is logged out, too. The owner of a closed account asks for another when it is open again.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub(super) async fn void_open(
        &self,
        connection: &mut PgConnection,
        user: &User,
        now: DateTime<Utc>,
    ) -> Result<()> {
        if !users::take_open_reset(connection, user.id).await? {
            return Ok(());
        }
        sessions::end_all(connection, user.id).await?;
        if user.deletion_due_at.is_none() {
            return self.require(connection, user.id, now).await;
        }
        let nobodys = self.hasher.hash_of_nobody();
        users::set_password_hash(connection, user.id, &nobodys).await?;
        Ok(())
    }

    /// Uses the token of such a mail: sets the password, ends all sessions and the lockout after
    /// failed logins, and verifies the address. A lock by an administrator stays.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::InvalidPasswordResetToken`] when the token is unknown, used, replaced or expired;
    /// [`Error::Invalid`] for a password that the account may not have, which doesn't use the token
    /// up; [`Error::Unavailable`].
    ///
    /// # Concurrency
    ///
    /// Of several uses at once one succeeds. The user's row is locked before his token: see
    /// [`users::find_for_update`].
    #[instrument(skip_all, fields(request_id = %ctx.request_id))]
    pub async fn reset(&self, ctx: &Ctx, token: &OneTimeToken, password: &Password) -> Result<()> {
        let refused = || Error::InvalidToken(ErrorCode::InvalidPasswordResetToken);
        let user = self.find_owner(ctx, token).await?.ok_or_else(refused)?;
        password
            .check_owner(
                user.email.as_ref(),
                Some(&user.nickname),
                user.phone_number.as_ref(),
            )
            .map_err(|rule| Error::invalid(FieldError::body("new_password", rule)))?;
        let hash = self.hasher.hash(password).await?;
        let (id, purpose) = (user.id, Purpose::PasswordReset);
        let mut transaction = self.platform.pool.begin().await?;
        let user = users::find_for_update(&mut transaction, id)
            .await?
            .filter(|user| user.deletion_due_at.is_none())
            .ok_or_else(refused)?;
        if !one_time_tokens::consume(&mut transaction, id, purpose, token, ctx.now).await? {
            return Err(refused());
        }
        let mut after = user.clone();
        if user.email_verified_at.is_none() {
            users::verify_email(&mut transaction, id, ctx.now).await?;
            after.email_verified_at = Some(ctx.now);
            if user.role == Role::Anonymous {
                after.role = Role::Authenticated;
            }
        }
        self.set(&mut transaction, &user, &hash).await?;
        users::take_open_reset(&mut transaction, id).await?;
        let void = [
            Purpose::EmailVerification,
            Purpose::AccountUnlock,
            Purpose::OpenPasswordReset,
        ];
        one_time_tokens::discard(&mut transaction, id, &void).await?;
        self.mails
            .enqueue(&mut transaction, id, UserMail::PasswordChanged, ctx.now)
            .await?;
        let change = Change::between(&user, &after);
        let act = Act::new(Action::PasswordReset).by_owner(id).change(change);
        let audit = &self.platform.audit;
        audit.record(&mut transaction, ctx, act).await?;
        transaction.commit().await?;
        self.done(id);
        Ok(())
    }

    /// Sets the password in the caller's transaction, and ends what the former one had led to.
    async fn set(
        &self,
        connection: &mut PgConnection,
        user: &User,
        hash: &PasswordHash,
    ) -> Result<()> {
        let id = user.id;
        users::set_password_hash(connection, id, hash).await?;
        sessions::end_all(connection, id).await?;
        self.login.end_lockout(connection, user).await?;
        // Should it be locked again at once, the owner gets another link.
        notices::forget(connection, id, Notice::AccountLocked).await?;
        // Whoever had a session may have asked for another address.
        email_changes::discard_unconfirmed(connection, id).await
    }

    fn done(&self, id: UserId) {
        self.cache.forget(id);
        self.platform.queue.wake();
        metrics::counter!("passwords_changed_total", "how" => "reset").increment(1);
        tracing::info!(user_id = %id, "password reset");
    }

    async fn find_owner(&self, ctx: &Ctx, token: &OneTimeToken) -> Result<Option<User>> {
        let mut connection = self.platform.pool.acquire().await?;
        let purpose = Purpose::PasswordReset;
        match one_time_tokens::find_owner(&mut connection, purpose, token, ctx.now).await? {
            Some(id) => users::find(&mut connection, id).await,
            None => Ok(None),
        }
    }
}
