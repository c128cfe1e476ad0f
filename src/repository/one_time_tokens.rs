//! The table `one_time_tokens`.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::{
    domain::{
        id::UserId,
        token::{OneTimeToken, Purpose},
    },
    error::Result,
};

/// Stores a token, good until `expires_at`, in place of an older one of its purpose.
///
/// # Errors
///
/// If the database fails.
pub async fn replace(
    connection: &mut PgConnection,
    user_id: UserId,
    purpose: Purpose,
    token: &OneTimeToken,
    now: DateTime<Utc>,
    expires_at: DateTime<Utc>,
) -> Result<()> {
    sqlx::query(
        "insert into one_time_tokens (user_id, purpose, digest, created_at, expires_at) values ($1, $2, $3, $4, $5) \
         on conflict on constraint one_time_tokens_pkey do update \
         set digest = excluded.digest, created_at = excluded.created_at, expires_at = excluded.expires_at",
    )
    .bind(user_id)
    .bind(purpose.as_str())
    .bind(token.digest().as_slice())
    .bind(now)
    .bind(expires_at)
    .execute(connection)
    .await?;
    Ok(())
}

/// Stores the first tokens of users, good until `expires_at`.
///
/// # Errors
///
/// If the database fails, also where one has a token of this purpose.
pub async fn insert_all(
    connection: &mut PgConnection,
    tokens: &[(UserId, OneTimeToken)],
    purpose: Purpose,
    now: DateTime<Utc>,
    expires_at: DateTime<Utc>,
) -> Result<()> {
    let users: Vec<_> = tokens.iter().map(|(user, _)| user.0).collect();
    let digests: Vec<_> = tokens
        .iter()
        .map(|(_, token)| token.digest().to_vec())
        .collect();
    sqlx::query(
        "insert into one_time_tokens (user_id, purpose, digest, created_at, expires_at) \
         select user_id, $3, digest, $4, $5 from unnest($1::uuid[], $2::bytea[]) as t (user_id, digest)",
    )
    .bind(users)
    .bind(digests)
    .bind(purpose.as_str())
    .bind(now)
    .bind(expires_at)
    .execute(connection)
    .await?;
    Ok(())
}

/// When the live token of this purpose was issued.
///
/// # Errors
///
/// If the database fails.
pub async fn find_issued_at(
    connection: &mut PgConnection,
    user_id: UserId,
    purpose: Purpose,
) -> Result<Option<DateTime<Utc>>> {
    let issued = sqlx::query_scalar(
        "select created_at from one_time_tokens where user_id = $1 and purpose = $2",
    )
    .bind(user_id)
    .bind(purpose.as_str())
    .fetch_optional(connection)
    .await?;
    Ok(issued)
}

/// Whose token of this purpose it is, if it is good; it isn't used up.
///
/// # Errors
///
/// If the database fails.
pub async fn find_owner(
    connection: &mut PgConnection,
    purpose: Purpose,
    token: &OneTimeToken,
    now: DateTime<Utc>,
) -> Result<Option<UserId>> {
    let owner = sqlx::query_scalar(
        "select user_id from one_time_tokens where purpose = $1 and digest = $2 and expires_at > $3",
    )
    .bind(purpose.as_str())
    .bind(token.digest().as_slice())
    .bind(now)
    .fetch_optional(connection)
    .await?;
    Ok(owner)
}

/// Uses a token up: answers whether it was good.
///
/// # Errors
///
/// If the database fails.
///
/// # Concurrency
///
/// One conditional statement: of several tries at once one succeeds.
pub async fn consume(
    connection: &mut PgConnection,
    user_id: UserId,
    purpose: Purpose,
    token: &OneTimeToken,
    now: DateTime<Utc>,
) -> Result<bool> {
    let consumed = sqlx::query(
        "delete from one_time_tokens where user_id = $1 and purpose = $2 and digest = $3 and expires_at > $4",
    )
    .bind(user_id)
    .bind(purpose.as_str())
    .bind(token.digest().as_slice())
    .bind(now)
    .execute(connection)
    .await?;
    Ok(consumed.rows_affected() == 1)
}

/// Takes a user's tokens of these purposes away, as far as there are any.
///
/// # Errors
///
/// If the database fails.
pub async fn discard(
    connection: &mut PgConnection,
    user_id: UserId,
    purposes: &[Purpose],
) -> Result<()> {
    let purposes: Vec<_> = purposes.iter().map(|purpose| purpose.as_str()).collect();
    sqlx::query("delete from one_time_tokens where user_id = $1 and purpose = any($2)")
        .bind(user_id)
        .bind(purposes)
        .execute(connection)
        .await?;
    Ok(())
}

/// Deletes tokens that have expired, at most `limit`: answers how many.
///
/// # Errors
///
/// If the database fails.
///
/// # Concurrency
///
/// Passes over rows that others have locked: who deletes many rows in an order of his own must not
/// wait for somebody who does the same.
pub async fn sweep(connection: &mut PgConnection, now: DateTime<Utc>, limit: i64) -> Result<u64> {
    let swept = sqlx::query(
        "delete from one_time_tokens where (user_id, purpose) in \
         (select user_id, purpose from one_time_tokens where expires_at <= $1 order by expires_at limit $2 for update skip locked)",
    )
    .bind(now)
    .bind(limit)
    .execute(connection)
    .await?;
    Ok(swept.rows_affected())
}
