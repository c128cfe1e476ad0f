//! `/sessions…`: logging in by cookie, and what becomes of sessions; `/users/{id}/sessions` for
//! managers.

use axum::{
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
};
use chrono::{DateTime, Utc};
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{
    links::Link,
    registration::MISSING,
    user_agent::device,
    user_body::{UserIdParam, time},
};
use crate::{
    domain::{id::SessionId, password::TypedPassword, session::Session},
    error::FieldErrors,
    http::{
        error::Answer,
        extract::{
            Authenticated, Id, JsonOrForm, SamePage, SessionIdInPath, device_cookie,
            set_session_cookie,
        },
        mount,
        openapi::{
            CrossSite, Forbidden, Internal, Invalid, MalformedOrLocked, SessionNotFound,
            SessionRefused, TooLarge, TooManyRequests, Unauthenticated, Unavailable,
            UnsupportedMediaType, UserNotFound,
        },
        state::AppState,
    },
    services::login::{Opening, SessionKind},
};

pub(super) fn router() -> OpenApiRouter<AppState> {
    let router = mount(OpenApiRouter::new(), routes!(create, list, end_others));
    let router = mount(router, routes!(end_current));
    let router = mount(router, routes!(end));
    mount(router, routes!(list_of_user, end_of_user))
}

/// A login by cookie.
#[derive(Deserialize, ToSchema)]
#[schema(as = NewSession, example = json!({"username": "ada@example.com", "password": "Secure*1234"}))]
struct NewSessionBody {
    /// The e-mail address or the phone number, however written.
    #[schema(value_type = String, required)]
    username: Option<String>,
    /// The same under another name.
    #[schema(nullable = false)]
    email: Option<String>,
    /// The password.
    #[schema(value_type = String, format = Password, required)]
    password: Option<String>,
}

/// A session.
#[derive(Serialize, ToSchema)]
#[schema(as = Session, example = json!({
    "id": "0199c5a0-7e65-7d2f-9071-4c2f3e5d6b7c", "kind": "cookie", "device": "Firefox on Linux",
    "user_agent": "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
    "address": "203.0.113.7", "created_at": "2026-11-21T12:00:00.000000Z",
    "last_seen_at": "2026-11-21T12:30:00.000000Z", "expires_at": "2026-11-22T12:30:00.000000Z",
    "current": true,
    "links": [{"rel": "delete", "href": "https://users.example.com/sessions/0199c5a0-7e65-7d2f-9071-4c2f3e5d6b7c",
               "method": "DELETE", "action": "delete", "type": "application/json"}],
}))]
struct SessionBody {
    /// The id.
    id: Uuid,
    /// `cookie` or `token`: how it is used.
    #[schema(value_type = String)]
    kind: &'static str,
    /// The program and the system that the user agent names.
    device: String,
    /// The `User-Agent` of the login.
    user_agent: Option<String>,
    /// The address of the login.
    address: Option<String>,
    /// Time of the login.
    #[serde(serialize_with = "time")]
    created_at: DateTime<Utc>,
    /// The last use, to the minute.
    #[serde(serialize_with = "time")]
    last_seen_at: DateTime<Utc>,
    /// When it ends, if it isn't used.
    #[serde(serialize_with = "time")]
    expires_at: DateTime<Utc>,
    /// Whether this request used it.
    current: bool,
    /// What can be done with it.
    links: Vec<Link>,
}

impl SessionBody {
    fn new(state: &AppState, session: Session, current: Option<SessionId>) -> Self {
        let href = state.url(&format!("sessions/{}", session.id));
        let link = Link::new("delete", href, "DELETE", "delete");
        Self {
            id: session.id.0,
            kind: if session.has_cookie {
                "cookie"
            } else {
                "token"
            },
            device: device(session.user_agent.as_deref()),
            user_agent: session.user_agent,
            address: session.client_address,
            created_at: session.created_at,
            last_seen_at: session.last_seen_at,
            expires_at: session.expires_at,
            current: current == Some(session.id),
            // Only the owner can end a single session.
            links: current.map(|_| link).into_iter().collect(),
        }
    }
}

