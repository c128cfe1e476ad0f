//! A user as a file has him.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{
    email::Email,
    legacy_name::LegacyName,
    locale::Locale,
    password::PasswordHash,
    phone::PhoneNumber,
    profile::{Bio, Location, PersonName, WebUrl},
    user::User,
    user_record::Column,
};

/// All that the table of users holds of one.
#[derive(Debug, Clone)]
pub struct ExportedUser {
    /// The account.
    pub user: User,
    /// When whoever knew its name set its password, by an older API.
    pub password_reset_openly_at: Option<DateTime<Utc>>,
    /// The hash of its password, where it was asked for.
    pub password_hash: Option<PasswordHash>,
}

/// What stands in a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    /// Nothing.
    Nothing,
    /// A text, never empty.
    Text(&'a str),
    /// An id.
    Id(Uuid),
    /// Yes or no.
    Flag(bool),
    /// A number.
    Number(i64),
    /// A time.
    Time(DateTime<Utc>),
}

impl<'a> Value<'a> {
    fn text(text: Option<&'a str>) -> Self {
        text.map_or(Self::Nothing, Self::Text)
    }

    fn time(at: Option<DateTime<Utc>>) -> Self {
        at.map_or(Self::Nothing, Self::Time)
    }
}

impl From<User> for ExportedUser {
    /// The account alone.
    fn from(user: User) -> Self {
        Self {
            user,
            password_reset_openly_at: None,
            password_hash: None,
        }
    }
}

impl ExportedUser {
    /// What stands in this column.
    #[must_use]
    pub fn value(&self, column: Column) -> Value<'_> {
        let user = &self.user;
        let profile = &user.profile;
        match column {
            Column::Id => Value::Id(user.id.0),
            Column::Nickname => Value::Text(user.nickname.as_str()),
            Column::Email => Value::text(user.email.as_ref().map(Email::as_str)),
            Column::EmailVerifiedAt => Value::time(user.email_verified_at),
            Column::PhoneNumber => Value::text(user.phone_number.as_ref().map(PhoneNumber::as_str)),
            Column::LegacyName => Value::text(user.legacy_name.as_ref().map(LegacyName::as_str)),
            Column::FirstName => Value::text(profile.first_name.as_ref().map(PersonName::as_str)),
            Column::MiddleName => Value::text(profile.middle_name.as_ref().map(PersonName::as_str)),
            Column::LastName => Value::text(profile.last_name.as_ref().map(PersonName::as_str)),
            Column::IsNamePublic => Value::Flag(profile.is_name_public),
            Column::Bio => Value::text(profile.bio.as_ref().map(Bio::as_str)),
            Column::Location => Value::text(profile.location.as_ref().map(Location::as_str)),
            Column::Locale => Value::text(profile.locale.as_ref().map(Locale::as_str)),
            Column::ProfilePictureUrl => {
                Value::text(profile.profile_picture_url.as_ref().map(WebUrl::as_str))
            }
            Column::LinkedinProfileUrl => {
                Value::text(profile.linkedin_profile_url.as_ref().map(WebUrl::as_str))
            }
            Column::GithubProfileUrl => {
                Value::text(profile.github_profile_url.as_ref().map(WebUrl::as_str))
            }
            Column::Role => Value::Text(user.role.as_str()),
            Column::IsProfessional => Value::Flag(user.is_professional),
            Column::ProfessionalStatusUpdatedAt => Value::time(user.professional_status_updated_at),
            Column::LockedAt => Value::time(user.locked_at),
            Column::DeletionDueAt => Value::time(user.deletion_due_at),
            Column::LastLoginAt => Value::time(user.last_login_at),
            Column::CreatedAt => Value::Time(user.created_at),
            Column::UpdatedAt => Value::Time(user.updated_at),
            Column::Revision => Value::Number(user.revision),
            Column::PasswordResetOpenlyAt => Value::time(self.password_reset_openly_at),
            Column::PasswordHash => {
                Value::text(self.password_hash.as_ref().map(PasswordHash::expose))
            }
            // Nobody knows it.
            Column::Password => Value::Nothing,
        }
    }
}
