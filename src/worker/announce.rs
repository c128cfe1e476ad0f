//! Tells workers of other processes that there may be jobs.

use std::time::Duration;

use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use super::outage::Outage;
use crate::{infra::wake_up::WakeUp, repository::jobs};

/// The least time between two calls.
const THROTTLE: Duration = Duration::from_millis(250);

/// Sends a `notify` for calls of [`WakeUp::jobs`] that no worker of this process answers, at most one
/// each 250 ms, until `stop`. A process that enqueues jobs spawns this once; it rests while a worker
/// runs here. Outside every transaction: `notify` takes a lock of the whole database at commit.
pub async fn announce(pool: PgPool, wake: WakeUp, stop: CancellationToken) {
    let mut outage = Outage::new("announcing jobs");
    let announcing = async {
        loop {
            wake.called_elsewhere().await;
            match send(&pool).await {
                Ok(()) => outage.over(),
                // Workers find the jobs by polling.
                Err(error) => outage.failed(&error),
            }
            tokio::time::sleep(THROTTLE).await;
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = announcing => {}
    }
}

async fn send(pool: &PgPool) -> sqlx::Result<()> {
    let mut conn = pool.acquire().await?;
    jobs::announce(&mut conn).await
}
