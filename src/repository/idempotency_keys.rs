//! The table `idempotency_keys`: requests that a client may send again.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{FromRow, PgConnection};

use crate::{
    domain::{
        id::UserId,
        idempotency::{LEASE, LIFETIME},
    },
    error::Result,
};

/// The right to run a request. It ends when another request takes it over, after [`LEASE`].
#[derive(Debug, Clone)]
pub struct Claim {
    scope: [u8; 32],
    running_until: DateTime<Utc>,
}

/// What became of an attempt to claim a key.
#[derive(Debug)]
pub enum Claimed {
    /// Nobody has answered the request: run it.
    Run(Claim),
    /// It was answered so.
    Answered(Value),
    /// It runs.
    Running,
    /// The key was used with another body.
    OtherRequest,
}

/// Claims a key, unless its request runs or was answered. A statement of its own, committed before the
/// work begins.
///
/// # Errors
///
/// If the database fails.
///
/// # Concurrency
///
/// Held by `idempotency_keys_pkey`: of any number of claims at once, on any number of instances, one
/// runs the request. Waits for a transaction that is about to commit the answer, and then finds it.
pub async fn claim(
    connection: &mut PgConnection,
    scope: [u8; 32],
    request_digest: [u8; 32],
    now_override: Option<DateTime<Utc>>,
) -> Result<Claimed> {
    let running_until: Option<DateTime<Utc>> = sqlx::query_scalar(
        "with clock as (select coalesce($3, clock_timestamp()) as now) \
         insert into idempotency_keys as k (scope, request_digest, running_until, created_at, expires_at) \
         select $1, $2, now + $4 * interval '1 second', now, now + $5 * interval '1 second' from clock \
         on conflict on constraint idempotency_keys_pkey do update set \
           request_digest = excluded.request_digest, running_until = excluded.running_until, \
           result = null, user_id = null, created_at = excluded.created_at, expires_at = excluded.expires_at \
         where k.expires_at <= excluded.created_at \
           or (k.running_until <= excluded.created_at and k.request_digest = excluded.request_digest) \
         returning running_until",
    )
    .bind(scope.as_slice())
    .bind(request_digest.as_slice())
    .bind(now_override)
    .bind(LEASE.num_seconds())
    .bind(LIFETIME.num_seconds())
    .fetch_optional(&mut *connection)
    .await?;
    match running_until {
        Some(running_until) => Ok(Claimed::Run(Claim {
            scope,
            running_until,
        })),
        None => find(connection, scope, request_digest).await,
    }
}

/// What is known of a key that can't be claimed.
async fn find(
    connection: &mut PgConnection,
    scope: [u8; 32],
    request_digest: [u8; 32],
) -> Result<Claimed> {
    #[derive(FromRow)]
    struct Row {
        is_same: bool,
        result: Option<Value>,
    }
    let row: Option<Row> = sqlx::query_as(
        "select request_digest = $2 as is_same, result from idempotency_keys where scope = $1",
    )
    .bind(scope.as_slice())
    .bind(request_digest.as_slice())
    .fetch_optional(connection)
    .await?;
    Ok(match row {
        Some(row) if !row.is_same => Claimed::OtherRequest,
        Some(Row {
            result: Some(result),
            ..
        }) => Claimed::Answered(result),
        // Where there is no row any more, it ran until just now, and was given up.
        Some(_) | None => Claimed::Running,
    })
}

/// Stores what a request is answered, in the transaction of its work: answers whether the claim still
/// held. If it didn't, the transaction must not be committed.
///
/// # Errors
///
/// If the database fails.
///
/// # Concurrency
///
/// From here on, claims of the key wait until the transaction ends: do it last.
pub async fn finish(
    connection: &mut PgConnection,
    claim: &Claim,
    result: &Value,
    user_id: Option<UserId>,
) -> Result<bool> {
    let finished = sqlx::query(
        "update idempotency_keys set running_until = null, result = $3, user_id = $4 \
         where scope = $1 and running_until = $2",
    )
    .bind(claim.scope.as_slice())
    .bind(claim.running_until)
    .bind(result)
    .bind(user_id)
    .execute(connection)
    .await?;
    Ok(finished.rows_affected() == 1)
}

/// Gives a claim up, so that the request can be run again at once: answers whether it still held.
///
/// # Errors
///
/// If the database fails.
///
/// # Concurrency
///
/// Waits for a transaction that stores the answer, and leaves it alone once that is committed.
pub async fn release(connection: &mut PgConnection, claim: &Claim) -> Result<bool> {
    let released =
        sqlx::query("delete from idempotency_keys where scope = $1 and running_until = $2")
            .bind(claim.scope.as_slice())
            .bind(claim.running_until)
            .execute(connection)
            .await?;
    Ok(released.rows_affected() == 1)
}

/// Deletes keys that have expired, at most `limit`: answers how many.
///
/// # Errors
///
/// If the database fails.
///
/// # Concurrency
///
/// Passes over rows that others have locked.
pub async fn sweep(
    connection: &mut PgConnection,
    now_override: Option<DateTime<Utc>>,
    limit: i64,
) -> Result<u64> {
    let swept = sqlx::query(
        "delete from idempotency_keys where scope in \
         (select scope from idempotency_keys where expires_at <= coalesce($1, clock_timestamp()) \
          order by expires_at limit $2 for update skip locked)",
    )
    .bind(now_override)
    .bind(limit)
    .execute(connection)
    .await?;
    Ok(swept.rows_affected())
}
