//! `POST /me/email`, and the links of its mails: `/confirm-email/…` for the new address,
//! `/undo-email-change/…` for the old one.

use axum::{extract::State, http::StatusCode, response::Response};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    mailed_link::{MailedLink, Visit},
    registration::{MISSING, MessageBody, typed_password},
};
use crate::{
    domain::{email::Email, id::EmailChangeId, password::TypedPassword, token::OneTimeToken},
    error::{Error, ErrorCode, FieldErrors, Result},
    http::{
        error::Answer,
        extract::{Anyone, Authenticated, Json, MailLink},
        mount,
        openapi::{
            CrossSite, EmailTaken, Internal, InvalidEmailChange, InvalidEmailUndo,
            InvalidOrWrongPassword, MalformedOrTooManyGuesses, OrPage, TooLarge, TooManyRequests,
            Unauthenticated, Unavailable, UnsupportedMediaType,
        },
        state::AppState,
        web::pages::Page,
    },
    services::Ctx,
};

pub(super) fn router() -> OpenApiRouter<AppState> {
    let router = mount(OpenApiRouter::new(), routes!(request));
    let router = mount(router, routes!(look, confirm));
    mount(router, routes!(look_at_undo, undo))
}

/// Another address for one's own account.
#[derive(Deserialize, ToSchema)]
#[schema(as = NewAddress, example = json!({"email": "ada@example.org"}))]
struct NewAddressBody {
    /// The new address.
    #[schema(value_type = String, format = Email, required, max_length = 254)]
    email: Option<String>,
    /// The password: required where the account has no verified address, which could undo the change.
    #[serde(default, deserialize_with = "typed_password")]
    #[schema(value_type = Option<String>, format = Password)]
    password: Option<TypedPassword>,
}

impl NewAddressBody {
    fn parse(self) -> Result<(Email, Option<TypedPassword>)> {
        let mut errors = FieldErrors::default();
        let email = self.email.as_deref().ok_or(MISSING).and_then(Email::parse);
        let email = errors.take("email", email);
        Ok((errors.finish(email)?, self.password))
    }
}

/// Change one's own address
///
/// Nothing changes until the link of the mail to the new address is used, within 24 hours. The old
/// address is told then, and can undo it for 72 hours. Whether the new address has an account isn't
/// told here. A second request takes the place of the first; each makes the next one wait.
#[utoipa::path(
    post, path = "/me/email", operation_id = "change_my_email", tag = "me", security(("password" = [])),
    request_body = NewAddressBody,
    responses(
        (status = 202, description = "A mail is on its way to the new address", body = MessageBody,
         example = json!({"message": "Check the mail of the new address"})),
        MalformedOrTooManyGuesses, Unauthenticated, CrossSite, TooLarge, UnsupportedMediaType, InvalidOrWrongPassword, TooManyRequests, Internal, Unavailable
    ),
)]
async fn request(
    State(state): State<AppState>,
    Authenticated(ctx): Authenticated,
    Json(body): Json<NewAddressBody>,
) -> Answer<(StatusCode, axum::Json<MessageBody>)> {
    let (email, password) = body.parse()?;
    let changes = &state.services.email_changes;
    changes.request(&ctx, &email, password.as_ref()).await?;
    let message = MessageBody {
        message: "Check the mail of the new address",
    };
    Ok((StatusCode::ACCEPTED, axum::Json(message)))
}

const CONFIRM: MailedLink = MailedLink {
    ask: Page::new(
        "Confirm your new e-mail address",
        "One click, and this address is your account's.",
    )
    .with_button("Confirm my new address"),
    done: Page::new(
        "Your new address is confirmed",
        "You log in with it from now on, and can close this page.",
    ),
    message: "Email changed successfully",
};

/// Use the link that confirms a new address
///
/// A client that accepts `text/html` gets a page whose button confirms.
#[utoipa::path(
    get, path = "/confirm-email/{change_id}/{token}", operation_id = "confirm_email_change", tag = "accounts",
    params(
        ("change_id" = String, Path, description = "The id of the change", example = "0199c5a0-6d54-7c1e-8f6a-3b1f2d4e5a6b"),
        ("token" = String, Path, description = "The token of the mail", example = "mH2c9wYb1Qe0"),
    ),
    responses(
        (status = 200, description = "The address is the account's, or a page that asks", content(
            (MessageBody = "application/json", example = json!({"message": "Email changed successfully"})),
            (String = "text/html", example = "<!doctype html>…"),
        )),
        InvalidEmailChange, EmailTaken, Internal, Unavailable
    ),
)]
async fn look(
    State(state): State<AppState>,
    Anyone(ctx): Anyone,
    visit: Visit,
    MailLink(link): MailLink<EmailChangeId>,
) -> Answer<Response> {
    CONFIRM.follow(visit, use_token(&state, &ctx, link)).await
}

