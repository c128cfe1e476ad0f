//! A user, as an administrator or the user himself sees him.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Serialize, Serializer};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::links::{self, Link};
use crate::{domain::user::User, http::state::AppState};

/// The id of a user in the path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "only documents the parameter")]
pub struct UserIdParam {
    /// The user's id
    #[param(example = "0199c5a0-6d54-7c1e-8f6a-3b1f2d4e5a6b")]
    user_id: uuid::Uuid,
}

/// A user.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = User, example = json!({
    "id": "0199c5a0-6d54-7c1e-8f6a-3b1f2d4e5a6b", "nickname": "clever_panda_417",
    "email": "ada@example.com", "email_verified": true, "phone_number": null,
    "first_name": "Ada", "middle_name": null, "last_name": "Lovelace", "is_name_public": false,
    "bio": "Writes programs.", "location": "London", "locale": "en-GB", "profile_picture_url": "https://example.com/ada.png",
    "linkedin_profile_url": "https://linkedin.com/in/ada", "github_profile_url": "https://github.com/ada",
    "role": "AUTHENTICATED", "is_professional": false, "professional_status_updated_at": null,
    "is_locked": false, "deletion_due_at": null, "last_login_at": "2026-11-21T12:00:00.000000Z",
    "created_at": "2026-11-20T08:15:00.000000Z", "updated_at": "2026-11-20T08:20:00.000000Z",
    "links": [{"rel": "self", "href": "https://users.example.com/users/0199c5a0-6d54-7c1e-8f6a-3b1f2d4e5a6b",
               "method": "GET", "action": "view", "type": "application/json"}],
}))]
pub struct UserBody {
    /// The id, a UUID of version 7.
    id: Uuid,
    /// The public name.
    nickname: String,
    /// The address; none only where there is a phone number.
    #[schema(format = Email)]
    email: Option<String>,
    /// Whether the address is verified.
    email_verified: bool,
    /// The phone number, as E.164 has it.
    phone_number: Option<String>,
    /// Given name.
    first_name: Option<String>,
    /// Names between.
    middle_name: Option<String>,
    /// Family name.
    last_name: Option<String>,
    /// Whether the public profile shows the names.
    is_name_public: bool,
    /// About oneself.
    bio: Option<String>,
    /// Where the user says that he is.
    location: Option<String>,
    /// The language that the user wants.
    locale: Option<String>,
    /// A picture.
    profile_picture_url: Option<String>,
    /// A page at LinkedIn.
    linkedin_profile_url: Option<String>,
    /// A page at GitHub.
    github_profile_url: Option<String>,
    /// What the account may do.
    #[schema(value_type = RoleName)]
    role: &'static str,
    /// Professional status.
    is_professional: bool,
    /// When the professional status last changed.
    #[serde(serialize_with = "time_or_null")]
    professional_status_updated_at: Option<DateTime<Utc>>,
    /// Whether an administrator locked the account.
    is_locked: bool,
    /// When the account is erased, if it was deleted.
    #[serde(serialize_with = "time_or_null")]
    deletion_due_at: Option<DateTime<Utc>>,
    /// The last successful login.
    #[serde(serialize_with = "time_or_null")]
    last_login_at: Option<DateTime<Utc>>,
    /// Time of registration.
    #[serde(serialize_with = "time")]
    created_at: DateTime<Utc>,
    /// The last change, logins left out.
    #[serde(serialize_with = "time")]
    updated_at: DateTime<Utc>,
    /// What can be done with the user.
    links: Vec<Link>,
}

/// The name of a role.
#[derive(ToSchema)]
#[schema(as = Role)]
pub enum RoleName {
    /// Registered, address not verified.
    #[schema(rename = "ANONYMOUS")]
    Anonymous,
    /// Verified.
    #[schema(rename = "AUTHENTICATED")]
    Authenticated,
    /// Manages users of lower rank.
    #[schema(rename = "MANAGER")]
    Manager,
    /// Manages everything.
    #[schema(rename = "ADMIN")]
    Admin,
}

impl UserBody {
    /// The body that shows `user`.
    #[must_use]
    pub fn new(state: &AppState, user: User) -> Self {
        let profile = user.profile;
        Self {
            id: user.id.0,
            nickname: user.nickname.to_string(),
            email: user.email.map(|email| email.as_str().to_owned()),
            email_verified: user.email_verified_at.is_some(),
            phone_number: user.phone_number.map(|number| number.as_str().to_owned()),
            first_name: profile.first_name.map(|name| name.as_str().to_owned()),
            middle_name: profile.middle_name.map(|name| name.as_str().to_owned()),
            last_name: profile.last_name.map(|name| name.as_str().to_owned()),
            is_name_public: profile.is_name_public,
            bio: profile.bio.map(|bio| bio.as_str().to_owned()),
            location: profile.location.map(|place| place.as_str().to_owned()),
            locale: profile.locale.map(|locale| locale.as_str().to_owned()),
            profile_picture_url: profile
                .profile_picture_url
                .map(|url| url.as_str().to_owned()),
            linkedin_profile_url: profile
                .linkedin_profile_url
                .map(|url| url.as_str().to_owned()),
            github_profile_url: profile
                .github_profile_url
                .map(|url| url.as_str().to_owned()),
            role: user.role.as_str(),
            is_professional: user.is_professional,
            professional_status_updated_at: user.professional_status_updated_at,
            is_locked: user.locked_at.is_some(),
            deletion_due_at: user.deletion_due_at,
            last_login_at: user.last_login_at,
            created_at: user.created_at,
            updated_at: user.updated_at,
            links: links::of_user(state, user.id),
        }
    }
}

/// RFC 3339 in UTC with microseconds: one form for all times, so that texts sort as times do.
pub(super) fn time<S: Serializer>(time: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&time.to_rfc3339_opts(SecondsFormat::Micros, true))
}

fn time_or_null<S: Serializer>(
    value: &Option<DateTime<Utc>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => time(value, serializer),
        None => serializer.serialize_none(),
    }
}
