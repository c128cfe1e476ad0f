//! Users who delete their own accounts, or whose accounts an operator closes, and those who have them back
//! before they are erased.
//! [`super::maintenance`] erases.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;
use tracing::instrument;

use super::{
    Ctx,
    audit::Act,
    mail::{Mails, UserMail},
    passwords::Passwords,
    platform::Platform,
    session_cache::SessionCache,
    users::{Subject, keep_an_admin, keep_an_admin_against, subject},
};
use crate::{
    domain::{
        audit::{Action, Change, gone},
        id::UserId,
        password::TypedPassword,
        permission::Permission,
        token::{OneTimeToken, Purpose},
        user::User,
    },
    error::{Error, ErrorCode, Result},
    repository::{email_changes, one_time_tokens, sessions, users},
};

/// Tokens that must not lead back into an account that is closed.
pub(super) const WAYS_BACK: [Purpose; 4] = [
    Purpose::EmailVerification,
    Purpose::AccountUnlock,
    Purpose::PasswordReset,
    Purpose::OpenPasswordReset,
];

/// Deletes accounts for their owners, or closes them, and restores them.
pub struct Deletion {
    platform: Platform,
    passwords: Arc<Passwords>,
    cache: Arc<SessionCache>,
    mails: Arc<Mails>,
    grace: TimeDelta,
}

impl Deletion {
    /// The service on this database; accounts can be restored for as long as `grace`.
    pub fn new(
        platform: Platform,
        passwords: Arc<Passwords>,
        cache: Arc<SessionCache>,
        mails: Arc<Mails>,
        grace: TimeDelta,
    ) -> Self {
        Self {
            platform,
            passwords,
            cache,
            mails,
            grace,
        }
    }

    /// Closes the caller's account, if he knows its password: nobody can log in any more, and it is
    /// erased at the time that is answered, unless it is restored. Without a grace it is gone at once.
    ///
    /// # Errors
    ///
    /// As of [`Passwords::prove`]; [`ErrorCode::LastAdministrator`].
    ///
    /// # Concurrency
    ///
    /// Of the last two administrators who delete themselves at once, one stays.
    #[instrument(skip_all, fields(request_id = %ctx.request_id))]
    pub async fn request(&self, ctx: &Ctx, password: &TypedPassword) -> Result<DateTime<Utc>> {
        self.close(ctx, password, self.grace).await
    }

    /// Deletes the caller's account at once, if he knows its password: an older API knows no grace.
    ///
    /// # Errors
    ///
    /// As of [`Self::request`].
    ///
    /// # Concurrency
    ///
    /// As of [`Self::request`].
    #[instrument(skip_all, fields(request_id = %ctx.request_id))]
    pub async fn at_once(&self, ctx: &Ctx, password: &TypedPassword) -> Result<()> {
        self.close(ctx, password, TimeDelta::zero()).await?;
        Ok(())
    }

    async fn close(
        &self,
        ctx: &Ctx,
        password: &TypedPassword,
        grace: TimeDelta,
    ) -> Result<DateTime<Utc>> {
        let proven = self.passwords.prove(ctx, password, "password").await?;
        let mut transaction = self.platform.pool.begin().await?;
        let mut user = self
            .passwords
            .still_holds(&mut transaction, &proven)
            .await?;
        let id = user.id;
        keep_an_admin(&mut transaction, &user).await?;
        // Whoever changed the address may have asked for this: the old one can still undo both.
        let undo_until = email_changes::find_last_undo(&mut transaction, id, ctx.now).await?;
        let due_at = undo_until.max(Some(ctx.now + grace)).unwrap_or(ctx.now);
        sessions::end_all(&mut transaction, id).await?;
        let act = if due_at == ctx.now {
            users::delete(&mut transaction, id).await?;
            Act::new(Action::UserDeleted).before(gone(&user))
        } else {
            let before = user.clone();
            user.deletion_due_at = Some(due_at);
            user.updated_at = ctx.now;
            users::update(&mut transaction, &mut user).await?;
            self.offer_restoration(&mut transaction, id, ctx.now, due_at)
                .await?;
            Act::new(Action::DeletionRequested).change(Change::between(&before, &user))
        };
        self.platform
            .audit
            .record(&mut transaction, ctx, act.on(id))
            .await?;
        transaction.commit().await?;
        self.cache.forget(id);
        self.platform.queue.wake();
        tracing::info!(user_id = %id, "account deleted by its owner");
        Ok(due_at)
    }

