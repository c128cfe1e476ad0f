//! `PUT /me/password`.

use axum::{extract::State, http::StatusCode};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    password_reset::new_password,
    registration::{MISSING, typed_password},
};
use crate::{
    domain::password::TypedPassword,
    error::FieldErrors,
    http::{
        error::Answer,
        extract::{Authenticated, Json},
        mount,
        openapi::{
            CrossSite, Internal, InvalidOrWrongPassword, MalformedOrTooManyGuesses, TooLarge,
            TooManyRequests, Unauthenticated, Unavailable, UnsupportedMediaType,
        },
        state::AppState,
    },
};

pub(super) fn router() -> OpenApiRouter<AppState> {
    mount(OpenApiRouter::new(), routes!(change))
}

/// A change of one's own password.
#[derive(Deserialize, ToSchema)]
#[schema(as = PasswordChange, example = json!({"current_password": "Secure*1234", "new_password": "Better*5678"}))]
struct PasswordChangeBody {
    /// The password until now.
    #[serde(default, deserialize_with = "typed_password")]
    #[schema(value_type = String, format = Password, required)]
    current_password: Option<TypedPassword>,
    /// The password: 8 to 128 characters, none of the commonest, not the own address or nickname.
    #[serde(default, deserialize_with = "typed_password")]
    #[schema(value_type = String, format = Password, required, min_length = 8, max_length = 128)]
    new_password: Option<TypedPassword>,
}

/// Change one's own password
///
/// All other sessions end, and the owner is told by mail. Wrong guesses of the current password make
/// this session wait, and no other.
#[utoipa::path(
    put, path = "/me/password", operation_id = "change_my_password", tag = "me", security(("password" = [])),
    request_body = PasswordChangeBody,
    responses(
        (status = 204, description = "The password is changed"),
        MalformedOrTooManyGuesses, Unauthenticated, CrossSite, TooLarge, UnsupportedMediaType, InvalidOrWrongPassword, TooManyRequests, Internal, Unavailable
    ),
)]
async fn change(
    State(state): State<AppState>,
    Authenticated(ctx): Authenticated,
    Json(body): Json<PasswordChangeBody>,
) -> Answer<StatusCode> {
    let mut errors = FieldErrors::default();
    let current = errors.take("current_password", body.current_password.ok_or(MISSING));
    let password = new_password(&mut errors, body.new_password.as_ref());
    let (current, password) = errors.finish(current.zip(password))?;
    let passwords = &state.services.passwords;
    passwords.change(&ctx, &current, &password).await?;
    Ok(StatusCode::NO_CONTENT)
}
