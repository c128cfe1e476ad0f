//! `/compat/mflix/api/v1/user`: JSON, one access token a login, and preferences.

use axum::{
    Router,
    extract::{FromRequestParts, State},
    http::{HeaderMap, StatusCode, request::Parts},
    routing::{delete, get, post, put},
};
use secrecy::ExposeSecret as _;
use serde_json::{Map, Value, json};

use super::{mount, refused_login, required_text};
use crate::{
    domain::{
        actor::Actor,
        email::Email,
        password::{Password, TypedPassword},
        preferences::Preferences,
        profile::{PersonName, Profile},
        role::Role,
        user::User,
    },
    error::{Error, ErrorCode, FieldErrors},
    http::{
        api::registration::MISSING,
        error::{Answer, Problem},
        extract::{Anyone, Json, authorization, context, device_cookie},
        state::AppState,
    },
    services::{
        Ctx,
        login::{LoggedIn, Opening, SessionKind},
        registration::NewAccount,
    },
};

pub(super) const PREFIX: &str = "/compat/mflix/api/v1/user";

/// A name has more characters than these.
const SHORT_NAME: usize = 3;

/// As these sessions were kept, one by the address of its account.
const OPENING: Opening = Opening {
    kind: SessionKind::Tokens,
    for_verified: false,
    is_only: true,
};

pub(super) fn router() -> Router<AppState> {
    let router = mount(Router::new(), PREFIX, "/register", post(register));
    let router = mount(router, PREFIX, "/login", post(log_in));
    let router = mount(
        router,
        PREFIX,
        "/update-preferences",
        put(update_preferences),
    );
    let router = mount(router, PREFIX, "/logout", post(log_out));
    let router = mount(router, PREFIX, "/delete", delete(delete_account));
    mount(router, PREFIX, "/admin", get(admin))
}

type Object = Map<String, Value>;
type Rendered = (StatusCode, HeaderMap, axum::Json<Value>);

/// The context of a request with an access token, and the token.
struct Bearer {
    ctx: Ctx,
    token: String,
}

impl FromRequestParts<AppState> for Bearer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        let token = authorization(&parts.headers, "bearer");
        let token = token.ok_or(Error::Unauthenticated(ErrorCode::NotAuthenticated))?;
        let actor = state.services.sessions.authenticate(token).await?;
        Ok(Self {
            ctx: context(parts, state, actor),
            token: token.to_owned(),
        })
    }
}

async fn register(
    State(state): State<AppState>,
    Anyone(ctx): Anyone,
    Json(body): Json<Object>,
) -> Answer<Rendered> {
    let mut errors = FieldErrors::default();
    let name = errors.take("name", required_text(&body, "name"));
    let email = errors.take("email", required_text(&body, "email"));
    let password = errors.take("password", required_text(&body, "password"));
    let typed = name.zip(email).zip(password);
    let ((name, email), password) = errors.finish(typed)?;
    let (name, password) = parse_own(&name, password)?;
    let mut errors = FieldErrors::default();
    let email = errors.take("email", Email::parse(&email));
    let account = NewAccount {
        email: Some(errors.finish(email)?),
        phone_number: None,
        legacy_name: None,
        password,
        nickname: None,
        profile: Profile {
            first_name: Some(name),
            ..Profile::default()
        },
    };
    let services = &state.services;
    let made = services.registration.register_by_older_api(&ctx, account);
    let user = made.await.map_err(|error| match error {
        Error::Conflict(ErrorCode::EmailAlreadyExists) => {
            let text = "A user with the given email already exists.";
            let body = json!({"error": {"email": text}});
            Problem::from(error).said_as(StatusCode::BAD_REQUEST, body)
        }
        Error::Invalid(fields) => {
            let broken = fields
                .iter()
                .map(|field| sentence("Your password", &field.message));
            let text = broken.collect::<Vec<_>>().join(" ");
            unacceptable(&json!({"password": text}))
        }
        error => error.into(),
    })?;
    let logged_in = services.login.log_in_new(&ctx, &user, OPENING).await?;
    let info = info(&user, Preferences::default());
    Ok(opened(&state, &logged_in, &info))
}

/// The name and the password, if this API and the service's policy take them.
fn parse_own(name: &str, password: String) -> Result<(PersonName, Password), Problem> {
    let mut refused = Object::new();
    let password = Password::parse(&TypedPassword::new(password)).map_err(|rule| {
        let text = match rule.kind {
            "password_too_short" => "Your password must be at least 8 characters.".to_owned(),
            _ => sentence("Your password", &rule.message),
        };
        refused.insert("password".to_owned(), text.into());
    });
    let name = if name.trim().chars().count() <= SHORT_NAME {
        let text = "You must specify a name of at least 3 characters.";
        Err(text.to_owned())
    } else {
        PersonName::parse(name).map_err(|rule| sentence("Your name", &rule.message))
    };
    let name = name.map_err(|text| {
        refused.insert("name".to_owned(), text.into());
    });
    match (name, password) {
        (Ok(name), Ok(password)) => Ok((name, password)),
        _ => Err(unacceptable(&Value::Object(refused))),
    }
}

fn sentence(subject: &str, rule: &str) -> String {
    format!("{subject} {rule}.")
}

/// The old service's way to refuse a name or a password.
fn unacceptable(members: &Value) -> Problem {
    let body = json!({"status": "fail", "error": members});
    Problem::new(StatusCode::LENGTH_REQUIRED, ErrorCode::InvalidInput)
        .said_as(StatusCode::LENGTH_REQUIRED, body)
}

