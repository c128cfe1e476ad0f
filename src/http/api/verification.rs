//! `/verify-email/…`: the link of a verification mail, and another mail.

use axum::{extract::State, http::StatusCode, response::Response};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    address_body::AddressBody,
    mailed_link::{MailedLink, Visit},
    registration::MessageBody,
};
use crate::{
    domain::{id::UserId, token::OneTimeToken},
    error::{Error, ErrorCode, Result},
    http::{
        error::Answer,
        extract::{Anyone, Json, MailLink},
        mount,
        openapi::{
            Internal, Invalid, InvalidVerification, Malformed, OrPage, TooLarge, TooManyRequests,
            Unavailable, UnsupportedMediaType,
        },
        state::AppState,
        web::pages::Page,
    },
    services::Ctx,
};

pub(super) fn router() -> OpenApiRouter<AppState> {
    let router = mount(OpenApiRouter::new(), routes!(verify, confirm));
    mount(router, routes!(resend))
}

const LINK: MailedLink = MailedLink {
    ask: Page::new(
        "Confirm your e-mail address",
        "One click, and your account is ready.",
    )
    .with_button("Confirm my address"),
    done: Page::new(
        "Your address is confirmed",
        "You can log in now, and close this page.",
    ),
    message: "Email verified successfully",
};

/// Use the link of a verification mail
///
/// A client that accepts `text/html` gets a page whose button confirms.
#[utoipa::path(
    get, path = "/verify-email/{user_id}/{token}", operation_id = "verify_email", tag = "accounts",
    params(
        ("user_id" = String, Path, description = "The user's id", example = "0199c5a0-6d54-7c1e-8f6a-3b1f2d4e5a6b"),
        ("token" = String, Path, description = "The token of the mail", example = "mH2c9wYb1Qe0"),
    ),
    responses(
        (status = 200, description = "The address is verified, or a page that asks", content(
            (MessageBody = "application/json"),
            (String = "text/html", example = "<!doctype html>…"),
        )),
        InvalidVerification, Internal, Unavailable
    ),
)]
async fn verify(
    State(state): State<AppState>,
    Anyone(ctx): Anyone,
    visit: Visit,
    MailLink(link): MailLink,
) -> Answer<Response> {
    LINK.follow(visit, use_token(&state, &ctx, link)).await
}

/// Confirm a verification mail
///
/// What the button of the page does.
#[utoipa::path(
    post, path = "/verify-email/{user_id}/{token}", operation_id = "confirm_email", tag = "accounts",
    params(
        ("user_id" = String, Path, description = "The user's id", example = "0199c5a0-6d54-7c1e-8f6a-3b1f2d4e5a6b"),
        ("token" = String, Path, description = "The token of the mail", example = "mH2c9wYb1Qe0"),
    ),
    responses(
        (status = 200, description = "The address is verified", content(
            (MessageBody = "application/json"),
            (String = "text/html", example = "<!doctype html>…"),
        )),
        OrPage<InvalidVerification>, Internal, Unavailable
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
    let (user_id, token) = link.ok_or(Error::InvalidToken(ErrorCode::InvalidVerificationToken))?;
    state
        .services
        .verification
        .verify(ctx, user_id, &token)
        .await
}

/// Ask for another verification mail
///
/// The answer is the same for each address. A mail goes out when the address has an account that
/// isn't verified, once a minute at most; the link of an older mail is no longer good then.
#[utoipa::path(
    post, path = "/verify-email/resend", operation_id = "resend_verification", tag = "accounts",
    request_body = AddressBody,
    responses(
        (status = 202, description = "Whatever the address: a mail is on its way if there is a reason for one", body = MessageBody),
        Malformed, TooLarge, UnsupportedMediaType, Invalid, TooManyRequests, Internal, Unavailable
    ),
)]
async fn resend(
    State(state): State<AppState>,
    Anyone(ctx): Anyone,
    Json(body): Json<AddressBody>,
) -> Answer<(StatusCode, axum::Json<MessageBody>)> {
    let email = body.parse()?;
    state.services.verification.resend(&ctx, &email).await?;
    let message = MessageBody {
        message: "If the address belongs to an account that is not verified yet, a mail is on its way",
    };
    Ok((StatusCode::ACCEPTED, axum::Json(message)))
}
