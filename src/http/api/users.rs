//! `/users/…`: browse, read, edit, add, delete, lock and unlock.

use axum::{
    extract::State,
    http::{StatusCode, header},
    response::Response,
};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    profile_body::{ProfileChange, change, required},
    registration::{AddedUserBody, NewUserBody, parse_role},
    text_schemas::{
        BioText, LocaleText, LocationText, PersonNameText, PhoneNumberText, WebUrlText,
    },
    user_body::{RoleName, UserBody, UserIdParam},
    user_list::{self, UserListBody},
    user_query::{PageParams, SelectionParams},
};
use crate::{
    domain::{
        email::Email,
        nickname::Nickname,
        patch::Patch,
        phone::{PhoneNumber, Region},
    },
    error::{Error, FieldError, FieldErrors, Result},
    http::{
        error::Answer,
        extract::{Authenticated, Id, IdempotencyParam, Idempotent, Json, Query, answer},
        mount,
        openapi::{
            Forbidden, Internal, Invalid, Malformed, MalformedOrEmailExists, NotMadeNow, Taken,
            TooLarge, Unauthenticated, Unavailable, UnsupportedMediaType, UserNotFound,
        },
        state::AppState,
    },
    services::users::UserPatch,
};

pub(super) fn router() -> OpenApiRouter<AppState> {
    let router = mount(OpenApiRouter::new(), routes!(browse, add));
    let router = mount(router, routes!(read, edit, delete));
    let router = mount(router, routes!(lock));
    mount(router, routes!(unlock))
}

/// Browse users
///
/// Filters narrow the list together. An unknown parameter, field or value is refused, and what exists is told.
#[utoipa::path(
    get, path = "/users/", operation_id = "list_users", tag = "users", security(("password" = [])),
    params(SelectionParams, PageParams),
    responses(
        (status = 200, description = "A page of users, newest last where no other order is asked for", body = UserListBody),
        Unauthenticated, Forbidden, Invalid, Internal, Unavailable
    ),
)]
async fn browse(
    State(state): State<AppState>,
    Authenticated(ctx): Authenticated,
    query: Query,
) -> Answer<axum::Json<UserListBody>> {
    Ok(axum::Json(user_list::list(&state, &ctx, query).await?))
}

/// Add a user
///
/// A manager gives roles below his own, an administrator any. The new user gets a mail that
/// verifies his address, if he has one.
#[utoipa::path(
    post, path = "/users/", operation_id = "add_user", tag = "users", security(("password" = [])),
    params(IdempotencyParam), request_body = AddedUserBody,
    responses(
        (status = 201, description = "The new user", body = UserBody, headers(
            ("location" = String, description = "The user's URL"),
            ("Idempotency-Replayed" = bool, description = "On the answer of an earlier request with this idempotency key"),
        )),
        MalformedOrEmailExists, Unauthenticated, Forbidden, NotMadeNow, TooLarge, UnsupportedMediaType, Invalid, Internal, Unavailable
    ),
)]
async fn add(
    State(state): State<AppState>,
    Authenticated(ctx): Authenticated,
    Idempotent { body, request }: Idempotent<NewUserBody>,
) -> Answer<Response> {
    let (account, role) = body.parse_with_role(state.phone_default_region)?;
    let registration = &state.services.registration;
    let added = registration.add_once(&ctx, account, role, request).await;
    Ok(answer(added, |user| {
        let location = state.url(&format!("users/{}", user.id));
        (
            StatusCode::CREATED,
            [(header::LOCATION, location)],
            axum::Json(UserBody::new(&state, user)),
        )
    }))
}

/// Read a user
#[utoipa::path(
    get, path = "/users/{user_id}", operation_id = "get_user", tag = "users", security(("password" = [])),
    params(UserIdParam),
    responses(
        (status = 200, description = "The user", body = UserBody),
        Unauthenticated, Forbidden, UserNotFound, Invalid, Internal, Unavailable
    ),
)]
async fn read(
    State(state): State<AppState>,
    Authenticated(ctx): Authenticated,
    Id(id): Id,
) -> Answer<axum::Json<UserBody>> {
    let user = state.services.users.read(&ctx, id).await?;
    Ok(axum::Json(UserBody::new(&state, user)))
}

