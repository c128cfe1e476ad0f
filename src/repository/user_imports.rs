//! The table `user_imports`; beside, `chunks.rs` has the files that were uploaded, `errors.rs` what was
//! wrong with rows, and `upkeep.rs` who works on an import and how its row ends.

mod chunks;
mod errors;
mod upkeep;

use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgConnection};
use uuid::Uuid;

use crate::{
    domain::{
        audit::ActorKind,
        id::{ImportId, RequestId, SessionId, UserId},
        user_import::{
            FilePlace, Format, ImportCounts, ImportOptions, ImportState, ImportedBy, OnConflict,
            UserImport,
        },
    },
    error::{Error, Result},
};

pub use chunks::{add_chunk, delete_chunks, delete_upload, find_chunk};
pub use errors::{ListedError, delete_errors, insert_errors, list_errors};
pub use upkeep::{
    allow_pauses, await_batch, begin_batch, count_apart, end_forsaken, sweep, sweep_errors,
    try_lock,
};

/// The columns of [`Row`].
macro_rules! columns {
    () => {
        "id, actor_kind, actor_id, actor_session, actor_name, request_id, client_address, device, format, \
         on_conflict, is_dry_run, is_atomic, invites, is_upload, file_digest, file_size, state, failure, \
         byte_offset, line, rows_created, rows_updated, rows_skipped, rows_rejected, created_at, updated_at"
    };
}

