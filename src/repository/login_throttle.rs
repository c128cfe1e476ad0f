//! The table `login_throttle`: attempts to log in, charged before their password is looked at.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{FromRow, PgConnection};

use super::interval::interval;
use super::users::{Credentials, OptionalCredentials, credentials_columns};
use crate::{
    domain::{
        lockout::{Charge, DECAY, FIRST_WAIT, LONGEST_WAIT, LockoutPolicy},
        login_name::LoginName,
    },
    error::Result,
};

/// Whose attempts are counted together: those on one identifier from one kind of client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket<'a> {
    /// Keyed hash of the identifier.
    pub key: &'a [u8; 32],
    /// A device that the owner has used before; empty for everybody else.
    pub device: &'a [u8],
}

/// Charges an attempt and reads the account's credentials. Each kind of name has a text of its own: each
/// finds the account by one index.
///
/// Eight doublings lead beyond the longest wait; more charges would only take longer to decay.
macro_rules! charge_and_find {
    ($by:literal) => {
        concat!(
            "with clock as ( \
               select coalesce($4, clock_timestamp()) as now, set_config('synchronous_commit', 'off', true) \
             ), charge as ( \
               insert into login_throttle as t (key, bucket, charged, blocked_until, updated_at) \
               select $1, $2, 1, case when $3 <= 1 then now + $5 else '-infinity' end, now from clock \
               on conflict on constraint login_throttle_pkey do update set \
                 charged = least(login_charges_left(t.charged, t.updated_at, excluded.updated_at, $7) + 1, $3 + 8), \
                 blocked_until = case \
                   when login_charges_left(t.charged, t.updated_at, excluded.updated_at, $7) + 1 >= $3 then excluded.updated_at \
                     + least($6, $5 * power(2, least(login_charges_left(t.charged, t.updated_at, excluded.updated_at, $7) + 1 - $3, 8))) \
                   else '-infinity' end, \
                 updated_at = excluded.updated_at \
               where t.blocked_until <= excluded.updated_at \
               returning charged \
             ) \
             select charged, ", credentials_columns!(), " from (select (select charged from charge) as charged) attempt \
             left join users on ", $by,
        )
    };
}

/// Charges an attempt or refuses it, and reads what its password is to be compared with.
///
/// The statement doesn't wait for the disk. A crash of the database may forget charges of its last
/// second, which nobody was promised.
///
/// # Errors
///
/// If the database fails: then nobody may log in.
///
/// # Concurrency
///
/// One statement: of any number of attempts at once, as many are admitted as the policy says.
pub async fn charge(
    connection: &mut PgConnection,
    bucket: Bucket<'_>,
    name: &LoginName,
    policy: LockoutPolicy,
    now_override: Option<DateTime<Utc>>,
) -> Result<(Charge, Option<Credentials>)> {
    #[derive(FromRow)]
    struct Row {
        charged: Option<i32>,
        #[sqlx(flatten)]
        credentials: OptionalCredentials,
    }
    let most = i32::from(policy.max_attempts);
    let query = match name {
        LoginName::Email(_) => charge_and_find!("lower(email) = $8"),
        LoginName::PhoneNumber(_) => charge_and_find!("phone_number = $8"),
        LoginName::Legacy(_) => charge_and_find!("legacy_name = $8"),
    };
    let row: Row = sqlx::query_as(query)
        .bind(bucket.key.as_slice())
        .bind(bucket.device)
        .bind(most)
        .bind(now_override)
        .bind(interval(FIRST_WAIT))
        .bind(interval(LONGEST_WAIT))
        .bind(interval(DECAY))
        .bind(name.as_str())
        .fetch_one(&mut *connection)
        .await?;
    let charge = match row.charged {
        Some(charged) => Charge::Admitted {
            reached_limit: charged >= most,
        },
        None => Charge::Refused {
            retry_after: find_wait(connection, bucket, now_override).await?,
        },
    };
    Ok((charge, row.credentials.into()))
}

