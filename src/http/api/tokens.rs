//! `/token/…`: what OAuth2 clients ask about tokens: to revoke one (RFC 7009), and whether one is good
//! (RFC 7662).

use axum::{
    extract::{FromRequest as _, Request, State},
    http::StatusCode,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{registration::MISSING, user_body::RoleName};
use crate::{
    error::FieldErrors,
    http::{
        error::{Answer, Problem},
        extract::{Anyone, Form, UserOrService},
        mount,
        openapi::{
            ClientUnauthenticated, Forbidden, Internal, Invalid, Malformed, TooLarge, Unavailable,
            UnsupportedMediaType,
        },
        state::AppState,
    },
    services::sessions::{Introspection, TokenKind},
};

pub(super) fn router() -> OpenApiRouter<AppState> {
    let router = mount(OpenApiRouter::new(), routes!(revoke));
    mount(router, routes!(introspect))
}

/// A token.
#[derive(Deserialize, ToSchema)]
#[schema(as = TokenForm, example = json!({"token": "AZxpoG1UfByPajsfLU5abwAAAABp…", "token_type_hint": "refresh_token"}))]
struct TokenForm {
    /// An access token or a refresh token.
    #[schema(value_type = String, required)]
    token: Option<String>,
    /// Allowed and ignored: we see which it is.
    #[serde(rename = "token_type_hint")]
    #[schema(nullable = false)]
    _token_type_hint: Option<String>,
}

async fn read(state: &AppState, request: Request) -> Answer<String> {
    let Form(form) = Form::<TokenForm>::from_request(request, state).await?;
    let mut errors = FieldErrors::default();
    let token = errors.take("token", form.token.ok_or(MISSING));
    Ok(errors.finish(token)?)
}

/// Revoke a token
///
/// Ends the session that the token belongs to, and so its other tokens too. The answer is the same for a
/// token that is none of ours.
#[utoipa::path(
    post, path = "/token/revoke", operation_id = "revoke_token", tag = "login",
    request_body(content = TokenForm, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "The token is not good, or not any more"),
        Malformed, TooLarge, UnsupportedMediaType, Invalid, Internal, Unavailable
    ),
)]
async fn revoke(
    State(state): State<AppState>,
    Anyone(ctx): Anyone,
    request: Request,
) -> Answer<StatusCode> {
    let oauth = Problem::with_oauth_error;
    let token = read(&state, request).await.map_err(oauth)?;
    let revoked = state.services.sessions.revoke(&ctx, &token).await;
    revoked.map_err(|error| oauth(error.into()))?;
    Ok(StatusCode::OK)
}

/// What a token says, or that it isn't good.
#[derive(Serialize, ToSchema)]
#[schema(as = Introspection, example = json!({
    "active": true, "token_type": "Bearer", "sub": "0199c5a0-6d54-7c1e-8f6a-3b1f2d4e5a6b",
    "username": "clever_panda_417", "role": "AUTHENTICATED", "sid": "0199c5a0-7e65-7d2f-9071-4c2f3e5d6b7c",
    "iss": "https://users.example.com/", "aud": "user-management",
    "iat": 1_795_262_400, "exp": 1_795_263_300, "jti": "0199c5a0-7e66-7d2f-9071-4c2f3e5d6b7c",
}))]
struct IntrospectionBody {
    /// Whether the token is good; if not, nothing else is told.
    active: bool,
    /// `Bearer`, for an access token.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    token_type: Option<&'static str>,
    /// The user's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    sub: Option<Uuid>,
    /// The user's nickname.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    username: Option<String>,
    /// The user's role, as it is now.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = RoleName, required = false)]
    role: Option<&'static str>,
    /// The session's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    sid: Option<Uuid>,
    /// Who issued it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    iss: Option<String>,
    /// Whom it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    aud: Option<&'static str>,
    /// When it was issued, in seconds since 1970; for a refresh token when the session began.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    iat: Option<i64>,
    /// From when on it isn't good, in seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    exp: Option<i64>,
    /// The id of an access token.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    jti: Option<Uuid>,
}

impl IntrospectionBody {
    fn new(state: &AppState, introspection: Option<Introspection>) -> Self {
        let Some(token) = introspection else {
            return Self {
                active: false,
                token_type: None,
                sub: None,
                username: None,
                role: None,
                sid: None,
                iss: None,
                aud: None,
                iat: None,
                exp: None,
                jti: None,
            };
        };
        let is_access = token.kind == TokenKind::Access;
        Self {
            active: true,
            token_type: is_access.then_some("Bearer"),
            sub: Some(token.user_id.0),
            username: Some(token.nickname),
            role: Some(token.role.as_str()),
            sid: Some(token.session_id.0),
            iss: Some(state.base_url.to_string()),
            aud: is_access.then_some(crate::services::access_tokens::AUDIENCE),
            iat: Some(token.issued_at.timestamp()),
            exp: Some(token.expires_at.timestamp()),
            jti: token.token_id,
        }
    }
}

/// Ask whether a token is good
///
/// For administrators, and for services registered in SERVICE_CREDENTIALS with `Authorization: Basic`.
#[utoipa::path(
    post, path = "/token/introspect", operation_id = "introspect_token", tag = "login",
    security(("password" = []), ("service" = [])),
    request_body(content = TokenForm, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "What the token says, or only that it isn't good", body = IntrospectionBody),
        Malformed, ClientUnauthenticated, Forbidden, TooLarge, UnsupportedMediaType, Invalid, Internal, Unavailable
    ),
)]
async fn introspect(
    State(state): State<AppState>,
    UserOrService(ctx): UserOrService,
    request: Request,
) -> Answer<axum::Json<IntrospectionBody>> {
    let token = read(&state, request).await?;
    let introspection = state.services.sessions.introspect(&ctx, &token).await?;
    Ok(axum::Json(IntrospectionBody::new(&state, introspection)))
}
