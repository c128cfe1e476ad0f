//! What was refused in a request goes into the audit log before the answer goes out.

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};

use crate::{domain::id::RequestId, http::state::AppState, services::audit::Refusals};

/// Gives a request a list of what is refused in it, and writes that when it is answered.
pub async fn write(State(state): State<AppState>, mut request: Request, next: Next) -> Response {
    let refusals = Refusals::kept_by(&state.services.audit);
    let request_id = request.extensions().get::<RequestId>().copied();
    request.extensions_mut().insert(refusals.clone());
    let response = next.run(request).await;
    if let Err(error) = state.services.audit.write_refusals(&refusals).await {
        // It stays refused: the answer says so.
        let request_id = request_id.map(tracing::field::display);
        tracing::error!(%error, request_id, "a refused attempt isn't audited");
    }
    response
}
