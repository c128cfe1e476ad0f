//! One's own data: everything that is kept of a user, for himself (GDPR, articles 15 and 20).

use std::sync::Arc;

use serde_json::Value;
use tracing::instrument;

use super::{Ctx, login::Login, platform::Platform};
use crate::{
    error::{Error, ErrorCode, Result},
    repository::{export, users},
};

/// Tells users what is kept of them.
pub struct Export {
    platform: Platform,
    login: Arc<Login>,
}

impl Export {
    /// The service on this database.
    pub fn new(platform: Platform, login: Arc<Login>) -> Self {
        Self { platform, login }
    }

    /// Everything that is kept of the caller, with a member for each table.
    ///
    /// # Errors
    ///
    /// [`Error::Unauthenticated`].
    #[instrument(skip_all, fields(request_id = %ctx.request_id))]
    pub async fn read(&self, ctx: &Ctx) -> Result<Value> {
        let gone = || Error::Unauthenticated(ErrorCode::NotAuthenticated);
        let (id, _) = ctx.user()?;
        let mut connection = self.platform.pool.acquire().await?;
        let user = users::find(&mut connection, id).await?.ok_or_else(gone)?;
        let keys = self.login.throttle_keys(&user);
        let found = export::find(&mut connection, id, &keys).await?;
        tracing::info!(user_id = %id, "data exported by its owner");
        found.ok_or_else(gone)
    }
}
