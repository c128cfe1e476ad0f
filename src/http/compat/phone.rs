//! `/compat/phone`: JSON, accounts by phone number, and two tokens of one session.

use axum::{
    Router,
    extract::{FromRequestParts, State},
    http::{HeaderMap, HeaderName, StatusCode, header, request::Parts},
    routing::{post, put},
};
use secrecy::ExposeSecret as _;
use serde_json::{Map, Value, json};

use super::{mount, refused_login, required_text, text};
use crate::{
    domain::{
        actor::Actor,
        id::UserId,
        login_name::LoginName,
        password::{Password, TypedPassword},
        patch::Patch,
        phone::PhoneNumber,
        profile::{PersonName, Profile, ProfilePatch},
        session::SessionSecret,
        user::User,
    },
    error::{Error, ErrorCode, FieldError, FieldErrors, Result, Rule},
    http::{
        api::registration::MISSING,
        error::{Answer, Problem},
        extract::{Anyone, Json, context, device_cookie},
        state::AppState,
    },
    services::{
        Ctx,
        login::{Opening, SessionKind},
        me::OwnPatch,
        registration::NewAccount,
    },
};

pub(super) const PREFIX: &str = "/compat/phone";

/// The header of a session's secret.
pub(super) const SESSION_TOKEN: HeaderName = HeaderName::from_static("session-token");

pub(super) fn router() -> Router<AppState> {
    let router = mount(Router::new(), PREFIX, "/signup", post(sign_up));
    let router = mount(router, PREFIX, "/login", post(log_in));
    mount(router, PREFIX, "/user", put(update))
}

type Object = Map<String, Value>;

/// The context of a request with both tokens of one session: the access token stands bare in
/// `Authorization`, the session's secret in `Session-Token`.
struct BothTokens(Ctx);

impl FromRequestParts<AppState> for BothTokens {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        let refused = || Error::Unauthenticated(ErrorCode::NotAuthenticated);
        let header = |name| {
            let value = parts.headers.get(name)?;
            value.to_str().ok()
        };
        let access_token = header(header::AUTHORIZATION).ok_or_else(refused)?;
        let secret = header(SESSION_TOKEN).and_then(SessionSecret::presented);
        let secret = secret.ok_or_else(refused)?;
        let sessions = &state.services.sessions;
        let actor = sessions.authenticate(access_token).await?;
        let same = sessions.authenticate_cookie(&secret).await?;
        match (actor, same) {
            (Actor::User { session, .. }, Actor::User { session: other, .. })
                if session == other =>
            {
                Ok(Self(context(parts, state, actor)))
            }
            _ => Err(refused().into()),
        }
    }
}

async fn sign_up(
    State(state): State<AppState>,
    Anyone(ctx): Anyone,
    Json(body): Json<Object>,
) -> Answer<(StatusCode, axum::Json<Value>)> {
    let account = new_account(&state, &body)?;
    let registration = &state.services.registration;
    let user = registration.register_by_older_api(&ctx, account).await?;
    let body = json!({"message": "User created", "user": user_body(&user)});
    Ok((StatusCode::CREATED, axum::Json(body)))
}

fn new_account(state: &AppState, body: &Object) -> Result<NewAccount> {
    let mut errors = FieldErrors::default();
    let mut name = |field| {
        let name = required_text(body, field).and_then(|text| PersonName::parse(&text));
        errors.take(field, name)
    };
    let (first_name, last_name) = (name("first_name"), name("last_name"));
    let middle_name = errors.take("middle_name", middle_name(body));
    let phone_number = required_text(body, "phone").and_then(|text| phone(state, &text));
    let phone_number = errors.take("phone", phone_number);
    let password = required_text(body, "password");
    let password = password.and_then(|text| Password::parse(&TypedPassword::new(text)));
    let password = errors.take("password", password);
    let (password, phone_number) = errors.finish(password.zip(phone_number))?;
    Ok(NewAccount {
        email: None,
        phone_number: Some(phone_number),
        legacy_name: None,
        password,
        nickname: None,
        profile: Profile {
            first_name,
            middle_name: middle_name.flatten(),
            last_name,
            ..Profile::default()
        },
    })
}

/// None where it is left out, null or empty.
fn middle_name(body: &Object) -> Result<Option<PersonName>, Rule> {
    let text = text(body, "middle_name")?.filter(|text| !text.is_empty());
    text.as_deref().map(PersonName::parse).transpose()
}

fn phone(state: &AppState, text: &str) -> Result<PhoneNumber, Rule> {
    PhoneNumber::parse_or_bare(text, state.phone_default_region)
}

