//! Verification of e-mail addresses.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;
use tracing::instrument;

use super::{
    Ctx, address_job,
    audit::Act,
    mail::{Mails, UserMail},
    password_reset::PasswordReset,
    platform::Platform,
    rate_limits::{Limited, RateLimits},
    session_cache::SessionCache,
    users::{Subject, subject},
};
use crate::{
    domain::{
        audit::{Action, Change},
        email::Email,
        id::{RequestId, UserId},
        permission::Permission,
        role::Role,
        token::{OneTimeToken, Purpose, VERIFICATION_LIFETIME},
        user::User,
    },
    error::{Error, ErrorCode, FieldError, Result, Rule},
    infra::keys::PurposeKey,
    repository::{
        jobs::JobKind,
        notices::{self, Notice},
        one_time_tokens, users,
    },
};

/// The job that sends another verification mail, if the address is one of an unverified account.
pub const RESEND_VERIFICATION: JobKind = JobKind {
    name: "resend_verification",
    max_attempts: 10,
};

/// How long an account must wait for the next verification mail; the wait doubles each time.
const RESEND_WAIT: TimeDelta = TimeDelta::minutes(1);

/// Verifies addresses.
pub struct Verification {
    platform: Platform,
    mails: Arc<Mails>,
    limits: Arc<RateLimits>,
    cache: Arc<SessionCache>,
    resets: Arc<PasswordReset>,
    dedupe_key: PurposeKey,
}

impl Verification {
    /// The service on this database.
    pub fn new(
        platform: Platform,
        mails: Arc<Mails>,
        limits: Arc<RateLimits>,
        cache: Arc<SessionCache>,
        resets: Arc<PasswordReset>,
        dedupe_key: PurposeKey,
    ) -> Self {
        Self {
            platform,
            mails,
            limits,
            cache,
            resets,
            dedupe_key,
        }
    }

    /// Uses the token of a verification mail: whoever has it reads the account's mail. Where somebody who
    /// only knew its name has set the password, that is void, and a link to a new one is mailed.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::InvalidVerificationToken`] when it is unknown, used, replaced or expired.
    ///
    /// # Concurrency
    ///
    /// Of several uses at once one succeeds. The user's row is locked before his token: see
    /// [`users::find_for_update`].
    #[instrument(skip_all, fields(request_id = %ctx.request_id))]
    pub async fn verify(&self, ctx: &Ctx, user_id: UserId, token: &OneTimeToken) -> Result<()> {
        let refused = Error::InvalidToken(ErrorCode::InvalidVerificationToken);
        let purpose = Purpose::EmailVerification;
        let mut transaction = self.platform.pool.begin().await?;
        let Some(before) = users::find_for_update(&mut transaction, user_id).await? else {
            return Err(refused);
        };
        if !one_time_tokens::consume(&mut transaction, user_id, purpose, token, ctx.now).await?
            || !users::verify_email(&mut transaction, user_id, ctx.now).await?
        {
            return Err(refused);
        }
        let after = self.verified(&mut transaction, &before, ctx.now).await?;
        let change = Change::between(&before, &after);
        let act = Act::new(Action::EmailVerified)
            .by_owner(user_id)
            .change(change);
        let audit = &self.platform.audit;
        audit.record(&mut transaction, ctx, act).await?;
        transaction.commit().await?;
        self.cache.forget(user_id);
        self.platform.queue.wake();
        metrics::counter!("emails_verified_total").increment(1);
        tracing::info!(%user_id, "address verified");
        Ok(())
    }

