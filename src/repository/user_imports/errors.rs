//! The table `user_import_errors`.

use sqlx::{FromRow, PgConnection};

use super::signed;
use crate::{
    domain::{id::ImportId, user_import::RowError},
    error::Result,
};

/// An error as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct ListedError {
    /// Where the row begins in the file, from 1.
    pub line: i64,
    /// Which of its errors it is, from 0.
    pub place: i16,
    /// In which column; none: with the row as a whole.
    pub column_name: Option<String>,
    /// What is wrong.
    pub reason: String,
}

/// Notes what is wrong with rows; errors of one row stand together.
///
/// # Errors
///
/// If the database fails.
pub async fn insert_errors(
    connection: &mut PgConnection,
    import_id: ImportId,
    errors: &[RowError],
) -> Result<()> {
    let mut places: Vec<i16> = Vec::with_capacity(errors.len());
    for (at, error) in errors.iter().enumerate() {
        let before = at.checked_sub(1).map(|at| (&errors[at], places[at]));
        places.push(match before {
            Some((before, place)) if before.line == error.line => place.saturating_add(1),
            _ => 0,
        });
    }
    let lines: Vec<i64> = errors.iter().map(|error| signed(error.line)).collect();
    let columns: Vec<Option<&str>> = errors.iter().map(|error| error.column).collect();
    let reasons: Vec<&str> = errors.iter().map(|error| &*error.reason).collect();
    sqlx::query(
        "insert into user_import_errors (import_id, line, place, column_name, reason) \
         select $1, line, place, column_name, left(reason, 500) \
         from unnest($2::bigint[], $3::smallint[], $4::text[], $5::text[]) \
           as e (line, place, column_name, reason)",
    )
    .bind(import_id)
    .bind(lines)
    .bind(places)
    .bind(columns)
    .bind(reasons)
    .execute(connection)
    .await?;
    Ok(())
}

/// What is wrong with rows, in the order of the file, what is behind `after` only, at most `limit`.
///
/// # Errors
///
/// If the database fails.
pub async fn list_errors(
    connection: &mut PgConnection,
    import_id: ImportId,
    after: Option<(i64, i16)>,
    limit: i64,
) -> Result<Vec<ListedError>> {
    let (line, place) = after.unwrap_or((0, 0));
    let errors = sqlx::query_as(
        "select line, place, column_name, reason from user_import_errors \
         where import_id = $1 and (line, place) > ($2, $3) order by line, place limit $4",
    )
    .bind(import_id)
    .bind(line)
    .bind(place)
    .bind(limit)
    .fetch_all(connection)
    .await?;
    Ok(errors)
}

/// Forgets what is wrong with rows.
///
/// # Errors
///
/// If the database fails.
pub async fn delete_errors(connection: &mut PgConnection, import_id: ImportId) -> Result<()> {
    sqlx::query("delete from user_import_errors where import_id = $1")
        .bind(import_id)
        .execute(connection)
        .await?;
    Ok(())
}
