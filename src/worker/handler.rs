//! What a handler is, and what it answers.

use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use sqlx::PgConnection;

use crate::repository::jobs::{self, ClaimedJob, JobKind};

/// Runs the jobs of one kind.
pub trait JobHandler: Send + Sync + 'static {
    /// The kind that it runs.
    fn kind(&self) -> JobKind;

    /// How long one run may take. A run that takes longer is cancelled and has failed.
    fn time_limit(&self) -> Duration;

    /// Runs one job. May be called for several jobs at a time, and again for the same job.
    fn run<'a>(&'a self, job: &'a ClaimedJob) -> BoxFuture<'a, Outcome>;
}

/// How a run ended.
#[derive(Debug)]
pub enum Outcome {
    /// The job is done.
    Done,
    /// The job is done, and the handler has finished it in a transaction that it committed.
    Finished(Finished),
    /// The run failed; there is no use in trying before `at`.
    RetryAt {
        /// When to try again.
        at: DateTime<Utc>,
        /// Why, for operators: no addresses, tokens or payloads.
        error: String,
    },
    /// The run failed; try again after a while that grows with each attempt.
    Backoff {
        /// Why, for operators: no addresses, tokens or payloads.
        error: String,
    },
    /// The run failed, and so would each other: the job is dead.
    Permanent {
        /// Why, for operators: no addresses, tokens or payloads.
        error: String,
    },
}

/// Proof that [`finish_in`] has finished the job.
#[derive(Debug)]
pub struct Finished(());

/// Why a job could not be finished in a transaction. Roll back in either case.
#[derive(Debug, thiserror::Error)]
pub enum FinishError {
    /// Another worker has the job: what was done in the transaction must not stand.
    #[error("the lease on the job was lost")]
    LeaseLost,
    /// The statement failed.
    #[error("the job could not be finished")]
    Database(#[from] sqlx::Error),
}

/// Finishes `job` in the transaction on `conn` that holds the handler's effects in the database, so
/// that both happen or neither. Make it the last statement before the commit, and answer
/// [`Outcome::Finished`] after it; where the commit fails, answer [`Outcome::Backoff`].
///
/// # Errors
///
/// [`FinishError`]: roll the transaction back, and answer [`Outcome::Backoff`].
pub async fn finish_in(conn: &mut PgConnection, job: &ClaimedJob) -> Result<Finished, FinishError> {
    if jobs::finish(conn, job.lease).await? {
        Ok(Finished(()))
    } else {
        Err(FinishError::LeaseLost)
    }
}
