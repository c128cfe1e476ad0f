//! `GET /metrics`, on the operations address.

use axum::{Extension, Router, extract::State, http::header, response::IntoResponse, routing::get};
use metrics_exporter_prometheus::PrometheusHandle;

use super::{error::Answer, state::AppState};
use crate::{
    error::Error,
    repository::{audit_chain, jobs},
};

/// Renders the metrics of this process.
#[derive(Clone)]
pub struct Metrics(pub PrometheusHandle);

/// The route.
pub(super) fn router(metrics: Metrics) -> Router<AppState> {
    Router::new()
        .route("/metrics", get(show))
        .route("/metrics/", get(show))
        .layer(Extension(metrics))
}

/// Prometheus' text format; the state of the queue, of the audit log and of the pool is read now.
async fn show(
    State(state): State<AppState>,
    Extension(metrics): Extension<Metrics>,
) -> Answer<impl IntoResponse> {
    let pool = &state.pool;
    metrics::gauge!("database_connections").set(pool.size());
    let idle = u32::try_from(pool.num_idle()).unwrap_or(u32::MAX);
    metrics::gauge!("database_connections_idle").set(idle);
    match counts(&state).await {
        Ok((counts, waiting)) => {
            metrics::gauge!("database_up").set(1);
            #[expect(
                clippy::cast_precision_loss,
                reason = "gauges are floating-point numbers"
            )]
            for (state, count) in [
                ("waiting", counts.waiting),
                ("running", counts.running),
                ("dead", counts.dead),
            ] {
                metrics::gauge!("jobs", "state" => state).set(count as f64);
            }
            let overdue = counts.overdue.unwrap_or_default();
            metrics::gauge!("jobs_overdue_seconds").set(overdue.as_secs_f64());
            let age = waiting.oldest.map(|oldest| state.clock.now() - oldest);
            let age = age.map(|age| age.as_seconds_f64().max(0.0));
            metrics::gauge!("audit_pending_seconds").set(age.unwrap_or_default());
        }
        // The process's own numbers are wanted all the more while the database is away.
        Err(error) => {
            tracing::debug!(%error, "no counts of jobs");
            metrics::gauge!("database_up").set(0);
        }
    }
    let text = metrics.0.render();
    Ok((
        [(
            header::CONTENT_TYPE,
            "text/plain; version=0.0.4; charset=utf-8",
        )],
        text,
    ))
}

async fn counts(state: &AppState) -> Result<(jobs::Counts, audit_chain::Waiting), Error> {
    let mut connection = state.pool.acquire().await?;
    let now = state.clock.database_override();
    let counts = jobs::counts(&mut connection, now).await?;
    Ok((counts, audit_chain::waiting(&mut connection).await?))
}
