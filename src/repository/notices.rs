//! The table `notices`.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{PgConnection, postgres::types::PgInterval};

use crate::{domain::id::UserId, error::Result};

/// What users are told of that others can cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// Somebody tried to register with their address.
    AccountExists,
    /// Somebody failed to log in too often.
    AccountLocked,
    /// Somebody asked for another verification mail.
    VerificationResent,
}

impl Notice {
    fn as_str(self) -> &'static str {
        match self {
            Self::AccountExists => "account_exists",
            Self::AccountLocked => "account_locked",
            Self::VerificationResent => "verification_resent",
        }
    }
}

/// Forgets that a user was told, so that the next notice goes out at once.
///
/// # Errors
///
/// If the database fails.
pub async fn forget(connection: &mut PgConnection, user_id: UserId, notice: Notice) -> Result<()> {
    sqlx::query("delete from notices where user_id = $1 and kind = $2")
        .bind(user_id)
        .bind(notice.as_str())
        .execute(connection)
        .await?;
    Ok(())
}

/// Notes that a user is told now, unless he was told too short a while ago: answers whether to tell
/// him. The wait is `first_wait`, and doubles with each notice, up to six hours, until a day passes
/// without one.
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
    first_wait: TimeDelta,
) -> Result<bool> {
    let claimed = sqlx::query(
        "insert into notices as n (user_id, kind, told_at) values ($1, $2, $3) \
         on conflict on constraint notices_pkey do update set told_at = excluded.told_at, \
           times = case when n.told_at <= excluded.told_at - interval '1 day' then 1 else n.times + 1 end \
         where n.told_at <= excluded.told_at - \
           least($4 * power(2, least(n.times, 20) - 1), greatest($4, interval '6 hours'))",
    )
    .bind(user_id)
    .bind(notice.as_str())
    .bind(now)
    .bind(PgInterval {
        months: 0,
        days: 0,
        microseconds: first_wait.num_microseconds().unwrap_or(i64::MAX),
    })
    .execute(connection)
    .await?;
    Ok(claimed.rows_affected() == 1)
}
