//! Who works on an import, and how its row ends.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::signed;
use crate::{
    domain::{id::ImportId, user_import::FilePlace},
    error::Result,
};

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
    sqlx::query("select set_config('idle_in_transaction_session_timeout', '0', true)")
        .execute(connection)
        .await?;
    Ok(())
}

/// Lets the transaction count users where nobody else does: nobody waits for its end.
///
/// # Errors
///
/// If the database fails.
pub async fn count_apart(connection: &mut PgConnection) -> Result<()> {
    sqlx::query("select set_config('user_management.takes_long', 'on', true)")
        .execute(connection)
        .await?;
    Ok(())
}

/// Lets those wait who [`await_batch`] that begins there, until the transaction ends.
///
/// # Errors
///
/// If the database fails.
pub async fn begin_batch(
    connection: &mut PgConnection,
    id: ImportId,
    from: FilePlace,
) -> Result<()> {
    lock_batch(connection, id, from).await
}

/// Waits for the end of the transaction that writes the batch which begins there.
///
/// # Errors
///
/// If the database fails.
///
/// # Concurrency
///
/// A lock of the database: where that transaction waits for this one too, one of them fails.
pub async fn await_batch(
    connection: &mut PgConnection,
    id: ImportId,
    from: FilePlace,
) -> Result<()> {
    // It takes as long as that one, whose own statements have their limits.
    sqlx::query("set local statement_timeout = 0")
        .execute(&mut *connection)
        .await?;
    lock_batch(connection, id, from).await?;
    sqlx::query("set local statement_timeout to default")
        .execute(connection)
        .await?;
    Ok(())
}

async fn lock_batch(connection: &mut PgConnection, id: ImportId, from: FilePlace) -> Result<()> {
    sqlx::query("select pg_advisory_xact_lock(hashtextextended('user_imports/' || $1::text, $2))")
        .bind(id)
        .bind(signed(from.offset))
        .execute(connection)
        .await?;
    Ok(())
}

/// Ends imports of uploaded files for which there is no job of this kind that will run, and forgets their
/// files: answers which.
///
/// # Errors
///
/// If the database fails.
pub async fn end_forsaken(
    connection: &mut PgConnection,
    job_kind: &str,
    failure: &str,
    now: DateTime<Utc>,
) -> Result<Vec<ImportId>> {
    let ended = sqlx::query_scalar(
        "with ended as ( \
           update user_imports set state = 'failed', failure = $2, updated_at = $3 \
           where is_upload and state = 'running' and not exists ( \
             select 1 from jobs where kind = $1 and dead_at is null \
               and payload ->> 'import_id' = user_imports.id::text) \
           returning id \
         ), forgotten as ( \
           delete from user_import_chunks where import_id in (select id from ended) \
         ) \
         select id from ended",
    )
    .bind(job_kind)
    .bind(failure)
    .bind(now)
    .fetch_all(connection)
    .await?;
    Ok(ended)
}

/// Deletes errors of imports that [`sweep`] deletes, at most `limit`: answers how many. Before it, since with
/// an import all go at once.
///
/// # Errors
///
/// If the database fails.
pub async fn sweep_errors(
    connection: &mut PgConnection,
    before: DateTime<Utc>,
    limit: i64,
) -> Result<u64> {
    let swept = sqlx::query(
        "delete from user_import_errors where ctid = any(array( \
           select e.ctid from user_imports i join user_import_errors e on e.import_id = i.id \
           where i.updated_at <= $1 limit $2))",
    )
    .bind(before)
    .bind(limit)
    .execute(connection)
    .await?;
    Ok(swept.rows_affected())
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
