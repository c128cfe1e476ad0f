//! Running: claim, keep the lease, and the ends of a run.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{FromRow, PgConnection};

use super::{JobKind, interval};

/// The right to run a job and to say how that ended, until somebody else claims the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, FromRow)]
pub struct Lease {
    /// The job.
    pub id: i64,
    /// The claim, counted since the job was enqueued.
    pub claims: i32,
}

/// A job that a worker has claimed and is to run.
#[derive(Clone, FromRow)]
pub struct ClaimedJob {
    /// The right to run it.
    #[sqlx(flatten)]
    pub lease: Lease,
    /// Names the handler.
    pub kind: String,
    /// What was enqueued with it.
    pub payload: Value,
    /// The sealed secret that was enqueued with it; `None` when there was none or it has expired
    /// and was wiped.
    pub sealed_secret: Option<Vec<u8>>,
    /// Whether jobs of its key may wait behind it.
    pub serial: bool,
    /// This run, counted from 1; more than `max_attempts` when earlier runs ended the process.
    pub attempts: i16,
    /// How many runs it may have.
    pub max_attempts: i16,
    /// When it was enqueued.
    pub created_at: DateTime<Utc>,
}

impl std::fmt::Debug for ClaimedJob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClaimedJob")
            .field("lease", &self.lease)
            .field("kind", &self.kind)
            .field("attempts", &self.attempts)
            .finish_non_exhaustive()
    }
}

/// When a job is to run again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// At this time.
    At(DateTime<Utc>),
    /// So long from now, by the database's clock.
    In(Duration),
}

/// Claims up to `limit` jobs that are due, those first that have been due longest, for the worker
/// named `worker`, for as long as `lease`. A job whose lease has ended is due again.
///
/// # Errors
///
/// The database's.
///
/// # Concurrency
///
/// Jobs that another transaction has locked are passed over. Only heads are claimed, so two
/// workers never run two jobs of one serial key.
pub async fn claim(
    conn: &mut PgConnection,
    limit: usize,
    worker: &str,
    lease: Duration,
    now: Option<DateTime<Utc>>,
) -> sqlx::Result<Vec<ClaimedJob>> {
    // The subquery for the time lets the index end the scan, which a volatile function would not. The
    // join by id, unlike `= any (array(..))`, gets a good plan also while the table looks empty; the
    // plan may be kept long after that.
    sqlx::query_as(
        "with clock as materialized (
            select coalesce($1, clock_timestamp()) as now
        ), due as (
            select id from jobs
            where dead_at is null and not blocked and run_at <= (select now from clock)
            order by run_at, id
            limit $2
            for no key update skip locked
        )
        update jobs set
            claims = claims + 1,
            attempts = attempts + 1,
            leased_by = $3,
            run_at = (select now from clock) + $4,
            dedupe_key = case when starts_with(dedupe_key, 'schedule:') then dedupe_key end
        from due where jobs.id = due.id
        returning jobs.id, claims, kind, payload, sealed_secret, serial_key is not null as serial,
            attempts, max_attempts, created_at",
    )
    .bind(now)
    .bind(i64::try_from(limit).unwrap_or(i64::MAX))
    .bind(worker)
    .bind(interval(lease))
    .fetch_all(conn)
    .await
}

/// The dedupe key of a recurring job. Other jobs lose theirs at the claim; this one stays, so that
/// there is at no time none, until it is [handed over](hand_over) to the job of the next slot.
#[must_use]
pub fn schedule_key(kind: JobKind) -> String {
    format!("schedule:{}", kind.name)
}

/// Takes the [`schedule_key`] from a running job. Enqueue the job of the next slot in the same
/// transaction.
///
/// # Errors
///
/// The database's.
pub async fn hand_over(conn: &mut PgConnection, lease: Lease) -> sqlx::Result<()> {
    sqlx::query(
        "update jobs set dedupe_key = null
        where id = $1 and claims = $2 and leased_by is not null
            and starts_with(dedupe_key, 'schedule:')",
    )
    .bind(lease.id)
    .bind(lease.claims)
    .execute(conn)
    .await?;
    Ok(())
}

/// Makes `leases` last for `duration` from now, and gives the ids of those that are still held.
///
/// # Errors
///
/// The database's.
///
/// # Concurrency
///
/// Never waits: a job whose row is locked is ending just now; its lease is left as it is and
/// reported as held.
pub async fn heartbeat(
    conn: &mut PgConnection,
    leases: &[Lease],
    duration: Duration,
    now: Option<DateTime<Utc>>,
) -> sqlx::Result<Vec<i64>> {
    let ids: Vec<i64> = leases.iter().map(|lease| lease.id).collect();
    let claims: Vec<i32> = leases.iter().map(|lease| lease.claims).collect();
    sqlx::query_scalar(
        "with lease as (
            select id, claims from unnest($1::bigint[], $2::integer[]) as lease (id, claims)
        ), free as (
            select jobs.id from jobs join lease on lease.id = jobs.id and lease.claims = jobs.claims
            where jobs.leased_by is not null
            for no key update of jobs skip locked
        ), kept as (
            update jobs set run_at = coalesce($3, clock_timestamp()) + $4
            from free where jobs.id = free.id
        )
        select jobs.id from jobs join lease on lease.id = jobs.id and lease.claims = jobs.claims
        where jobs.leased_by is not null",
    )
    .bind(ids)
    .bind(claims)
    .bind(now)
    .bind(interval(duration))
    .fetch_all(conn)
    .await
}

