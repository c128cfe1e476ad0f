//! The tables `audit_pending` and `audit_chain`: the order of the audit log, and the hashes that show
//! whether somebody has changed it. Beside, `anchors.rs` has where the chain begins.
//!
//! Joins are lateral, to one row each: PostgreSQL must not read the whole log for a part of the chain, as
//! it would where its statistics are old.

mod anchors;

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgConnection};

use super::audit_log::{Row, entry_columns};
use crate::{domain::audit::AuditEntry, error::Result};

pub use anchors::{Anchor, find_anchor, find_removable, is_anchored, is_told_of, remove_up_to};

/// Whoever writes the chain holds it: "audit" in ASCII, any number that no other lock of ours has.
const LOCK: i64 = 0x61_75_64_69_74;

/// A place in the chain and the hash there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// The place, from 1.
    pub sequence: i64,
    /// The hash of all that came up to it.
    pub hash: [u8; 32],
}

/// An entry that the chain lacks.
#[derive(Debug, Clone)]
pub struct Pending {
    /// The entry.
    pub entry: AuditEntry,
    /// Whether the chain has it all the same.
    pub is_chained: bool,
}

/// A row of the chain, as it is to be verified.
#[derive(Debug, Clone)]
pub struct Chained {
    /// Its place.
    pub link: Link,
    /// Which entry stands there.
    pub entry_id: i64,
    /// The entry, if it is there.
    pub entry: Option<AuditEntry>,
}

/// How much waits for its place in the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromRow)]
pub struct Waiting {
    /// How many entries.
    pub entries: i64,
    /// The time of the first of them.
    pub oldest: Option<DateTime<Utc>>,
}

#[derive(FromRow)]
struct LinkRow {
    sequence: i64,
    hash: Vec<u8>,
}

impl TryFrom<LinkRow> for Link {
    type Error = crate::error::Error;

    fn try_from(row: LinkRow) -> Result<Self> {
        let hash = row.hash.as_slice().try_into();
        Ok(Self {
            sequence: row.sequence,
            hash: hash.context("a hash in the database has not 32 bytes")?,
        })
    }
}

/// Tries to be the one who writes the chain, until the transaction ends.
///
/// # Errors
///
/// If the database fails.
pub async fn try_lock(connection: &mut PgConnection) -> Result<bool> {
    let locked = sqlx::query_scalar("select pg_try_advisory_xact_lock($1)")
        .bind(LOCK)
        .fetch_one(connection)
        .await?;
    Ok(locked)
}

/// Where the chain ends: its last row, or else what has come in the place of all rows.
///
/// # Errors
///
/// If the database fails.
pub async fn find_head(connection: &mut PgConnection) -> Result<Option<Link>> {
    let row: Option<LinkRow> = sqlx::query_as(
        "select sequence, hash from ( \
           (select sequence, hash from audit_chain order by sequence desc limit 1) \
           union all \
           (select sequence, hash from audit_anchors order by sequence desc limit 1) \
         ) ends order by sequence desc limit 1",
    )
    .fetch_optional(connection)
    .await?;
    row.map(Link::try_from).transpose()
}

/// Whether entries wait for their places.
///
/// # Errors
///
/// If the database fails.
pub async fn is_behind(connection: &mut PgConnection) -> Result<bool> {
    let behind = sqlx::query_scalar("select exists (select from audit_pending)")
        .fetch_one(connection)
        .await?;
    Ok(behind)
}

/// How many entries wait, and since when.
///
/// # Errors
///
/// If the database fails.
pub async fn waiting(connection: &mut PgConnection) -> Result<Waiting> {
    let waiting = sqlx::query_as(
        "select (select count(*) from audit_pending) as entries, \
           (select at from audit_log where id = (select min(entry_id) from audit_pending)) as oldest",
    )
    .fetch_one(connection)
    .await?;
    Ok(waiting)
}

/// Entries that wait for their places, oldest first, at most `limit`.
///
/// # Errors
///
/// If the database fails.
pub async fn list_pending(connection: &mut PgConnection, limit: i64) -> Result<Vec<Pending>> {
    #[derive(FromRow)]
    struct PendingRow {
        is_chained: bool,
        #[sqlx(flatten)]
        entry: Row,
    }
    let rows: Vec<PendingRow> = sqlx::query_as(concat!(
        "select c.sequence is not null as is_chained, ",
        entry_columns!("l"),
        " from audit_pending p \
         join lateral (select * from audit_log where id = p.entry_id offset 0) l on true \
         left join lateral (select sequence from audit_chain where entry_id = p.entry_id offset 0) c on true \
         order by p.entry_id limit $1"
    ))
    .bind(limit)
    .fetch_all(connection)
    .await?;
    let pending = rows.into_iter().filter_map(|row| {
        let entry: Option<AuditEntry> = row.entry.into();
        Some(Pending {
            entry: entry?,
            is_chained: row.is_chained,
        })
    });
    Ok(pending.collect())
}

