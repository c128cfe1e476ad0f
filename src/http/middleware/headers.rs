//! Headers of security.

use axum::{
    extract::{Request, State},
    http::{HeaderValue, header},
    middleware::Next,
    response::Response,
};

use crate::http::state::AppState;

/// The Content-Security-Policy of a page that sets its own; an extension of its response.
#[derive(Debug, Clone)]
pub struct ContentPolicy(pub &'static str);

/// What an answer of the API may do when a browser shows it: nothing.
const NOTHING: ContentPolicy = ContentPolicy("default-src 'none'; frame-ancestors 'none'");

/// Adds the headers of security that the answer hasn't set itself.
pub async fn add(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let policy = response
        .extensions_mut()
        .remove::<ContentPolicy>()
        .unwrap_or(NOTHING);
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(policy.0),
    );
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers.insert(
        header::REFERRER_POLICY,
        HeaderValue::from_static("no-referrer"),
    );
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    if state.is_https() {
        headers.insert(
            header::STRICT_TRANSPORT_SECURITY,
            HeaderValue::from_static("max-age=31536000"),
        );
    }
    response
}
