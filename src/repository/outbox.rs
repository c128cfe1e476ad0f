//! The table `outbox_messages`.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::{domain::outbox::OutboxMessage, error::Result};

/// Leaves a message for others, in the transaction of what it tells of.
///
/// # Errors
///
/// If the database fails.
pub async fn insert(connection: &mut PgConnection, message: &OutboxMessage) -> Result<()> {
    sqlx::query(
        "insert into outbox_messages (id, topic, key, payload, created_at) \
         values ($1, $2, $3, $4, $5)",
    )
    .bind(message.id)
    .bind(message.topic.as_str())
    .bind(message.key)
    .bind(&message.payload)
    .bind(message.created_at)
    .execute(connection)
    .await?;
    Ok(())
}

/// Deletes messages that were consumed at `before` or earlier, at most `limit`: answers how many.
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
        "delete from outbox_messages where id in \
         (select id from outbox_messages where published_at <= $1 \
          order by published_at limit $2 for update skip locked)",
    )
    .bind(before)
    .bind(limit)
    .execute(connection)
    .await?;
    Ok(swept.rows_affected())
}
