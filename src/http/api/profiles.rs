//! `/profiles`: what anybody may see of users.

use axum::extract::State;
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{links::Link, user_list, user_query};
use crate::{
    domain::page::Page,
    error::{Error, ErrorCode},
    http::{
        error::Answer,
        extract::{Anyone, Nicknamed, Query},
        mount,
        openapi::{Internal, Invalid, Unavailable, UserNotFound},
        state::AppState,
    },
    services::profiles::PublicProfile,
};

pub(super) fn router() -> OpenApiRouter<AppState> {
    let router = mount(OpenApiRouter::new(), routes!(search));
    mount(router, routes!(read))
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

/// Which public profiles.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only documents the parameters")]
struct DirectoryParams {
    /// Words, all of which the nickname contains; those of one or two characters where it begins
    #[param(min_length = 1, max_length = 200, example = "panda")]
    q: String,
    /// The page of this cursor, or the first one
    #[param(required = false)]
    cursor: String,
    /// Profiles at most
    #[param(minimum = 1, maximum = 100, default = 10, required = false)]
    limit: u32,
}

/// A page of public profiles.
#[derive(Serialize, ToSchema)]
#[schema(as = ProfileList, example = json!({
    "items": [{
        "nickname": "clever_panda_417", "first_name": null, "middle_name": null, "last_name": null,
        "bio": "Writes programs.", "location": "London", "profile_picture_url": null, "linkedin_profile_url": null,
        "github_profile_url": null, "is_professional": false, "links": [],
    }],
    "next_cursor": null,
    "links": [{"rel": "self", "href": "https://users.example.com/profiles?q=panda", "method": "GET",
               "action": "view", "type": "application/json"}],
}))]
struct ProfileListBody {
    /// The profiles, the best match first.
    items: Vec<ProfileBody>,
    /// The cursor of the next page, if there is one.
    next_cursor: Option<String>,
    /// This page, the first, the last, and the next and the previous where there are such.
    links: Vec<Link>,
}

/// Search public profiles
///
/// By nickname, which is all that is public of everybody.
#[utoipa::path(
    get, path = "/profiles", operation_id = "search_profiles", tag = "profiles",
    params(DirectoryParams),
    responses(
        (status = 200, description = "A page of public profiles", body = ProfileListBody),
        Invalid, Internal, Unavailable
    ),
)]
async fn search(
    State(state): State<AppState>,
    Anyone(ctx): Anyone,
    mut query: Query,
) -> Answer<axum::Json<ProfileListBody>> {
    query.only(&["q", "cursor", "limit"]);
    let limit = query.read_number("limit", 1, Page::MAX_LIMIT).unwrap_or(10);
    let cursor = user_query::cursor(&mut query);
    let text = user_query::text(&mut query);
    let frame = query.clone();
    let text = user_query::required(query.finish(text)?)?;
    let page = state
        .services
        .user_search
        .directory(&ctx, text, cursor, limit)
        .await?;
    let links = user_list::links_by_cursor(&state, "profiles", &frame, &page);
    let items = page
        .items
        .into_iter()
        .map(|profile| ProfileBody::new(&state, profile));
    Ok(axum::Json(ProfileListBody {
        items: items.collect(),
        next_cursor: page.next,
        links,
    }))
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