/// Sessions: all of them, at most 50.
#[derive(Serialize, ToSchema)]
#[schema(as = SessionList, example = json!({
    "items": [{
        "id": "0199c5a0-7e65-7d2f-9071-4c2f3e5d6b7c", "kind": "token", "device": "curl",
        "user_agent": "curl/8.17.0", "address": "203.0.113.7", "created_at": "2026-11-21T12:00:00.000000Z",
        "last_seen_at": "2026-11-21T12:30:00.000000Z", "expires_at": "2026-11-22T12:30:00.000000Z",
        "current": true, "links": [],
    }],
    "total": 1, "page": 1, "size": 1,
    "links": [{"rel": "self", "href": "https://users.example.com/sessions", "method": "GET", "action": "view",
               "type": "application/json"}],
}))]
struct SessionListBody {
    /// The sessions, newest first.
    items: Vec<SessionBody>,
    /// How many there are.
    total: usize,
    /// The number of the page: 1.
    page: u32,
    /// How many the page has: all.
    size: usize,
    /// This list.
    links: Vec<Link>,
}

impl SessionListBody {
    fn new(
        state: &AppState,
        path: &str,
        sessions: Vec<Session>,
        current: Option<SessionId>,
    ) -> Self {
        Self {
            total: sessions.len(),
            page: 1,
            size: sessions.len(),
            items: sessions
                .into_iter()
                .map(|session| SessionBody::new(state, session, current))
                .collect(),
            links: vec![Link::new("self", state.url(path), "GET", "view")],
        }
    }
}

/// The id of a session in the path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "only documents the parameter")]
struct SessionIdParam {
    /// The session's id
    #[param(example = "0199c5a0-7e65-7d2f-9071-4c2f3e5d6b7c")]
    session_id: Uuid,
}

/// Log in by cookie
///
/// For browsers: the cookie takes the place of tokens on every route. A request that changes something must
/// come from the same origin then (`Origin` or `Sec-Fetch-Site`).
#[utoipa::path(
    post, path = "/sessions", operation_id = "create_session", tag = "sessions",
    request_body(content(
        (NewSessionBody = "application/json"),
        (NewSessionBody = "application/x-www-form-urlencoded"),
    )),
    responses(
        (status = 201, description = "The new session, whose cookie is set", body = SessionBody, headers(
            ("location" = String, description = "The session's URL"),
            ("Set-Cookie" = String, description = "The cookie of the session, and that of the device"),
        )),
        MalformedOrLocked, SessionRefused, CrossSite, TooLarge, UnsupportedMediaType, Invalid, TooManyRequests, Internal, Unavailable
    ),
)]
async fn create(
    State(state): State<AppState>,
    SamePage(ctx): SamePage,
    JsonOrForm(body): JsonOrForm<NewSessionBody>,
) -> Answer<(StatusCode, HeaderMap, axum::Json<SessionBody>)> {
    let mut errors = FieldErrors::default();
    let username = errors.take("username", body.username.or(body.email).ok_or(MISSING));
    let password = errors.take("password", body.password.ok_or(MISSING));
    let (username, password) = errors.finish(username.zip(password))?;
    let opening = Opening::native(SessionKind::Cookie);
    let login = &state.services.login;
    let logged_in = login
        .log_in(&ctx, &username, TypedPassword::new(password), opening)
        .await?;
    let mut headers = device_cookie(&state, &logged_in.device_token);
    let seconds = state.longest_session.num_seconds();
    set_session_cookie(
        &state,
        &mut headers,
        logged_in.secret.expose_secret(),
        seconds,
    );
    let location = state.url(&format!("sessions/{}", logged_in.session_id));
    if let Ok(location) = HeaderValue::from_str(&location) {
        headers.insert(header::LOCATION, location);
    }
    let session = Session {
        id: logged_in.session_id,
        user_agent: ctx.client.user_agent,
        client_address: ctx.client.address.map(|address| address.to_string()),
        created_at: ctx.now,
        last_seen_at: ctx.now,
        expires_at: logged_in.expires_at,
        has_cookie: true,
    };
    let body = SessionBody::new(&state, session, Some(logged_in.session_id));
    Ok((StatusCode::CREATED, headers, axum::Json(body)))
}

