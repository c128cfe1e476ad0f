//! The table `sessions`, and the channel that tells other instances which of them changed. Beside,
//! `refresh.rs` exchanges refresh tokens, and `upkeep.rs` does what is done to many sessions.

mod refresh;
mod upkeep;

use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgConnection};

use super::{
    audit_log::{self, entry_parts},
    interval::interval,
    login_throttle::Bucket,
    users::{UserRow, columns_of, role},
};
use crate::{
    domain::{
        audit::NewEntry,
        id::{SessionId, UserId},
        password::PasswordHash,
        role::Role,
        session::Session,
        user::User,
    },
    error::Result,
};

pub use refresh::{RefreshState, Refreshed, Rotation, find_refresh_state, refresh};
pub use upkeep::{Lifetime, see, sweep};

/// The channel of PostgreSQL's NOTIFY; its payload is the id of the user whose sessions changed.
pub const CHANNEL: &str = "sessions_changed";

/// What a session is used by, as SHA-256 digest of a secret.
#[derive(Debug, Clone, Copy)]
pub enum SecretDigest {
    /// The first of its refresh tokens.
    Refresh([u8; 32]),
    /// Its cookie.
    Cookie([u8; 32]),
}

/// A new session.
#[derive(Debug, Clone)]
pub struct NewSession<'a> {
    /// Its id.
    pub id: SessionId,
    /// Whose it is.
    pub user_id: UserId,
    /// What it is used by.
    pub secret: SecretDigest,
    /// The client's `User-Agent`.
    pub user_agent: Option<&'a str>,
    /// The client's address.
    pub client_address: Option<String>,
    /// Time of the login.
    pub created_at: DateTime<Utc>,
    /// From when on it is refused.
    pub expires_at: DateTime<Utc>,
    /// Whether only a user whose address is verified may have it, if he has an address.
    pub for_verified: bool,
}

/// A live session and its user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveSession {
    /// Its id.
    pub id: SessionId,
    /// Whose it is.
    pub user: User,
    /// From when on it is refused.
    pub expires_at: DateTime<Utc>,
    /// The last use that is known of.
    pub last_seen_at: DateTime<Utc>,
}

/// Opens a session for somebody who knew the password of `hash`: notes his login, renews the hash
/// where a new one is given, forgives the attempts of his bucket, and writes the audit entry. Answers his
/// role, or none when the account has changed since its credentials were read; then nothing is changed.
///
/// # Errors
///
/// If the database fails.
///
/// # Concurrency
///
/// One statement. A lock, a deletion or a new password that came while the password was compared
/// wins. It holds the user's row, so that the trigger `sessions_keep_newest` counts right.
pub async fn open(
    connection: &mut PgConnection,
    session: &NewSession<'_>,
    hash: &PasswordHash,
    renewed: Option<&PasswordHash>,
    bucket: Bucket<'_>,
    entry: &NewEntry,
) -> Result<Option<Role>> {
    let (refresh, cookie) = match &session.secret {
        SecretDigest::Refresh(digest) => (Some(digest.as_slice()), None),
        SecretDigest::Cookie(digest) => (None, Some(digest.as_slice())),
    };
    let name: Option<String> = sqlx::query_scalar(concat!(
        "with login as ( \
           update users set last_login_at = $5, password_hash = coalesce($8, password_hash) \
           where id = $2 and password_hash = $7 and locked_at is null and deletion_due_at is null \
             and (email is null or email_verified_at is not null or not $13) \
           returning role \
         ), session as ( \
           insert into sessions (id, user_id, user_agent, client_address, created_at, last_seen_at, \
             expires_at, refresh_digest, cookie_digest) \
           select $1, $2, $3, $4, $5, $5, $6, $11, $12 from login \
         ), forgiven as ( \
           delete from login_throttle where key = $9 and bucket = $10 and exists (select from login) \
         ), ",
        entry_parts!("$14", "login, "),
        " select role from login"
    ))
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
    .bind(refresh)
    .bind(cookie)
    .bind(session.for_verified)
    .bind(audit_log::json(entry)?)
    .fetch_optional(connection)
    .await?;
    name.as_deref().map(role).transpose()
}

#[derive(FromRow)]
struct LiveRow {
    session_id: SessionId,
    expires_at: DateTime<Utc>,
    last_seen_at: DateTime<Utc>,
    #[sqlx(flatten)]
    user: UserRow,
}

impl TryFrom<LiveRow> for LiveSession {
    type Error = crate::error::Error;