async fn log_in(
    State(state): State<AppState>,
    Anyone(ctx): Anyone,
    Json(body): Json<Object>,
) -> Answer<(HeaderMap, axum::Json<Value>)> {
    let mut errors = FieldErrors::default();
    let number = errors.take("phone", required_text(&body, "phone"));
    let password = errors.take("password", required_text(&body, "password"));
    let (number, password) = errors.finish(number.zip(password))?;
    let refused = |error| {
        let text = "Incorrect phone number or password.";
        refused_login(error, json!({"error": text}))
    };
    // Nobody has what is no number.
    let number = phone(&state, &number)
        .map_err(|_| refused(Error::Unauthenticated(ErrorCode::InvalidCredentials)))?;
    let opening = Opening::native(SessionKind::Cookie);
    let password = TypedPassword::new(password);
    let login = &state.services.login;
    let logged_in = login
        .log_in_as(&ctx, LoginName::from(&number), password, opening)
        .await
        .map_err(refused)?;
    let body = json!({
        "jwt_token": logged_in.access_token.token.expose_secret(),
        "session_token": logged_in.secret.expose_secret(),
    });
    let headers = device_cookie(&state, &logged_in.device_token);
    Ok((headers, axum::Json(body)))
}

async fn update(
    State(state): State<AppState>,
    BothTokens(ctx): BothTokens,
    Json(body): Json<Object>,
) -> Answer<axum::Json<Value>> {
    let mut errors = FieldErrors::default();
    let id = errors.take("_id", object_id(&body));
    let id = errors.finish(id)?;
    let (own, _) = ctx.user()?;
    if id != own {
        return Err(Error::Forbidden(ErrorCode::OperationNotPermitted).into());
    }
    let (patch, password) = patch(&state, &body)?;
    let me = &state.services.me;
    let user = match password {
        Some(password) => me.edit_with_password(&ctx, patch, &password).await?,
        None => me.edit(&ctx, patch, None).await?,
    };
    let body = json!({"message": "User updated", "user": user_body(&user)});
    Ok(axum::Json(body))
}

/// The id of an account, as a database of documents writes it.
fn object_id(body: &Object) -> Result<UserId, Rule> {
    const INVALID: Rule = Rule::new("invalid_type", "must be an object with the id in $oid");
    let id = body.get("_id").ok_or(MISSING)?;
    let text = id.get("$oid").and_then(Value::as_str).ok_or(INVALID)?;
    text.parse().map_err(|_| INVALID)
}

/// What is to be changed, and the new password if there is one.
fn patch(state: &AppState, body: &Object) -> Result<(OwnPatch, Option<Password>)> {
    let mut errors = FieldErrors::default();
    let mut name = |field| {
        let name = match body.get(field) {
            None => Ok(Patch::Keep),
            Some(_) => required_text(body, field)
                .and_then(|text| PersonName::parse(&text))
                .map(Patch::Set),
        };
        errors.take(field, name).unwrap_or_default()
    };
    let (first_name, last_name) = (name("first_name"), name("last_name"));
    let middle_name = match body.get("middle_name") {
        None => Ok(Patch::Keep),
        Some(_) => middle_name(body).map(|name| name.map_or(Patch::Clear, Patch::Set)),
    };
    let middle_name = errors.take("middle_name", middle_name).unwrap_or_default();
    let phone_number = match body.get("phone") {
        None => Ok(None),
        Some(_) => required_text(body, "phone")
            .and_then(|text| phone(state, &text))
            .map(Some),
    };
    let phone_number = errors.take("phone", phone_number).flatten();
    let password = match body.get("password") {
        None => Ok(None),
        Some(_) => required_text(body, "password")
            .and_then(|text| Password::parse(&TypedPassword::new(text)))
            .map(Some),
    };
    let password = errors.take("password", password).flatten();
    let patch = errors.finish(Some(OwnPatch {
        nickname: None,
        phone_number,
        profile: ProfilePatch {
            first_name,
            middle_name,
            last_name,
            ..ProfilePatch::default()
        },
    }))?;
    if patch == OwnPatch::default() && password.is_none() {
        return Err(Error::invalid(FieldError::empty_change()));
    }
    Ok((patch, password))
}

/// An account as this API shows it.
fn user_body(user: &User) -> Value {
    let profile = &user.profile;
    let name = |name: &Option<PersonName>| name.as_ref().map(|name| name.as_str().to_owned());
    json!({
        "_id": {"$oid": user.id.to_string()},
        "first_name": name(&profile.first_name),
        "middle_name": name(&profile.middle_name),
        "last_name": name(&profile.last_name),
        "phone": user.phone_number.as_ref().map(PhoneNumber::as_str),
    })
}
