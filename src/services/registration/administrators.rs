//! Making administrators, without a registration.

use tracing::instrument;

use super::{NewAccount, Registration};
use crate::{
    domain::{actor::Actor, audit::Action, id::UserId, role::Role, user::User},
    error::{Error, ErrorCode, Result},
    repository::users,
    services::Ctx,
};

/// What became of the administrator whom a setting asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EnsuredAdmin {
    /// He was made.
    Made(UserId),
    /// He was made before, or is an administrator already.
    MadeBefore,
    /// Somebody else, who is no administrator, has the address.
    AddressTaken(UserId),
}

impl Registration {
    /// The service at start, or an operator, makes an administrator whose address needs no verification.
    ///
    /// # Errors
    ///
    /// [`Error::Forbidden`] for anybody else; [`Error::Invalid`] without an address;
    /// [`ErrorCode::EmailAlreadyExists`], [`ErrorCode::PhoneNumberAlreadyExists`],
    /// [`ErrorCode::NicknameAlreadyExists`].
    #[instrument(skip_all, fields(request_id = %ctx.request_id))]
    pub async fn create_admin(&self, ctx: &Ctx, account: NewAccount) -> Result<User> {
        if !matches!(ctx.actor, Actor::System | Actor::Operator) {
            return Err(Error::Forbidden(ErrorCode::OperationNotPermitted));
        }
        account.address()?;
        account.check()?;
        let hash = self.hasher.hash(&account.password).await?;
        let mut transaction = self.platform.pool.begin().await?;
        self.claim_first(&mut transaction, ctx).await?;
        let mut user = self.user(ctx, account, Role::Admin);
        user.0.email_verified_at = Some(ctx.now);
        let user = self
            .insert(
                &mut transaction,
                ctx,
                Action::AdministratorMade,
                user,
                &hash,
                None,
            )
            .await?;
        transaction.commit().await?;
        self.made(&user);
        Ok(user)
    }

    /// Makes the administrator whom a setting asks for, once: not again when he was deleted.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] without an address; if the database fails.
    ///
    /// # Concurrency
    ///
    /// Of several instances that start at once one makes the account.
    #[instrument(skip_all, fields(request_id = %ctx.request_id))]
    pub async fn ensure_admin(&self, ctx: &Ctx, account: NewAccount) -> Result<EnsuredAdmin> {
        let email = account.address()?.clone();
        let mut connection = self.platform.pool.acquire().await?;
        let is_known = users::is_configured_admin(&mut connection, &email).await?;
        drop(connection);
        if is_known {
            return Ok(EnsuredAdmin::MadeBefore);
        }
        let hash = self.hasher.hash(&account.password).await?;
        let mut transaction = self.platform.pool.begin().await?;
        if !users::claim_configured_admin(&mut transaction, &email, ctx.now).await? {
            return Ok(EnsuredAdmin::MadeBefore);
        }
        let known = users::find_by_email(&mut transaction, &email.normalized()).await?;
        if let Some(user) = known {
            if user.role != Role::Admin {
                // Nothing is noted: when that account is gone, the administrator is made.
                return Ok(EnsuredAdmin::AddressTaken(user.id));
            }
            transaction.commit().await?;
            return Ok(EnsuredAdmin::MadeBefore);
        }
        self.claim_first(&mut transaction, ctx).await?;
        let mut user = self.user(ctx, account, Role::Admin);
        user.0.email_verified_at = Some(ctx.now);
        let user = self
            .insert(
                &mut transaction,
                ctx,
                Action::AdministratorMade,
                user,
                &hash,
                None,
            )
            .await?;
        transaction.commit().await?;
        Ok(EnsuredAdmin::Made(user.id))
    }
}
