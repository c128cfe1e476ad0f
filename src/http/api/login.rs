//! `POST /login/`: OAuth2's token endpoint, by the password flow (RFC 6749, 4.3) and by refresh tokens
//! (RFC 6749, 6).

use axum::{
    extract::{FromRequest as _, Request, State},
    http::{HeaderMap, HeaderValue, header},
};
use secrecy::{ExposeSecret as _, SecretString};
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
            Internal, Invalid, LoginFailed, LoginRefused, TooLarge, TooManyRequests, Unavailable,
            UnsupportedMediaType,
        },
        state::AppState,
    },
    services::{
        Ctx,
        access_tokens::AccessToken,
        login::{Opening, SessionKind},
    },
};

pub(super) fn router() -> OpenApiRouter<AppState> {
    mount(OpenApiRouter::new(), routes!(log_in))
}

/// A login, or the exchange of a refresh token.
#[derive(Deserialize, ToSchema)]
#[schema(as = LoginForm, example = json!({"username": "ada@example.com", "password": "Secure*1234", "grant_type": "password"}))]
struct LoginForm {
    /// The e-mail address or the phone number, however written; required with a password.
    #[schema(nullable = false)]
    username: Option<String>,
    /// The password; required but with a refresh token.
    #[schema(value_type = String, format = Password, required = false)]
    password: Option<String>,
    /// `password`, which it is where it isn't given, or `refresh_token`.
    #[schema(nullable = false, pattern = "^(password|refresh_token)$")]
    grant_type: Option<String>,
    /// The refresh token, where that is exchanged.
    #[schema(nullable = false)]
    refresh_token: Option<String>,
    /// Allowed and ignored.
    #[serde(rename = "scope")]
    #[schema(nullable = false)]
    _scope: Option<String>,
}

/// What somebody asks for.
enum Grant {
    Password {
        username: String,
        password: TypedPassword,
    },
    RefreshToken(String),
}

/// Tokens (RFC 6749, 5.1).
#[derive(Serialize, ToSchema)]
#[schema(as = Token, example = json!({
    "access_token": "eyJ0eXAiOiJKV1QiLCJhbGciOiJFZERTQSJ9.…", "token_type": "bearer", "expires_in": 900,
    "refresh_token": "AZxpoG1UfByPajsfLU5abwAAAABp…",
}))]
struct TokenBody {
    /// The access token, to be sent as `Authorization: Bearer …`.
    access_token: String,
    /// `bearer`.
    #[schema(value_type = String)]
    token_type: &'static str,
    /// How long the access token lives, in seconds.
    #[schema(minimum = 1, maximum = 900)]
    expires_in: i64,
    /// Works once: it is exchanged for the next tokens.
    refresh_token: String,
}

/// Log in
///
/// Each login makes a session, which the access token names. Failed logins make everybody wait but
/// a device on which the owner has logged in before: it keeps the cookie, or the header
/// `X-Device-Token`, of this answer.
///
/// With `grant_type=refresh_token` a refresh token is exchanged for new tokens. It works once; should the
/// answer get lost, it may be exchanged again for ten seconds. A used token that comes back later ends the
/// session.
#[utoipa::path(
    post, path = "/login/", operation_id = "login", tag = "login",
    request_body(content = LoginForm, content_type = "application/x-www-form-urlencoded", examples(
        ("password" = (summary = "Log in", value = json!({"username": "ada@example.com", "password": "Secure*1234", "grant_type": "password"}))),
        ("refresh_token" = (summary = "Exchange a refresh token", value = json!({"grant_type": "refresh_token", "refresh_token": "AZxpoG1UfByPajsfLU5abwAAAABp…"}))),
    )),
    responses(
        (status = 200, description = "Tokens", body = TokenBody, headers(
            ("X-Device-Token" = String, description = "After a login; presented at the next one, tells that the owner has logged in on this device before"),
            ("Set-Cookie" = String, description = "The same for browsers"),
        )),
        LoginRefused, LoginFailed, TooLarge, UnsupportedMediaType, Invalid, TooManyRequests, Internal, Unavailable
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
    let (mut headers, access_token, refresh_token) = match form.parse()? {
        Grant::Password { username, password } => {
            let opening = Opening::native(SessionKind::Tokens);
            let login = &state.services.login;
            let logged_in = login.log_in(ctx, &username, password, opening).await?;
            let headers = device_cookie(state, &logged_in.device_token);
            (headers, logged_in.access_token, logged_in.secret)
        }
        Grant::RefreshToken(token) => {
            let refreshed = state.services.sessions.refresh(ctx, &token).await?;
            let headers = HeaderMap::new();
            (headers, refreshed.access_token, refreshed.refresh_token)
        }
    };
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    Ok((
        headers,
        axum::Json(TokenBody::new(&access_token, &refresh_token)),
    ))
}

impl LoginForm {
    fn parse(self) -> crate::error::Result<Grant> {
        let mut errors = FieldErrors::default();
        // Some clients send every field of the specification, and those that they don't use empty.
        match self.grant_type.as_deref() {
            Some("refresh_token") => {
                let token = self.refresh_token.filter(|token| !token.is_empty());
                let token = errors.take("refresh_token", token.ok_or(MISSING));
                return errors.finish(token.map(Grant::RefreshToken));
            }
            None | Some("" | "password") => {}
            Some(_) => errors.add(
                "grant_type",
                Rule::new(
                    "unsupported_grant_type",
                    "must be password or refresh_token",
                ),
            ),
        }
        let username = errors.take("username", self.username.ok_or(MISSING));
        let password = errors.take("password", self.password.ok_or(MISSING));
        let grant = username
            .zip(password)
            .map(|(username, password)| Grant::Password {
                username,
                password: TypedPassword::new(password),
            });
        errors.finish(grant)
    }
}

impl TokenBody {
    fn new(access_token: &AccessToken, refresh_token: &SecretString) -> Self {
        Self {
            access_token: access_token.token.expose_secret().to_owned(),
            token_type: "bearer",
            expires_in: access_token.lifetime.num_seconds(),
            refresh_token: refresh_token.expose_secret().to_owned(),
        }
    }
}
