//! Password resets of an older API, whose answer carries the token.
//!
//! Whoever knows the name of an account can set its password so. Therefore it is only for accounts of
//! which nobody has proved by mail that they are his, as the older API makes them, without a phone number:
//! neither a verified account nor anybody's rights are to be had by it, and no address counts as verified
//! by it.

use tracing::instrument;

use super::PasswordReset;
use crate::{
    domain::{
        audit::Action,
        login_name::LoginName,
        password::Password,
        role::Role,
        token::{OneTimeToken, Purpose, RESET_LIFETIME},
        user::User,
    },
    error::{Error, ErrorCode, Result},
    repository::{one_time_tokens, users},
    services::{Ctx, audit::Act, rate_limits::Limited},
};

impl PasswordReset {
    /// Issues a token, in place of an older one, to whoever asks.
    ///
    /// # Errors
    ///
    /// [`Error::Forbidden`] where there is no such account, or one that is verified or has rights;
    /// [`Error::RateLimited`], [`Error::Unavailable`].
    ///
    /// # Concurrency
    ///
    /// The user's row is locked, so that requests for one account take turns.
    #[instrument(skip_all, fields(request_id = %ctx.request_id))]
    pub async fn issue_openly(&self, ctx: &Ctx, name: &LoginName) -> Result<OneTimeToken> {
        self.limits.check(ctx, Limited::Reset)?;
        let mut transaction = self.platform.pool.begin().await?;
        let found = users::find_credentials(&mut transaction, name).await?;
        let id = found.ok_or_else(refused)?.user_id;
        let user = users::find_for_update(&mut transaction, id).await?;
        user.filter(may_be_reset).ok_or_else(refused)?;
        let token = OneTimeToken::new(self.platform.random.bytes());
        one_time_tokens::replace(
            &mut transaction,
            id,
            Purpose::OpenPasswordReset,
            &token,
            ctx.now,
            ctx.now + RESET_LIFETIME,
        )
        .await?;
        let act = Act::new(Action::PasswordResetRequested).on(id);
        let audit = &self.platform.audit;
        audit.record(&mut transaction, ctx, act).await?;
        transaction.commit().await?;
        tracing::info!(user_id = %id, "password reset asked for by an older API");
        Ok(token)
    }

    /// Uses such a token: sets the password of the account of this name, and ends all sessions and the
    /// lockout after failed logins. A lock by an administrator stays.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::InvalidPasswordResetToken`] when the token is unknown, used, replaced, expired or of
    /// another account; [`Error::Unavailable`].
    ///
    /// # Concurrency
    ///
    /// Of several uses at once one succeeds. The user's row is locked before his token: see
    /// [`users::find_for_update`].
    #[instrument(skip_all, fields(request_id = %ctx.request_id))]
    pub async fn reset_openly(
        &self,
        ctx: &Ctx,
        name: &LoginName,
        token: &OneTimeToken,
        password: &Password,
    ) -> Result<()> {
        let refused = || Error::InvalidToken(ErrorCode::InvalidPasswordResetToken);
        let purpose = Purpose::OpenPasswordReset;
        let mut connection = self.platform.pool.acquire().await?;
        let owner = one_time_tokens::find_owner(&mut connection, purpose, token, ctx.now).await?;
        let found = users::find_credentials(&mut connection, name).await?;
        drop(connection);
        let id = found.map(|found| found.user_id).ok_or_else(refused)?;
        if owner != Some(id) {
            return Err(refused());
        }
        let hash = self.hasher.hash(password).await?;
        let mut transaction = self.platform.pool.begin().await?;
        let user = users::find_for_update(&mut transaction, id)
            .await?
            .filter(may_be_reset)
            .ok_or_else(refused)?;
        if !one_time_tokens::consume(&mut transaction, id, purpose, token, ctx.now).await? {
            return Err(refused());
        }
        self.set(&mut transaction, &user, &hash).await?;
        users::put_open_reset(&mut transaction, id, ctx.now).await?;
        let void = [Purpose::AccountUnlock, Purpose::PasswordReset];
        one_time_tokens::discard(&mut transaction, id, &void).await?;
        // Whoever knows the name can do it: no proof of being the owner.
        let act = Act::new(Action::PasswordReset).on(id);
        let audit = &self.platform.audit;
        audit.record(&mut transaction, ctx, act).await?;
        transaction.commit().await?;
        self.done(id);
        Ok(())
    }
}

fn refused() -> Error {
    Error::Forbidden(ErrorCode::OperationNotPermitted)
}

fn may_be_reset(user: &User) -> bool {
    user.deletion_due_at.is_none()
        && user.email_verified_at.is_none()
        && user.role == Role::Anonymous
        // Whoever has a number logs in by it, and proves so that the account is his.
        && user.phone_number.is_none()
}