/// How long attempts are still refused.
async fn find_wait(
    connection: &mut PgConnection,
    bucket: Bucket<'_>,
    now_override: Option<DateTime<Utc>>,
) -> Result<TimeDelta> {
    #[derive(FromRow)]
    struct Row {
        milliseconds: i64,
    }
    let row: Option<Row> = sqlx::query_as(
        "select ceil(extract(epoch from blocked_until - coalesce($3, clock_timestamp())) * 1000)::bigint as milliseconds \
         from login_throttle where key = $1 and bucket = $2 and blocked_until > coalesce($3, clock_timestamp())",
    )
    .bind(bucket.key.as_slice())
    .bind(bucket.device)
    .bind(now_override)
    .fetch_optional(connection)
    .await?;
    Ok(row.map_or(TimeDelta::zero(), |row| {
        TimeDelta::milliseconds(row.milliseconds)
    }))
}

/// Until when attempts on an identifier are refused, by whatever client has to wait longest; none: nobody waits.
///
/// # Errors
///
/// If the database fails.
pub async fn find_blocked_until(
    connection: &mut PgConnection,
    key: &[u8; 32],
    now_override: Option<DateTime<Utc>>,
) -> Result<Option<DateTime<Utc>>> {
    let until = sqlx::query_scalar(
        "select max(blocked_until) from login_throttle \
         where key = $1 and blocked_until > coalesce($2, clock_timestamp())",
    )
    .bind(key.as_slice())
    .bind(now_override)
    .fetch_one(connection)
    .await?;
    Ok(until)
}

/// Takes back the charge of an attempt whose password was never looked at, and the wait that it
/// caused: the one before it was over, or the attempt would not have been admitted.
///
/// # Errors
///
/// If the database fails.
///
/// # Concurrency
///
/// One statement. A row of no charges is left for [`sweep`].
pub async fn refund(connection: &mut PgConnection, bucket: Bucket<'_>) -> Result<()> {
    sqlx::query(
        "update login_throttle set charged = greatest(charged - 1, 0), blocked_until = '-infinity' \
         where key = $1 and bucket = $2",
    )
    .bind(bucket.key.as_slice())
    .bind(bucket.device)
    .execute(connection)
    .await?;
    Ok(())
}

/// Forgives all attempts of a bucket.
///
/// # Errors
///
/// If the database fails.
pub async fn clear(connection: &mut PgConnection, bucket: Bucket<'_>) -> Result<()> {
    sqlx::query("delete from login_throttle where key = $1 and bucket = $2")
        .bind(bucket.key.as_slice())
        .bind(bucket.device)
        .execute(connection)
        .await?;
    Ok(())
}

/// Forgives all attempts on an identifier, from whatever client; answers whether any client had to
/// wait.
///
/// # Errors
///
/// If the database fails.
pub async fn clear_all(
    connection: &mut PgConnection,
    key: &[u8; 32],
    now_override: Option<DateTime<Utc>>,
) -> Result<bool> {
    let waited: Vec<bool> = sqlx::query_scalar(
        "delete from login_throttle where key = $1 returning blocked_until > coalesce($2, clock_timestamp())",
    )
    .bind(key.as_slice())
    .bind(now_override)
    .fetch_all(connection)
    .await?;
    Ok(waited.contains(&true))
}

/// Deletes rows whose charges have decayed, at most `limit`: answers how many.
///
/// # Errors
///
/// If the database fails.
///
/// # Concurrency
///
/// Passes over rows that others have locked: who deletes many rows in an order of his own must not
/// wait for somebody who does the same.
pub async fn sweep(
    connection: &mut PgConnection,
    now_override: Option<DateTime<Utc>>,
    limit: i64,
) -> Result<u64> {
    let swept = sqlx::query(
        "delete from login_throttle where (key, bucket) in (select key, bucket from login_throttle \
         where updated_at + $2 * charged <= coalesce($1, clock_timestamp()) \
         and blocked_until <= coalesce($1, clock_timestamp()) limit $3 for update skip locked)",
    )
    .bind(now_override)
    .bind(interval(DECAY))
    .bind(limit)
    .execute(connection)
    .await?;
    Ok(swept.rows_affected())
}
