//! The table `jobs`: durable jobs, from enqueuing to their end.
//!
//! A job is *waiting* until its time `run_at` comes, *running* while a worker holds a lease on it,
//! and *dead* when it was given up; a job that is done has no row. Jobs of one serial key run one
//! at a time in the order of their ids: the oldest that is not dead is the key's *head*, the others
//! are `blocked` until a trigger makes them head, so that a claim never looks at them.
//!
//! Each function that needs the time takes `now`: `None` for the database's clock, a time only in
//! tests (see [`Clock::database_override`](crate::infra::clock::Clock::database_override)).
//!
//! # Concurrency
//!
//! A claim counts `claims` up, and heartbeat and end name the number that they hold ([`Lease`]): a
//! worker that was paused until its lease ended touches nothing of its successor's run.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{PgConnection, postgres::types::PgInterval};

mod dead;
mod run;

pub use dead::{
    Counts, DeadJob, counts, delete_dead_before, list_dead, revive, wipe_expired_secrets,
};
pub use run::{
    ClaimedJob, Due, Lease, bury, claim, finish, finish_lazily, hand_over, heartbeat, release,
    retry, schedule_key,
};

/// The channel on which workers hear that there may be jobs.
pub const CHANNEL: &str = "jobs";

/// A kind of job: whoever enqueues one and the handler that runs it name the same constant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JobKind {
    /// Names the handler; at most 100 characters. Stored, so never change one that is in use.
    pub name: &'static str,
    /// After so many failed runs the job is dead; 1 to 1,000.
    pub max_attempts: i16,
}

/// A job to be enqueued.
#[derive(Clone)]
pub struct NewJob {
    /// What is to be done.
    pub kind: JobKind,
    /// What the handler needs to know: a JSON object, without secrets.
    pub payload: Value,
    /// What must not lie in the database in clear.
    pub secret: Option<SealedSecret>,
    /// Jobs of one key run one at a time in the order of enqueuing; at most 200 characters. One
    /// that is to be retried later holds up those behind it; one that is dead does not.
    pub serial_key: Option<String>,
    /// While a job of this key waits for its first run, no second one is enqueued; at most 200
    /// characters.
    pub dedupe_key: Option<String>,
    /// When it is due; `None`: now.
    pub run_at: Option<DateTime<Utc>>,
}

/// A secret, sealed by a [`Sealer`](crate::infra::sealer::Sealer).
#[derive(Clone)]
pub struct SealedSecret {
    /// The sealed bytes.
    pub bytes: Vec<u8>,
    /// When the secret is worthless, so that it is wiped from a job that still waits or is dead.
    pub expires_at: DateTime<Utc>,
}

impl NewJob {
    /// A job that is due now, with no secret and no keys.
    #[must_use]
    pub fn new(kind: JobKind, payload: Value) -> Self {
        Self {
            kind,
            payload,
            secret: None,
            serial_key: None,
            dedupe_key: None,
            run_at: None,
        }
    }
}

impl std::fmt::Debug for NewJob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewJob")
            .field("kind", &self.kind.name)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for SealedSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SealedSecret").finish_non_exhaustive()
    }
}

