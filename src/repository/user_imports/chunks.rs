//! The table `user_import_chunks`.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::signed;
use crate::{domain::id::ImportId, error::Result};

/// Keeps a piece of a file that begins at `offset`, and notes that `size` bytes have come with it.
/// Answers whether the upload is still wanted.
///
/// # Errors
///
/// If the database fails.
pub async fn add_chunk(
    connection: &mut PgConnection,
    import_id: ImportId,
    offset: u64,
    sealed: &[u8],
    size: u64,
    now: DateTime<Utc>,
) -> Result<bool> {
    let added = sqlx::query(
        "with import as ( \
           update user_imports set file_size = $4, updated_at = $5 where id = $1 and state = 'uploading' \
           returning id \
         ) \
         insert into user_import_chunks (import_id, byte_offset, sealed) select id, $2, $3 from import",
    )
    .bind(import_id)
    .bind(signed(offset))
    .bind(sealed)
    .bind(signed(size))
    .bind(now)
    .execute(connection)
    .await?;
    Ok(added.rows_affected() == 1)
}

/// The piece in which `offset` lies, or the last one, and where it begins.
///
/// # Errors
///
/// If the database fails.
pub async fn find_chunk(
    connection: &mut PgConnection,
    import_id: ImportId,
    offset: u64,
) -> Result<Option<(u64, Vec<u8>)>> {
    let chunk: Option<(i64, Vec<u8>)> = sqlx::query_as(
        "select byte_offset, sealed from user_import_chunks where import_id = $1 and byte_offset <= $2 \
         order by byte_offset desc limit 1",
    )
    .bind(import_id)
    .bind(signed(offset))
    .fetch_optional(connection)
    .await?;
    Ok(chunk.map(|(offset, sealed)| (super::unsigned(offset), sealed)))
}

/// Forgets an import whose file is still coming, and what has come of it.
///
/// # Errors
///
/// If the database fails.
pub async fn delete_upload(connection: &mut PgConnection, import_id: ImportId) -> Result<()> {
    sqlx::query("delete from user_imports where id = $1 and state = 'uploading'")
        .bind(import_id)
        .execute(connection)
        .await?;
    Ok(())
}

/// Deletes the file of an import.
///
/// # Errors
///
/// If the database fails.
pub async fn delete_chunks(connection: &mut PgConnection, import_id: ImportId) -> Result<()> {
    sqlx::query("delete from user_import_chunks where import_id = $1")
        .bind(import_id)
        .execute(connection)
        .await?;
    Ok(())
}