/// Confirm a new address
///
/// What the button of the page does.
#[utoipa::path(
    post, path = "/confirm-email/{change_id}/{token}", operation_id = "submit_email_change", tag = "accounts",
    params(
        ("change_id" = String, Path, description = "The id of the change", example = "0199c5a0-6d54-7c1e-8f6a-3b1f2d4e5a6b"),
        ("token" = String, Path, description = "The token of the mail", example = "mH2c9wYb1Qe0"),
    ),
    responses(
        (status = 200, description = "The address is the account's", content(
            (MessageBody = "application/json", example = json!({"message": "Email changed successfully"})),
            (String = "text/html", example = "<!doctype html>…"),
        )),
        OrPage<InvalidEmailChange>, OrPage<EmailTaken>, Internal, Unavailable
    ),
)]
async fn confirm(
    State(state): State<AppState>,
    Anyone(ctx): Anyone,
    visit: Visit,
    MailLink(link): MailLink<EmailChangeId>,
) -> Answer<Response> {
    CONFIRM.follow(visit, use_token(&state, &ctx, link)).await
}

async fn use_token(
    state: &AppState,
    ctx: &Ctx,
    link: Option<(EmailChangeId, OneTimeToken)>,
) -> Result<()> {
    let (id, token) = link.ok_or(Error::InvalidToken(ErrorCode::InvalidEmailChangeToken))?;
    state.services.email_changes.confirm(ctx, id, &token).await
}

const UNDO: MailedLink = MailedLink {
    ask: Page::new(
        "Undo the change of your address",
        "One click, and your old address is back. Everybody is logged out, and you get a mail with a link to a new password.",
    )
    .with_button("Undo the change"),
    done: Page::new(
        "Your old address is back",
        "Everybody is logged out. Check your mail for the link to a new password.",
    ),
    message: "Email change undone; check your mail for the link to a new password",
};

/// Use the link that undoes a change of address
///
/// The old address comes back, all sessions end, later changes and a deletion are taken back, and a
/// link to a new password is mailed. A client that accepts `text/html` gets a page whose button
/// confirms.
#[utoipa::path(
    get, path = "/undo-email-change/{change_id}/{token}", operation_id = "undo_email_change", tag = "accounts",
    params(
        ("change_id" = String, Path, description = "The id of the change", example = "0199c5a0-6d54-7c1e-8f6a-3b1f2d4e5a6b"),
        ("token" = String, Path, description = "The token of the mail", example = "mH2c9wYb1Qe0"),
    ),
    responses(
        (status = 200, description = "The old address is back, or a page that asks", content(
            (MessageBody = "application/json", example = json!({"message": "Email change undone; check your mail for the link to a new password"})),
            (String = "text/html", example = "<!doctype html>…"),
        )),
        InvalidEmailUndo, EmailTaken, Internal, Unavailable
    ),
)]
async fn look_at_undo(
    State(state): State<AppState>,
    Anyone(ctx): Anyone,
    visit: Visit,
    MailLink(link): MailLink<EmailChangeId>,
) -> Answer<Response> {
    UNDO.follow(visit, use_undo_token(&state, &ctx, link)).await
}

/// Undo a change of address
///
/// What the button of the page does.
#[utoipa::path(
    post, path = "/undo-email-change/{change_id}/{token}", operation_id = "submit_email_undo", tag = "accounts",
    params(
        ("change_id" = String, Path, description = "The id of the change", example = "0199c5a0-6d54-7c1e-8f6a-3b1f2d4e5a6b"),
        ("token" = String, Path, description = "The token of the mail", example = "mH2c9wYb1Qe0"),
    ),
    responses(
        (status = 200, description = "The old address is back", content(
            (MessageBody = "application/json", example = json!({"message": "Email change undone; check your mail for the link to a new password"})),
            (String = "text/html", example = "<!doctype html>…"),
        )),
        OrPage<InvalidEmailUndo>, OrPage<EmailTaken>, Internal, Unavailable
    ),
)]
async fn undo(
    State(state): State<AppState>,
    Anyone(ctx): Anyone,
    visit: Visit,
    MailLink(link): MailLink<EmailChangeId>,
) -> Answer<Response> {
    UNDO.follow(visit, use_undo_token(&state, &ctx, link)).await
}

async fn use_undo_token(
    state: &AppState,
    ctx: &Ctx,
    link: Option<(EmailChangeId, OneTimeToken)>,
) -> Result<()> {
    let (id, token) = link.ok_or(Error::InvalidToken(ErrorCode::InvalidEmailUndoToken))?;
    state.services.email_changes.undo(ctx, id, &token).await
}
