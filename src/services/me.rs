//! One's own account: reading and changing it.

use std::sync::Arc;

use tracing::instrument;

use super::{Ctx, platform::Platform, session_cache::SessionCache};
use crate::{
    domain::{nickname::Nickname, phone::PhoneNumber, profile::ProfilePatch, user::User},
    error::{Error, ErrorCode, Result},
    repository::users,
};

/// A change of one's own account.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OwnPatch {
    /// The new nickname.
    pub nickname: Option<Nickname>,
    /// The new phone number: an older API's accounts may change theirs.
    pub phone_number: Option<PhoneNumber>,
    /// Changes of the profile.
    pub profile: ProfilePatch,
}

/// One's own account.
pub struct Me {
    platform: Platform,
    cache: Arc<SessionCache>,
}

impl Me {
    /// The service on this database.
    pub fn new(platform: Platform, cache: Arc<SessionCache>) -> Self {
        Self { platform, cache }
    }

    /// The caller's account; as it was a second ago at most, and not before its last change.
    ///
    /// # Errors
    ///
    /// [`Error::Unauthenticated`].
    #[instrument(skip_all, fields(request_id = %ctx.request_id))]
    pub async fn read(&self, ctx: &Ctx) -> Result<User> {
        let (id, session) = ctx.user()?;
        // It was read to find out who asks.
        if let Some(session) = self.cache.get(session) {
            return Ok(session.user.clone());
        }
        let mut connection = self.platform.pool.acquire().await?;
        let user = users::find(&mut connection, id).await?;
        user.ok_or(Error::Unauthenticated(ErrorCode::NotAuthenticated))
    }

    /// Changes the caller's account, if it is still as he last saw it: of one of these revisions,
    /// where he names some.
    ///
    /// # Errors
    ///
    /// [`Error::Unauthenticated`], [`Error::Stale`], [`ErrorCode::PhoneNumberAlreadyExists`],
    /// [`ErrorCode::NicknameAlreadyExists`].
    ///
    /// # Concurrency
    ///
    /// The row is locked between the comparison and the change: of two changes that both name one
    /// revision one is made.
    #[instrument(skip_all, fields(request_id = %ctx.request_id))]
    pub async fn edit(&self, ctx: &Ctx, patch: OwnPatch, expected: Option<&[i64]>) -> Result<User> {
        let (id, _) = ctx.user()?;
        let mut transaction = self.platform.pool.begin().await?;
        let found = users::find_for_update(&mut transaction, id).await?;
        let mut user = found.ok_or(Error::Unauthenticated(ErrorCode::NotAuthenticated))?;
        if expected.is_some_and(|expected| !expected.contains(&user.revision)) {
            return Err(Error::Stale);
        }
        let before = user.clone();
        if let Some(nickname) = patch.nickname {
            user.nickname = nickname;
        }
        if patch.phone_number.is_some() {
            user.phone_number = patch.phone_number;
        }
        patch.profile.apply(&mut user.profile);
        if user == before {
            return Ok(user);
        }
        user.updated_at = ctx.now;
        users::update(&mut transaction, &mut user).await?;
        transaction.commit().await?;
        self.cache.forget(id);
        tracing::info!(user_id = %id, "account changed by its owner");
        Ok(user)
    }
}
