//! What an application keeps for a user: reading and replacing one's own.

use tracing::instrument;

use super::{Ctx, audit::Act, platform::Platform};
use crate::{
    domain::{audit::Action, preferences::Preferences as Kept},
    error::Result,
    repository::{user_preferences, users},
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

    /// The caller's preferences.
    ///
    /// # Errors
    ///
    /// [`Error::Unauthenticated`](crate::error::Error::Unauthenticated).
    #[instrument(skip_all, fields(request_id = %ctx.request_id))]
    pub async fn read(&self, ctx: &Ctx) -> Result<Kept> {
        let (id, _) = ctx.user()?;
        let mut connection = self.platform.pool.acquire().await?;
        let found = user_preferences::find(&mut connection, id).await?;
        Ok(found.unwrap_or_default())
    }

    /// Puts preferences in the place of the caller's former ones.
    ///
    /// # Errors
    ///
    /// [`Error::Unauthenticated`](crate::error::Error::Unauthenticated), also when his session has ended meanwhile.
    #[instrument(skip_all, fields(request_id = %ctx.request_id))]
    pub async fn replace(&self, ctx: &Ctx, preferences: &Kept) -> Result<()> {
        let (id, _) = ctx.user()?;
        let mut transaction = self.platform.pool.begin().await?;
        users::find_for_update(&mut transaction, id).await?;
        ctx.still_logged_in(&mut transaction).await?;
        user_preferences::replace(&mut transaction, id, preferences, ctx.now).await?;
        // What an application keeps is its own: it may be anything.
        let act = Act::new(Action::PreferencesChanged).on(id);
        let audit = &self.platform.audit;
        audit.record(&mut transaction, ctx, act).await?;
        transaction.commit().await?;
        Ok(())
    }
}
