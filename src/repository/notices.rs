//! The table `notices`.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;

use crate::{domain::id::UserId, error::Result};

/// What users are told of that others can cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// Somebody tried to register with their address.
    AccountExists,
    /// Somebody failed to log in too often.
    AccountLocked,
}

impl Notice {
    fn as_str(self) -> &'static str {
        match self {
            Self::AccountExists => "account_exists",
            Self::AccountLocked => "account_locked",
        }
    }
}

/// Notes that a user is told now, unless he was told less than `wait` ago: answers whether to tell
/// him.
///
/// # Errors
///
/// If the database fails.
///
/// # Concurrency
///
/// One statement: of several transactions at once one tells him.
pub async fn claim(
    connection: &mut PgConnection,
    user_id: UserId,
    notice: Notice,
    now: DateTime<Utc>,
    wait: TimeDelta,
) -> Result<bool> {
    let claimed = sqlx::query(
        "insert into notices as n (user_id, kind, told_at) values ($1, $2, $3) \
         on conflict on constraint notices_pkey do update set told_at = excluded.told_at \
         where n.told_at <= $4",
    )
    .bind(user_id)
    .bind(notice.as_str())
    .bind(now)
    .bind(now - wait)
    .execute(connection)
    .await?;
    Ok(claimed.rows_affected() == 1)
}
