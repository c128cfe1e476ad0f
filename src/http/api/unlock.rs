//! `/unlock-account/…`: the link of a lock notice.

use axum::{extract::State, http::HeaderMap, response::Response};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    mailed_link::{MailedLink, Visit},
    registration::MessageBody,
};
use crate::{
    domain::{id::UserId, token::OneTimeToken},
    error::{Error, ErrorCode, Result},
    http::{
        error::Answer,
        extract::{Anyone, MailLink, device_cookie},
        mount,
        openapi::{Internal, InvalidUnlock, OrPage, Unavailable},
        state::AppState,
        web::pages::Page,
    },
    services::Ctx,
};

pub(super) fn router() -> OpenApiRouter<AppState> {
    mount(OpenApiRouter::new(), routes!(unlock, confirm))
}

const LINK: MailedLink = MailedLink {
    ask: Page::new(
        "Unlock your account",
        "One click, and you can log in again.",
    )
    .with_button("Unlock my account"),
    done: Page::new(
        "Your account is unlocked",
        "You can log in now, and close this page.",
    ),
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
        InvalidUnlock, Internal, Unavailable
    ),
)]
async fn unlock(
    State(state): State<AppState>,
    Anyone(ctx): Anyone,
    visit: Visit,
    MailLink(link): MailLink,
) -> Answer<Response> {
    LINK.follow(visit, use_token(&state, &ctx, link)).await
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
        OrPage<InvalidUnlock>, Internal, Unavailable
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