/// Enqueues a job in the caller's transaction and gives its id, or `None` where a job of the same
/// dedupe key is waiting. Wake the worker after the commit.
///
/// # Errors
///
/// The database's. A key or kind that is too long or a payload that is no object breaks a check
/// constraint.
///
/// # Concurrency
///
/// Behind a head, the head is locked (`for key share`) until the caller's end: it can run and be
/// retried meanwhile, and others can enqueue behind it, but it cannot end, so that the newcomer
/// cannot be left without one to free it. Where another transaction has enqueued the first job of
/// the same serial or dedupe key and not ended yet, this waits for its end. So enqueue late in a
/// transaction, and keep transactions that enqueue short.
pub async fn enqueue(
    conn: &mut PgConnection,
    job: &NewJob,
    now: Option<DateTime<Utc>>,
) -> sqlx::Result<Option<i64>> {
    loop {
        let inserted = sqlx::query_scalar(
            "with head as (
                select id from jobs
                where serial_key = $5 and dead_at is null and not blocked
                for key share
            ), clock as materialized (
                select coalesce($9, clock_timestamp()) as now
            )
            insert into jobs (
                kind, payload, sealed_secret, secret_expires_at, serial_key, dedupe_key, run_at,
                max_attempts, blocked, created_at
            )
            select $1, $2, $3, $4, $5, $6, coalesce($7, now), $8, exists (select from head), now
            from clock
            on conflict do nothing
            returning id",
        )
        .bind(job.kind.name)
        .bind(&job.payload)
        .bind(job.secret.as_ref().map(|secret| &secret.bytes))
        .bind(job.secret.as_ref().map(|secret| secret.expires_at))
        .bind(&job.serial_key)
        .bind(&job.dedupe_key)
        .bind(job.run_at)
        .bind(job.kind.max_attempts)
        .bind(now)
        .fetch_optional(&mut *conn)
        .await?;
        if inserted.is_some() {
            return Ok(inserted);
        }
        let duplicate: bool =
            sqlx::query_scalar("select exists (select from jobs where dedupe_key = $1)")
                .bind(&job.dedupe_key)
                .fetch_one(&mut *conn)
                .await?;
        if duplicate {
            return Ok(None);
        }
        // The row in the way was another head of the serial key, or a duplicate that has been
        // claimed since: the next statement sees what is there now.
    }
}

/// Enqueues jobs in the caller's transaction; keys are not looked at. Wake the worker after the commit.
///
/// # Errors
///
/// The database's.
pub async fn enqueue_all(
    conn: &mut PgConnection,
    jobs: &[NewJob],
    now: Option<DateTime<Utc>>,
) -> sqlx::Result<()> {
    let secret = |job: &NewJob| job.secret.clone().map(|secret| secret.bytes);
    let expiry = |job: &NewJob| job.secret.as_ref().map(|secret| secret.expires_at);
    sqlx::query(
        "insert into jobs (kind, payload, sealed_secret, secret_expires_at, max_attempts, run_at, created_at)
        select job.kind, job.payload, job.sealed_secret, job.secret_expires_at, job.max_attempts,
            coalesce(job.run_at, now), now
        from (select coalesce($7, clock_timestamp()) as now) as clock,
            unnest($1::text[], $2::jsonb[], $3::bytea[], $4::timestamptz[], $5::smallint[], $6::timestamptz[])
                as job (kind, payload, sealed_secret, secret_expires_at, max_attempts, run_at)",
    )
    .bind(jobs.iter().map(|job| job.kind.name).collect::<Vec<_>>())
    .bind(jobs.iter().map(|job| job.payload.clone()).collect::<Vec<_>>())
    .bind(jobs.iter().map(secret).collect::<Vec<_>>())
    .bind(jobs.iter().map(expiry).collect::<Vec<_>>())
    .bind(jobs.iter().map(|job| job.kind.max_attempts).collect::<Vec<_>>())
    .bind(jobs.iter().map(|job| job.run_at).collect::<Vec<_>>())
    .bind(now)
    .execute(conn)
    .await?;
    Ok(())
}

/// Tells the workers that listen that there may be jobs.
///
/// # Concurrency
///
/// `notify` takes a lock of the whole database at commit: call it outside a transaction that others
/// wait for, and seldom.
///
/// # Errors
///
/// The database's.
pub async fn announce(conn: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query("select pg_notify($1, '')")
        .bind(CHANNEL)
        .execute(conn)
        .await?;
    Ok(())
}

/// The time that the functions of this module go by.
///
/// # Errors
///
/// The database's.
pub async fn database_time(
    conn: &mut PgConnection,
    now: Option<DateTime<Utc>>,
) -> sqlx::Result<DateTime<Utc>> {
    sqlx::query_scalar("select coalesce($1, clock_timestamp())")
        .bind(now)
        .fetch_one(conn)
        .await
}

/// `duration` for a parameter of type `interval`, in whole microseconds.
fn interval(duration: Duration) -> PgInterval {
    PgInterval {
        months: 0,
        days: 0,
        microseconds: i64::try_from(duration.as_micros()).unwrap_or(i64::MAX),
    }
}
