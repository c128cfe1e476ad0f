//! What happens to every request, in one ordered stack: see [`stack`].

mod headers;
mod leftover;
mod observe;
mod refusals;

use std::time::Duration;

use anyhow::anyhow;
use axum::{
    Router,
    extract::Request,
    http::{HeaderValue, Method, header},
    middleware::{Next, from_fn, from_fn_with_state},
    response::{IntoResponse as _, Response},
};
use tower_http::{
    catch_panic::CatchPanicLayer,
    cors::{AllowOrigin, CorsLayer},
};

use tokio::time::{Instant, timeout_at};

use self::leftover::Leftover;
use super::{
    compat,
    error::Problem,
    extract::{DEVICE_TOKEN_HEADER, IDEMPOTENCY_KEY, IDEMPOTENCY_REPLAYED},
    state::AppState,
};
use crate::error::Error;

pub use headers::ContentPolicy;
pub use observe::REQUEST_ID;

/// How long a request may take, its body included.
pub const TIME_LIMIT: Duration = Duration::from_secs(15);

/// How long a file may take to come.
pub const UPLOAD_TIME_LIMIT: Duration = Duration::from_secs(600);
/// Where files go to.
const UPLOADS: &str = "/users/import";

/// Puts the stack around `router`; the last layer here is the first to see a request:
///
/// 1. `observe`: request id, log line, metrics, and the body of errors;
/// 2. headers of security;
/// 3. CORS, where origins are allowed;
/// 4. a panic becomes an error 500;
/// 5. `refusals`: what was refused is audited;
/// 6. the time limit, and `leftover`: what handlers leave unread of bodies.
pub fn stack(router: Router, state: &AppState) -> Router {
    let router = router
        .layer(from_fn(limit_time))
        .layer(from_fn_with_state(state.clone(), refusals::write))
        .layer(CatchPanicLayer::custom(panicked));
    let router = if state.cors_allowed_origins.is_empty() {
        router
    } else {
        router.layer(cors(state))
    };
    router
        .layer(from_fn_with_state(state.clone(), headers::add))
        .layer(from_fn_with_state(state.clone(), observe::observe))
}

async fn limit_time(request: Request, next: Next) -> Response {
    let is_upload = request.method() == Method::POST
        && request
            .uri()
            .path()
            .trim_end_matches('/')
            .ends_with(UPLOADS);
    let limit = match is_upload {
        true => UPLOAD_TIME_LIMIT,
        false => TIME_LIMIT,
    };
    let end = Instant::now() + limit;
    let (request, leftover) = Leftover::lend(request);
    // Whatever the request had begun is dropped with it: a transaction is rolled back, and a single
    // statement is done wholly or not at all.
    let response = match timeout_at(end, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::from(Error::Unavailable(anyhow!(
            "the request took longer than {limit:?}"
        )))
        .into_response(),
    };
    // Whoever is still sending when the time is up may miss the answer.
    let end = end.min(Instant::now() + TIME_LIMIT);
    let _ = timeout_at(end, leftover.discard()).await;
    response
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "the signature is tower-http's"
)]
fn panicked(panic: Box<dyn std::any::Any + Send>) -> Response {
    let message = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no message");
    Problem::from(Error::Internal(anyhow!("panicked: {message}"))).into_response()
}

fn cors(state: &AppState) -> CorsLayer {
    let origins = state
        .cors_allowed_origins
        .iter()
        .filter_map(|origin| HeaderValue::from_str(&origin.0).ok());
    let mut headers = vec![
        header::AUTHORIZATION,
        header::CONTENT_TYPE,
        header::IF_MATCH,
        IDEMPOTENCY_KEY,
        DEVICE_TOKEN_HEADER,
    ];
    headers.extend(compat::request_headers(state));
    CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins))
        .allow_credentials(true)
        .allow_methods([
            Method::GET,
            Method::POST,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
        ])
        .allow_headers(headers)
        .expose_headers([
            header::ETAG,
            header::LOCATION,
            header::RETRY_AFTER,
            IDEMPOTENCY_REPLAYED,
            REQUEST_ID,
            DEVICE_TOKEN_HEADER,
        ])
        .max_age(Duration::from_secs(600))
}
