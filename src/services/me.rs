//! One's own account: reading and changing it.

use std::sync::Arc;

use tracing::instrument;

use super::{
    Ctx, audit::Act, passwords::Passwords, platform::Platform, session_cache::SessionCache,
};
use crate::{
    domain::{
        audit::{Action, Change},
        nickname::Nickname,
        password::{Password, PasswordHash},
        phone::PhoneNumber,
        profile::ProfilePatch,
        user::User,
    },
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
    passwords: Arc<Passwords>,
}

impl Me {
    /// The service on this database.
    pub fn new(platform: Platform, cache: Arc<SessionCache>, passwords: Arc<Passwords>) -> Self {
        Self {
            platform,
            cache,
            passwords,
        }
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
        self.change(ctx, patch, expected, None).await
    }

    /// The same with a new password besides, for an older API that doesn't ask for the former one;
    /// the caller's other sessions end.
    ///
    /// # Errors
    ///
    /// As of [`Self::edit`]; [`Error::Invalid`] for a password that the account may not have;
    /// [`Error::RateLimited`], [`Error::Unavailable`].
    #[instrument(skip_all, fields(request_id = %ctx.request_id))]
    pub async fn edit_with_password(
        &self,
        ctx: &Ctx,
        patch: OwnPatch,
        password: &Password,
    ) -> Result<User> {
        let mut user = self.read(ctx).await?;
        if patch.phone_number.is_some() {
            user.phone_number.clone_from(&patch.phone_number);
        }
        let hash = self
            .passwords
            .hash_unproven(ctx, &user, password, "password")
            .await?;
        self.change(ctx, patch, None, Some(&hash)).await
    }

    async fn change(
        &self,
        ctx: &Ctx,
        patch: OwnPatch,
        expected: Option<&[i64]>,
        hash: Option<&PasswordHash>,
    ) -> Result<User> {
        let (id, session) = ctx.user()?;
        let mut transaction = self.platform.pool.begin().await?;
        let found = users::find_for_update(&mut transaction, id).await?;
        let mut user = found.ok_or(Error::Unauthenticated(ErrorCode::NotAuthenticated))?;
        ctx.still_logged_in(&mut transaction).await?;
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
        let is_changed = user != before;
        if !is_changed && hash.is_none() {
            return Ok(user);
        }
        if is_changed {
            user.updated_at = ctx.now;
            users::update(&mut transaction, &mut user).await?;
            let change = Change::between(&before, &user);
            let act = Act::new(Action::UserChanged).on(id).change(change);
            let audit = &self.platform.audit;
            audit.record(&mut transaction, ctx, act).await?;
        }
        if let Some(hash) = hash {
            let passwords = &self.passwords;
            passwords
                .set(&mut transaction, ctx, &user, session, hash)
                .await?;
        }
        transaction.commit().await?;
        self.cache.forget(id);
        if hash.is_some() {
            self.passwords.changed(id);
        }
        tracing::info!(user_id = %id, "account changed by its owner");
        Ok(user)
    }
}
