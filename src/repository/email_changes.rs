//! The table `email_changes`.

use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgConnection};

use crate::{
    domain::{
        email::Email,
        id::{EmailChangeId, UserId},
        token::OneTimeToken,
    },
    error::Result,
};

/// A change of an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmailChange {
    /// Whose address it is.
    pub user_id: UserId,
    /// The address that was asked for.
    pub new_email: Email,
    /// The address that it took the place of, once it has.
    pub old_email: Option<Email>,
}

/// Who has the token of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The new address, which confirms.
    New,
    /// The old address, which can undo it.
    Old,
}

/// How a change can be undone.
#[derive(Debug, Clone, Copy)]
pub struct Undo<'a> {
    /// The address that comes back then.
    pub old_email: &'a Email,
    /// What its owner gets.
    pub token: &'a OneTimeToken,
    /// How long that is good.
    pub expires_at: DateTime<Utc>,
}

/// A change that was undone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undone {
    /// The address that comes back.
    pub old_email: Email,
    /// When the other one had taken its place.
    pub confirmed_at: DateTime<Utc>,
}

#[derive(FromRow)]
struct Row {
    user_id: UserId,
    new_email: String,
    old_email: Option<String>,
}

impl From<Row> for EmailChange {
    fn from(row: Row) -> Self {
        Self {
            user_id: row.user_id,
            new_email: Email::from_database(row.new_email),
            old_email: row.old_email.map(Email::from_database),
        }
    }
}

/// Notes that a user wants another address, in place of a wish of his that nobody has confirmed.
///
/// # Errors
///
/// If the database fails.
pub async fn request(
    connection: &mut PgConnection,
    id: EmailChangeId,
    user_id: UserId,
    new_email: &Email,
    now: DateTime<Utc>,
    expires_at: DateTime<Utc>,
) -> Result<()> {
    sqlx::query(
        "insert into email_changes (id, user_id, new_email, created_at, confirm_expires_at) \
         values ($1, $2, $3, $4, $5) \
         on conflict (user_id) where confirmed_at is null do update \
         set id = excluded.id, new_email = excluded.new_email, confirm_digest = null, \
           created_at = excluded.created_at, confirm_expires_at = excluded.confirm_expires_at",
    )
    .bind(id)
    .bind(user_id)
    .bind(new_email.as_str())
    .bind(now)
    .bind(expires_at)
    .execute(connection)
    .await?;
    Ok(())
}

/// The change of this id.
///
/// # Errors
///
/// If the database fails.
pub async fn find(connection: &mut PgConnection, id: EmailChangeId) -> Result<Option<EmailChange>> {
    let row: Option<Row> =
        sqlx::query_as("select user_id, new_email, old_email from email_changes where id = $1")
            .bind(id)
            .fetch_optional(connection)
            .await?;
    Ok(row.map(EmailChange::from))
}

/// The change of this id, if this token of it is still good; it isn't used up.
///
/// # Errors
///
/// If the database fails.
pub async fn find_with_token(
    connection: &mut PgConnection,
    id: EmailChangeId,
    side: Side,
    token: &OneTimeToken,
    now: DateTime<Utc>,
) -> Result<Option<EmailChange>> {
    let query = match side {
        Side::New => {
            "select user_id, new_email, old_email from email_changes \
             where id = $1 and confirm_digest = $2 and confirm_expires_at > $3"
        }
        Side::Old => {
            "select user_id, new_email, old_email from email_changes \
             where id = $1 and undo_digest = $2 and undo_expires_at > $3"
        }
    };
    let row: Option<Row> = sqlx::query_as(query)
        .bind(id)
        .bind(token.digest().as_slice())
        .bind(now)
        .fetch_optional(connection)
        .await?;
    Ok(row.map(EmailChange::from))
}

/// Until when the last change of a user can be undone, if one can.
///
/// # Errors
///
/// If the database fails.
pub async fn find_last_undo(
    connection: &mut PgConnection,
    user_id: UserId,
    now: DateTime<Utc>,
) -> Result<Option<DateTime<Utc>>> {
    let until = sqlx::query_scalar(
        "select max(undo_expires_at) from email_changes where user_id = $1 and undo_expires_at > $2",
    )
    .bind(user_id)
    .bind(now)
    .fetch_one(connection)
    .await?;
    Ok(until)
}

