//! A user by whatever he is called.

use tracing::instrument;

use super::Users;
use crate::{
    domain::{login_name::LoginName, permission::Permission, phone::Region, user::User},
    error::Result,
    repository::users,
    services::Ctx,
};

impl Users {
    /// Whomever this is the id, the address, the nickname, the phone number or the legacy name of: several
    /// where it is the nickname of one and something else of another. A number without a country's code is
    /// of `region`.
    ///
    /// # Errors
    ///
    /// [`Error::Forbidden`](crate::error::Error::Forbidden).
    #[instrument(skip_all, fields(request_id = %ctx.request_id))]
    pub async fn find_named(&self, ctx: &Ctx, typed: &str, region: Region) -> Result<Vec<User>> {
        ctx.require(Permission::ReadUser)?;
        let typed = typed.trim();
        let name = LoginName::read(typed, region);
        let mut connection = self.platform.pool.acquire().await?;
        users::find_named(&mut connection, typed, &name).await
    }
}
