//! Password resets that operators make for somebody.

use tracing::instrument;

use super::PasswordReset;
use crate::{
    domain::{
        audit::Action, id::UserId, password::Password, permission::Permission, token::Purpose,
        user::User,
    },
    error::{Error, ErrorCode, FieldError, Result, Rule},
    repository::{
        notices::{self, Notice},
        one_time_tokens, users,
    },
    services::{
        Ctx,
        audit::Act,
        mail::UserMail,
        users::{Subject, subject},
    },
};

impl PasswordReset {
    /// Mails a user a link to a new password, in place of an older one, however many he has got lately. Until
    /// it is used the old password is good, and sessions go on.
    ///
    /// # Errors
    ///
    /// [`Error::Forbidden`] but for operators; [`ErrorCode::UserNotFound`]; [`Error::Invalid`] where he has no
    /// address, or has deleted his account.
    ///
    /// # Concurrency
    ///
    /// The user's row is locked, so that links for one account take turns.
    #[instrument(skip_all, fields(request_id = %ctx.request_id))]
    pub async fn mail_link_for(&self, ctx: &Ctx, id: UserId) -> Result<User> {
        let permission = Permission::SetPassword;
        ctx.require_on(permission, id)?;
        let mut transaction = self.platform.pool.begin().await?;
        let Subject { user, .. } = subject(&mut transaction, ctx, id, permission).await?;
        if user.email.is_none() {
            return Err(invalid("the account has none"));
        }
        if user.deletion_due_at.is_some() {
            return Err(invalid("gets no link, since the account is deleted"));
        }
        let act = Act::new(Action::PasswordResetRequested).on(id);
        let audit = &self.platform.audit;
        audit.record(&mut transaction, ctx, act).await?;
        self.issue(&mut transaction, id, ctx.now).await?;
        transaction.commit().await?;
        self.platform.queue.wake();
        tracing::info!(user_id = %id, actor = ?ctx.actor, "link to a new password mailed");
        Ok(user)
    }

    /// Sets a user's password, and ends what the former one had led to: all sessions, the lockout after failed
    /// logins, links to another password. A lock by an administrator stays. He gets a mail if his address is
    /// verified.
    ///
    /// # Errors
    ///
    /// [`Error::Forbidden`] but for operators; [`ErrorCode::UserNotFound`]; [`Error::Invalid`] for a password
    /// that the account may not have; [`Error::Unavailable`].
    ///
    /// # Concurrency
    ///
    /// The user's row is locked before his tokens: see [`users::find_for_update`].
    #[instrument(skip_all, fields(request_id = %ctx.request_id))]
    pub async fn set_for(&self, ctx: &Ctx, id: UserId, password: &Password) -> Result<User> {
        let permission = Permission::SetPassword;
        ctx.require_on(permission, id)?;
        let mut connection = self.platform.pool.acquire().await?;
        let user = users::find(&mut connection, id).await?;
        drop(connection);
        let user = user.ok_or(Error::NotFound(ErrorCode::UserNotFound))?;
        password
            .check_owner(
                user.email.as_ref(),
                Some(&user.nickname),
                user.phone_number.as_ref(),
            )
            .map_err(|rule| Error::invalid(FieldError::body("password", rule)))?;
        let hash = self.hasher.hash(password).await?;
        let mut transaction = self.platform.pool.begin().await?;
        let Subject { user, .. } = subject(&mut transaction, ctx, id, permission).await?;
        self.set(&mut transaction, &user, &hash).await?;
        // What whoever knew the name has set is gone.
        users::take_open_reset(&mut transaction, id).await?;
        let void = [
            Purpose::AccountUnlock,
            Purpose::PasswordReset,
            Purpose::OpenPasswordReset,
        ];
        one_time_tokens::discard(&mut transaction, id, &void).await?;
        // The links are void: whoever reads the mailbox must not wait for another.
        notices::forget(&mut transaction, id, Notice::PasswordReset).await?;
        if user.email_verified_at.is_some() {
            self.mails
                .enqueue(&mut transaction, id, UserMail::PasswordChanged, ctx.now)
                .await?;
        }
        let act = Act::new(Action::PasswordSet).on(id);
        let audit = &self.platform.audit;
        audit.record(&mut transaction, ctx, act).await?;
        transaction.commit().await?;
        self.done(id);
        Ok(user)
    }
}

fn invalid(why: &'static str) -> Error {
    Error::invalid(FieldError::body("email", Rule::new("no_mail", why)))
}
