//! Refresh tokens: one of a session is good at a time, and an exchange puts another in its place.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{FromRow, PgConnection};

use super::{Lifetime, interval};
use crate::{
    domain::{
        id::{SessionId, UserId},
        role::Role,
    },
    error::Result,
    repository::users::role,
};

/// An exchange of a refresh token for the next one.
#[derive(Debug, Clone, Copy)]
pub struct Rotation<'a> {
    /// The session that the token names.
    pub session_id: SessionId,
    /// The digest of the token.
    pub presented: &'a [u8; 32],
    /// How many exchanges of the session came before it.
    pub generation: i32,
    /// The digest of the next token.
    pub next: &'a [u8; 32],
    /// For how long a token may be exchanged again while the one that it was exchanged for is unused.
    pub grace: TimeDelta,
    /// How long the session lives from now on.
    pub lifetime: Lifetime,
}

/// A session whose refresh token was exchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refreshed {
    /// Whose it is.
    pub user_id: UserId,
    /// His role.
    pub role: Role,
    /// From when on the session is refused.
    pub expires_at: DateTime<Utc>,
}

/// Exchanges a token: none if it isn't good. The session's life is lengthened, and never made
/// shorter by a clock that is behind.
///
/// # Errors
///
/// If the database fails.
///
/// # Concurrency
///
/// One conditional statement: of several exchanges of one token at once one consumes it, and each
/// of the others is a repetition, whose token takes the place of the one before. The grace is
/// measured by the database's clock, so that instances whose clocks differ agree.
pub async fn refresh(
    connection: &mut PgConnection,
    rotation: &Rotation<'_>,
    now: DateTime<Utc>,
    now_override: Option<DateTime<Utc>>,
) -> Result<Option<Refreshed>> {
    #[derive(FromRow)]
    struct Row {
        user_id: UserId,
        role: String,
        expires_at: DateTime<Utc>,
    }
    let row: Option<Row> = sqlx::query_as(
        "update sessions s set \
           refresh_previous_digest = $2, \
           refreshed_at = case when s.refresh_digest = $2 then coalesce($6, clock_timestamp()) else s.refreshed_at end, \
           refresh_generation = $3 + 1, \
           refresh_digest = $4, \
           last_seen_at = greatest(s.last_seen_at, $5), \
           expires_at = greatest(s.expires_at, least($5 + $8, s.created_at + $9)) \
         from users u \
         where s.id = $1 and u.id = s.user_id and s.expires_at > $5 \
           and u.locked_at is null and u.deletion_due_at is null \
           and ((s.refresh_digest = $2 and s.refresh_generation = $3) \
             or (s.refresh_previous_digest = $2 and s.refresh_generation = $3 + 1 \
               and s.refreshed_at > coalesce($6, clock_timestamp()) - $7)) \
         returning s.user_id, u.role, s.expires_at",
    )
    .bind(rotation.session_id)
    .bind(rotation.presented.as_slice())
    .bind(rotation.generation)
    .bind(rotation.next.as_slice())
    .bind(now)
    .bind(now_override)
    .bind(interval(rotation.grace))
    .bind(interval(rotation.lifetime.idle))
    .bind(interval(rotation.lifetime.longest))
    .fetch_optional(connection)
    .await?;
    row.map(|row| {
        Ok(Refreshed {
            user_id: row.user_id,
            role: role(&row.role)?,
            expires_at: row.expires_at,
        })
    })
    .transpose()
}

/// Where a session stands with its refresh tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromRow)]
pub struct RefreshState {
    /// Whose it is.
    pub user_id: UserId,
    /// How many exchanges there were.
    #[sqlx(rename = "refresh_generation")]
    pub generation: i32,
    /// Whether the token asked about is the good one.
    pub is_current: bool,
    /// Whether the token asked about is the one that was exchanged for the good one.
    pub is_previous: bool,
    /// Whether the last exchange was within the grace.
    pub was_just_refreshed: bool,
    /// Whether the session may still be used.
    pub is_live: bool,
    /// Time of the login.
    pub created_at: DateTime<Utc>,
    /// From when on it is refused.
    pub expires_at: DateTime<Utc>,
}

/// Where the session of a token stands, if it is there.
///
/// # Errors
///
/// If the database fails.
pub async fn find_refresh_state(
    connection: &mut PgConnection,
    session_id: SessionId,
    presented: &[u8; 32],
    grace: TimeDelta,
    now: DateTime<Utc>,
    now_override: Option<DateTime<Utc>>,
) -> Result<Option<RefreshState>> {
    let state = sqlx::query_as(
        "select s.user_id, s.refresh_generation, s.refresh_digest is not distinct from $2 as is_current, \
           s.refresh_previous_digest is not distinct from $2 as is_previous, \
           coalesce(s.refreshed_at > coalesce($5, clock_timestamp()) - $3, false) as was_just_refreshed, \
           s.expires_at > $4 and u.locked_at is null and u.deletion_due_at is null as is_live, \
           s.created_at, s.expires_at \
         from sessions s join users u on u.id = s.user_id where s.id = $1",
    )
    .bind(session_id)
    .bind(presented.as_slice())
    .bind(interval(grace))
    .bind(now)
    .bind(now_override)
    .fetch_optional(connection)
    .await?;
    Ok(state)
}