#[derive(FromRow)]
struct Row {
    id: ImportId,
    actor_kind: String,
    actor_id: Option<UserId>,
    actor_session: Option<SessionId>,
    actor_name: Option<String>,
    request_id: Uuid,
    client_address: Option<String>,
    device: Option<String>,
    format: String,
    on_conflict: String,
    is_dry_run: bool,
    is_atomic: bool,
    invites: bool,
    is_upload: bool,
    file_digest: Option<Vec<u8>>,
    file_size: i64,
    state: String,
    failure: Option<String>,
    byte_offset: i64,
    line: i64,
    rows_created: i64,
    rows_updated: i64,
    rows_skipped: i64,
    rows_rejected: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

fn unknown(what: &str) -> Error {
    anyhow::anyhow!("the database has {what} of an import that is none of ours").into()
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

impl TryFrom<Row> for (UserImport, ImportedBy) {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let digest = row.file_digest.map(<[u8; 32]>::try_from).transpose();
        let state = ImportState::named(&row.state).ok_or_else(|| unknown("a state"))?;
        let counts = ImportCounts {
            created: unsigned(row.rows_created),
            updated: unsigned(row.rows_updated),
            skipped: unsigned(row.rows_skipped),
            rejected: unsigned(row.rows_rejected),
            undone: 0,
        };
        let import = UserImport {
            id: row.id,
            options: ImportOptions {
                format: Format::named(&row.format).ok_or_else(|| unknown("a format"))?,
                on_conflict: OnConflict::named(&row.on_conflict)
                    .ok_or_else(|| unknown("a choice"))?,
                dry_run: row.is_dry_run,
                atomic: row.is_atomic,
                invite: row.invites,
            },
            is_upload: row.is_upload,
            file_digest: digest.map_err(|_| unknown("a digest"))?,
            file_size: unsigned(row.file_size),
            state,
            failure: row.failure,
            place: FilePlace {
                offset: unsigned(row.byte_offset),
                line: unsigned(row.line),
            },
            counts: match row.is_atomic && state == ImportState::Failed {
                // What is stored is what became of rows before.
                true => counts.undone(),
                false => counts,
            },
            created_at: row.created_at,
            updated_at: row.updated_at,
        };
        let by = ImportedBy {
            actor: ActorKind::named(&row.actor_kind).ok_or_else(|| unknown("an actor"))?,
            user: row.actor_id.zip(row.actor_session),
            account: row.actor_name,
            request_id: RequestId(row.request_id),
            client_address: row.client_address.and_then(|address| address.parse().ok()),
            device: row.device,
        };
        Ok((import, by))
    }
}

/// Stores an import that begins.
///
/// # Errors
///
/// If the database fails.
pub async fn insert(
    connection: &mut PgConnection,
    import: &UserImport,
    by: &ImportedBy,
) -> Result<()> {
    let (user, session) = by.user.unzip();
    sqlx::query(
        "insert into user_imports (id, actor_kind, actor_id, actor_session, actor_name, request_id, \
         client_address, device, format, on_conflict, is_dry_run, is_atomic, invites, is_upload, file_digest, \
         file_size, state, created_at, updated_at) \
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)",
    )
    .bind(import.id)
    .bind(by.actor.as_str())
    .bind(user)
    .bind(session)
    .bind(&by.account)
    .bind(by.request_id.0)
    .bind(by.client_address.map(|address| address.to_string()))
    .bind(&by.device)
    .bind(import.options.format.as_str())
    .bind(import.options.on_conflict.as_str())
    .bind(import.options.dry_run)
    .bind(import.options.atomic)
    .bind(import.options.invite)
    .bind(import.is_upload)
    .bind(import.file_digest.map(|digest| digest.to_vec()))
    .bind(signed(import.file_size))
    .bind(import.state.as_str())
    .bind(import.created_at)
    .bind(import.updated_at)
    .execute(connection)
    .await?;
    Ok(())
}

/// The import of this id, and who asked for it.
///
/// # Errors
///
/// If the database fails.
pub async fn find(
    connection: &mut PgConnection,
    id: ImportId,
) -> Result<Option<(UserImport, ImportedBy)>> {
    let row: Option<Row> = sqlx::query_as(concat!(
        "select ",
        columns!(),
        " from user_imports where id = $1"
    ))
    .bind(id)
    .fetch_optional(connection)
    .await?;
    row.map(TryFrom::try_from).transpose()
}

/// The latest import of this file by these options.
///
/// # Errors
///
/// If the database fails.
pub async fn find_of_file(
    connection: &mut PgConnection,
    file_digest: &[u8; 32],
    is_upload: bool,
    options: ImportOptions,
) -> Result<Option<UserImport>> {
    let row: Option<Row> = sqlx::query_as(concat!(
        "select ",
        columns!(),
        " from user_imports where file_digest = $1 and is_upload = $2 and format = $3 and on_conflict = $4 \
         and is_dry_run = $5 and is_atomic = $6 and invites = $7 order by created_at desc, id desc limit 1"
    ))
    .bind(file_digest.as_slice())
    .bind(is_upload)
    .bind(options.format.as_str())
    .bind(options.on_conflict.as_str())
    .bind(options.dry_run)
    .bind(options.atomic)
    .bind(options.invite)
    .fetch_optional(connection)
    .await?;
    let found = row.map(<(UserImport, ImportedBy)>::try_from).transpose()?;
    Ok(found.map(|(import, _)| import))
}

/// Whether an import of this file at the command line, by whatever options, hasn't come to its end.
///
/// # Errors
///
/// If the database fails.
pub async fn is_broken_off(connection: &mut PgConnection, file_digest: &[u8; 32]) -> Result<bool> {
    let is_broken_off = sqlx::query_scalar(
        "select exists (select from user_imports where file_digest = $1 and not is_upload and state = 'running')",
    )
    .bind(file_digest.as_slice())
    .fetch_one(connection)
    .await?;
    Ok(is_broken_off)
}

/// Notes that all of an uploaded file is there, so that it can be imported; answers whether it was still
/// coming.
///
/// # Errors
///
/// If the database fails.
pub async fn end_upload(
    connection: &mut PgConnection,
    id: ImportId,
    file_digest: &[u8; 32],
    file_size: u64,
    options: ImportOptions,
    now: DateTime<Utc>,
) -> Result<bool> {
    let ended = sqlx::query(
        "update user_imports set state = 'running', file_digest = $2, file_size = $3, format = $4, \
         on_conflict = $5, is_dry_run = $6, is_atomic = $7, invites = $8, updated_at = $9 \
         where id = $1 and state = 'uploading'",
    )
    .bind(id)
    .bind(file_digest.as_slice())
    .bind(signed(file_size))
    .bind(options.format.as_str())
    .bind(options.on_conflict.as_str())
    .bind(options.dry_run)
    .bind(options.atomic)
    .bind(options.invite)
    .bind(now)
    .execute(connection)
    .await?;
    Ok(ended.rows_affected() == 1)
}

/// Notes that a part of the file is done; answers whether the import still stood at `from`.
///
/// # Errors
///
/// If the database fails.
///
/// # Concurrency
///
/// One conditional statement: of two who work on one import one gets on, and the other's transaction
/// must not stand.
pub async fn advance(
    connection: &mut PgConnection,
    id: ImportId,
    from: FilePlace,
    to: FilePlace,
    counts: ImportCounts,
    now: DateTime<Utc>,
) -> Result<bool> {
    let advanced = sqlx::query(
        "update user_imports set byte_offset = $3, line = $4, rows_read = rows_read + $5, \
         rows_created = rows_created + $6, rows_updated = rows_updated + $7, rows_skipped = rows_skipped + $8, \
         rows_rejected = rows_rejected + $9, updated_at = $10 \
         where id = $1 and byte_offset = $2 and state = 'running'",
    )
    .bind(id)
    .bind(signed(from.offset))
    .bind(signed(to.offset))
    .bind(signed(to.line))
    .bind(signed(counts.read()))
    .bind(signed(counts.created))
    .bind(signed(counts.updated))
    .bind(signed(counts.skipped))
    .bind(signed(counts.rejected))
    .bind(now)
    .execute(connection)
    .await?;
    Ok(advanced.rows_affected() == 1)
}

/// Sets an import back to the beginning of its file, of which nothing stands.
///
/// # Errors
///
/// If the database fails.
pub async fn restart(
    connection: &mut PgConnection,
    id: ImportId,
    now: DateTime<Utc>,
) -> Result<()> {
    sqlx::query(
        "update user_imports set byte_offset = 0, line = 0, rows_read = 0, rows_created = 0, rows_updated = 0, \
         rows_skipped = 0, rows_rejected = 0, updated_at = $2 where id = $1 and state = 'running'",
    )
    .bind(id)
    .bind(now)
    .execute(connection)
    .await?;
    Ok(())
}

/// Ends an import: as done, or with why it failed as a whole. Answers whether it was running.
///
/// # Errors
///
/// If the database fails.
pub async fn end(
    connection: &mut PgConnection,
    id: ImportId,
    failure: Option<&str>,
    now: DateTime<Utc>,
) -> Result<bool> {
    let ended = sqlx::query(
        "update user_imports set state = case when $2::text is null then 'done' else 'failed' end, \
         failure = left($2, 1000), updated_at = $3, \
         byte_offset = case when $2::text is null then file_size else byte_offset end where id = $1 and state = 'running'",
    )
    .bind(id)
    .bind(failure)
    .bind(now)
    .execute(connection)
    .await?;
    Ok(ended.rows_affected() == 1)
}
