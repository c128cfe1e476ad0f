//! `/me`: one's own account.

use axum::{
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, header},
};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    profile_body::{ProfileChange, required},
    text_schemas::{BioText, LocaleText, LocationText, PersonNameText, WebUrlText},
    user_body::UserBody,
};
use crate::{
    domain::{nickname::Nickname, patch::Patch, user::User},
    error::{Error, FieldError, FieldErrors, Result},
    http::{
        error::Answer,
        extract::{Authenticated, Json},
        mount,
        openapi::{
            CrossSite, Internal, Invalid, Malformed, NicknameTaken, Stale, TooLarge,
            Unauthenticated, Unavailable, UnsupportedMediaType,
        },
        state::AppState,
    },
    services::me::OwnPatch,
};

pub(super) fn router() -> OpenApiRouter<AppState> {
    mount(OpenApiRouter::new(), routes!(read, edit))
}

/// The tag of a state of an account (RFC 9110, 8.8.3): its revision. A login changes `last_login_at`
/// and not the tag, so that logging in elsewhere doesn't stand in the way of a change.
fn etag(user: &User) -> [(HeaderName, String); 1] {
    [(header::ETAG, format!("\"{}\"", user.revision))]
}

/// The revisions that `If-Match` names (RFC 9110, 13.1.1); none where any will do. What is no tag of
/// ours matches nothing.
fn expected(headers: &HeaderMap) -> Option<Vec<i64>> {
    let mut values = headers.get_all(header::IF_MATCH).iter().peekable();
    values.peek()?;
    let tags: Vec<_> = values
        .map(HeaderValue::to_str)
        .filter_map(std::result::Result::ok)
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .collect();
    if tags == ["*"] {
        return None;
    }
    let revision = |tag: &str| tag.strip_prefix('"')?.strip_suffix('"')?.parse().ok();
    Some(tags.into_iter().filter_map(revision).collect())
}

/// Read one's own account
#[utoipa::path(
    get, path = "/me", operation_id = "get_me", tag = "me", security(("password" = [])),
    responses(
        (status = 200, description = "The caller's account", body = UserBody, headers(
            ("ETag" = String, description = "Names this state of the account, for If-Match"),
        )),
        Unauthenticated, Internal, Unavailable
    ),
)]
async fn read(
    State(state): State<AppState>,
    Authenticated(ctx): Authenticated,
) -> Answer<([(HeaderName, String); 1], axum::Json<UserBody>)> {
    let user = state.services.me.read(&ctx).await?;
    Ok((etag(&user), axum::Json(UserBody::new(&state, user))))
}

/// A change of one's own account: at least one member. `null` takes a value away where there may be none.
#[derive(Deserialize, ToSchema)]
#[schema(as = OwnChange, min_properties = 1, example = json!({"first_name": "Ada", "bio": null, "location": "London"}))]
struct OwnPatchBody {
    /// The new public name.
    #[serde(default)]
    #[schema(value_type = String, required = false, min_length = 3, max_length = 50, pattern = "^[A-Za-z0-9_-]+$")]
    nickname: Patch<String>,
    /// Given name.
    #[serde(default)]
    #[schema(value_type = Option<PersonNameText>)]
    first_name: Patch<String>,
    /// Names between.
    #[serde(default)]
    #[schema(value_type = Option<PersonNameText>)]
    middle_name: Patch<String>,
    /// Family name.
    #[serde(default)]
    #[schema(value_type = Option<PersonNameText>)]
    last_name: Patch<String>,
    /// Whether the public profile shows the names.
    #[serde(default)]
    #[schema(value_type = bool, required = false)]
    is_name_public: Patch<bool>,
    /// About oneself.
    #[serde(default)]
    #[schema(value_type = Option<BioText>)]
    bio: Patch<String>,
    /// Where one is.
    #[serde(default)]
    #[schema(value_type = Option<LocationText>)]
    location: Patch<String>,
    /// The language that the user wants, as a BCP 47 tag.
    #[serde(default)]
    #[schema(value_type = Option<LocaleText>)]
    locale: Patch<String>,
    /// A picture.
    #[serde(default)]
    #[schema(value_type = Option<WebUrlText>)]
    profile_picture_url: Patch<String>,
    /// A page at LinkedIn.
    #[serde(default)]
    #[schema(value_type = Option<WebUrlText>)]
    linkedin_profile_url: Patch<String>,
    /// A page at GitHub.
    #[serde(default)]
    #[schema(value_type = Option<WebUrlText>)]
    github_profile_url: Patch<String>,
}

impl OwnPatchBody {
    fn parse(self) -> Result<OwnPatch> {
        let mut errors = FieldErrors::default();
        let patch = OwnPatch {
            nickname: required(&mut errors, "nickname", self.nickname, Nickname::parse),
            phone_number: None,
            profile: ProfileChange {
                first_name: self.first_name,
                middle_name: self.middle_name,
                last_name: self.last_name,
                is_name_public: self.is_name_public,
                bio: self.bio,
                location: self.location,
                locale: self.locale,
                profile_picture_url: self.profile_picture_url,
                linkedin_profile_url: self.linkedin_profile_url,
                github_profile_url: self.github_profile_url,
            }
            .parse(&mut errors),
        };
        let patch = errors.finish(Some(patch))?;
        if patch == OwnPatch::default() {
            return Err(Error::invalid(FieldError::empty_change()));
        }
        Ok(patch)
    }
}

/// Change one's own account
///
/// With `If-Match` the change is made only if nobody else made one since: the tag is that of the last
/// answer.
#[utoipa::path(
    patch, path = "/me", operation_id = "update_me", tag = "me", security(("password" = [])),
    params(("If-Match" = Option<String>, Header, description = "The ETag of the state that is to be changed", example = "\"3\"")),
    request_body = OwnPatchBody,
    responses(
        (status = 200, description = "The account after the change", body = UserBody, headers(
            ("ETag" = String, description = "Names this state of the account, for If-Match"),
        )),
        Malformed, Unauthenticated, CrossSite, NicknameTaken, Stale, TooLarge, UnsupportedMediaType, Invalid, Internal, Unavailable
    ),
)]
async fn edit(
    State(state): State<AppState>,
    Authenticated(ctx): Authenticated,
    headers: HeaderMap,
    Json(body): Json<OwnPatchBody>,
) -> Answer<([(HeaderName, String); 1], axum::Json<UserBody>)> {
    let expected = expected(&headers);
    let me = &state.services.me;
    let user = me.edit(&ctx, body.parse()?, expected.as_deref()).await?;
    Ok((etag(&user), axum::Json(UserBody::new(&state, user))))
}
