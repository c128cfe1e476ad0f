//! `/unlock-account/…`: the link of a lock notice. It works like the one of a verification mail.

use axum::{
    extract::State,
    http::{HeaderMap, Method, StatusCode},
    response::{IntoResponse as _, Response},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::registration::MessageBody;
use crate::{
    domain::{id::UserId, token::OneTimeToken},
    error::{Error, ErrorCode, Result},
    http::{
        error::{Answer, ProblemBody},
        extract::{Anyone, MailLink, device_cookie},
        mount,
        openapi::{Internal, InvalidLink, Unavailable},
        state::AppState,
        web::pages::{self, Page},
    },
    services::Ctx,
};

pub(super) fn router() -> OpenApiRouter<AppState> {
    mount(OpenApiRouter::new(), routes!(unlock, confirm))
}

const UNLOCKED: MessageBody = MessageBody {
    message: "Account unlocked successfully",
};

/// Use the link of a lock notice
///
/// Ends the lockout after failed logins. A client that accepts `text/html` gets a page whose
/// button confirms.
#[utoipa::path(
    get, path = "/unlock-account/{user_id}/{token}", operation_id = "unlock_account", tag = "login",
    params(
        ("user_id" = String, Path, description = "The user's id", example = "0199c5a0-6d54-7c1e-8f6a-3b1f2d4e5a6b"),
        ("token" = String, Path, description = "The token of the mail", example = "mH2c9wYb1Qe0"),
    ),
    responses(
        (status = 200, description = "The account takes logins again, or a page that asks", content(
            (MessageBody = "application/json", example = json!({"message": "Account unlocked successfully"})),
            (String = "text/html", example = "<!doctype html>…"),
        )),
        InvalidLink, Internal, Unavailable
    ),
)]
async fn unlock(
    State(state): State<AppState>,
    Anyone(ctx): Anyone,
    method: Method,
    headers: HeaderMap,
    MailLink(link): MailLink,
) -> Answer<Response> {
    if method == Method::HEAD || pages::is_wanted(&headers) {
        return Ok(pages::show(StatusCode::OK, Page::ConfirmUnlock));
    }
    let device = use_token(&state, &ctx, link).await?;
    Ok((device, axum::Json(UNLOCKED)).into_response())
}

/// Confirm the link of a lock notice
///
/// What the button of the page does.
#[utoipa::path(
    post, path = "/unlock-account/{user_id}/{token}", operation_id = "confirm_unlock", tag = "login",
    params(
        ("user_id" = String, Path, description = "The user's id", example = "0199c5a0-6d54-7c1e-8f6a-3b1f2d4e5a6b"),
        ("token" = String, Path, description = "The token of the mail", example = "mH2c9wYb1Qe0"),
    ),
    responses(
        (status = 200, description = "The account takes logins again", content(
            (MessageBody = "application/json", example = json!({"message": "Account unlocked successfully"})),
            (String = "text/html", example = "<!doctype html>…"),
        )),
        (status = 400, description = "The token is unknown, used, replaced or expired", content(
            (ProblemBody<'static> = "application/problem+json"),
            (String = "text/html", example = "<!doctype html>…"),
        )),
        Internal, Unavailable
    ),
)]
async fn confirm(
    State(state): State<AppState>,
    Anyone(ctx): Anyone,
    headers: HeaderMap,
    MailLink(link): MailLink,
) -> Answer<Response> {
    let used = use_token(&state, &ctx, link).await;
    if !pages::is_wanted(&headers) {
        return Ok((used?, axum::Json(UNLOCKED)).into_response());
    }
    match used {
        Ok(device) => {
            Ok((device, pages::show(StatusCode::OK, Page::AccountUnlocked)).into_response())
        }
        Err(Error::InvalidToken(_)) => Ok(pages::show(StatusCode::BAD_REQUEST, Page::LinkNotValid)),
        Err(error) => Err(error.into()),
    }
}

/// Unlocks, and answers the headers that make this device the owner's.
async fn use_token(
    state: &AppState,
    ctx: &Ctx,
    link: Option<(UserId, OneTimeToken)>,
) -> Result<HeaderMap> {
    let (user_id, token) = link.ok_or(Error::InvalidToken(ErrorCode::InvalidUnlockToken))?;
    let device_token = state.services.login.unlock(ctx, user_id, &token).await?;
    Ok(device_cookie(state, &device_token))
}