/// Ends a run: the job is done and its row is deleted, its secret with it. `false`: the lease was
/// lost, and nothing was changed.
///
/// # Errors
///
/// The database's.
///
/// # Concurrency
///
/// Waits for transactions that are [enqueuing](super::enqueue) behind it.
pub async fn finish(conn: &mut PgConnection, lease: Lease) -> sqlx::Result<bool> {
    let query = "delete from jobs where id = $1 and claims = $2 and leased_by is not null";
    delete(conn, lease, query).await
}

/// [Ends a run](finish) in a transaction of its own that doesn't wait for the disk: after a crash of
/// the database within the next second the job is run again.
///
/// # Errors
///
/// The database's.
///
/// # Concurrency
///
/// As of [`finish`].
pub async fn finish_lazily(conn: &mut PgConnection, lease: Lease) -> sqlx::Result<bool> {
    let query = "delete from jobs where id = $1 and claims = $2 and leased_by is not null
        and set_config('synchronous_commit', 'off', true) is not null";
    delete(conn, lease, query).await
}

async fn delete(conn: &mut PgConnection, lease: Lease, query: &'static str) -> sqlx::Result<bool> {
    let result = sqlx::query(query)
        .bind(lease.id)
        .bind(lease.claims)
        .execute(conn)
        .await?;
    Ok(result.rows_affected() == 1)
}

/// Ends a run that failed: the job waits until `due`. `false`: the lease was lost, and nothing was
/// changed.
///
/// `error` tells an operator why, in at most 1,000 characters, without secrets and addresses.
///
/// # Errors
///
/// The database's.
pub async fn retry(
    conn: &mut PgConnection,
    lease: Lease,
    due: Due,
    error: &str,
    now: Option<DateTime<Utc>>,
) -> sqlx::Result<bool> {
    let (at, delay) = match due {
        Due::At(at) => (Some(at), Duration::ZERO),
        Due::In(delay) => (None, delay),
    };
    let result = sqlx::query(
        "update jobs set
            leased_by = null,
            run_at = coalesce($3, coalesce($5, clock_timestamp()) + $4),
            last_error = $6
        where id = $1 and claims = $2 and leased_by is not null",
    )
    .bind(lease.id)
    .bind(lease.claims)
    .bind(at)
    .bind(interval(delay))
    .bind(now)
    .bind(error)
    .execute(conn)
    .await?;
    Ok(result.rows_affected() == 1)
}

/// Gives a job back that was not run, or not to its end, through no fault of its own: due after
/// `delay`, and the run is not counted. `false`: the lease was lost, and nothing was changed.
///
/// # Errors
///
/// The database's.
pub async fn release(
    conn: &mut PgConnection,
    lease: Lease,
    delay: Duration,
    now: Option<DateTime<Utc>>,
) -> sqlx::Result<bool> {
    let result = sqlx::query(
        "update jobs set
            leased_by = null,
            run_at = coalesce($4, clock_timestamp()) + $3,
            attempts = greatest(attempts - 1, 0)
        where id = $1 and claims = $2 and leased_by is not null",
    )
    .bind(lease.id)
    .bind(lease.claims)
    .bind(interval(delay))
    .bind(now)
    .execute(conn)
    .await?;
    Ok(result.rows_affected() == 1)
}

/// Ends a run after which there shall be no other: the job is dead. `false`: the lease was lost,
/// and nothing was changed.
///
/// `error` as for [`retry`]. A sealed secret stays until it expires, so that the job can be
/// revived.
///
/// # Errors
///
/// The database's.
///
/// # Concurrency
///
/// Like [`finish`], waits for transactions that are enqueuing behind it.
pub async fn bury(
    conn: &mut PgConnection,
    lease: Lease,
    error: &str,
    now: Option<DateTime<Utc>>,
) -> sqlx::Result<bool> {
    // A mere update would not wait for those who are enqueuing behind it, nor make them wait.
    let result = sqlx::query(
        "with locked as (
            select id from jobs where id = $1 and claims = $2 and leased_by is not null for update
        )
        update jobs set
            leased_by = null,
            dead_at = coalesce($3, clock_timestamp()),
            dedupe_key = null,
            last_error = $4
        from locked where jobs.id = locked.id",
    )
    .bind(lease.id)
    .bind(lease.claims)
    .bind(now)
    .bind(error)
    .execute(conn)
    .await?;
    Ok(result.rows_affected() == 1)
}
