//! `POST /login/`: OAuth2's password flow (RFC 6749, 4.3).

use axum::{
    extract::{FromRequest as _, Request, State},
    http::{HeaderMap, HeaderValue, header},
};
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::registration::MISSING;
use crate::{
    domain::password::TypedPassword,
    error::{FieldErrors, Rule},
    http::{
        error::{Answer, Problem},
        extract::{Anyone, Form, device_cookie},
        mount,
        openapi::{
            Internal, Invalid, LoginFailed, MalformedOrLocked, TooLarge, TooManyRequests,
            Unavailable, UnsupportedMediaType,
        },
        state::AppState,
    },
    services::Ctx,
};

pub(super) fn router() -> OpenApiRouter<AppState> {
    mount(OpenApiRouter::new(), routes!(log_in))
}

/// A login.
#[derive(Deserialize, ToSchema)]
#[schema(as = LoginForm, example = json!({"username": "ada@example.com", "password": "Secure*1234", "grant_type": "password"}))]
struct LoginForm {
    /// The e-mail address or the phone number, however written.
    #[schema(value_type = String, required)]
    username: Option<String>,
    /// The password.
    #[schema(value_type = String, format = Password, required)]
    password: Option<String>,
    /// `password`, where it is given.
    #[schema(nullable = false, pattern = "^password$")]
    grant_type: Option<String>,
    /// Allowed and ignored.
    #[serde(rename = "scope")]
    #[schema(nullable = false)]
    _scope: Option<String>,
}

/// An access token (RFC 6749, 5.1).
#[derive(Serialize, ToSchema)]
#[schema(as = Token, example = json!({"access_token": "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.…", "token_type": "bearer", "expires_in": 900}))]
struct TokenBody {
    /// The token, to be sent as `Authorization: Bearer …`.
    access_token: String,
    /// `bearer`.
    #[schema(value_type = String)]
    token_type: &'static str,
    /// How long it lives, in seconds.
    #[schema(minimum = 1, maximum = 900)]
    expires_in: i64,
}

/// Log in
///
/// Each login makes a session, which the access token names. Failed logins make everybody wait but
/// a device on which the owner has logged in before: it keeps the cookie, or the header
/// `X-Device-Token`, of this answer.
#[utoipa::path(
    post, path = "/login/", operation_id = "login", tag = "login",
    request_body(content = LoginForm, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "An access token", body = TokenBody, headers(
            ("X-Device-Token" = String, description = "Presented at the next login, tells that the owner has logged in on this device before"),
            ("Set-Cookie" = String, description = "The same for browsers"),
        )),
        MalformedOrLocked, LoginFailed, TooLarge, UnsupportedMediaType, Invalid, TooManyRequests, Internal, Unavailable
    ),
)]
async fn log_in(
    State(state): State<AppState>,
    Anyone(ctx): Anyone,
    request: Request,
) -> Answer<(HeaderMap, axum::Json<TokenBody>)> {
    // Whatever is wrong here is told in OAuth2's words too.
    answer(&state, &ctx, request)
        .await
        .map_err(Problem::with_oauth_error)
}

async fn answer(
    state: &AppState,
    ctx: &Ctx,
    request: Request,
) -> Answer<(HeaderMap, axum::Json<TokenBody>)> {
    let Form(form) = Form::<LoginForm>::from_request(request, state).await?;
    let mut errors = FieldErrors::default();
    // Some clients send every field of the specification, and those that they don't use empty.
    if form
        .grant_type
        .is_some_and(|grant| !grant.is_empty() && grant != "password")
    {
        errors.add(
            "grant_type",
            Rule::new("unsupported_grant_type", "must be password"),
        );
    }
    let username = errors.take("username", form.username.ok_or(MISSING));
    let password = errors.take("password", form.password.ok_or(MISSING));
    let (username, password) = errors.finish(username.zip(password))?;
    let logged_in = state
        .services
        .login
        .log_in(ctx, &username, TypedPassword::new(password))
        .await?;
    let mut headers = device_cookie(state, &logged_in.device_token);
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    let body = TokenBody {
        access_token: logged_in.access_token.token.expose_secret().to_owned(),
        token_type: "bearer",
        expires_in: logged_in.access_token.lifetime.num_seconds(),
    };
    Ok((headers, axum::Json(body)))
}