/// A change of a user: at least one member. `null` takes a value away where there may be none.
#[derive(Deserialize, ToSchema)]
#[schema(as = UserChange, min_properties = 1, example = json!({"first_name": "Ada", "bio": null, "role": "MANAGER"}))]
struct UserPatchBody {
    /// The new public name.
    #[serde(default)]
    #[schema(value_type = String, required = false, min_length = 3, max_length = 50, pattern = "^[A-Za-z0-9_-]+$")]
    nickname: Patch<String>,
    /// The new address, to be verified.
    #[serde(default)]
    #[schema(value_type = String, required = false, format = Email, max_length = 254)]
    email: Patch<String>,
    /// The new phone number; `null` takes it away from a user with an address.
    #[serde(default)]
    #[schema(value_type = Option<PhoneNumberText>)]
    phone_number: Patch<String>,
    /// The new role, as by `PUT /users/{user_id}/role` without a reason; it ends the user's sessions.
    #[serde(default)]
    #[schema(value_type = RoleName, required = false)]
    role: Patch<String>,
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
    /// About oneself.
    #[serde(default)]
    #[schema(value_type = Option<BioText>)]
    bio: Patch<String>,
    /// Where the user says that he is.
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

impl UserPatchBody {
    fn parse(self, region: Region) -> Result<UserPatch> {
        let mut errors = FieldErrors::default();
        let patch = UserPatch {
            nickname: required(&mut errors, "nickname", self.nickname, Nickname::parse),
            email: required(&mut errors, "email", self.email, Email::parse),
            phone_number: change(&mut errors, "phone_number", self.phone_number, |text| {
                PhoneNumber::parse(text, region)
            }),
            role: required(&mut errors, "role", self.role, parse_role),
            profile: ProfileChange {
                first_name: self.first_name,
                middle_name: self.middle_name,
                last_name: self.last_name,
                is_name_public: Patch::Keep,
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
        if patch == UserPatch::default() {
            return Err(Error::invalid(FieldError::empty_change()));
        }
        Ok(patch)
    }
}

/// Edit a user
///
/// By the rules of rank: a manager edits users below him, an administrator everybody. A new address
/// must be verified again; a new role ends the user's sessions.
#[utoipa::path(
    put, path = "/users/{user_id}", operation_id = "update_user", tag = "users", security(("password" = [])),
    params(UserIdParam),
    request_body = UserPatchBody,
    responses(
        (status = 200, description = "The user after the change", body = UserBody),
        Malformed, Unauthenticated, Forbidden, UserNotFound, Taken, TooLarge, UnsupportedMediaType, Invalid, Internal, Unavailable
    ),
)]
async fn edit(
    State(state): State<AppState>,
    Authenticated(ctx): Authenticated,
    Id(id): Id,
    Json(body): Json<UserPatchBody>,
) -> Answer<axum::Json<UserBody>> {
    let patch = body.parse(state.phone_default_region)?;
    let user = state.services.users.edit(&ctx, id, patch).await?;
    Ok(axum::Json(UserBody::new(&state, user)))
}

/// Delete a user
///
/// By the rules of rank. His sessions end at once. The last administrator can't be deleted.
#[utoipa::path(
    delete, path = "/users/{user_id}", operation_id = "delete_user", tag = "users", security(("password" = [])),
    params(UserIdParam),
    responses(
        (status = 204, description = "The user is gone"),
        Unauthenticated, Forbidden, UserNotFound, Invalid, Internal, Unavailable
    ),
)]
async fn delete(
    State(state): State<AppState>,
    Authenticated(ctx): Authenticated,
    Id(id): Id,
) -> Answer<StatusCode> {
    state.services.users.delete(&ctx, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lock a user
///
/// By the rules of rank. His sessions end at once, and he can't log in until somebody unlocks him.
#[utoipa::path(
    post, path = "/users/{user_id}/lock", operation_id = "lock_user", tag = "users", security(("password" = [])),
    params(UserIdParam),
    responses(
        (status = 200, description = "The user, locked", body = UserBody),
        Unauthenticated, Forbidden, UserNotFound, Invalid, Internal, Unavailable
    ),
)]
async fn lock(
    State(state): State<AppState>,
    Authenticated(ctx): Authenticated,
    Id(id): Id,
) -> Answer<axum::Json<UserBody>> {
    let user = state.services.users.lock(&ctx, id, None).await?;
    Ok(axum::Json(UserBody::new(&state, user)))
}

/// Unlock a user
///
/// Lifts a lock, and ends a lockout after failed logins too.
#[utoipa::path(
    post, path = "/users/{user_id}/unlock", operation_id = "unlock_user", tag = "users", security(("password" = [])),
    params(UserIdParam),
    responses(
        (status = 200, description = "The user, unlocked", body = UserBody),
        Unauthenticated, Forbidden, UserNotFound, Invalid, Internal, Unavailable
    ),
)]
async fn unlock(
    State(state): State<AppState>,
    Authenticated(ctx): Authenticated,
    Id(id): Id,
) -> Answer<axum::Json<UserBody>> {
    let user = state.services.users.unlock(&ctx, id).await?;
    Ok(axum::Json(UserBody::new(&state, user)))
}
