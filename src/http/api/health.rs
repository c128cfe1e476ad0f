//! `/health/…`: whether the process lives, and whether it is ready for work.

use std::time::Duration;

use anyhow::anyhow;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    error::Error,
    http::{
        error::Answer,
        mount,
        openapi::{Internal, Unavailable},
        state::AppState,
    },
    repository::pool,
};

/// How long the database may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

pub(in crate::http) fn router() -> OpenApiRouter<AppState> {
    let router = mount(OpenApiRouter::new(), routes!(live));
    mount(router, routes!(ready))
}

/// How the service is.
#[derive(Serialize, ToSchema)]
#[schema(as = Health, example = json!({"status": "ok"}))]
struct HealthBody {
    /// `ok`.
    #[schema(value_type = String)]
    status: &'static str,
}

/// Whether the process lives
#[utoipa::path(
    get, path = "/health/live", operation_id = "live", tag = "health",
    responses((status = 200, description = "It does", body = HealthBody), Internal, Unavailable),
)]
async fn live() -> axum::Json<HealthBody> {
    axum::Json(HealthBody { status: "ok" })
}

/// Whether the service is ready for work
///
/// It isn't while its database is away, or while it is stopping.
#[utoipa::path(
    get, path = "/health/ready", operation_id = "ready", tag = "health",
    responses((status = 200, description = "It is", body = HealthBody), Internal, Unavailable),
)]
async fn ready(State(state): State<AppState>) -> Answer<axum::Json<HealthBody>> {
    if state.is_draining() {
        return Err(Error::Unavailable(anyhow!("the server is stopping")).into());
    }
    let answered = tokio::time::timeout(PATIENCE, pool::ping(&state.pool)).await;
    answered
        .map_err(|_| Error::Unavailable(anyhow!("the database doesn't answer")))?
        .map_err(Error::from)?;
    Ok(axum::Json(HealthBody { status: "ok" }))
}