/// List one's own sessions
#[utoipa::path(
    get, path = "/sessions", operation_id = "list_sessions", tag = "sessions", security(("password" = [])),
    responses(
        (status = 200, description = "The live sessions of the caller, newest first", body = SessionListBody),
        Unauthenticated, Internal, Unavailable
    ),
)]
async fn list(
    State(state): State<AppState>,
    Authenticated(ctx): Authenticated,
) -> Answer<axum::Json<SessionListBody>> {
    let (sessions, current) = state.services.sessions.list(&ctx).await?;
    let body = SessionListBody::new(&state, "sessions", sessions, Some(current));
    Ok(axum::Json(body))
}

/// Log out
///
/// Ends the session that the request uses, and takes its cookie away.
#[utoipa::path(
    delete, path = "/sessions/current", operation_id = "end_current_session", tag = "sessions", security(("password" = [])),
    responses(
        (status = 204, description = "The session has ended"),
        Unauthenticated, CrossSite, Internal, Unavailable
    ),
)]
async fn end_current(
    State(state): State<AppState>,
    Authenticated(ctx): Authenticated,
) -> Answer<(StatusCode, HeaderMap)> {
    state.services.sessions.end_current(&ctx).await?;
    let mut headers = HeaderMap::new();
    set_session_cookie(&state, &mut headers, "", 0);
    Ok((StatusCode::NO_CONTENT, headers))
}

/// End one of one's own sessions
#[utoipa::path(
    delete, path = "/sessions/{session_id}", operation_id = "end_session", tag = "sessions", security(("password" = [])),
    params(SessionIdParam),
    responses(
        (status = 204, description = "The session has ended"),
        Unauthenticated, CrossSite, SessionNotFound, Invalid, Internal, Unavailable
    ),
)]
async fn end(
    State(state): State<AppState>,
    Authenticated(ctx): Authenticated,
    SessionIdInPath(id): SessionIdInPath,
) -> Answer<StatusCode> {
    state.services.sessions.end(&ctx, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Log out everywhere else
///
/// Ends all of the caller's sessions but the one that the request uses.
#[utoipa::path(
    delete, path = "/sessions", operation_id = "end_other_sessions", tag = "sessions", security(("password" = [])),
    responses(
        (status = 204, description = "The other sessions have ended"),
        Unauthenticated, CrossSite, Internal, Unavailable
    ),
)]
async fn end_others(
    State(state): State<AppState>,
    Authenticated(ctx): Authenticated,
) -> Answer<StatusCode> {
    state.services.sessions.end_others(&ctx).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// List a user's sessions
///
/// By the rules of rank.
#[utoipa::path(
    get, path = "/users/{user_id}/sessions", operation_id = "list_user_sessions", tag = "users", security(("password" = [])),
    params(UserIdParam),
    responses(
        (status = 200, description = "The live sessions of the user, newest first", body = SessionListBody),
        Unauthenticated, Forbidden, UserNotFound, Invalid, Internal, Unavailable
    ),
)]
async fn list_of_user(
    State(state): State<AppState>,
    Authenticated(ctx): Authenticated,
    Id(id): Id,
) -> Answer<axum::Json<SessionListBody>> {
    let sessions = state.services.sessions.list_of(&ctx, id).await?;
    let path = format!("users/{id}/sessions");
    Ok(axum::Json(SessionListBody::new(
        &state, &path, sessions, None,
    )))
}

/// End a user's sessions
///
/// By the rules of rank: all of them.
#[utoipa::path(
    delete, path = "/users/{user_id}/sessions", operation_id = "end_user_sessions", tag = "users", security(("password" = [])),
    params(UserIdParam),
    responses(
        (status = 204, description = "The sessions have ended"),
        Unauthenticated, Forbidden, UserNotFound, Invalid, Internal, Unavailable
    ),
)]
async fn end_of_user(
    State(state): State<AppState>,
    Authenticated(ctx): Authenticated,
    Id(id): Id,
) -> Answer<StatusCode> {
    state.services.sessions.end_all_of(&ctx, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
