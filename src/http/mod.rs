//! The HTTP layer: parse, one call of a service, render.
//!
//! # How to add an endpoint
//!
//! 1. A handler in `api/<noun>.rs` with `#[utoipa::path]`: operation id, tag, every status that can
//!    occur, an example for each body. Its arguments: an actor ([`extract::Anyone`] or
//!    [`extract::Authenticated`]), then path, query and body.
//! 2. Name it in the `router()` of that file with `routes!`; `mount` takes it with and without its
//!    trailing slash.
//! 3. Add its row to the matrix in `tests/it/authz.rs`: the build is red until it is there.
//! 4. Renew the document: `UPDATE_DOCS=1 cargo test openapi`.

pub mod api;
mod compat;
pub mod error;
pub mod extract;
pub mod middleware;
pub mod openapi;
pub mod server;
pub mod state;
pub mod telemetry;
pub mod web;

use axum::{
    Router,
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};

use self::{error::Problem, state::AppState};
use crate::error::ErrorCode;

/// Takes a route with and without the trailing slash of its path.
fn mount(
    router: OpenApiRouter<AppState>,
    routes: UtoipaMethodRouter<AppState>,
) -> OpenApiRouter<AppState> {
    let (schemas, paths, methods) = routes;
    let twins: Vec<_> = paths.paths.keys().filter_map(|path| twin(path)).collect();
    let router = twins
        .iter()
        .fold(router, |router, twin| router.route(twin, methods.clone()));
    router.routes((schemas, paths, methods))
}

fn twin(path: &str) -> Option<String> {
    match path.strip_suffix('/') {
        Some("") => None,
        Some(without) => Some(without.to_owned()),
        None => Some(format!("{path}/")),
    }
}

/// Every documented route, and the document.
fn documented() -> OpenApiRouter<AppState> {
    OpenApiRouter::with_openapi(openapi::frame()).merge(api::router())
}

/// The OpenAPI document, as served below `base_path`.
#[must_use]
pub fn document(base_path: &str) -> utoipa::openapi::OpenApi {
    openapi::serve_below(documented().into_openapi(), base_path)
}

/// The whole service.
pub fn router(state: &AppState) -> Router {
    let (routes, _) = documented().split_for_parts();
    let routes = routes
        .merge(web::router(state))
        .merge(compat::router(state))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(state.clone());
    middleware::stack(routes, state)
}

/// What is served on the operations address only.
pub fn operations_router(state: &AppState, metrics: telemetry::Metrics) -> Router {
    let (health, _) = api::health::router().split_for_parts();
    let routes = health
        .merge(telemetry::router(metrics))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(state.clone());
    middleware::stack(routes, state)
}

async fn not_found() -> Response {
    Problem::new(StatusCode::NOT_FOUND, ErrorCode::NotFound).into_response()
}

async fn method_not_allowed() -> Response {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, ErrorCode::MethodNotAllowed).into_response()
}
