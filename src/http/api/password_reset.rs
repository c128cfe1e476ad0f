//! `/password-reset`: a link by mail to a new password.

use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    address_body::AddressBody,
    mailed_link::{self, Visit},
    registration::{MISSING, MessageBody, typed_password},
};
use crate::{
    domain::{
        password::{Password, TypedPassword},
        token::OneTimeToken,
    },
    error::{Error, ErrorCode, FieldErrors, Result},
    http::{
        error::Answer,
        extract::{Anyone, Form, Json, MailToken},
        mount,
        openapi::{
            Internal, Invalid, Malformed, MalformedOrInvalidReset, OrPage, TooLarge,
            TooManyRequests, Unavailable, UnsupportedMediaType,
        },
        state::AppState,
        web::pages::{self, NewPasswordPage, Page},
    },
};

pub(super) fn router() -> OpenApiRouter<AppState> {
    let router = mount(OpenApiRouter::new(), routes!(request, reset));
    mount(router, routes!(show, submit))
}

const UPDATED: MessageBody = MessageBody {
    message: "Password updated",
};

/// Ask for a link to a new password
///
/// The answer is the same for each address. A mail goes out when the address has an account, at most
/// once a minute and then less and less often, down to every half hour; the link of an older mail is no longer good then. The link is good for 30 minutes.
#[utoipa::path(
    post, path = "/password-reset", operation_id = "request_password_reset", tag = "accounts",
    request_body = AddressBody,
    responses(
        (status = 202, description = "Whatever the address: a mail is on its way if it has an account", body = MessageBody,
         example = json!({"message": "If the address has an account, a mail with a link to a new password is on its way"})),
        Malformed, TooLarge, UnsupportedMediaType, Invalid, TooManyRequests, Internal, Unavailable
    ),
)]
async fn request(
    State(state): State<AppState>,
    Anyone(ctx): Anyone,
    Json(body): Json<AddressBody>,
) -> Answer<(StatusCode, axum::Json<MessageBody>)> {
    let email = body.parse()?;
    state.services.password_reset.request(&ctx, &email).await?;
    let message = MessageBody {
        message: "If the address has an account, a mail with a link to a new password is on its way",
    };
    Ok((StatusCode::ACCEPTED, axum::Json(message)))
}

/// A new password, and the token that was mailed for it.
#[derive(Deserialize, ToSchema)]
#[schema(as = PasswordReset, example = json!({"token": "mH2c9wYb1Qe0", "new_password": "Better*5678"}))]
struct ResetBody {
    /// The token of the mail: the last part of its link.
    #[schema(value_type = String, required)]
    token: Option<String>,
    /// The password: 8 to 128 characters, none of the commonest, not the own address or nickname.
    #[serde(default, deserialize_with = "typed_password")]
    #[schema(value_type = String, format = Password, required, min_length = 8, max_length = 128)]
    new_password: Option<TypedPassword>,
}

/// Set a new password by the token of a mail
///
/// All sessions end, a lockout after failed logins too, and the address counts as verified. A lock by
/// an administrator stays. A password that is refused doesn't use the token up.
#[utoipa::path(
    put, path = "/password-reset", operation_id = "reset_password", tag = "accounts",
    request_body = ResetBody,
    responses(
        (status = 200, description = "The password is set", body = MessageBody, example = json!({"message": "Password updated"})),
        MalformedOrInvalidReset, TooLarge, UnsupportedMediaType, Invalid, Internal, Unavailable
    ),
)]
async fn reset(
    State(state): State<AppState>,
    Anyone(ctx): Anyone,
    Json(body): Json<ResetBody>,
) -> Answer<axum::Json<MessageBody>> {
    let mut errors = FieldErrors::default();
    let token = errors.take("token", body.token.ok_or(MISSING));
    let password = new_password(&mut errors, body.new_password.as_ref());
    let (token, password) = errors.finish(token.zip(password))?;
    let token = OneTimeToken::presented(token);
    let resets = &state.services.password_reset;
    resets.reset(&ctx, &token, &password).await?;
    Ok(axum::Json(UPDATED))
}

