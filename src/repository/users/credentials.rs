//! What logins read of the table `users`.

use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgConnection};

use crate::{
    domain::{id::UserId, login_name::LoginName, password::PasswordHash},
    error::Result,
};

/// What a login needs to know of an account.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// Whose they are.
    pub user_id: UserId,
    /// The stored hash.
    pub password_hash: PasswordHash,
    /// Whether the address is verified, or there is none.
    pub is_verified: bool,
    /// Whether an administrator locked the account.
    pub is_locked: bool,
    /// Whether it was deleted, and is to be erased.
    pub is_deleted: bool,
}

/// The columns of [`OptionalCredentials`].
macro_rules! credentials_columns {
    () => {
        "id, password_hash, (email is null or email_verified_at is not null) as is_verified, \
         locked_at is not null as is_locked, deletion_due_at is not null as is_deleted"
    };
}
pub(in crate::repository) use credentials_columns;

/// The credentials of a row of `users` that may be missing from an outer join.
#[derive(FromRow)]
pub(in crate::repository) struct OptionalCredentials {
    id: Option<UserId>,
    password_hash: Option<String>,
    is_verified: bool,
    is_locked: bool,
    is_deleted: bool,
}

impl From<OptionalCredentials> for Option<Credentials> {
    fn from(row: OptionalCredentials) -> Self {
        Some(Credentials {
            user_id: row.id?,
            password_hash: PasswordHash::new(row.password_hash?),
            is_verified: row.is_verified,
            is_locked: row.is_locked,
            is_deleted: row.is_deleted,
        })
    }
}

/// The stored hash of a user's password.
///
/// # Errors
///
/// If the database fails.
pub async fn find_password_hash(
    connection: &mut PgConnection,
    id: UserId,
) -> Result<Option<PasswordHash>> {
    let hash: Option<String> = sqlx::query_scalar("select password_hash from users where id = $1")
        .bind(id)
        .fetch_optional(connection)
        .await?;
    Ok(hash.map(PasswordHash::new))
}

/// Stores the hash of a new password; answers whether the user is there.
///
/// # Errors
///
/// If the database fails.
pub async fn set_password_hash(
    connection: &mut PgConnection,
    id: UserId,
    hash: &PasswordHash,
) -> Result<bool> {
    let updated = sqlx::query("update users set password_hash = $2 where id = $1")
        .bind(id)
        .bind(hash.expose())
        .execute(connection)
        .await?;
    Ok(updated.rows_affected() == 1)
}

/// Remembers that whoever knew a user's name set his password.
///
/// # Errors
///
/// If the database fails.
pub async fn put_open_reset(
    connection: &mut PgConnection,
    id: UserId,
    now: DateTime<Utc>,
) -> Result<()> {
    sqlx::query("update users set password_reset_openly_at = $2 where id = $1")
        .bind(id)
        .bind(now)
        .execute(connection)
        .await?;
    Ok(())
}

/// Forgets that whoever knew a user's name set his password; answers whether it was so.
///
/// # Errors
///
/// If the database fails.
pub async fn take_open_reset(connection: &mut PgConnection, id: UserId) -> Result<bool> {
    let taken = sqlx::query(
        "update users set password_reset_openly_at = null \
         where id = $1 and password_reset_openly_at is not null",
    )
    .bind(id)
    .execute(connection)
    .await?;
    Ok(taken.rows_affected() == 1)
}

/// What a login by this name is compared with.
///
/// # Errors
///
/// If the database fails.
pub async fn find_credentials(
    connection: &mut PgConnection,
    name: &LoginName,
) -> Result<Option<Credentials>> {
    let query = match name {
        LoginName::Email(_) => concat!(
            "select ",
            credentials_columns!(),
            " from users where lower(email) = $1"
        ),
        LoginName::PhoneNumber(_) => concat!(
            "select ",
            credentials_columns!(),
            " from users where phone_number = $1"
        ),
        LoginName::Legacy(_) => concat!(
            "select ",
            credentials_columns!(),
            " from users where legacy_name = $1"
        ),
    };
    let row: Option<OptionalCredentials> = sqlx::query_as(query)
        .bind(name.as_str())
        .fetch_optional(connection)
        .await?;
    Ok(row.and_then(OptionalCredentials::into))
}
