//! `GET /metrics`, on the operations address.

use axum::{Extension, Router, extract::State, http::header, response::IntoResponse, routing::get};
use metrics_exporter_prometheus::PrometheusHandle;

use super::{error::Answer, state::AppState};
use crate::{error::Error, repository::jobs};

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

/// Prometheus' text format; the state of the queue and of the pool is read now.
async fn show(
    State(state): State<AppState>,
    Extension(metrics): Extension<Metrics>,
) -> Answer<impl IntoResponse> {
    let pool = &state.pool;
    metrics::gauge!("database_connections").set(pool.size());
    let idle = u32::try_from(pool.num_idle()).unwrap_or(u32::MAX);
    metrics::gauge!("database_connections_idle").set(idle);
    match counts(&state).await {
        Ok(counts) => {
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

async fn counts(state: &AppState) -> Result<jobs::Counts, Error> {
    let mut connection = state.pool.acquire().await?;
    Ok(jobs::counts(&mut connection, state.clock.database_override()).await?)
}
