//! `/profiles/{nickname}`: what anybody may see of a user.

use axum::extract::State;
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::links::Link;
use crate::{
    error::{Error, ErrorCode},
    http::{
        error::Answer,
        extract::{Anyone, Nicknamed},
        mount,
        openapi::{Internal, Unavailable, UserNotFound},
        state::AppState,
    },
    services::profiles::PublicProfile,
};

pub(super) fn router() -> OpenApiRouter<AppState> {
    mount(OpenApiRouter::new(), routes!(read))
}

/// A nickname in the path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "only documents the parameter")]
struct NicknameParam {
    /// The user's nickname, in whatever case
    #[param(example = "clever_panda_417")]
    nickname: String,
}

/// What anybody may see of a user.
#[derive(Serialize, ToSchema)]
#[schema(as = Profile, example = json!({
    "nickname": "clever_panda_417", "first_name": "Ada", "middle_name": null, "last_name": "Lovelace",
    "bio": "Writes programs.", "location": "London", "profile_picture_url": "https://example.com/ada.png",
    "linkedin_profile_url": null, "github_profile_url": "https://github.com/ada", "is_professional": false,
    "links": [{"rel": "self", "href": "https://users.example.com/profiles/clever_panda_417", "method": "GET",
               "action": "view", "type": "application/json"}],
}))]
struct ProfileBody {
    /// The public name.
    nickname: String,
    /// Given name, if the user publishes his names.
    first_name: Option<String>,
    /// Names between, if the user publishes his names.
    middle_name: Option<String>,
    /// Family name, if the user publishes his names.
    last_name: Option<String>,
    /// About oneself.
    bio: Option<String>,
    /// Where the user says that he is.
    location: Option<String>,
    /// A picture.
    profile_picture_url: Option<String>,
    /// A page at LinkedIn.
    linkedin_profile_url: Option<String>,
    /// A page at GitHub.
    github_profile_url: Option<String>,
    /// Professional status.
    is_professional: bool,
    /// This profile.
    links: Vec<Link>,
}

impl ProfileBody {
    fn new(state: &AppState, public: PublicProfile) -> Self {
        let profile = public.profile;
        let href = state.url(&format!("profiles/{}", public.nickname));
        Self {
            nickname: public.nickname.to_string(),
            first_name: profile.first_name.map(|name| name.as_str().to_owned()),
            middle_name: profile.middle_name.map(|name| name.as_str().to_owned()),
            last_name: profile.last_name.map(|name| name.as_str().to_owned()),
            bio: profile.bio.map(|bio| bio.as_str().to_owned()),
            location: profile.location.map(|place| place.as_str().to_owned()),
            profile_picture_url: profile
                .profile_picture_url
                .map(|url| url.as_str().to_owned()),
            linkedin_profile_url: profile
                .linkedin_profile_url
                .map(|url| url.as_str().to_owned()),
            github_profile_url: profile
                .github_profile_url
                .map(|url| url.as_str().to_owned()),
            is_professional: public.is_professional,
            links: vec![Link::new("self", href, "GET", "view")],
        }
    }
}

/// Read a public profile
///
/// Neither address nor phone number, and names only where the user publishes them. Whoever isn't verified, is
/// locked, or has deleted his account has none.
#[utoipa::path(
    get, path = "/profiles/{nickname}", operation_id = "get_profile", tag = "profiles",
    params(NicknameParam),
    responses(
        (status = 200, description = "The public profile", body = ProfileBody),
        UserNotFound, Internal, Unavailable
    ),
)]
async fn read(
    State(state): State<AppState>,
    Anyone(ctx): Anyone,
    Nicknamed(nickname): Nicknamed,
) -> Answer<axum::Json<ProfileBody>> {
    let nickname = nickname.ok_or(Error::NotFound(ErrorCode::UserNotFound))?;
    let profile = state.services.profiles.read(&ctx, &nickname).await?;
    Ok(axum::Json(ProfileBody::new(&state, profile)))
}
