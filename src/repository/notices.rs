//! The table `notices`.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;

use super::interval::interval;
use crate::{
    domain::{id::UserId, token::RESET_LIFETIME},
    error::Result,
};

/// What users are told of that others can cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// Somebody tried to register with their address.
    AccountExists,
    /// Somebody failed to log in too often.
    AccountLocked,
    /// Somebody asked for another verification mail.
    VerificationResent,
    /// Somebody asked for a link to a new password.
    PasswordReset,
    /// They asked for another address, which is told.
    EmailChange,
}

impl Notice {
    fn as_str(self) -> &'static str {
        match self {
            Self::AccountExists => "account_exists",
            Self::AccountLocked => "account_locked",
            Self::VerificationResent => "verification_resent",
            Self::PasswordReset => "password_reset",
            Self::EmailChange => "email_change",
        }
    }

    /// The longest wait between two notices. Somebody who asks for links to a new password in
    /// another's name must not keep the owner from getting one: while he waits, the last one is good.
    fn longest_wait(self) -> TimeDelta {
        match self {
            Self::PasswordReset => RESET_LIFETIME,
            Self::AccountExists
            | Self::AccountLocked
            | Self::VerificationResent
            | Self::EmailChange => TimeDelta::hours(6),
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
/// him. The wait is `first_wait`, and doubles with each notice, up to six hours (or as long as the
/// link in it is good, if that is less), until a day passes without one.
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
           least($4 * power(2, least(n.times, 20) - 1), greatest($4, $5))",
    )
    .bind(user_id)
    .bind(notice.as_str())
    .bind(now)
    .bind(interval(first_wait))
    .bind(interval(notice.longest_wait()))
    .execute(connection)
    .await?;
    Ok(claimed.rows_affected() == 1)
}

/// How long it is until [`claim`] takes the next notice.
///
/// # Errors
///
/// If the database fails.
pub async fn find_wait(
    connection: &mut PgConnection,
    user_id: UserId,
    notice: Notice,
    now: DateTime<Utc>,
    first_wait: TimeDelta,
) -> Result<TimeDelta> {
    let next: Option<DateTime<Utc>> = sqlx::query_scalar(
        "select told_at + least($3 * power(2, least(times, 20) - 1), greatest($3, $4)) \
         from notices where user_id = $1 and kind = $2",
    )
    .bind(user_id)
    .bind(notice.as_str())
    .bind(interval(first_wait))
    .bind(interval(notice.longest_wait()))
    .fetch_optional(connection)
    .await?;
    Ok(next.map_or(TimeDelta::zero(), |next| {
        (next - now).max(TimeDelta::zero())
    }))
}
