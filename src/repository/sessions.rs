//! The table `sessions`, and the channel that tells other instances which of them changed.

use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgConnection};

use super::{login_throttle::Bucket, users::role};
use crate::{
    domain::{
        id::{SessionId, UserId},
        password::PasswordHash,
        role::Role,
    },
    error::Result,
};

/// The channel of PostgreSQL's NOTIFY; its payload is the id of the user whose sessions changed.
pub const CHANNEL: &str = "sessions_changed";

/// A new session.
#[derive(Debug, Clone)]
pub struct NewSession<'a> {
    /// Its id.
    pub id: SessionId,
    /// Whose it is.
    pub user_id: UserId,
    /// The client's `User-Agent`.
    pub user_agent: Option<&'a str>,
    /// The client's address.
    pub client_address: Option<String>,
    /// Time of the login.
    pub created_at: DateTime<Utc>,
    /// From when on it is refused.
    pub expires_at: DateTime<Utc>,
}

/// A live session and what its user may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LiveSession {
    /// Whose it is.
    pub user_id: UserId,
    /// His role.
    pub role: Role,
    /// From when on it is refused.
    pub expires_at: DateTime<Utc>,
}

/// Opens a session for somebody who knew the password of `hash`: notes his login, renews the hash
/// where a new one is given, and forgives the attempts of his bucket. Answers his role, or none when
/// the account has changed since its credentials were read; then nothing is changed.
///
/// # Errors
///
/// If the database fails.
///
/// # Concurrency
///
/// One statement. A lock, a deletion or a new password that came while the password was compared
/// wins.
pub async fn open(
    connection: &mut PgConnection,
    session: &NewSession<'_>,
    hash: &PasswordHash,
    renewed: Option<&PasswordHash>,
    bucket: Bucket<'_>,
) -> Result<Option<Role>> {
    let name: Option<String> = sqlx::query_scalar(
        "with login as ( \
           update users set last_login_at = $5, password_hash = coalesce($8, password_hash) \
           where id = $2 and password_hash = $7 and locked_at is null and deletion_due_at is null \
             and (email is null or email_verified_at is not null) \
           returning role \
         ), session as ( \
           insert into sessions (id, user_id, user_agent, client_address, created_at, expires_at) \
           select $1, $2, $3, $4, $5, $6 from login \
         ), forgiven as ( \
           delete from login_throttle where key = $9 and bucket = $10 and exists (select from login) \
         ) \
         select role from login",
    )
    .bind(session.id)
    .bind(session.user_id)
    .bind(session.user_agent)
    .bind(session.client_address.as_deref())
    .bind(session.created_at)
    .bind(session.expires_at)
    .bind(hash.expose())
    .bind(renewed.map(PasswordHash::expose))
    .bind(bucket.key.as_slice())
    .bind(bucket.device)
    .fetch_optional(connection)
    .await?;
    name.as_deref().map(role).transpose()
}

/// The session of this id, unless it has expired or its user may not log in.
///
/// # Errors
///
/// If the database fails.
pub async fn find_live(
    connection: &mut PgConnection,
    id: SessionId,
    now: DateTime<Utc>,
) -> Result<Option<LiveSession>> {
    #[derive(FromRow)]
    struct Row {
        user_id: UserId,
        role: String,
        expires_at: DateTime<Utc>,
    }
    let row: Option<Row> = sqlx::query_as(
        "select s.user_id, u.role, s.expires_at from sessions s join users u on u.id = s.user_id \
         where s.id = $1 and s.expires_at > $2 and u.locked_at is null \
         and u.deletion_due_at is null",
    )
    .bind(id)
    .bind(now)
    .fetch_optional(connection)
    .await?;
    row.map(|row| {
        Ok(LiveSession {
            user_id: row.user_id,
            role: role(&row.role)?,
            expires_at: row.expires_at,
        })
    })
    .transpose()
}

/// Ends all sessions of a user, and tells every instance when the transaction commits.
///
/// # Errors
///
/// If the database fails.
pub async fn end_all(connection: &mut PgConnection, user_id: UserId) -> Result<u64> {
    let ended = sqlx::query("delete from sessions where user_id = $1")
        .bind(user_id)
        .execute(&mut *connection)
        .await?;
    tell(connection, user_id).await?;
    Ok(ended.rows_affected())
}

/// Ends all sessions of a user but one, and tells every instance when the transaction commits.
///
/// # Errors
///
/// If the database fails.
pub async fn end_others(
    connection: &mut PgConnection,
    user_id: UserId,
    keep: SessionId,
) -> Result<u64> {
    let ended = sqlx::query("delete from sessions where user_id = $1 and id <> $2")
        .bind(user_id)
        .bind(keep)
        .execute(&mut *connection)
        .await?;
    tell(connection, user_id).await?;
    Ok(ended.rows_affected())
}

/// Tells every instance that sessions of a user have changed, when the transaction commits.
async fn tell(connection: &mut PgConnection, user_id: UserId) -> Result<()> {
    sqlx::query("select pg_notify($1, $2)")
        .bind(CHANNEL)
        .bind(user_id.to_string())
        .execute(connection)
        .await?;
    Ok(())
}

/// Deletes sessions that have expired, at most `limit`: answers how many.
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
        "delete from sessions where id in \
         (select id from sessions where expires_at <= $1 order by expires_at limit $2 for update skip locked)",
    )
    .bind(now)
    .bind(limit)
    .execute(connection)
    .await?;
    Ok(swept.rows_affected())
}
