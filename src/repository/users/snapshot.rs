//! Users as JSON.

use serde::{Deserialize, Serialize};

use super::UserRow;
use crate::{
    domain::{
        email::Email,
        legacy_name::LegacyName,
        locale::Locale,
        phone::PhoneNumber,
        profile::{Bio, Location, PersonName, WebUrl},
        user::User,
    },
    error::{Error, Result},
};

/// A user as he was at some time, to be kept as JSON: his row, but for the password.
///
/// What an older version kept lacks the columns that are new: give them a default of serde, unless
/// they may be null.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
pub struct Snapshot(UserRow);

impl From<&User> for Snapshot {
    fn from(user: &User) -> Self {
        let profile = &user.profile;
        let name = |name: &Option<PersonName>| name.as_ref().map(|name| name.as_str().to_owned());
        let url = |url: &Option<WebUrl>| url.as_ref().map(|url| url.as_str().to_owned());
        let phone_number = user.phone_number.as_ref().map(PhoneNumber::as_str);
        let legacy_name = user.legacy_name.as_ref().map(LegacyName::as_str);
        Self(UserRow {
            id: user.id,
            nickname: user.nickname.as_str().to_owned(),
            email: user.email.as_ref().map(Email::as_str).map(str::to_owned),
            email_verified_at: user.email_verified_at,
            phone_number: phone_number.map(str::to_owned),
            first_name: name(&profile.first_name),
            middle_name: name(&profile.middle_name),
            last_name: name(&profile.last_name),
            is_name_public: profile.is_name_public,
            bio: profile.bio.as_ref().map(Bio::as_str).map(str::to_owned),
            location: profile
                .location
                .as_ref()
                .map(Location::as_str)
                .map(str::to_owned),
            locale: profile
                .locale
                .as_ref()
                .map(Locale::as_str)
                .map(str::to_owned),
            profile_picture_url: url(&profile.profile_picture_url),
            linkedin_profile_url: url(&profile.linkedin_profile_url),
            github_profile_url: url(&profile.github_profile_url),
            role: user.role.as_str().to_owned(),
            is_professional: user.is_professional,
            professional_status_updated_at: user.professional_status_updated_at,
            locked_at: user.locked_at,
            deletion_due_at: user.deletion_due_at,
            last_login_at: user.last_login_at,
            created_at: user.created_at,
            updated_at: user.updated_at,
            revision: user.revision,
            legacy_name: legacy_name.map(str::to_owned),
        })
    }
}

impl TryFrom<Snapshot> for User {
    type Error = Error;

    fn try_from(snapshot: Snapshot) -> Result<Self> {
        snapshot.0.try_into()
    }
}