async fn log_in(
    State(state): State<AppState>,
    Anyone(ctx): Anyone,
    Json(body): Json<Object>,
) -> Answer<Rendered> {
    let mut errors = FieldErrors::default();
    let email = errors.take("email", required_text(&body, "email"));
    let password = errors.take("password", required_text(&body, "password"));
    let (email, password) = errors.finish(email.zip(password))?;
    // Nobody has what is no address.
    let name = Email::parse(&email)
        .map_err(|_| wrong_password(Error::Unauthenticated(ErrorCode::InvalidCredentials)))?;
    let services = &state.services;
    let password = TypedPassword::new(password);
    let logged_in = services
        .login
        .log_in_as(&ctx, (&name).into(), password, OPENING)
        .await
        .map_err(wrong_password)?;
    let ctx = Ctx {
        actor: logged_in.actor(),
        ..ctx
    };
    let user = services.me.read(&ctx).await?;
    let preferences = services.preferences.read(&ctx).await?;
    let mut info = info(&user, preferences);
    info["isAdmin"] = (user.role == Role::Admin).into();
    Ok(opened(&state, &logged_in, &info))
}

fn wrong_password(error: Error) -> Problem {
    let text = "Make sure your password is correct.";
    refused_login(error, json!({"error": {"password": text}}))
}

/// What is told of a session that was opened.
fn opened(state: &AppState, logged_in: &LoggedIn, info: &Value) -> Rendered {
    let token = logged_in.access_token.token.expose_secret();
    let body = json!({"auth_token": token, "info": info});
    let headers = device_cookie(state, &logged_in.device_token);
    (StatusCode::CREATED, headers, axum::Json(body))
}

/// What this API shows of an account. Its name is the one that registered it here; an account of the
/// native API has two names, or only a nickname.
fn info(user: &User, preferences: Preferences) -> Value {
    let profile = &user.profile;
    let names = [&profile.first_name, &profile.last_name];
    let names: Vec<_> = names
        .into_iter()
        .flatten()
        .map(PersonName::as_str)
        .collect();
    let name = match &names[..] {
        [] => user.nickname.to_string(),
        names => names.join(" "),
    };
    json!({
        "email": user.email.as_ref().map(Email::as_str),
        "name": name,
        "preferences": preferences.into_value(),
    })
}

async fn update_preferences(
    State(state): State<AppState>,
    Bearer { ctx, token }: Bearer,
    Json(mut body): Json<Object>,
) -> Answer<(StatusCode, axum::Json<Value>)> {
    let mut errors = FieldErrors::default();
    let given = body.remove("preferences").ok_or(MISSING);
    let preferences = errors.take("preferences", given.and_then(Preferences::parse));
    let preferences = errors.finish(preferences)?;
    let services = &state.services;
    services.preferences.replace(&ctx, &preferences).await?;
    let user = services.me.read(&ctx).await?;
    // The token that he has: another one in its place could be renewed for ever.
    let body = json!({"auth_token": token, "info": info(&user, preferences)});
    Ok((StatusCode::CREATED, axum::Json(body)))
}

async fn log_out(
    State(state): State<AppState>,
    Bearer { ctx, .. }: Bearer,
) -> Answer<(StatusCode, axum::Json<Value>)> {
    match state.services.sessions.end_current(&ctx).await {
        // It has ended, whoever did it.
        Ok(()) | Err(Error::NotFound(_)) => {}
        Err(error) => return Err(error.into()),
    }
    let body = json!({"status": "logged out"});
    Ok((StatusCode::CREATED, axum::Json(body)))
}

async fn delete_account(
    State(state): State<AppState>,
    Bearer { ctx, .. }: Bearer,
    Json(body): Json<Object>,
) -> Answer<(StatusCode, axum::Json<Value>)> {
    let mut errors = FieldErrors::default();
    let password = errors.take("password", required_text(&body, "password"));
    let password = TypedPassword::new(errors.finish(password)?);
    let deleted = state.services.deletion.at_once(&ctx, &password).await;
    deleted.map_err(|error| match error {
        // The password was read, so it is a wrong one.
        Error::Invalid(_) => wrong_password(Error::Unauthenticated(ErrorCode::InvalidCredentials)),
        Error::Unauthenticated(_) => error.into(),
        error => wrong_password(error),
    })?;
    let body = json!({"status": "deleted"});
    Ok((StatusCode::CREATED, axum::Json(body)))
}

async fn admin(bearer: Answer<Bearer>) -> Answer<(StatusCode, axum::Json<Value>)> {
    let refused =
        |problem: Problem| problem.said_as(StatusCode::UNAUTHORIZED, json!({"status": "fail"}));
    let ctx = match bearer {
        Ok(bearer) => bearer.ctx,
        Err(problem) if problem.status() == StatusCode::UNAUTHORIZED => {
            return Err(refused(problem));
        }
        Err(problem) => return Err(problem),
    };
    let is_admin = matches!(
        ctx.actor,
        Actor::User {
            role: Role::Admin,
            ..
        }
    );
    if !is_admin {
        let error = Error::Forbidden(ErrorCode::OperationNotPermitted);
        return Err(refused(error.into()));
    }
    Ok((
        StatusCode::ACCEPTED,
        axum::Json(json!({"status": "success"})),
    ))
}
