//! `DELETE /me`, and the ways back: `/restore-account/…` for the owner, `POST /users/{user_id}/restore`
//! for administrators.

use axum::{extract::State, http::StatusCode, response::Response};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    mailed_link::{MailedLink, Visit},
    registration::{MISSING, MessageBody, typed_password},
    user_body::{UserBody, UserIdParam, time},
};
use crate::{
    domain::{id::UserId, password::TypedPassword, token::OneTimeToken},
    error::{Error, ErrorCode, FieldErrors, Result},
    http::{
        error::Answer,
        extract::{Anyone, Authenticated, Id, Json, MailLink},
        mount,
        openapi::{
            Forbidden, Internal, Invalid, InvalidOrWrongPassword, InvalidRestore,
            LastAdministrator, MalformedOrTooManyGuesses, OrPage, TooLarge, TooManyRequests,
            Unauthenticated, Unavailable, UnsupportedMediaType, UserNotFound,
        },
        state::AppState,
        web::pages::Page,
    },
    services::Ctx,
};

pub(super) fn router() -> OpenApiRouter<AppState> {
    let router = mount(OpenApiRouter::new(), routes!(delete));
    let router = mount(router, routes!(look, confirm));
    mount(router, routes!(restore))
}

/// The proof that it is the owner who deletes his account.
#[derive(Deserialize, ToSchema)]
#[schema(as = AccountDeletion, example = json!({"password": "Secure*1234"}))]
struct DeletionBody {
    /// The password.
    #[serde(default, deserialize_with = "typed_password")]
    #[schema(value_type = String, format = Password, required)]
    password: Option<TypedPassword>,
}

/// A deletion that is on its way.
#[derive(Serialize, ToSchema)]
#[schema(as = DeletionDue, example = json!({
    "message": "Your account will be erased", "deletion_due_at": "2026-12-05T12:00:00.000000Z",
}))]
struct DeletionDueBody {
    /// A message for people.
    #[schema(value_type = String)]
    message: &'static str,
    /// When the account is erased.
    #[serde(serialize_with = "time")]
    deletion_due_at: DateTime<Utc>,
}

/// Delete one's own account
///
/// All sessions end at once and nobody can log in any more. Until `deletion_due_at` the link of the
/// mail that goes out, or an administrator, restores the account; then it is erased. The last
/// administrator can't delete himself. Wrong guesses of the password make this session wait, and no
/// other.
#[utoipa::path(
    delete, path = "/me", operation_id = "delete_me", tag = "me", security(("password" = [])),
    request_body = DeletionBody,
    responses(
        (status = 202, description = "The account is closed", body = DeletionDueBody),
        MalformedOrTooManyGuesses, Unauthenticated, LastAdministrator, TooLarge, UnsupportedMediaType,
        InvalidOrWrongPassword, TooManyRequests, Internal, Unavailable
    ),
)]
async fn delete(
    State(state): State<AppState>,
    Authenticated(ctx): Authenticated,
    Json(body): Json<DeletionBody>,
) -> Answer<(StatusCode, axum::Json<DeletionDueBody>)> {
    let mut errors = FieldErrors::default();
    let password = errors.take("password", body.password.ok_or(MISSING));
    let password = errors.finish(password)?;
    let deletion_due_at = state.services.deletion.request(&ctx, &password).await?;
    let body = DeletionDueBody {
        message: "Your account will be erased",
        deletion_due_at,
    };
    Ok((StatusCode::ACCEPTED, axum::Json(body)))
}

const LINK: MailedLink = MailedLink {
    ask: Page::new(
        "Restore your account",
        "One click, and your account will not be deleted.",
    )
    .with_button("Restore my account"),
    done: Page::new(
        "Your account is restored",
        "You can log in now, and close this page.",
    ),
    message: "Account restored successfully",
};

/// Use the link of a mail about a deletion
///
/// Takes the deletion back. A client that accepts `text/html` gets a page whose button confirms.
#[utoipa::path(
    get, path = "/restore-account/{user_id}/{token}", operation_id = "restore_account", tag = "accounts",
    params(
        ("user_id" = String, Path, description = "The user's id", example = "0199c5a0-6d54-7c1e-8f6a-3b1f2d4e5a6b"),
        ("token" = String, Path, description = "The token of the mail", example = "mH2c9wYb1Qe0"),
    ),
    responses(
        (status = 200, description = "The account is restored, or a page that asks", content(
            (MessageBody = "application/json", example = json!({"message": "Account restored successfully"})),
            (String = "text/html", example = "<!doctype html>…"),
        )),
        InvalidRestore, Internal, Unavailable
    ),
)]
async fn look(
    State(state): State<AppState>,
    Anyone(ctx): Anyone,
    visit: Visit,
    MailLink(link): MailLink,
) -> Answer<Response> {
    LINK.follow(visit, use_token(&state, &ctx, link)).await
}

/// Confirm the link of a mail about a deletion
///
/// What the button of the page does.
#[utoipa::path(
    post, path = "/restore-account/{user_id}/{token}", operation_id = "confirm_restoration", tag = "accounts",
    params(
        ("user_id" = String, Path, description = "The user's id", example = "0199c5a0-6d54-7c1e-8f6a-3b1f2d4e5a6b"),
        ("token" = String, Path, description = "The token of the mail", example = "mH2c9wYb1Qe0"),
    ),
    responses(
        (status = 200, description = "The account is restored", content(
            (MessageBody = "application/json", example = json!({"message": "Account restored successfully"})),
            (String = "text/html", example = "<!doctype html>…"),
        )),
        OrPage<InvalidRestore>, Internal, Unavailable
    ),
)]
async fn confirm(
    State(state): State<AppState>,
    Anyone(ctx): Anyone,
    visit: Visit,
    MailLink(link): MailLink,
) -> Answer<Response> {
    LINK.follow(visit, use_token(&state, &ctx, link)).await
}

async fn use_token(
    state: &AppState,
    ctx: &Ctx,
    link: Option<(UserId, OneTimeToken)>,
) -> Result<()> {
    let (user_id, token) = link.ok_or(Error::InvalidToken(ErrorCode::InvalidRestoreToken))?;
    let deletion = &state.services.deletion;
    deletion.restore_by_link(ctx, user_id, &token).await
}

/// Restore a user
///
/// Takes back that a user has deleted his account, until it is erased. For administrators; a user who
/// hasn't is left as he is.
#[utoipa::path(
    post, path = "/users/{user_id}/restore", operation_id = "restore_user", tag = "users", security(("password" = [])),
    params(UserIdParam),
    responses(
        (status = 200, description = "The user, restored", body = UserBody),
        Unauthenticated, Forbidden, UserNotFound, Invalid, Internal, Unavailable
    ),
)]
async fn restore(
    State(state): State<AppState>,
    Authenticated(ctx): Authenticated,
    Id(id): Id,
) -> Answer<axum::Json<UserBody>> {
    let user = state.services.deletion.restore(&ctx, id).await?;
    Ok(axum::Json(UserBody::new(&state, user)))
}
