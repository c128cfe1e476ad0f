//! The table `audit_anchors`: where the chain begins since its oldest part was removed.

use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgConnection};

use super::{Link, LinkRow};
use crate::{domain::audit::Action, error::Result};

/// Where the chain begins since its oldest part was removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Anchor {
    /// The last place that was removed.
    pub link: Link,
    /// When it was.
    pub removed_at: DateTime<Utc>,
}

/// Where the chain begins; none where nothing was ever removed.
///
/// # Errors
///
/// If the database fails.
pub async fn find_anchor(connection: &mut PgConnection) -> Result<Option<Anchor>> {
    #[derive(FromRow)]
    struct AnchorRow {
        removed_at: DateTime<Utc>,
        #[sqlx(flatten)]
        link: LinkRow,
    }
    let row: Option<AnchorRow> = sqlx::query_as(
        "select sequence, hash, removed_at from audit_anchors order by sequence desc limit 1",
    )
    .fetch_optional(connection)
    .await?;
    row.map(|row| {
        Ok(Anchor {
            link: row.link.try_into()?,
            removed_at: row.removed_at,
        })
    })
    .transpose()
}

/// Whether an anchor, also one that others have come in the place of, has this hash.
///
/// # Errors
///
/// If the database fails.
pub async fn is_anchored(connection: &mut PgConnection, hash: &[u8; 32]) -> Result<bool> {
    let known = sqlx::query_scalar("select exists (select from audit_anchors where hash = $1)")
        .bind(hash.as_slice())
        .fetch_one(connection)
        .await?;
    Ok(known)
}

/// Whether the log tells that retention has removed the chain up to here.
///
/// # Errors
///
/// If the database fails.
pub async fn is_told_of(connection: &mut PgConnection, sequence: i64, hash: &str) -> Result<bool> {
    let told = sqlx::query_scalar(
        "select exists (select from audit_log where action = $1 \
           and after ->> 'sequence' = $2::text and after ->> 'hash' = $3)",
    )
    .bind(Action::AuditLogTrimmed.as_str())
    .bind(sequence.to_string())
    .bind(hash)
    .fetch_one(connection)
    .await?;
    Ok(told)
}

/// The last place up to which all entries, of at most `limit`, are older than `before`: none where the
/// first isn't, or is missing. What is missing must be found and not removed.
///
/// # Errors
///
/// If the database fails.
pub async fn find_removable(
    connection: &mut PgConnection,
    before: DateTime<Utc>,
    limit: i64,
) -> Result<Option<Link>> {
    let row: Option<LinkRow> = sqlx::query_as(
        "with oldest as ( \
           select c.sequence, c.hash, coalesce(l.at < $1, false) as is_old \
           from (select sequence, entry_id, hash from audit_chain order by sequence limit $2) c \
           left join lateral (select at from audit_log where id = c.entry_id offset 0) l on true \
         ) \
         select sequence, hash from oldest \
         where sequence < coalesce((select min(sequence) from oldest where not is_old), sequence + 1) \
         order by sequence desc limit 1",
    )
    .bind(before)
    .bind(limit)
    .fetch_optional(connection)
    .await?;
    row.map(Link::try_from).transpose()
}

/// Removes the chain and its entries up to a place, and puts an anchor there; answers how many entries.
///
/// # Errors
///
/// If the database fails.
///
/// # Concurrency
///
/// The caller has the [lock](super::try_lock).
pub async fn remove_up_to(
    connection: &mut PgConnection,
    link: Link,
    now: DateTime<Utc>,
) -> Result<u64> {
    sqlx::query("insert into audit_anchors (sequence, hash, removed_at) values ($1, $2, $3)")
        .bind(link.sequence)
        .bind(link.hash.as_slice())
        .bind(now)
        .execute(&mut *connection)
        .await?;
    let removed = sqlx::query(
        "delete from audit_log where id = any(array(select entry_id from audit_chain where sequence <= $1))",
    )
    .bind(link.sequence)
    .execute(&mut *connection)
    .await?;
    sqlx::query("delete from audit_chain where sequence <= $1")
        .bind(link.sequence)
        .execute(connection)
        .await?;
    Ok(removed.rows_affected())
}
