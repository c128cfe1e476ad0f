//! Who works on an import, and how its row ends.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::error::Result;

/// Makes this connection the one that works on a file, until it is closed; answers whether no other one
/// does.
///
/// # Errors
///
/// If the database fails.
///
/// # Concurrency
///
/// An advisory lock of the session: when its process is killed, the database ends it.
pub async fn try_lock(connection: &mut PgConnection, file_digest: &[u8; 32]) -> Result<bool> {
    /// "imp" in ASCII: a space of numbers that no other lock of ours uses.
    const IMPORTS: i32 = 0x69_6d_70;
    let [a, b, c, d, ..] = *file_digest;
    let locked = sqlx::query_scalar("select pg_try_advisory_lock($1, $2)")
        .bind(IMPORTS)
        .bind(i32::from_be_bytes([a, b, c, d]))
        .fetch_one(connection)
        .await?;
    Ok(locked)
}

/// Lets the transaction stand idle for as long as it takes.
///
/// # Errors
///
/// If the database fails.
pub async fn allow_pauses(connection: &mut PgConnection) -> Result<()> {
    sqlx::query("set local idle_in_transaction_session_timeout = 0")
        .execute(connection)
        .await?;
    Ok(())
}

/// Deletes imports that ended, or got no further, at `before` or earlier, and uploads that stopped coming
/// at `uploads_before` or earlier, at most `limit`: answers how many.
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
    before: DateTime<Utc>,
    uploads_before: DateTime<Utc>,
    limit: i64,
) -> Result<u64> {
    let swept = sqlx::query(
        "delete from user_imports where id in ( \
           select id from user_imports where updated_at <= $1 \
             or (state = 'uploading' and updated_at <= $2) \
           order by updated_at limit $3 for update skip locked)",
    )
    .bind(before)
    .bind(uploads_before)
    .bind(limit)
    .execute(connection)
    .await?;
    Ok(swept.rows_affected())
}