/// Gives a wish the token that the new address confirms it with until `expires_at`; answers whether it
/// had none yet.
///
/// # Errors
///
/// If the database fails.
///
/// # Concurrency
///
/// One conditional statement: a job that runs twice gives it once.
pub async fn offer(
    connection: &mut PgConnection,
    id: EmailChangeId,
    token: &OneTimeToken,
    expires_at: DateTime<Utc>,
) -> Result<bool> {
    let offered = sqlx::query(
        "update email_changes set confirm_digest = $2, confirm_expires_at = $3 \
         where id = $1 and confirm_digest is null and confirmed_at is null",
    )
    .bind(id)
    .bind(token.digest().as_slice())
    .bind(expires_at)
    .execute(connection)
    .await?;
    Ok(offered.rows_affected() == 1)
}

/// Uses the new address's token up; answers the new address if the token was good. Where there is
/// nothing to come back to, nothing is left of the change.
///
/// # Errors
///
/// If the database fails.
///
/// # Concurrency
///
/// One conditional statement: of several tries at once one succeeds.
pub async fn confirm(
    connection: &mut PgConnection,
    id: EmailChangeId,
    token: &OneTimeToken,
    now: DateTime<Utc>,
    undo: Option<Undo<'_>>,
) -> Result<Option<Email>> {
    let digest = token.digest();
    let confirmed = match undo {
        Some(undo) => sqlx::query_scalar(
            "update email_changes set confirm_digest = null, confirmed_at = $3, \
               old_email = $4, undo_digest = $5, undo_expires_at = $6 \
             where id = $1 and confirm_digest = $2 and confirm_expires_at > $3 \
             returning new_email",
        )
        .bind(id)
        .bind(digest.as_slice())
        .bind(now)
        .bind(undo.old_email.as_str())
        .bind(undo.token.digest().to_vec())
        .bind(undo.expires_at),
        None => sqlx::query_scalar(
            "delete from email_changes \
             where id = $1 and confirm_digest = $2 and confirm_expires_at > $3 \
             returning new_email",
        )
        .bind(id)
        .bind(digest.as_slice())
        .bind(now),
    };
    let new_email: Option<String> = confirmed.fetch_optional(connection).await?;
    Ok(new_email.map(Email::from_database))
}

/// Uses the old address's token up; answers what is to come back if the token was good.
///
/// # Errors
///
/// If the database fails.
///
/// # Concurrency
///
/// One conditional statement: of several tries at once one succeeds.
pub async fn undo(
    connection: &mut PgConnection,
    id: EmailChangeId,
    token: &OneTimeToken,
    now: DateTime<Utc>,
) -> Result<Option<Undone>> {
    let undone: Option<(String, DateTime<Utc>)> = sqlx::query_as(
        "delete from email_changes where id = $1 and undo_digest = $2 and undo_expires_at > $3 \
         returning old_email, confirmed_at",
    )
    .bind(id)
    .bind(token.digest().as_slice())
    .bind(now)
    .fetch_optional(connection)
    .await?;
    Ok(undone.map(|(old_email, confirmed_at)| Undone {
        old_email: Email::from_database(old_email),
        confirmed_at,
    }))
}

/// Forgets a user's changes that came at this time or later, and the one that waits, if there is one.
///
/// # Errors
///
/// If the database fails.
pub async fn discard_since(
    connection: &mut PgConnection,
    user_id: UserId,
    since: DateTime<Utc>,
) -> Result<()> {
    sqlx::query(
        "delete from email_changes \
         where user_id = $1 and (confirmed_at is null or confirmed_at >= $2)",
    )
    .bind(user_id)
    .bind(since)
    .execute(connection)
    .await?;
    Ok(())
}

/// Forgets the change of a user's that waits for the new address, if there is one.
///
/// # Errors
///
/// If the database fails.
pub async fn discard_unconfirmed(connection: &mut PgConnection, user_id: UserId) -> Result<()> {
    sqlx::query("delete from email_changes where user_id = $1 and confirmed_at is null")
        .bind(user_id)
        .execute(connection)
        .await?;
    Ok(())
}

/// Forgets all changes of a user's: none can be confirmed or undone any more.
///
/// # Errors
///
/// If the database fails.
pub async fn discard_all(connection: &mut PgConnection, user_id: UserId) -> Result<()> {
    sqlx::query("delete from email_changes where user_id = $1")
        .bind(user_id)
        .execute(connection)
        .await?;
    Ok(())
}

/// Deletes changes that can be neither confirmed nor undone any more, at most `limit`: answers how
/// many.
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
        "delete from email_changes where id in (select id from email_changes \
         where coalesce(undo_expires_at, confirm_expires_at) <= $1 \
         order by coalesce(undo_expires_at, confirm_expires_at) limit $2 for update skip locked)",
    )
    .bind(now)
    .bind(limit)
    .execute(connection)
    .await?;
    Ok(swept.rows_affected())
}
