//! One run of one job, and writing down how it ended.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::FutureExt as _;
use metrics::{counter, histogram};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};

use super::{
    JobHandler, Outcome, Shared,
    backoff::backoff,
    leases::{Held, Leases},
};
use crate::repository::jobs::{self, ClaimedJob, Due};

/// How long after its time limit the lease of a run is kept, to write down how it ended.
const SETTLING: Duration = Duration::from_secs(60);
/// How long one statement may take.
pub const STATEMENT: Duration = Duration::from_secs(5);
/// How long a job of a kind that nobody here knows is left to others.
const UNKNOWN_DELAY: Duration = Duration::from_secs(60);
/// The waits between tries to write down how a run ended.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));
/// So many characters of an error are stored.
const ERROR_LENGTH: usize = 1000;

/// What is to be written down.
enum End {
    Done,
    Retry(Due, String),
    Dead(String),
    Return(Duration),
}

/// How a run came to its end.
enum Ran {
    /// The handler, or its panic or time limit, says how.
    Ended(Outcome),
    /// The process stops.
    Cut,
    /// The lease ended.
    Lost,
}

/// Runs `job`, which was claimed after `claimed`, and writes down how that ended. At `cut` it is
/// given back.
pub async fn execute(
    shared: &Shared,
    leases: &Arc<Leases>,
    job: ClaimedJob,
    claimed: Instant,
    cut: &CancellationToken,
) {
    let ends = claimed + shared.settings.lease;
    let Some(handler) = shared.handlers.get(job.kind.as_str()) else {
        warn!(
            job = job.lease.id,
            kind = job.kind,
            "no handler for this kind of job"
        );
        let held = leases.hold(job.lease, ends, ends);
        settle(shared, &job, &held, End::Return(UNKNOWN_DELAY)).await;
        return;
    };
    let kind = handler.kind().name;
    let begun = Instant::now();
    let mut held = leases.hold(job.lease, ends, begun + handler.time_limit() + SETTLING);
    let (end, outcome) = if job.attempts > job.max_attempts {
        let error = "the last run ended with its process or its lease";
        (End::Dead(error.to_owned()), "dead")
    } else {
        let ran = run(shared, handler.as_ref(), &job, &mut held, cut).await;
        histogram!("job_duration_seconds", "kind" => kind).record(begun.elapsed().as_secs_f64());
        match ran {
            Ran::Ended(Outcome::Finished(_)) => {
                finished(&job, kind, "done");
                return;
            }
            Ran::Ended(Outcome::Done) => (End::Done, "done"),
            Ran::Ended(Outcome::Permanent { error }) => (End::Dead(clean(&error)), "dead"),
            Ran::Ended(Outcome::RetryAt { at, error }) => after_failure(&job, Due::At(at), &error),
            Ran::Ended(Outcome::Backoff { error }) => {
                let wait = backoff(job.attempts, shared.random.as_ref());
                after_failure(&job, Due::In(wait), &error)
            }
            Ran::Cut => (End::Return(Duration::ZERO), "returned"),
            Ran::Lost => {
                warn!(
                    job = job.lease.id,
                    kind, "the lease on a job was lost: its run is cancelled"
                );
                finished(&job, kind, "lost");
                return;
            }
        }
    };
    match &end {
        End::Retry(due, error) => warn!(
            job = job.lease.id,
            kind,
            attempt = job.attempts,
            error,
            again = ?due,
            "a run of a job failed"
        ),
        End::Dead(error) => warn!(
            job = job.lease.id,
            kind,
            attempt = job.attempts,
            error,
            "a job is given up"
        ),
        End::Done | End::Return(_) => {}
    }
    let settled = settle(shared, &job, &held, end).await;
    finished(&job, kind, if settled { outcome } else { "lost" });
}

fn after_failure(job: &ClaimedJob, due: Due, error: &str) -> (End, &'static str) {
    if job.attempts < job.max_attempts {
        (End::Retry(due, clean(error)), "retried")
    } else {
        (End::Dead(clean(error)), "dead")
    }
}