/// Puts entries at the end of the chain, each at its place.
///
/// # Errors
///
/// If the database fails, also where a place or an entry is in the chain already.
///
/// # Concurrency
///
/// The caller has the [lock](try_lock).
pub async fn append(connection: &mut PgConnection, links: &[(i64, Link)]) -> Result<()> {
    let sequences: Vec<i64> = links.iter().map(|(_, link)| link.sequence).collect();
    let entries: Vec<i64> = links.iter().map(|(entry_id, _)| *entry_id).collect();
    let hashes: Vec<&[u8]> = links.iter().map(|(_, link)| link.hash.as_slice()).collect();
    sqlx::query(
        "insert into audit_chain (sequence, entry_id, hash) \
         select sequence, entry_id, hash from unnest($1::bigint[], $2::bigint[], $3::bytea[]) \
           as links (sequence, entry_id, hash)",
    )
    .bind(sequences)
    .bind(entries)
    .bind(hashes)
    .execute(connection)
    .await?;
    Ok(())
}

/// Notes that these entries don't wait any more.
///
/// # Errors
///
/// If the database fails.
pub async fn settle(connection: &mut PgConnection, entry_ids: &[i64]) -> Result<()> {
    sqlx::query("delete from audit_pending where entry_id = any($1)")
        .bind(entry_ids)
        .execute(connection)
        .await?;
    Ok(())
}

/// The rows of the chain behind this place with their entries, at most `limit`.
///
/// # Errors
///
/// If the database fails.
pub async fn list_chained(
    connection: &mut PgConnection,
    after: i64,
    limit: i64,
) -> Result<Vec<Chained>> {
    #[derive(FromRow)]
    struct ChainedRow {
        sequence: i64,
        hash: Vec<u8>,
        entry_id: i64,
        #[sqlx(flatten)]
        entry: Row,
    }
    let rows: Vec<ChainedRow> = sqlx::query_as(concat!(
        "select c.sequence, c.hash, c.entry_id, ",
        entry_columns!("l"),
        " from (select sequence, hash, entry_id from audit_chain where sequence > $1 order by sequence limit $2) c \
         left join lateral (select * from audit_log where id = c.entry_id offset 0) l on true \
         order by c.sequence"
    ))
    .bind(after)
    .bind(limit)
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Chained {
                link: Link::try_from(LinkRow {
                    sequence: row.sequence,
                    hash: row.hash,
                })?,
                entry_id: row.entry_id,
                entry: row.entry.into(),
            })
        })
        .collect()
}

/// The first place of the chain; none where it is empty.
///
/// # Errors
///
/// If the database fails.
pub async fn find_first(connection: &mut PgConnection) -> Result<Option<i64>> {
    let first = sqlx::query_scalar("select min(sequence) from audit_chain")
        .fetch_one(connection)
        .await?;
    Ok(first)
}

/// A part of the audit log, counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromRow)]
pub struct Counted {
    /// The last entry of the part; none: there is nothing left.
    pub last: Option<i64>,
    /// How many entries the part has.
    pub entries: i64,
}

/// Counts at most `limit` entries of higher ids than `after`.
///
/// # Errors
///
/// If the database fails.
pub async fn count_entries(
    connection: &mut PgConnection,
    after: i64,
    limit: i64,
) -> Result<Counted> {
    let counted = sqlx::query_as(
        "select max(id) as last, count(*) as entries \
         from (select id from audit_log where id > $1 order by id limit $2) part",
    )
    .bind(after)
    .bind(limit)
    .fetch_one(connection)
    .await?;
    Ok(counted)
}

/// How many entries wait for their places that are there and have none.
///
/// # Errors
///
/// If the database fails.
pub async fn count_unchained(connection: &mut PgConnection) -> Result<i64> {
    let count = sqlx::query_scalar(
        "select count(*) from audit_pending p \
         join lateral (select id from audit_log where id = p.entry_id offset 0) l on true \
         left join lateral (select sequence from audit_chain where entry_id = p.entry_id offset 0) c on true \
         where c.sequence is null",
    )
    .fetch_one(connection)
    .await?;
    Ok(count)
}

/// A part of the audit log, looked through for entries that have no place in the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromRow)]
pub struct LookedThrough {
    /// The last entry of the part; none: there is nothing left.
    pub last: Option<i64>,
    /// The first of its entries that neither has a place nor waits for one.
    pub stray: Option<i64>,
}

/// Looks through at most `limit` entries of higher ids than `after`.
///
/// # Errors
///
/// If the database fails.
pub async fn find_stray(
    connection: &mut PgConnection,
    after: i64,
    limit: i64,
) -> Result<LookedThrough> {
    let looked_through = sqlx::query_as(
        "select max(part.id) as last, \
           min(part.id) filter (where c.entry_id is null and p.entry_id is null) as stray \
         from (select id from audit_log where id > $1 order by id limit $2) part \
         left join lateral (select entry_id from audit_chain where entry_id = part.id offset 0) c on true \
         left join lateral (select entry_id from audit_pending where entry_id = part.id offset 0) p on true",
    )
    .bind(after)
    .bind(limit)
    .fetch_one(connection)
    .await?;
    Ok(looked_through)
}

/// The first entry that waits for its place and isn't there.
///
/// # Errors
///
/// If the database fails.
pub async fn find_lost(connection: &mut PgConnection) -> Result<Option<i64>> {
    let lost = sqlx::query_scalar(
        "select min(p.entry_id) from audit_pending p \
         left join lateral (select id from audit_log where id = p.entry_id offset 0) l on true \
         where l.id is null",
    )
    .fetch_one(connection)
    .await?;
    Ok(lost)
}
