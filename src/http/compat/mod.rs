//! Three older APIs whose clients are kept, each in a file of its own and switched on by
//! `COMPAT_APIS`.
//!
//! An adapter parses, calls the services of the native API, and renders as its old clients expect.
//! Lockout, limits, revocation and storage are those of the services: an adapter relaxes only what
//! the table in the README says. The OpenAPI document doesn't know these routes: it is the same
//! whatever the settings are, and nobody is to write new clients for them.
//!
//! What an adapter's table doesn't name (a malformed body, too many requests, a fault of ours) is
//! answered with the status of the native API, in the one member in which the old clients look for
//! errors: `http::error` writes it.

mod cookie_session;
mod mflix;
mod phone;

use axum::{
    Router,
    http::{HeaderName, StatusCode},
    routing::MethodRouter,
};
use serde_json::{Map, Value};

use super::{api::registration::MISSING, error::Problem, state::AppState};
use crate::{
    config::CompatApi,
    error::{Error, Rule},
};

/// The routes of the older APIs that are switched on.
pub(super) fn router(state: &AppState) -> Router<AppState> {
    state
        .compat_apis
        .iter()
        .fold(Router::new(), |router, api| match api {
            CompatApi::CookieSession => router.merge(cookie_session::router()),
            CompatApi::Mflix => router.merge(mflix::router()),
            CompatApi::Phone => router.merge(phone::router()),
        })
}

/// The member in which the clients of a route look for what went wrong, if it is of an older API.
pub(super) fn error_member(route: &str) -> Option<&'static str> {
    let of = |prefix| route.starts_with(prefix);
    if of(cookie_session::PREFIX) {
        Some("message")
    } else if of(mflix::PREFIX) || of(phone::PREFIX) {
        Some("error")
    } else {
        None
    }
}

/// The headers of requests that only clients of an older API send.
pub(super) fn request_headers(state: &AppState) -> Option<HeaderName> {
    let is_on = state.compat_apis.contains(&CompatApi::Phone);
    is_on.then_some(phone::SESSION_TOKEN)
}

/// Takes a route with and without the trailing slash of its path.
fn mount(
    router: Router<AppState>,
    prefix: &str,
    path: &str,
    methods: MethodRouter<AppState>,
) -> Router<AppState> {
    router
        .route(&format!("{prefix}{path}"), methods.clone())
        .route(&format!("{prefix}{path}/"), methods)
}

/// A login that was refused, as an older API says it: alike for unknown, wrong, unverified and
/// locked. What isn't a refusal stays what it is.
fn refused_login(error: Error, body: Value) -> Problem {
    let is_refusal = matches!(error, Error::Unauthenticated(_) | Error::Locked { .. });
    let problem = Problem::from(error);
    if is_refusal {
        problem.said_as(StatusCode::UNAUTHORIZED, body)
    } else {
        problem
    }
}

/// A text in a body that must have it.
fn required_text(body: &Map<String, Value>, field: &'static str) -> Result<String, Rule> {
    text(body, field)?.ok_or(MISSING)
}

/// A text in a body; none where it is missing or null.
fn text(body: &Map<String, Value>, field: &'static str) -> Result<Option<String>, Rule> {
    match body.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(Rule::new("invalid_type", "must be a string")),
    }
}