/// A password that somebody has chosen, from the member `new_password`.
pub(super) fn new_password(
    errors: &mut FieldErrors,
    typed: Option<&TypedPassword>,
) -> Option<Password> {
    let password = typed.ok_or(MISSING).and_then(Password::parse);
    errors.take("new_password", password)
}

/// Use the link to a new password
///
/// Changes nothing. A client that accepts `text/html` gets a page with a form; others are told what to
/// send.
#[utoipa::path(
    get, path = "/password-reset/{token}", operation_id = "show_password_reset", tag = "accounts",
    params(("token" = String, Path, description = "The token of the mail", example = "mH2c9wYb1Qe0")),
    responses(
        (status = 200, description = "A form, or what to send", content(
            (MessageBody = "application/json", example = json!({"message": "Send the token and the new password with PUT to /password-reset"})),
            (String = "text/html", example = "<!doctype html>…"),
        )),
        Internal, Unavailable
    ),
)]
async fn show(visit: Visit) -> Response {
    if visit == Visit::Client {
        let message = MessageBody {
            message: "Send the token and the new password with PUT to /password-reset",
        };
        return axum::Json(message).into_response();
    }
    pages::show(StatusCode::OK, &NewPasswordPage { problem: None })
}

/// The form of the page.
#[derive(Deserialize, ToSchema)]
#[schema(as = NewPasswordForm, example = json!({"new_password": "Better*5678"}))]
struct NewPasswordForm {
    /// The password: 8 to 128 characters, none of the commonest, not the own address or nickname.
    #[schema(value_type = String, format = Password, required, min_length = 8, max_length = 128)]
    new_password: Option<String>,
}

/// Set a new password by the link of a mail
///
/// What the form of the page does.
#[utoipa::path(
    post, path = "/password-reset/{token}", operation_id = "submit_password_reset", tag = "accounts",
    params(("token" = String, Path, description = "The token of the mail", example = "mH2c9wYb1Qe0")),
    request_body(content = NewPasswordForm, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "The password is set", content(
            (MessageBody = "application/json", example = json!({"message": "Password updated"})),
            (String = "text/html", example = "<!doctype html>…"),
        )),
        OrPage<MalformedOrInvalidReset>, TooLarge, UnsupportedMediaType, OrPage<Invalid>, Internal, Unavailable
    ),
)]
async fn submit(
    State(state): State<AppState>,
    Anyone(ctx): Anyone,
    visit: Visit,
    MailToken(token): MailToken,
    Form(form): Form<NewPasswordForm>,
) -> Answer<Response> {
    let set = async {
        let mut errors = FieldErrors::default();
        let typed = form.new_password.map(TypedPassword::new);
        let password = new_password(&mut errors, typed.as_ref());
        let password = errors.finish(password)?;
        let token = token.ok_or(Error::InvalidToken(ErrorCode::InvalidPasswordResetToken))?;
        let resets = &state.services.password_reset;
        resets.reset(&ctx, &token, &password).await
    };
    let set: Result<()> = set.await;
    if visit == Visit::Client {
        set?;
        return Ok(axum::Json(UPDATED).into_response());
    }
    match set {
        Ok(()) => Ok(pages::show(StatusCode::OK, &DONE)),
        Err(Error::Invalid(fields)) => {
            let problem = fields
                .first()
                .map(|field| format!("The password {}.", field.message));
            let page = NewPasswordPage { problem };
            Ok(pages::show(StatusCode::UNPROCESSABLE_ENTITY, &page))
        }
        Err(error) => mailed_link::refuse(error),
    }
}

const DONE: Page = Page::new(
    "Your password is set",
    "You can log in with it now, and close this page.",
);
