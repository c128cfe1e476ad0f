//! The table `signing_keys`, and the channel that tells other instances of its changes.

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgConnection};

use crate::{
    domain::signing_key::{KeyAlgorithm, KeyId},
    error::Result,
};

/// The channel of PostgreSQL's NOTIFY; its payload is empty.
pub const CHANNEL: &str = "signing_keys_changed";

/// A key pair as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredKey {
    /// Its name.
    pub id: KeyId,
    /// What it signs by.
    pub algorithm: KeyAlgorithm,
    /// The private key, sealed.
    pub sealed_private_key: Vec<u8>,
    /// From when on it signs.
    pub created_at: DateTime<Utc>,
    /// From when on it signs no more.
    pub retired_at: Option<DateTime<Utc>>,
}

#[derive(FromRow)]
struct Row {
    kid: String,
    algorithm: String,
    sealed_private_key: Vec<u8>,
    created_at: DateTime<Utc>,
    retired_at: Option<DateTime<Utc>>,
}

impl TryFrom<Row> for StoredKey {
    type Error = anyhow::Error;

    fn try_from(row: Row) -> anyhow::Result<Self> {
        Ok(Self {
            id: KeyId::parse(&row.kid).context("a key in the database has no name of ours")?,
            algorithm: KeyAlgorithm::from_name(&row.algorithm)
                .context("a key in the database has an algorithm that isn't known")?,
            sealed_private_key: row.sealed_private_key,
            created_at: row.created_at,
            retired_at: row.retired_at,
        })
    }
}

/// Every key, the newest first; with `algorithm` only those of it.
///
/// # Errors
///
/// If the database fails.
pub async fn list(
    connection: &mut PgConnection,
    algorithm: Option<KeyAlgorithm>,
) -> Result<Vec<StoredKey>> {
    let rows: Vec<Row> = sqlx::query_as(
        "select kid, algorithm, sealed_private_key, created_at, retired_at from signing_keys \
         where $1::text is null or algorithm = $1 order by retired_at desc nulls first, created_at desc, kid",
    )
    .bind(algorithm.map(KeyAlgorithm::as_str))
    .fetch_all(connection)
    .await?;
    let keys: anyhow::Result<_> = rows.into_iter().map(StoredKey::try_from).collect();
    Ok(keys?)
}

/// Stores a key, unless one of its algorithm signs already: answers whether it was stored.
///
/// # Errors
///
/// If the database fails.
///
/// # Concurrency
///
/// Of instances that store one at once the first wins; the others wait for its commit.
pub async fn insert(connection: &mut PgConnection, key: &StoredKey) -> Result<bool> {
    let inserted = sqlx::query(
        "insert into signing_keys (kid, algorithm, sealed_private_key, created_at, retired_at) \
         values ($1, $2, $3, $4, $5) on conflict (algorithm) where retired_at is null do nothing",
    )
    .bind(key.id.as_str())
    .bind(key.algorithm.as_str())
    .bind(&key.sealed_private_key)
    .bind(key.created_at)
    .bind(key.retired_at)
    .execute(connection)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// Retires every key that signs, of whatever algorithm, and tells every instance when the
/// transaction, which there must be, commits: answers how many.
///
/// # Errors
///
/// If the database fails.
///
/// # Concurrency
///
/// Until the transaction's end nobody else stores or retires a key: rotations come one after the
/// other. Who only reads isn't kept waiting.
pub async fn retire_all(
    connection: &mut PgConnection,
    now_override: Option<DateTime<Utc>>,
) -> Result<u64> {
    sqlx::query("lock table signing_keys in share row exclusive mode")
        .execute(&mut *connection)
        .await?;
    // By the database's clock: one that is behind would have tokens refused that are still good. And a
    // key that was made by a clock that is ahead must be retired too.
    let retired = sqlx::query(
        "update signing_keys set retired_at = greatest(coalesce($1, clock_timestamp()), created_at) \
         where retired_at is null",
    )
    .bind(now_override)
    .execute(&mut *connection)
    .await?;
    sqlx::query("select pg_notify($1, '')")
        .bind(CHANNEL)
        .execute(connection)
        .await?;
    Ok(retired.rows_affected())
}

/// Deletes keys that were retired before `before`, at most `limit`: answers how many.
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
    limit: i64,
) -> Result<u64> {
    let swept = sqlx::query(
        "delete from signing_keys where kid in (select kid from signing_keys \
         where retired_at < $1 order by retired_at limit $2 for update skip locked)",
    )
    .bind(before)
    .bind(limit)
    .execute(connection)
    .await?;
    Ok(swept.rows_affected())
}
