//! The request's id, its log line, its metrics, and the body of its error.

use std::time::Instant;

use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderName, HeaderValue, Method},
    middleware::Next,
    response::Response,
};

use crate::{
    domain::id::RequestId,
    http::{compat, error, state::AppState},
};

/// The header that names a request in its answer.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Watches over a request.
pub async fn observe(State(state): State<AppState>, mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let request_id = RequestId(state.random.uuid_v7(state.clock.now()));
    request.extensions_mut().insert(request_id);
    let method = method(request.method());
    // The pattern, not the path: paths carry tokens, and patterns are few.
    let route = request.extensions().get::<MatchedPath>().cloned();
    let response = next.run(request).await;
    let member = route
        .as_ref()
        .and_then(|path| compat::error_member(path.as_str()));
    let mut response = error::render(response, request_id, member);
    if let Ok(value) = HeaderValue::from_str(&request_id.0.to_string()) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    let elapsed = started.elapsed();
    let status = response.status().as_u16();
    let route = route.as_ref().map_or("none", |path| match path.as_str() {
        "/" => "/",
        path => path.trim_end_matches('/'),
    });
    metrics::histogram!("http_request_seconds", "method" => method, "route" => route.to_owned(), "status" => class(status))
        .record(elapsed);
    tracing::info!(
        %request_id,
        method,
        route,
        status,
        milliseconds = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
        "request answered"
    );
    response
}

/// The method, one of a fixed set: clients may send any word.
fn method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

fn class(status: u16) -> &'static str {
    match status / 100 {
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        5 => "5xx",
        _ => "1xx",
    }
}
