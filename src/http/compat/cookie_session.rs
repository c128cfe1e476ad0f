//! `/compat/cookie-session`: forms, JSON answers, and the session in the cookie `session_id`.

use axum::{
    Json, Router,
    extract::{FromRequestParts, State},
    http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{mount, refused_login};
use crate::{
    domain::{
        email::Email,
        legacy_name::LegacyName,
        login_name::LoginName,
        password::{Password, TypedPassword},
        profile::Profile,
        session::SessionSecret,
        token::OneTimeToken,
    },
    error::{Error, ErrorCode, FieldErrors, Rule},
    http::{
        api::registration::MISSING,
        error::{Answer, Problem},
        extract::{Anyone, Form, SamePage, check_not_foreign, context, cookies, device_cookie},
        state::AppState,
    },
    services::{
        Ctx,
        login::{Opening, SessionKind},
        registration::NewAccount,
    },
};

pub(super) const PREFIX: &str = "/compat/cookie-session";

const COOKIE: &str = "session_id";

/// As the column had it that these sessions were kept in: an account has one at most.
const OPENING: Opening = Opening {
    kind: SessionKind::Cookie,
    for_verified: false,
    is_only: true,
};

pub(super) fn router() -> Router<AppState> {
    let router = mount(Router::new(), PREFIX, "", get(welcome));
    let router = mount(router, PREFIX, "/users", post(register));
    let router = mount(router, PREFIX, "/sessions", post(log_in).delete(log_out));
    let router = mount(router, PREFIX, "/profile", get(profile));
    let reset = post(ask_for_reset).put(reset_password);
    mount(router, PREFIX, "/reset_password", reset)
}

/// The name and the password of an account.
#[derive(Deserialize)]
struct Credentials {
    email: Option<String>,
    password: Option<String>,
}

/// What this API calls an e-mail address: one, or anything else in its place.
enum Name {
    Address(Email),
    Legacy(LegacyName),
}

impl Name {
    fn parse(text: &str) -> Result<Self, Rule> {
        match Email::parse(text) {
            Ok(email) => Ok(Self::Address(email)),
            Err(_) => LegacyName::parse(text).map(Self::Legacy),
        }
    }

    fn login_name(&self) -> LoginName {
        match self {
            Self::Address(email) => email.into(),
            Self::Legacy(name) => name.into(),
        }
    }
}

/// The context of a request by whoever has the cookie.
struct CookieOwner(Ctx);

impl FromRequestParts<AppState> for CookieOwner {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        let mut named = cookies(&parts.headers, COOKIE);
        let value = named.find(|(rest, _)| rest.is_empty());
        let secret = value.and_then(|(_, value)| SessionSecret::presented(value));
        let secret = secret.ok_or_else(forbidden)?;
        let actor = state.services.sessions.authenticate_cookie(&secret).await;
        let actor = actor.map_err(|error| match error {
            Error::Unauthenticated(_) => forbidden(),
            error => error.into(),
        })?;
        // The old clients are no browsers and don't tell where they come from; a browser does.
        if !parts.method.is_safe() {
            check_not_foreign(&parts.headers, state)?;
        }
        Ok(Self(context(parts, state, actor)))
    }
}

fn forbidden() -> Problem {
    let problem = Problem::from(Error::Forbidden(ErrorCode::OperationNotPermitted));
    problem.said_as(StatusCode::FORBIDDEN, json!({"message": "Forbidden"}))
}

async fn welcome() -> Json<Value> {
    Json(json!({"message": "Bienvenue"}))
}

async fn register(
    State(state): State<AppState>,
    Anyone(ctx): Anyone,
    Form(form): Form<Credentials>,
) -> Answer<Json<Value>> {
    let mut errors = FieldErrors::default();
    let typed = errors.take("email", form.email.ok_or(MISSING));
    let name = typed.as_deref().map(Name::parse).transpose();
    let name = errors.take("email", name).flatten();
    let password = form.password.ok_or(MISSING).map(TypedPassword::new);
    let password = password.and_then(|typed| Password::parse_relaxed(&typed));
    let password = errors.take("password", password);
    let (name, password) = errors.finish(name.zip(password))?;
    let (email, legacy_name) = match name {
        Name::Address(email) => (Some(email), None),
        Name::Legacy(name) => (None, Some(name)),
    };
    let account = NewAccount {
        email,
        phone_number: None,
        legacy_name,
        password,
        nickname: None,
        profile: Profile::default(),
    };
    let registration = &state.services.registration;
    match registration.register_by_older_api(&ctx, account).await {
        Ok(_) => Ok(Json(json!({"email": typed, "message": "user created"}))),
        Err(error @ Error::Conflict(ErrorCode::EmailAlreadyExists)) => {
            let body = json!({"message": "email already registered"});
            Err(Problem::from(error).said_as(StatusCode::BAD_REQUEST, body))
        }
        Err(error) => Err(error.into()),
    }
}