    /// An operator closes an account: nobody can log in any more, and it is erased at the time that is
    /// answered, unless it is [restored](Self::restore). Its owner gets no link to have it back, nor can he take
    /// it back by an old address. Without a grace it is gone at once. One that is closed already is erased when it
    /// was to be, but from now on its owner can't take it back either.
    ///
    /// # Errors
    ///
    /// [`Error::Forbidden`] by the rules of rank, or [`ErrorCode::LastAdministrator`];
    /// [`ErrorCode::UserNotFound`].
    #[instrument(skip_all, fields(request_id = %ctx.request_id))]
    pub async fn close_for(&self, ctx: &Ctx, id: UserId) -> Result<DateTime<Utc>> {
        let permission = Permission::DeleteUser;
        ctx.require_on(permission, id)?;
        let mut transaction = self.platform.pool.begin().await?;
        let Subject { mut user, .. } = subject(&mut transaction, ctx, id, permission).await?;
        let closed_until = user.deletion_due_at;
        if closed_until.is_none() {
            keep_an_admin_against(&mut transaction, ctx, &user, permission).await?;
        }
        let due_at = closed_until.unwrap_or(ctx.now + self.grace);
        sessions::end_all(&mut transaction, id).await?;
        let act = if closed_until.is_none() && due_at == ctx.now {
            users::delete(&mut transaction, id).await?;
            Act::new(Action::UserDeleted).before(gone(&user))
        } else {
            let before = user.clone();
            if closed_until.is_none() {
                user.deletion_due_at = Some(due_at);
                user.updated_at = ctx.now;
                users::update(&mut transaction, &mut user).await?;
            }
            one_time_tokens::discard(&mut transaction, id, &WAYS_BACK).await?;
            // Its owner has one where he closed it himself.
            let restoration = [Purpose::AccountRestore];
            one_time_tokens::discard(&mut transaction, id, &restoration).await?;
            email_changes::discard_all(&mut transaction, id).await?;
            Act::new(Action::DeletionRequested).change(Change::between(&before, &user))
        };
        let audit = &self.platform.audit;
        audit.record(&mut transaction, ctx, act.on(id)).await?;
        transaction.commit().await?;
        self.cache.forget(id);
        tracing::info!(user_id = %id, actor = ?ctx.actor, "account closed");
        Ok(due_at)
    }

    async fn offer_restoration(
        &self,
        connection: &mut PgConnection,
        id: UserId,
        now: DateTime<Utc>,
        due_at: DateTime<Utc>,
    ) -> Result<()> {
        one_time_tokens::discard(connection, id, &WAYS_BACK).await?;
        email_changes::discard_unconfirmed(connection, id).await?;
        let token = OneTimeToken::new(self.platform.random.bytes());
        let purpose = Purpose::AccountRestore;
        one_time_tokens::replace(connection, id, purpose, &token, now, due_at).await?;
        let mail = UserMail::AccountDeletion(&token, due_at);
        self.mails.enqueue(connection, id, mail, now).await
    }

    /// Uses the token of the mail that told of the deletion: the account is as it was.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::InvalidRestoreToken`] when it is unknown, used or expired, or the account was
    /// restored already.
    ///
    /// # Concurrency
    ///
    /// Of several uses at once one succeeds. The user's row is locked before his token: see
    /// [`users::find_for_update`].
    #[instrument(skip_all, fields(request_id = %ctx.request_id))]
    pub async fn restore_by_link(
        &self,
        ctx: &Ctx,
        user_id: UserId,
        token: &OneTimeToken,
    ) -> Result<()> {
        let refused = || Error::InvalidToken(ErrorCode::InvalidRestoreToken);
        let purpose = Purpose::AccountRestore;
        let mut transaction = self.platform.pool.begin().await?;
        let mut user = users::find_for_update(&mut transaction, user_id)
            .await?
            .ok_or_else(refused)?;
        if !one_time_tokens::consume(&mut transaction, user_id, purpose, token, ctx.now).await? {
            return Err(refused());
        }
        let act = self.reopen(&mut transaction, &mut user, ctx.now).await?;
        let act = act.by_owner(user_id);
        let audit = &self.platform.audit;
        audit.record(&mut transaction, ctx, act).await?;
        transaction.commit().await?;
        self.platform.queue.wake();
        tracing::info!(%user_id, "account restored by its owner");
        Ok(())
    }

    /// Restores an account that its owner or an operator has deleted; another one stays as it is.
    ///
    /// # Errors
    ///
    /// [`Error::Forbidden`] by the rules of rank; [`ErrorCode::UserNotFound`].
    #[instrument(skip_all, fields(request_id = %ctx.request_id))]
    pub async fn restore(&self, ctx: &Ctx, id: UserId) -> Result<User> {
        ctx.require_on(Permission::RestoreUser, id)?;
        let mut transaction = self.platform.pool.begin().await?;
        let Subject { mut user, .. } =
            subject(&mut transaction, ctx, id, Permission::RestoreUser).await?;
        if user.deletion_due_at.is_none() {
            return Ok(user);
        }
        let act = self.reopen(&mut transaction, &mut user, ctx.now).await?;
        let audit = &self.platform.audit;
        audit.record(&mut transaction, ctx, act.on(id)).await?;
        transaction.commit().await?;
        self.platform.queue.wake();
        tracing::info!(user_id = %id, actor = ?ctx.actor, "account restored");
        Ok(user)
    }

    /// Answers what is to be told of it.
    async fn reopen(
        &self,
        connection: &mut PgConnection,
        user: &mut User,
        now: DateTime<Utc>,
    ) -> Result<Act> {
        let before = user.clone();
        user.deletion_due_at = None;
        user.updated_at = now;
        users::update(connection, user).await?;
        one_time_tokens::discard(connection, user.id, &[Purpose::AccountRestore]).await?;
        let mail = UserMail::AccountRestored;
        self.mails.enqueue(connection, user.id, mail, now).await?;
        Ok(Act::new(Action::UserRestored).change(Change::between(&before, user)))
    }
}
