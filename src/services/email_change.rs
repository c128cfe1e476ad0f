//! Users who change their own addresses: the new one confirms, the old one can undo it.

use std::sync::Arc;

use anyhow::Context as _;
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::PgConnection;
use tracing::instrument;
use uuid::Uuid;

use super::{
    Ctx,
    audit::Act,
    mail::{Mails, UserMail},
    password_reset::PasswordReset,
    passwords::Passwords,
    platform::Platform,
    registration::account_exists_job,
    session_cache::SessionCache,
};
use crate::{
    domain::{
        audit::{Action, Change},
        email::Email,
        id::EmailChangeId,
        login_name::LoginName,
        password::TypedPassword,
        role::Role,
        token::{EMAIL_CHANGE_LIFETIME, EMAIL_UNDO_LIFETIME, OneTimeToken, Purpose},
        user::User,
    },
    error::{Error, ErrorCode, FieldError, Result, Rule},
    repository::{
        email_changes::{self, Side, Undo},
        jobs::{JobKind, NewJob},
        notices::{self, Notice},
        one_time_tokens, sessions, users,
    },
};

/// The job that mails the link to the new address, or tells its owner that he has an account already.
pub const OFFER_EMAIL_CHANGE: JobKind = JobKind {
    name: "offer_email_change",
    max_attempts: 10,
};

/// How long a user must wait until he can ask for another address; the wait doubles each time.
const WAIT: TimeDelta = TimeDelta::minutes(1);

#[derive(Debug, Serialize, Deserialize)]
struct Offer {
    email_change: Uuid,
}

/// Changes addresses for their owners.
pub struct EmailChanges {
    platform: Platform,
    cache: Arc<SessionCache>,
    mails: Arc<Mails>,
    resets: Arc<PasswordReset>,
    passwords: Arc<Passwords>,
}

impl EmailChanges {
    /// The service on this database.
    pub fn new(
        platform: Platform,
        cache: Arc<SessionCache>,
        mails: Arc<Mails>,
        resets: Arc<PasswordReset>,
        passwords: Arc<Passwords>,
    ) -> Self {
        Self {
            platform,
            cache,
            mails,
            resets,
            passwords,
        }
    }

    /// Asks for another address for the caller's account, in place of one that he asked for before. The
    /// password is required where he has no verified address, which could undo the change: a session
    /// that was stolen must not be enough to take the account over for good.
    /// Whether it has an account a job finds out, so that nobody learns it here.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] when it is his address already, or the password is missing; as of
    /// [`Passwords::prove`] when it is wrong; [`Error::RateLimited`] when he asks too often;
    /// [`Error::Unauthenticated`].
    #[instrument(skip_all, fields(request_id = %ctx.request_id))]
    pub async fn request(
        &self,
        ctx: &Ctx,
        email: &Email,
        password: Option<&TypedPassword>,
    ) -> Result<()> {
        let gone = || Error::Unauthenticated(ErrorCode::NotAuthenticated);
        let (id, _) = ctx.user()?;
        let proven = match password {
            Some(password) => Some(self.passwords.prove(ctx, password, "password").await?),
            None => None,
        };
        let change = EmailChangeId(self.platform.random.uuid_v7(ctx.now));
        let payload = serde_json::to_value(Offer {
            email_change: change.0,
        });
        let job = NewJob::new(OFFER_EMAIL_CHANGE, payload.context("can't write a job")?);
        let mut transaction = self.platform.pool.begin().await?;
        let user = match &proven {
            Some(proven) => Some(self.passwords.still_holds(&mut transaction, proven).await?),
            None => users::find_for_update(&mut transaction, id).await?,
        };
        let user = user.filter(is_open).ok_or_else(gone)?;
        ctx.still_logged_in(&mut transaction).await?;
        if user.email_verified_at.is_none() && proven.is_none() {
            let rule = Rule::new(
                "missing",
                "is required where no verified address could undo it",
            );
            return Err(Error::invalid(FieldError::body("password", rule)));
        }
        if user.email.as_ref().map(Email::normalized) == Some(email.normalized()) {
            let rule = Rule::new("same_email", "is your address already");
            return Err(Error::invalid(FieldError::body("email", rule)));
        }
        let (notice, now) = (Notice::EmailChange, ctx.now);
        if !notices::claim(&mut transaction, id, notice, now, WAIT).await? {
            let wait = notices::find_wait(&mut transaction, id, notice, now, WAIT).await?;
            return Err(Error::RateLimited {
                retry_after: wait.to_std().unwrap_or_default(),
            });
        }
        let expires_at = now + EMAIL_CHANGE_LIFETIME;
        email_changes::request(&mut transaction, change, id, email, now, expires_at).await?;
        self.platform.queue.enqueue(&mut transaction, &job).await?;
        let act = Act::new(Action::EmailChangeRequested).on(id);
        let act = act.after(json!({"email": email.as_str()}));
        let audit = &self.platform.audit;
        audit.record(&mut transaction, ctx, act).await?;
        transaction.commit().await?;
        self.platform.queue.wake();
        Ok(())
    }