fn finished(job: &ClaimedJob, kind: &'static str, outcome: &'static str) {
    counter!("jobs_finished_total", "kind" => kind, "outcome" => outcome).increment(1);
    debug!(
        job = job.lease.id,
        kind,
        attempt = job.attempts,
        outcome,
        "a run of a job ended"
    );
}

async fn run(
    shared: &Shared,
    handler: &dyn JobHandler,
    job: &ClaimedJob,
    held: &mut Held,
    cut: &CancellationToken,
) -> Ran {
    let work = async {
        if let Some(schedule) = shared.schedules.get(job.kind.as_str())
            && let Err(error) = schedule
                .enqueue_next(
                    &shared.pool,
                    Some(job.lease),
                    shared.clock.database_override(),
                )
                .await
        {
            return Outcome::Backoff {
                error: format!("the next run could not be scheduled: {error}"),
            };
        }
        handler.run(job).await
    };
    let limit = handler.time_limit();
    let work = tokio::time::timeout(limit, AssertUnwindSafe(work).catch_unwind());
    tokio::select! {
        biased;
        result = work => Ran::Ended(match result {
            Ok(Ok(outcome)) => outcome,
            // What a panic says may hold a part of the payload.
            Ok(Err(_panic)) => Outcome::Backoff { error: "the handler panicked".to_owned() },
            Err(_elapsed) => Outcome::Backoff {
                error: format!("the time limit of {} s was over", limit.as_secs_f64()),
            },
        }),
        () = held.ended() => Ran::Lost,
        () = cut.cancelled() => Ran::Cut,
    }
}

/// Writes down how a run ended, and says whether that stands.
///
/// The lease is kept meanwhile. A database that is away is waited for, even beyond the end of the
/// lease: the statement changes nothing where another worker has claimed the job, and where none has,
/// it saves a second run. What the database refuses is tried until the lease ends.
async fn settle(shared: &Shared, job: &ClaimedJob, held: &Held, end: End) -> bool {
    let mut pause = PAUSES.0;
    let mut unsure = false;
    loop {
        let result = tokio::time::timeout(STATEMENT, write(shared, job, &end))
            .await
            .unwrap_or(Err(sqlx::Error::PoolTimedOut));
        match result {
            Ok(written) => {
                shared.settling().over();
                if !written && unsure {
                    // The answer to an earlier try may have been lost, and it may have counted.
                    debug!(
                        job = job.lease.id,
                        "the end of a run was written before, or its lease lost"
                    );
                } else if !written {
                    warn!(
                        job = job.lease.id,
                        "the lease on a job was lost before its end was written"
                    );
                }
                return written || unsure;
            }
            Err(error) if held.has_ended() && is_refusal(&error) => {
                error!(
                    job = job.lease.id,
                    error = &error as &dyn std::error::Error,
                    "the end of a run cannot be written: the job will be run again"
                );
                return false;
            }
            Err(error) => {
                unsure = true;
                shared.settling().failed(&error);
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(PAUSES.1);
            }
        }
    }
}

async fn write(shared: &Shared, job: &ClaimedJob, end: &End) -> sqlx::Result<bool> {
    let now = shared.clock.database_override();
    let mut conn = shared.pool.acquire().await?;
    match end {
        End::Done => jobs::finish_lazily(&mut conn, job.lease).await,
        End::Retry(due, error) => jobs::retry(&mut conn, job.lease, *due, error, now).await,
        End::Dead(error) => jobs::bury(&mut conn, job.lease, error, now).await,
        End::Return(delay) => jobs::release(&mut conn, job.lease, *delay, now).await,
    }
}

/// Whether the database is there and does not want the statement. Classes of SQLSTATE: 08 connection,
/// 53 resources, 57 intervention (shutdown, start, cancelled statement).
fn is_refusal(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|error| {
        error.code().is_none_or(|code| {
            !["08", "53", "57"]
                .iter()
                .any(|class| code.starts_with(class))
        })
    })
}

/// An error text that can be stored and logged: one line, not too long.
fn clean(error: &str) -> String {
    error
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(ERROR_LENGTH)
        .collect()
}
