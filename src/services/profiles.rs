//! Public profiles: what anybody may see of a user.

use tracing::instrument;

use super::{Ctx, platform::Platform};
use crate::{
    domain::{nickname::Nickname, profile::Profile, role::Role, user::User},
    error::{Error, ErrorCode, Result},
    repository::users,
};

/// What anybody may see of a user: neither his address nor his number, and his names only if he
/// publishes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicProfile {
    /// His public name.
    pub nickname: Nickname,
    /// What he says of himself, less what is not public.
    pub profile: Profile,
    /// Professional status.
    pub is_professional: bool,
}

impl PublicProfile {
    pub(super) fn of(user: User) -> Self {
        let mut profile = user.profile;
        if !profile.is_name_public {
            profile.first_name = None;
            profile.middle_name = None;
            profile.last_name = None;
        }
        Self {
            nickname: user.nickname,
            profile,
            is_professional: user.is_professional,
        }
    }
}

/// Public profiles.
pub struct Profiles {
    platform: Platform,
}

impl Profiles {
    /// The service on this database.
    pub fn new(platform: Platform) -> Self {
        Self { platform }
    }

    /// The user of this nickname, if he is to be seen: not one who was never verified, is locked, or
    /// has deleted his account.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::UserNotFound`].
    #[instrument(skip_all, fields(request_id = %ctx.request_id))]
    pub async fn read(&self, ctx: &Ctx, nickname: &Nickname) -> Result<PublicProfile> {
        let mut connection = self.platform.pool.acquire().await?;
        let user = users::find_by_nickname(&mut connection, nickname).await?;
        let user = user.filter(|user| {
            user.role != Role::Anonymous
                && user.locked_at.is_none()
                && user.deletion_due_at.is_none()
        });
        user.map(PublicProfile::of)
            .ok_or(Error::NotFound(ErrorCode::UserNotFound))
    }
}