    /// An operator says that a user's address is his: it counts as verified, as by the link of its mail, which
    /// is void then. One that is verified stays as it is.
    ///
    /// # Errors
    ///
    /// [`Error::Forbidden`] for anybody else; [`ErrorCode::UserNotFound`]; [`Error::Invalid`] where he has
    /// no address.
    ///
    /// # Concurrency
    ///
    /// The user's row is locked before his token: see [`users::find_for_update`].
    #[instrument(skip_all, fields(request_id = %ctx.request_id))]
    pub async fn vouch(&self, ctx: &Ctx, id: UserId) -> Result<User> {
        let permission = Permission::VouchForAddress;
        ctx.require_on(permission, id)?;
        let mut transaction = self.platform.pool.begin().await?;
        let Subject { user: before, .. } = subject(&mut transaction, ctx, id, permission).await?;
        if before.email.is_none() {
            let rule = Rule::new("missing", "the account has none");
            return Err(Error::invalid(FieldError::body("email", rule)));
        }
        if before.email_verified_at.is_some() {
            return Ok(before);
        }
        users::verify_email(&mut transaction, id, ctx.now).await?;
        let void = [Purpose::EmailVerification];
        one_time_tokens::discard(&mut transaction, id, &void).await?;
        let after = self.verified(&mut transaction, &before, ctx.now).await?;
        let change = Change::between(&before, &after);
        let act = Act::new(Action::EmailVerified).on(id).change(change);
        let audit = &self.platform.audit;
        audit.record(&mut transaction, ctx, act).await?;
        transaction.commit().await?;
        self.cache.forget(id);
        self.platform.queue.wake();
        metrics::counter!("emails_verified_total").increment(1);
        tracing::info!(user_id = %id, actor = ?ctx.actor, "address vouched for");
        Ok(after)
    }

    /// What else becomes of a user whose address has been verified, in the caller's transaction: answers how
    /// he is now.
    async fn verified(
        &self,
        connection: &mut PgConnection,
        before: &User,
        now: DateTime<Utc>,
    ) -> Result<User> {
        self.resets.void_open(connection, before, now).await?;
        let mut after = before.clone();
        after.email_verified_at = before.email_verified_at.or(Some(now));
        after.role = match before.role {
            Role::Anonymous => Role::Authenticated,
            role => role,
        };
        Ok(after)
    }

    /// Asks for another verification mail. It does the same for every address, so that neither the answer
    /// nor its time tells which ones have an account: a job looks.
    ///
    /// # Errors
    ///
    /// [`Error::RateLimited`], [`Error::Unavailable`].
    #[instrument(skip_all, fields(request_id = %ctx.request_id))]
    pub async fn resend(&self, ctx: &Ctx, email: &Email) -> Result<()> {
        self.limits.check(ctx, Limited::Resend)?;
        let job = address_job::deduplicated(RESEND_VERIFICATION, email, &self.dedupe_key)?;
        let mut transaction = self.platform.pool.begin().await?;
        self.platform.queue.enqueue(&mut transaction, &job).await?;
        let act = Act::new(Action::VerificationRequested);
        let audit = &self.platform.audit;
        audit.record(&mut transaction, ctx, act).await?;
        transaction.commit().await?;
        self.platform.queue.wake();
        Ok(())
    }

    /// Does the job [`RESEND_VERIFICATION`]: issues a new token and enqueues its mail, unless the
    /// last one is younger than a minute, or more have gone out lately than an owner would ask for.
    ///
    /// # Errors
    ///
    /// If the database fails, or the job is not one of ours.
    ///
    /// # Concurrency
    ///
    /// The user's row is locked, so that jobs for one account take turns.
    pub async fn resend_now(&self, payload: &serde_json::Value, now: DateTime<Utc>) -> Result<()> {
        let email = address_job::read(payload)?;
        let mut transaction = self.platform.pool.begin().await?;
        let Some(user) = users::find_by_email(&mut transaction, &email).await? else {
            return Ok(());
        };
        let Some(user) = users::find_for_update(&mut transaction, user.id).await? else {
            return Ok(());
        };
        let purpose = Purpose::EmailVerification;
        let issued = one_time_tokens::find_issued_at(&mut transaction, user.id, purpose).await?;
        if user.email_verified_at.is_some() || issued.is_some_and(|at| now - at < RESEND_WAIT) {
            return Ok(());
        }
        let notice = Notice::VerificationResent;
        if !notices::claim(&mut transaction, user.id, notice, now, RESEND_WAIT).await? {
            return Ok(());
        }
        let token = OneTimeToken::new(self.platform.random.bytes());
        let expires_at = now + VERIFICATION_LIFETIME;
        one_time_tokens::replace(&mut transaction, user.id, purpose, &token, now, expires_at)
            .await?;
        self.mails
            .enqueue(
                &mut transaction,
                user.id,
                UserMail::EmailVerification(&token),
                now,
            )
            .await?;
        let ctx = Ctx::system(RequestId(self.platform.random.uuid_v7(now)), now);
        let act = Act::new(Action::VerificationMailed).on(user.id);
        let audit = &self.platform.audit;
        audit.record(&mut transaction, &ctx, act).await?;
        transaction.commit().await?;
        self.platform.queue.wake();
        Ok(())
    }
}
