//! What an application keeps for a user: reading and replacing one's own.

use tracing::instrument;

use super::{Ctx, platform::Platform};
use crate::{
    domain::{id::UserId, preferences::Preferences as Kept},
    error::{Error, ErrorCode, Result},
    repository::user_preferences,
};

/// One's own preferences.
pub struct Preferences {
    platform: Platform,
}

impl Preferences {
    /// The service on this database.
    pub fn new(platform: Platform) -> Self {
        Self { platform }
    }

    /// The preferences of a user who has just logged in.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub async fn read(&self, id: UserId) -> Result<Kept> {
        let mut connection = self.platform.pool.acquire().await?;
        let found = user_preferences::find(&mut connection, id).await?;
        Ok(found.unwrap_or_default())
    }

    /// Puts preferences in the place of the caller's former ones.
    ///
    /// # Errors
    ///
    /// [`Error::Unauthenticated`], also when his account has gone meanwhile.
    #[instrument(skip_all, fields(request_id = %ctx.request_id))]
    pub async fn replace(&self, ctx: &Ctx, preferences: &Kept) -> Result<()> {
        let (id, _) = ctx.user()?;
        let mut connection = self.platform.pool.acquire().await?;
        let is_there = user_preferences::replace(&mut connection, id, preferences, ctx.now).await?;
        if is_there {
            Ok(())
        } else {
            Err(Error::Unauthenticated(ErrorCode::NotAuthenticated))
        }
    }
}
