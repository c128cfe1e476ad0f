//! The queue's own upkeep: a recurring job, see [`JobsUpkeep`].

use std::{sync::Arc, time::Duration};

use chrono::TimeDelta;
use futures::future::BoxFuture;
use sqlx::PgPool;
use tracing::info;

use super::{FinishError, Finished, JobHandler, Outcome, finish_in};
use crate::{
    infra::clock::Clock,
    repository::jobs::{self, ClaimedJob, JobKind},
};

/// Schedule it hourly: so long may a secret outlive its expiry.
pub const KIND: JobKind = JobKind {
    name: "jobs.upkeep",
    max_attempts: 5,
};

/// How long a dead job can be looked at and revived.
const DEAD_KEPT: TimeDelta = TimeDelta::days(30);

/// Wipes the secrets that have expired, and deletes jobs that have been dead for 30 days.
pub struct JobsUpkeep {
    pool: PgPool,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for JobsUpkeep {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JobsUpkeep").finish_non_exhaustive()
    }
}

impl JobsUpkeep {
    /// The handler.
    #[must_use]
    pub fn new(pool: PgPool, clock: Arc<dyn Clock>) -> Self {
        Self { pool, clock }
    }

    async fn sweep(&self, job: &ClaimedJob) -> Result<Finished, FinishError> {
        let now = self.clock.database_override();
        let mut tx = self.pool.begin().await?;
        let time = jobs::database_time(&mut tx, now).await?;
        let secrets = jobs::wipe_expired_secrets(&mut tx, now).await?;
        let dead = jobs::delete_dead_before(&mut tx, time - DEAD_KEPT).await?;
        let finished = finish_in(&mut tx, job).await?;
        tx.commit().await?;
        if secrets + dead > 0 {
            info!(secrets, dead, "swept the job queue");
        }
        Ok(finished)
    }
}

impl JobHandler for JobsUpkeep {
    fn kind(&self) -> JobKind {
        KIND
    }

    fn time_limit(&self) -> Duration {
        Duration::from_secs(60)
    }

    fn run<'a>(&'a self, job: &'a ClaimedJob) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            match self.sweep(job).await {
                Ok(finished) => Outcome::Finished(finished),
                Err(error) => Outcome::Backoff {
                    error: error.to_string(),
                },
            }
        })
    }
}
