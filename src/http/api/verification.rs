//! `/verify-email/…`: the link of a verification mail, and another mail.
//!
//! The link changes nothing by being looked at: programs that check mail for bad links follow it.
//! A browser gets a page whose button confirms; a client that doesn't ask for HTML confirms at once.

use axum::{
    extract::State,
    http::{HeaderMap, Method, StatusCode},
    response::{IntoResponse as _, Response},
};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::registration::{MISSING, MessageBody};
use crate::{
    domain::{email::Email, id::UserId, token::OneTimeToken},
    error::{Error, ErrorCode, FieldErrors, Result},
    http::{
        error::{Answer, ProblemBody},
        extract::{Anyone, Json, MailLink},
        mount,
        openapi::{
            Internal, Invalid, InvalidLink, Malformed, TooLarge, TooManyRequests, Unavailable,
            UnsupportedMediaType,
        },
        state::AppState,
        web::pages::{self, Page},
    },
    services::Ctx,
};

pub(super) fn router() -> OpenApiRouter<AppState> {
    let router = mount(OpenApiRouter::new(), routes!(verify, confirm));
    mount(router, routes!(resend))
}

const VERIFIED: MessageBody = MessageBody {
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
        InvalidLink, Internal, Unavailable
    ),
)]
async fn verify(
    State(state): State<AppState>,
    Anyone(ctx): Anyone,
    method: Method,
    headers: HeaderMap,
    MailLink(link): MailLink,
) -> Answer<Response> {
    if method == Method::HEAD || pages::is_wanted(&headers) {
        return Ok(pages::show(StatusCode::OK, Page::ConfirmAddress));
    }
    use_token(&state, &ctx, link).await?;
    Ok(axum::Json(VERIFIED).into_response())
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
        used?;
        return Ok(axum::Json(VERIFIED).into_response());
    }
    match used {
        Ok(()) => Ok(pages::show(StatusCode::OK, Page::AddressConfirmed)),
        Err(Error::InvalidToken(_)) => Ok(pages::show(StatusCode::BAD_REQUEST, Page::LinkNotValid)),
        Err(error) => Err(error.into()),
    }
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

/// Whose mail is to be sent again.
#[derive(Deserialize, ToSchema)]
#[schema(as = Resend, example = json!({"email": "ada@example.com"}))]
struct ResendBody {
    /// The address that was registered.
    #[schema(value_type = String, format = Email, required, max_length = 254)]
    email: Option<String>,
}

/// Ask for another verification mail
///
/// The answer is the same for each address. A mail goes out when the address has an account that
/// isn't verified, once a minute at most; the link of an older mail is no longer good then.
#[utoipa::path(
    post, path = "/verify-email/resend", operation_id = "resend_verification", tag = "accounts",
    request_body = ResendBody,
    responses(
        (status = 202, description = "Whatever the address: a mail is on its way if there is a reason for one", body = MessageBody),
        Malformed, TooLarge, UnsupportedMediaType, Invalid, TooManyRequests, Internal, Unavailable
    ),
)]
async fn resend(
    State(state): State<AppState>,
    Anyone(ctx): Anyone,
    Json(body): Json<ResendBody>,
) -> Answer<(StatusCode, axum::Json<MessageBody>)> {
    let mut errors = FieldErrors::default();
    let email = errors.take(
        "email",
        body.email.as_deref().ok_or(MISSING).and_then(Email::parse),
    );
    let email = errors.finish(email)?;
    state.services.verification.resend(&ctx, &email).await?;
    let message = MessageBody {
        message: "If the address belongs to an account that is not verified yet, a mail is on its way",
    };
    Ok((StatusCode::ACCEPTED, axum::Json(message)))
}
