//! What is done to many sessions at once.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::interval;
use crate::{domain::id::SessionId, error::Result};

/// How long sessions live.
#[derive(Debug, Clone, Copy)]
pub struct Lifetime {
    /// Without being used.
    pub idle: TimeDelta,
    /// In all.
    pub longest: TimeDelta,
}

/// Notes that sessions were used; those that live by a cookie live on. (Those of refresh tokens do
/// so by each exchange.)
///
/// # Errors
///
/// If the database fails.
///
/// # Concurrency
///
/// Passes over rows that others have locked: they are being used or ended.
pub async fn see(
    connection: &mut PgConnection,
    ids: &[SessionId],
    seen_at: DateTime<Utc>,
    lifetime: Lifetime,
) -> Result<()> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
    sqlx::query(
        "with seen as ( \
           select id from sessions where id = any($1) order by id for update skip locked \
         ) \
         update sessions s set last_seen_at = greatest(s.last_seen_at, $2), \
           expires_at = case when s.cookie_digest is null then s.expires_at \
             else greatest(s.expires_at, least($2 + $3, s.created_at + $4)) end \
         from seen where s.id = seen.id",
    )
    .bind(ids)
    .bind(seen_at)
    .bind(interval(lifetime.idle))
    .bind(interval(lifetime.longest))
    .execute(connection)
    .await?;
    Ok(())
}

/// Deletes sessions that have expired, at most `limit`: answers how many.
///
/// # Errors
///
/// If the database fails.
///
/// # Concurrency
///
/// Passes over rows that others have locked: who deletes many rows in an order of his own must not
/// wait for somebody who does the same.
pub async fn sweep(connection: &mut PgConnection, now: DateTime<Utc>, limit: i64) -> Result<u64> {
    let swept = sqlx::query(
        "delete from sessions where id in \
         (select id from sessions where expires_at <= $1 order by expires_at limit $2 for update skip locked)",
    )
    .bind(now)
    .bind(limit)
    .execute(connection)
    .await?;
    Ok(swept.rows_affected())
}