async fn log_in(
    State(state): State<AppState>,
    SamePage(ctx): SamePage,
    Form(form): Form<Credentials>,
) -> Answer<(HeaderMap, Json<Value>)> {
    let refused = |error| refused_login(error, json!({"message": "Unauthorized"}));
    let unknown = || refused(Error::Unauthenticated(ErrorCode::InvalidCredentials));
    // What nobody can have registered with belongs to nobody.
    let (Some(typed), Some(password)) = (form.email, form.password) else {
        return Err(unknown());
    };
    let name = Name::parse(&typed).map_err(|_| unknown())?.login_name();
    let password = TypedPassword::new(password);
    let login = &state.services.login;
    let logged_in = login.log_in_as(&ctx, name, password, OPENING).await;
    let logged_in = logged_in.map_err(refused)?;
    let mut headers = device_cookie(&state, &logged_in.device_token);
    set_cookie(&state, &mut headers, logged_in.secret.expose_secret(), "");
    let body = json!({"email": typed, "message": "logged in"});
    Ok((headers, Json(body)))
}

async fn log_out(State(state): State<AppState>, CookieOwner(ctx): CookieOwner) -> Answer<Response> {
    match state.services.sessions.end_current(&ctx).await {
        Ok(()) => {}
        // Somebody else ended it meanwhile.
        Err(Error::NotFound(_)) => return Err(forbidden()),
        Err(error) => return Err(error.into()),
    }
    let mut headers = HeaderMap::new();
    set_cookie(&state, &mut headers, "", "; Max-Age=0");
    // By path: the service may be reached under several names.
    let home = format!("{}{PREFIX}/", state.base_path().trim_end_matches('/'));
    if let Ok(home) = HeaderValue::from_str(&home) {
        headers.insert(header::LOCATION, home);
    }
    Ok((StatusCode::FOUND, headers).into_response())
}

async fn profile(
    State(state): State<AppState>,
    CookieOwner(ctx): CookieOwner,
) -> Answer<Json<Value>> {
    let user = state
        .services
        .me
        .read(&ctx)
        .await
        .map_err(|error| match error {
            Error::Unauthenticated(_) => forbidden(),
            error => error.into(),
        })?;
    let email = user.email.as_ref().map(Email::as_str);
    let name = email.or(user.legacy_name.as_ref().map(LegacyName::as_str));
    // An account by phone number has nothing that this API could show.
    let name = name.ok_or_else(forbidden)?;
    Ok(Json(json!({"email": name})))
}

/// Whose password is to be reset.
#[derive(Deserialize)]
struct Reset {
    email: Option<String>,
    reset_token: Option<String>,
    new_password: Option<String>,
}

async fn ask_for_reset(
    State(state): State<AppState>,
    Anyone(ctx): Anyone,
    Form(form): Form<Reset>,
) -> Answer<Json<Value>> {
    let typed = form.email.ok_or_else(forbidden)?;
    let name = Name::parse(&typed).map_err(|_| forbidden())?.login_name();
    let resets = &state.services.password_reset;
    let token = resets.issue_openly(&ctx, &name).await;
    let token = token.map_err(|error| match error {
        Error::Forbidden(_) => forbidden(),
        error => error.into(),
    })?;
    Ok(Json(json!({"email": typed, "reset_token": token.expose()})))
}

async fn reset_password(
    State(state): State<AppState>,
    Anyone(ctx): Anyone,
    Form(form): Form<Reset>,
) -> Answer<Json<Value>> {
    let (Some(typed), Some(token)) = (form.email, form.reset_token) else {
        return Err(forbidden());
    };
    let name = Name::parse(&typed).map_err(|_| forbidden())?.login_name();
    let mut errors = FieldErrors::default();
    let password = form.new_password.ok_or(MISSING).map(TypedPassword::new);
    let password = password.and_then(|typed| Password::parse_relaxed(&typed));
    let password = errors.take("new_password", password);
    let password = errors.finish(password)?;
    let token = OneTimeToken::presented(token);
    let resets = &state.services.password_reset;
    let reset = resets.reset_openly(&ctx, &name, &token, &password).await;
    reset.map_err(|error| match error {
        Error::InvalidToken(_) => forbidden(),
        error => error.into(),
    })?;
    let body = json!({"email": typed, "message": "Password updated"});
    Ok(Json(body))
}

fn set_cookie(state: &AppState, headers: &mut HeaderMap, secret: &str, age: &str) {
    let secure = if state.is_https() { "; Secure" } else { "" };
    let cookie = format!("{COOKIE}={secret}; Path=/{age}; HttpOnly; SameSite=Lax{secure}");
    // Base64 and the attributes above are valid in a header.
    if let Ok(mut value) = HeaderValue::from_str(&cookie) {
        value.set_sensitive(true);
        headers.append(header::SET_COOKIE, value);
    }
}
