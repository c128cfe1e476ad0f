//! What operators and upkeep do: look at the queue, revive the dead, sweep.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgConnection};

/// A job that was given up.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct DeadJob {
    /// The job.
    pub id: i64,
    /// Names the handler.
    pub kind: String,
    /// How often it was run.
    pub attempts: i16,
    /// Why the last run failed.
    pub last_error: Option<String>,
    /// When it was enqueued.
    pub created_at: DateTime<Utc>,
    /// When it was given up.
    pub dead_at: DateTime<Utc>,
    /// Its secret has expired and was wiped, so a revived job will probably fail again.
    pub secret_wiped: bool,
}

/// How many jobs there are.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Counts {
    /// Jobs that wait for their time, for a worker, or behind another of their serial key.
    pub waiting: u64,
    /// Jobs that a worker has claimed.
    pub running: u64,
    /// Jobs that were given up.
    pub dead: u64,
    /// For how long the longest waiting job has been due and could have run; `None`: none is due.
    pub overdue: Option<Duration>,
}

/// Up to `limit` dead jobs, the last to die first.
///
/// # Errors
///
/// The database's.
pub async fn list_dead(conn: &mut PgConnection, limit: u32) -> sqlx::Result<Vec<DeadJob>> {
    sqlx::query_as(
        "select id, kind, attempts, last_error, created_at, dead_at,
            sealed_secret is null and secret_expires_at is not null as secret_wiped
        from jobs where dead_at is not null
        order by dead_at desc, id desc limit $1",
    )
    .bind(i64::from(limit))
    .fetch_all(conn)
    .await
}

/// Makes a dead job wait again, due now and with all its attempts; `false`: there is no such dead
/// job. Within its serial key it stands where its id says, but behind the present head.
///
/// # Errors
///
/// The database's; very rarely a violation of `jobs_serial_head_key`, where another job of the same
/// serial key was enqueued at that moment: try again.
pub async fn revive(
    conn: &mut PgConnection,
    id: i64,
    now: Option<DateTime<Utc>>,
) -> sqlx::Result<bool> {
    let result = sqlx::query(
        "with head as (
            select id from jobs
            where serial_key = (select serial_key from jobs where id = $1)
                and dead_at is null and not blocked
            for key share
        )
        update jobs set
            dead_at = null,
            attempts = 0,
            run_at = coalesce($2, clock_timestamp()),
            blocked = exists (select from head)
        where id = $1 and dead_at is not null",
    )
    .bind(id)
    .bind(now)
    .execute(conn)
    .await?;
    Ok(result.rows_affected() == 1)
}

/// How many jobs there are. Reads the whole table: for metrics and for people, not for each request.
///
/// # Errors
///
/// The database's.
pub async fn counts(conn: &mut PgConnection, now: Option<DateTime<Utc>>) -> sqlx::Result<Counts> {
    let (waiting, running, dead, overdue): (i64, i64, i64, Option<f64>) = sqlx::query_as(
        "with clock as materialized (
            select coalesce($1, clock_timestamp()) as now
        )
        select
            count(*) filter (where leased_by is null and dead_at is null),
            count(*) filter (where leased_by is not null),
            count(*) filter (where dead_at is not null),
            extract(epoch from (select now from clock) - min(run_at) filter (
                where leased_by is null and dead_at is null and not blocked
                    and run_at <= (select now from clock)
            ))::float8
        from jobs",
    )
    .bind(now)
    .fetch_one(conn)
    .await?;
    Ok(Counts {
        waiting: u64::try_from(waiting).unwrap_or(0),
        running: u64::try_from(running).unwrap_or(0),
        dead: u64::try_from(dead).unwrap_or(0),
        overdue: overdue.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
    })
}

/// Wipes the secrets that have expired, of waiting and of dead jobs, and says how many.
///
/// # Errors
///
/// The database's.
pub async fn wipe_expired_secrets(
    conn: &mut PgConnection,
    now: Option<DateTime<Utc>>,
) -> sqlx::Result<u64> {
    let result = sqlx::query(
        "update jobs set sealed_secret = null
        where sealed_secret is not null
            and secret_expires_at <= (select coalesce($1, clock_timestamp()))",
    )
    .bind(now)
    .execute(conn)
    .await?;
    Ok(result.rows_affected())
}

/// Deletes the jobs that died before `time`, and says how many.
///
/// # Errors
///
/// The database's.
pub async fn delete_dead_before(conn: &mut PgConnection, time: DateTime<Utc>) -> sqlx::Result<u64> {
    let result = sqlx::query("delete from jobs where dead_at < $1")
        .bind(time)
        .execute(conn)
        .await?;
    Ok(result.rows_affected())
}