    fn try_from(row: LiveRow) -> Result<Self> {
        Ok(Self {
            id: row.session_id,
            user: row.user.try_into()?,
            expires_at: row.expires_at,
            last_seen_at: row.last_seen_at,
        })
    }
}

macro_rules! select_live {
    ($which:literal) => {
        concat!(
            "select s.id as session_id, s.expires_at, s.last_seen_at, ",
            columns_of!("u"),
            " from sessions s join users u on u.id = s.user_id where ",
            $which,
            " and s.expires_at > $2 and u.locked_at is null and u.deletion_due_at is null"
        )
    };
}

/// The session of this id and its user, unless it has expired or he may not log in.
///
/// # Errors
///
/// If the database fails.
pub async fn find_live(
    connection: &mut PgConnection,
    id: SessionId,
    now: DateTime<Utc>,
) -> Result<Option<LiveSession>> {
    let row: Option<LiveRow> = sqlx::query_as(select_live!("s.id = $1"))
        .bind(id)
        .bind(now)
        .fetch_optional(connection)
        .await?;
    row.map(LiveSession::try_from).transpose()
}

/// The same by the digest of the secret in its cookie.
///
/// # Errors
///
/// If the database fails.
pub async fn find_live_by_cookie(
    connection: &mut PgConnection,
    digest: &[u8; 32],
    now: DateTime<Utc>,
) -> Result<Option<LiveSession>> {
    let row: Option<LiveRow> = sqlx::query_as(select_live!("s.cookie_digest = $1"))
        .bind(digest.as_slice())
        .bind(now)
        .fetch_optional(connection)
        .await?;
    row.map(LiveSession::try_from).transpose()
}

/// Whether a session is still there. A request is let in before its body is read, which may take a
/// while: what changes something asks again, in its transaction.
///
/// # Errors
///
/// If the database fails.
pub async fn is_there(
    connection: &mut PgConnection,
    id: SessionId,
    user_id: UserId,
) -> Result<bool> {
    let found =
        sqlx::query_scalar("select exists (select 1 from sessions where id = $1 and user_id = $2)")
            .bind(id)
            .bind(user_id)
            .fetch_one(connection)
            .await?;
    Ok(found)
}

/// A user's live sessions, newest first.
///
/// # Errors
///
/// If the database fails.
pub async fn list(
    connection: &mut PgConnection,
    user_id: UserId,
    now: DateTime<Utc>,
) -> Result<Vec<Session>> {
    #[derive(FromRow)]
    struct Row {
        id: SessionId,
        user_agent: Option<String>,
        client_address: Option<String>,
        created_at: DateTime<Utc>,
        last_seen_at: DateTime<Utc>,
        expires_at: DateTime<Utc>,
        has_cookie: bool,
    }
    let rows: Vec<Row> = sqlx::query_as(
        "select id, user_agent, client_address, created_at, last_seen_at, expires_at, \
         cookie_digest is not null as has_cookie \
         from sessions where user_id = $1 and expires_at > $2 order by created_at desc, id desc",
    )
    .bind(user_id)
    .bind(now)
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Session {
            id: row.id,
            user_agent: row.user_agent,
            client_address: row.client_address,
            created_at: row.created_at,
            last_seen_at: row.last_seen_at,
            expires_at: row.expires_at,
            has_cookie: row.has_cookie,
        })
        .collect())
}

/// Ends a session, of this user where one is named, and tells every instance when the transaction
/// commits; answers whose it was.
///
/// # Errors
///
/// If the database fails.
pub async fn end(
    connection: &mut PgConnection,
    id: SessionId,
    user_id: Option<UserId>,
) -> Result<Option<UserId>> {
    let ended = sqlx::query_scalar(
        "with ended as ( \
           delete from sessions where id = $1 and ($2 is null or user_id = $2) returning user_id \
         ) \
         select user_id from ended, lateral (select pg_notify($3, user_id::text)) told",
    )
    .bind(id)
    .bind(user_id)
    .bind(CHANNEL)
    .fetch_optional(connection)
    .await?;
    Ok(ended)
}

/// Ends all sessions of a user but one, and tells every instance when the transaction commits;
/// answers how many.
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
    notify(connection, user_id).await?;
    Ok(ended.rows_affected())
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
    notify(connection, user_id).await?;
    Ok(ended.rows_affected())
}

async fn notify(connection: &mut PgConnection, user_id: UserId) -> Result<()> {
    sqlx::query("select pg_notify($1, $2)")
        .bind(CHANNEL)
        .bind(user_id.to_string())
        .execute(connection)
        .await?;
    Ok(())
}
