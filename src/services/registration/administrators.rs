//! Making administrators, without a registration.

use sqlx::PgConnection;
use tracing::instrument;

use super::{NewAccount, Registration};
use crate::{
    domain::{
        audit::Action, id::UserId, password::PasswordHash, permission::Permission, role::Role,
        user::User,
    },
    error::Result,
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
    /// [`Error::Forbidden`](crate::error::Error::Forbidden) for anybody else;
    /// [`Error::Invalid`](crate::error::Error::Invalid) without an address;
    /// [`ErrorCode::EmailAlreadyExists`], [`ErrorCode::PhoneNumberAlreadyExists`],
    /// [`ErrorCode::NicknameAlreadyExists`].
    ///
    /// [`ErrorCode::EmailAlreadyExists`]: crate::error::ErrorCode::EmailAlreadyExists
    /// [`ErrorCode::PhoneNumberAlreadyExists`]: crate::error::ErrorCode::PhoneNumberAlreadyExists
    /// [`ErrorCode::NicknameAlreadyExists`]: crate::error::ErrorCode::NicknameAlreadyExists
    #[instrument(skip_all, fields(request_id = %ctx.request_id))]
    pub async fn create_admin(&self, ctx: &Ctx, account: NewAccount) -> Result<User> {
        ctx.require(Permission::VouchForAddress)?;
        account.check()?;
        account.address()?;
        let hash = self.hasher.hash(&account.password).await?;
        let mut transaction = self.platform.pool.begin().await?;
        let user = self
            .insert_admin(&mut transaction, ctx, account, &hash)
            .await?;
        transaction.commit().await?;
        self.made(&user);
        Ok(user)
    }

    /// Stores an administrator, who takes the place of the first user if that is free: nobody else becomes
    /// administrator by registering. His address counts as verified.
    pub(super) async fn insert_admin(
        &self,
        connection: &mut PgConnection,
        ctx: &Ctx,
        account: NewAccount,
        hash: &PasswordHash,
    ) -> Result<User> {
        self.claim_first(connection, ctx).await?;
        let mut user = self.user(ctx, account, Role::Admin);
        user.0.email_verified_at = Some(ctx.now);
        let action = Action::AdministratorMade;
        self.insert(connection, ctx, action, user, hash, None).await
    }

    /// Makes the administrator whom a setting asks for, once: not again when he was deleted.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`](crate::error::Error::Invalid) without an address; if the database fails.
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
        let user = self
            .insert_admin(&mut transaction, ctx, account, &hash)
            .await?;
        transaction.commit().await?;
        Ok(EnsuredAdmin::Made(user.id))
    }
}
