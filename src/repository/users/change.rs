//! Changes and deletion of rows of the table `users`.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::{
    domain::{
        email::Email,
        id::UserId,
        locale::Locale,
        phone::PhoneNumber,
        profile::{Bio, Location, PersonName, WebUrl},
        user::User,
    },
    error::Result,
    repository::sessions,
};

/// Stores all of a user but his password and his last login, gives him his new revision, and tells
/// every instance when the transaction commits; answers whether he is there.
///
/// # Errors
///
/// A conflict over address, phone number or nickname.
pub async fn update(connection: &mut PgConnection, user: &mut User) -> Result<bool> {
    let profile = &user.profile;
    let revision: Option<i64> = sqlx::query_scalar(
        "with changed as ( \
           update users set nickname = $2, email = $3, email_verified_at = $4, phone_number = $5, \
         first_name = $6, middle_name = $7, last_name = $8, is_name_public = $9, bio = $10, \
         location = $11, profile_picture_url = $12, linkedin_profile_url = $13, \
         github_profile_url = $14, role = $15, locked_at = $16, deletion_due_at = $17, \
         updated_at = $18, locale = $19, revision = revision + 1 \
           where id = $1 returning id, revision \
         ) \
         select revision from changed, lateral (select pg_notify($20, id::text)) told",
    )
    .bind(user.id)
    .bind(user.nickname.as_str())
    .bind(user.email.as_ref().map(Email::as_str))
    .bind(user.email_verified_at)
    .bind(user.phone_number.as_ref().map(PhoneNumber::as_str))
    .bind(profile.first_name.as_ref().map(PersonName::as_str))
    .bind(profile.middle_name.as_ref().map(PersonName::as_str))
    .bind(profile.last_name.as_ref().map(PersonName::as_str))
    .bind(profile.is_name_public)
    .bind(profile.bio.as_ref().map(Bio::as_str))
    .bind(profile.location.as_ref().map(Location::as_str))
    .bind(profile.profile_picture_url.as_ref().map(WebUrl::as_str))
    .bind(profile.linkedin_profile_url.as_ref().map(WebUrl::as_str))
    .bind(profile.github_profile_url.as_ref().map(WebUrl::as_str))
    .bind(user.role.as_str())
    .bind(user.locked_at)
    .bind(user.deletion_due_at)
    .bind(user.updated_at)
    .bind(profile.locale.as_ref().map(Locale::as_str))
    .bind(sessions::CHANNEL)
    .fetch_optional(connection)
    .await?;
    if let Some(revision) = revision {
        user.revision = revision;
    }
    Ok(revision.is_some())
}

/// Marks the address as verified, makes of an ANONYMOUS user an AUTHENTICATED one, and tells every
/// instance when the transaction commits; answers whether he is there.
///
/// # Errors
///
/// If the database fails.
pub async fn verify_email(
    connection: &mut PgConnection,
    id: UserId,
    now: DateTime<Utc>,
) -> Result<bool> {
    let verified: Option<UserId> = sqlx::query_scalar(
        "with changed as ( \
           update users set email_verified_at = coalesce(email_verified_at, $2), updated_at = $2, \
             revision = revision + 1, \
             role = case role when 'ANONYMOUS' then 'AUTHENTICATED' else role end \
           where id = $1 returning id \
         ) \
         select id from changed, lateral (select pg_notify($3, id::text)) told",
    )
    .bind(id)
    .bind(now)
    .bind(sessions::CHANNEL)
    .fetch_optional(connection)
    .await?;
    Ok(verified.is_some())
}

/// Erases users whose time to think their deletion over has passed, at most `limit`, and all that
/// belongs to them: answers who they were.
///
/// # Errors
///
/// If the database fails.
///
/// # Concurrency
///
/// Passes over rows that others have locked: somebody may be restoring one.
pub async fn erase_due(
    connection: &mut PgConnection,
    now: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<UserId>> {
    let erased = sqlx::query_scalar(
        "delete from users where id in (select id from users where deletion_due_at <= $1 \
         order by deletion_due_at limit $2 for update skip locked) returning id",
    )
    .bind(now)
    .bind(limit)
    .fetch_all(connection)
    .await?;
    Ok(erased)
}

/// Deletes an account of this address in lower case, if it isn't `but`, of which nobody has proved that the
/// address is his, and tells every instance when the transaction commits. Answers which it was.
///
/// # Errors
///
/// If the database fails.
pub async fn delete_unproven(
    connection: &mut PgConnection,
    normalized: &str,
    but: UserId,
) -> Result<Option<UserId>> {
    let deleted = sqlx::query_scalar(
        "with gone as ( \
           delete from users where lower(email) = $1 and id <> $2 \
             and email_verified_at is null and role = 'ANONYMOUS' returning id \
         ) \
         select id from gone, lateral (select pg_notify($3, id::text)) told",
    )
    .bind(normalized)
    .bind(but)
    .bind(sessions::CHANNEL)
    .fetch_optional(connection)
    .await?;
    Ok(deleted)
}

/// Deletes a user and all that belongs to him; answers whether he was there.
///
/// # Errors
///
/// If the database fails.
pub async fn delete(connection: &mut PgConnection, id: UserId) -> Result<bool> {
    let deleted = sqlx::query("delete from users where id = $1")
        .bind(id)
        .execute(connection)
        .await?;
    Ok(deleted.rows_affected() == 1)
}
