//! What logins read and write of the table `users`.

use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgConnection};

use super::role;
use crate::{
    domain::{id::UserId, password::PasswordHash, role::Role},
    error::Result,
};

/// What a login needs to know of an account.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// Whose they are.
    pub user_id: UserId,
    /// The stored hash.
    pub password_hash: PasswordHash,
    /// Whether the address is verified.
    pub is_verified: bool,
    /// Whether an administrator locked the account.
    pub is_locked: bool,
}

/// What a login by this address in lower case is compared with.
///
/// # Errors
///
/// If the database fails.
pub async fn find_credentials(
    connection: &mut PgConnection,
    normalized: &str,
) -> Result<Option<Credentials>> {
    #[derive(FromRow)]
    struct Row {
        id: UserId,
        password_hash: String,
        is_verified: bool,
        is_locked: bool,
    }
    let row: Option<Row> = sqlx::query_as(
        "select id, password_hash, email_verified_at is not null as is_verified, locked_at is not null as is_locked \
         from users where lower(email) = $1",
    )
    .bind(normalized)
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| Credentials {
        user_id: row.id,
        password_hash: PasswordHash::new(row.password_hash),
        is_verified: row.is_verified,
        is_locked: row.is_locked,
    }))
}

/// Notes a login by somebody who knew the password of `hash`, and renews the hash where one is
/// given; answers the role, or none when the account has changed since its credentials were read.
///
/// # Errors
///
/// If the database fails.
///
/// # Concurrency
///
/// A lock, a deletion or a new password that came while the password was compared wins.
pub async fn record_login(
    connection: &mut PgConnection,
    id: UserId,
    hash: &PasswordHash,
    renewed: Option<&PasswordHash>,
    now: DateTime<Utc>,
) -> Result<Option<Role>> {
    let name: Option<String> = sqlx::query_scalar(
        "update users set last_login_at = $3, password_hash = coalesce($4, password_hash) \
         where id = $1 and password_hash = $2 and locked_at is null and email_verified_at is not null \
         returning role",
    )
    .bind(id)
    .bind(hash.expose())
    .bind(now)
    .bind(renewed.map(PasswordHash::expose))
    .fetch_optional(connection)
    .await?;
    name.as_deref().map(role).transpose()
}