    /// Does the job [`OFFER_EMAIL_CHANGE`]: mails the link to the new address. Where somebody has that
    /// address, he is told instead that he has an account.
    ///
    /// # Errors
    ///
    /// If the database fails, or the job is not one of ours.
    pub async fn offer(&self, payload: &serde_json::Value, now: DateTime<Utc>) -> Result<()> {
        let Offer { email_change } =
            Deserialize::deserialize(payload).context("can't read a job")?;
        let id = EmailChangeId(email_change);
        let mut transaction = self.platform.pool.begin().await?;
        let Some(change) = email_changes::find(&mut transaction, id).await? else {
            return Ok(());
        };
        // He must not be deleted meanwhile.
        let user = users::find_for_update(&mut transaction, change.user_id).await?;
        if user.filter(is_open).is_none() {
            return Ok(());
        }
        let token = OneTimeToken::new(self.platform.random.bytes());
        let expires_at = now + EMAIL_CHANGE_LIFETIME;
        if !email_changes::offer(&mut transaction, id, &token, expires_at).await? {
            return Ok(());
        }
        let address = change.new_email.normalized();
        let known = users::find_by_email(&mut transaction, &address).await?;
        if known.is_some() {
            // The wish stays, with a token that nobody gets: whether it does would tell in the export.
            let job = account_exists_job(&LoginName::Email(address))?;
            self.platform.queue.enqueue(&mut transaction, &job).await?;
        } else {
            let mail = UserMail::EmailChange(id, &token);
            self.mails
                .enqueue(&mut transaction, change.user_id, mail, now)
                .await?;
        }
        transaction.commit().await?;
        self.platform.queue.wake();
        Ok(())
    }

    /// Uses the token that the new address got: it is the account's from now on. The old one is told,
    /// and can undo it for a while, if it was verified; sessions go on.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::InvalidEmailChangeToken`] when the token is unknown, used, replaced or expired, or
    /// the account is closed; [`ErrorCode::EmailTaken`] when somebody got the address meanwhile.
    ///
    /// # Concurrency
    ///
    /// Of several uses at once one succeeds. The user's row is locked before the change.
    #[instrument(skip_all, fields(request_id = %ctx.request_id))]
    pub async fn confirm(&self, ctx: &Ctx, id: EmailChangeId, token: &OneTimeToken) -> Result<()> {
        let refused = || Error::InvalidToken(ErrorCode::InvalidEmailChangeToken);
        let mut transaction = self.platform.pool.begin().await?;
        let change = email_changes::find(&mut transaction, id).await?;
        let user_id = change.ok_or_else(refused)?.user_id;
        let user = users::find_for_update(&mut transaction, user_id).await?;
        let mut user = user.filter(is_open).ok_or_else(refused)?;
        let before = user.clone();
        // An address that was never verified may be anybody's.
        let old_email = user.email.clone();
        let old_email = old_email.filter(|_| user.email_verified_at.is_some());
        let undo_token = OneTimeToken::new(self.platform.random.bytes());
        let undo = old_email.as_ref().map(|old_email| Undo {
            old_email,
            token: &undo_token,
            expires_at: ctx.now + EMAIL_UNDO_LIFETIME,
        });
        let email = email_changes::confirm(&mut transaction, id, token, ctx.now, undo).await?;
        user.email = Some(email.ok_or_else(refused)?);
        if user.role == Role::Anonymous {
            user.role = Role::Authenticated;
        }
        put_address(&mut transaction, &mut user, ctx.now).await?;
        if old_email.is_some() {
            let mail = UserMail::EmailChanged(id, &undo_token);
            self.mails
                .enqueue(&mut transaction, user_id, mail, ctx.now)
                .await?;
        }
        let change = Change::between(&before, &user);
        let act = Act::new(Action::EmailChanged)
            .by_owner(user_id)
            .change(change);
        let audit = &self.platform.audit;
        audit.record(&mut transaction, ctx, act).await?;
        transaction.commit().await?;
        self.cache.forget(user_id);
        self.platform.queue.wake();
        tracing::info!(%user_id, "address changed by its owner");
        Ok(())
    }

