//! Registration by the older APIs.

use tracing::instrument;

use super::{NewAccount, Registration};
use crate::{
    domain::{role::Role, user::User},
    error::Result,
    services::Ctx,
};

impl Registration {
    /// Somebody makes an account for himself by an older API, whose answers always tell whether his
    /// name is taken. Even the first of all accounts becomes no administrator here: its address may
    /// never be verified, and its password may be held to no policy.
    ///
    /// # Errors
    ///
    /// As of [`Self::register`] where the existence of accounts isn't hidden; [`Error::RateLimited`] also
    /// when the address was registered too often.
    ///
    /// [`Error::RateLimited`]: crate::error::Error::RateLimited
    ///
    /// # Concurrency
    ///
    /// Of any number of registrations at once with one name, one makes an account. The first account
    /// takes the place of the first user, so that none after it becomes administrator either.
    #[instrument(skip_all, fields(request_id = %ctx.request_id))]
    pub async fn register_by_older_api(&self, ctx: &Ctx, account: NewAccount) -> Result<User> {
        self.check_registration(ctx, &account)?;
        if let Some(email) = &account.email {
            self.limits.check_address(&email.normalized())?;
        }
        let hash = self.hasher.hash(&account.password).await?;
        let mut connection = self.platform.pool.acquire().await?;
        let user = self
            .insert_registered(&mut connection, ctx, account, &hash, Role::Anonymous, None)
            .await?;
        self.made(&user);
        Ok(user)
    }
}