    /// Uses the token that the old address got: it is the account's again. Whoever changed it may have
    /// done more: all sessions end, later changes and a deletion that he asked for are taken back, and
    /// the password is void; a link to a new one is mailed.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::InvalidEmailUndoToken`] when the token is unknown, used, overtaken or expired;
    /// [`ErrorCode::EmailTaken`] when somebody else uses the address meanwhile.
    ///
    /// # Concurrency
    ///
    /// Of several uses at once one succeeds. The user's row is locked before the change.
    #[instrument(skip_all, fields(request_id = %ctx.request_id))]
    pub async fn undo(&self, ctx: &Ctx, id: EmailChangeId, token: &OneTimeToken) -> Result<()> {
        let refused = || Error::InvalidToken(ErrorCode::InvalidEmailUndoToken);
        let mut transaction = self.platform.pool.begin().await?;
        let change =
            email_changes::find_with_token(&mut transaction, id, Side::Old, token, ctx.now).await?;
        let change = change.ok_or_else(refused)?;
        let (user_id, old_email) = (change.user_id, change.old_email.ok_or_else(refused)?);
        // Nobody keeps the owner out by registering with his address, which he has just proved to read.
        let squatter =
            users::delete_unproven(&mut transaction, &old_email.normalized(), user_id).await?;
        let mut user = users::find_for_update(&mut transaction, user_id)
            .await?
            .ok_or_else(refused)?;
        let before = user.clone();
        let undone = email_changes::undo(&mut transaction, id, token, ctx.now).await?;
        let undone = undone.ok_or_else(refused)?;
        email_changes::discard_since(&mut transaction, user_id, undone.confirmed_at).await?;
        user.email = Some(undone.old_email);
        user.deletion_due_at = None;
        put_address(&mut transaction, &mut user, ctx.now).await?;
        one_time_tokens::discard(&mut transaction, user_id, &[Purpose::AccountRestore]).await?;
        sessions::end_all(&mut transaction, user_id).await?;
        self.resets
            .require(&mut transaction, user_id, ctx.now)
            .await?;
        let change = Change::between(&before, &user);
        let act = Act::new(Action::EmailChangeUndone)
            .by_owner(user_id)
            .change(change);
        let audit = &self.platform.audit;
        audit.record(&mut transaction, ctx, act).await?;
        if let Some(squatter) = squatter {
            let act = Act::new(Action::UserDeleted).by_owner(user_id).on(squatter);
            audit.record(&mut transaction, ctx, act).await?;
        }
        transaction.commit().await?;
        self.cache.forget(user_id);
        if let Some(squatter) = squatter {
            self.cache.forget(squatter);
            tracing::info!(user_id = %squatter, "unverified account made way for the owner of its address");
        }
        self.platform.queue.wake();
        tracing::info!(%user_id, "change of address undone");
        Ok(())
    }
}

/// Whether the account can be used.
fn is_open(user: &User) -> bool {
    user.locked_at.is_none() && user.deletion_due_at.is_none()
}

/// Stores the user with his address, which he has proved to read; links that went to another one are
/// void.
async fn put_address(
    connection: &mut PgConnection,
    user: &mut User,
    now: DateTime<Utc>,
) -> Result<()> {
    user.email_verified_at = Some(now);
    user.updated_at = now;
    users::update(connection, user)
        .await
        .map_err(Error::of_new_address)?;
    let void = [
        Purpose::EmailVerification,
        Purpose::AccountUnlock,
        Purpose::PasswordReset,
        Purpose::OpenPasswordReset,
    ];
    one_time_tokens::discard(connection, user.id, &void).await
}
