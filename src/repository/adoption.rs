//! The tables of the FastAPI service, as far as they are read to take them over.
//!
//! All of it is meant for one transaction on one connection: the view and the cursor are its own.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgConnection};

use crate::{
    domain::{
        email::Email, id::UserId, legacy_name::LegacyName, nickname::Nickname,
        password::PasswordHash, user::User,
    },
    error::Result,
    repository::users,
};

/// A row of the FastAPI service's table `users`, as it stands there. Its hash and its address keep it
/// from being shown.
#[derive(Clone, FromRow)]
pub struct OldUser {
    /// Its id.
    pub id: UserId,
    /// Unique, with case.
    pub nickname: String,
    /// Unique, with case.
    pub email: String,
    /// Given name.
    pub first_name: Option<String>,
    /// Family name.
    pub last_name: Option<String>,
    /// About oneself.
    pub bio: Option<String>,
    /// A picture, on somebody's server.
    pub profile_picture_url: Option<String>,
    /// A page at LinkedIn.
    pub linkedin_profile_url: Option<String>,
    /// A page at GitHub.
    pub github_profile_url: Option<String>,
    /// The name of its role.
    pub role: String,
    /// Professional status.
    pub is_professional: bool,
    /// When that last changed.
    pub professional_status_updated_at: Option<DateTime<Utc>>,
    /// The last login.
    pub last_login_at: Option<DateTime<Utc>>,
    /// Wrong passwords since then.
    pub failed_login_attempts: i32,
    /// Whether it takes no logins.
    pub is_locked: bool,
    /// Time of registration.
    pub created_at: Option<DateTime<Utc>>,
    /// The last change.
    pub updated_at: Option<DateTime<Utc>>,
    /// Whether the address is verified.
    pub email_verified: bool,
    /// A bcrypt hash, as a rule.
    pub hashed_password: String,
}

/// Keeps others from taking the database over until the transaction ends, and waits for one who does.
///
/// # Errors
///
/// If the database fails.
///
/// # Concurrency
///
/// An advisory lock: of two who begin at once the second sees what the first did.
pub async fn take_turn(connection: &mut PgConnection) -> Result<()> {
    /// "adopt" in ASCII: any number that no other lock of ours has.
    const ADOPT: i64 = 0x61_64_6f_70_74;
    sqlx::query("select pg_advisory_xact_lock($1)")
        .bind(ADOPT)
        .execute(connection)
        .await?;
    Ok(())
}

/// Keeps everybody else from the old users until the transaction ends.
///
/// # Errors
///
/// [`Error::Unavailable`](crate::error::Error::Unavailable) when somebody uses them for longer than the
/// connection waits.
pub async fn lock_old_users(connection: &mut PgConnection) -> Result<()> {
    sqlx::query("lock table users in access exclusive mode")
        .execute(connection)
        .await?;
    Ok(())
}

/// Whether the place where the old tables are kept is taken by others.
///
/// # Errors
///
/// If the database fails.
pub async fn is_aside_taken(connection: &mut PgConnection) -> Result<bool> {
    let taken = sqlx::query_scalar("select to_regclass('fastapi.users') is not null")
        .fetch_one(connection)
        .await?;
    Ok(taken)
}

/// Remembers where the old users are, while the table has that name and whatever it is called later.
///
/// # Errors
///
/// If the database fails, also when the columns are of other types than the FastAPI service's.
pub async fn find_old_users(connection: &mut PgConnection) -> Result<()> {
    // Of times that no calendar has (infinity is one for PostgreSQL) none is taken.
    sqlx::query(
        "create temporary view fastapi_users as \
         select id::uuid as id, coalesce(nickname::text, '') as nickname, coalesce(email::text, '') as email, \
           first_name::text as first_name, last_name::text as last_name, bio::text as bio, \
           profile_picture_url::text as profile_picture_url, linkedin_profile_url::text as linkedin_profile_url, \
           github_profile_url::text as github_profile_url, coalesce(role::text, '') as role, \
           coalesce(is_professional, false) as is_professional, \
           case when professional_status_updated_at between '0001-01-01' and '9999-12-31' \
             then professional_status_updated_at::timestamptz end as professional_status_updated_at, \
           case when last_login_at between '0001-01-01' and '9999-12-31' \
             then last_login_at::timestamptz end as last_login_at, \
           coalesce(failed_login_attempts, 0)::integer as failed_login_attempts, \
           coalesce(is_locked, false) as is_locked, \
           case when created_at between '0001-01-01' and '9999-12-31' \
             then created_at::timestamptz end as created_at, \
           case when updated_at between '0001-01-01' and '9999-12-31' \
             then updated_at::timestamptz end as updated_at, \
           coalesce(email_verified, false) as email_verified, \
           coalesce(hashed_password::text, '') as hashed_password \
         from users",
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Moves the old tables into a schema of their own, `fastapi`, where nothing of ours looks.
///
/// # Errors
///
/// If the database fails, or the role may make no schemas.
pub async fn set_old_aside(connection: &mut PgConnection) -> Result<()> {
    sqlx::query("create schema if not exists fastapi")
        .execute(&mut *connection)
        .await?;
    sqlx::query("alter table users set schema fastapi")
        .execute(&mut *connection)
        .await?;
    sqlx::query("alter table if exists alembic_version set schema fastapi")
        .execute(&mut *connection)
        .await?;
    sqlx::query(
        "do $$ begin \
           if to_regtype('\"UserRole\"') is not null then alter type \"UserRole\" set schema fastapi; end if; \
         end $$",
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Begins to read the old users. Of those who claim the same address or nickname the first one has the
/// best claim: a verified address, then the higher role, then the later login, then the older account.
///
/// # Errors
///
/// If the database fails.
pub async fn open_old_users(connection: &mut PgConnection) -> Result<()> {
    sqlx::query(
        "declare old_users no scroll cursor for select * from fastapi_users \
         order by email_verified desc, \
           case role when 'ADMIN' then 1 when 'MANAGER' then 2 when 'AUTHENTICATED' then 3 else 4 end, \
           last_login_at desc nulls last, created_at nulls last, id",
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The next thousand of them; none at the end.
///
/// # Errors
///
/// If the database fails.
pub async fn next_old_users(connection: &mut PgConnection) -> Result<Vec<OldUser>> {
    let users = sqlx::query_as("fetch forward 1000 from old_users")
        .fetch_all(connection)
        .await?;
    Ok(users)
}

/// A user who was taken over, and his hash.
pub type NewUser = (User, PasswordHash);

/// Who has which names already, of some that are wanted.
#[derive(Debug, Default)]
pub struct TakenNames {
    /// Addresses in lower case, and whose they are.
    pub emails: HashMap<String, UserId>,
    /// Nicknames in lower case.
    pub nicknames: HashSet<String>,
    /// Names in place of an address.
    pub legacy_names: HashSet<String>,
}

/// Which names of these users somebody has.
///
/// # Errors
///
/// If the database fails.
pub async fn taken_names(connection: &mut PgConnection, new: &[NewUser]) -> Result<TakenNames> {
    let users = || new.iter().map(|(user, _)| user);
    let emails: Vec<_> = users()
        .filter_map(|user| user.email.as_ref().map(Email::normalized))
        .collect();
    let nicknames: Vec<_> = users()
        .map(|user| user.nickname.as_str().to_ascii_lowercase())
        .collect();
    let legacy_names: Vec<_> = users()
        .filter_map(|user| user.legacy_name.as_ref().map(LegacyName::as_str))
        .collect();
    let emails: Vec<(String, UserId)> =
        sqlx::query_as("select lower(email), id from users where lower(email) = any($1)")
            .bind(emails)
            .fetch_all(&mut *connection)
            .await?;
    let nicknames: Vec<String> =
        sqlx::query_scalar("select lower(nickname) from users where lower(nickname) = any($1)")
            .bind(nicknames)
            .fetch_all(&mut *connection)
            .await?;
    let legacy_names: Vec<String> =
        sqlx::query_scalar("select legacy_name from users where legacy_name = any($1)")
            .bind(legacy_names)
            .fetch_all(connection)
            .await?;
    Ok(TakenNames {
        emails: emails.into_iter().collect(),
        nicknames: nicknames.into_iter().collect(),
        legacy_names: legacy_names.into_iter().collect(),
    })
}

/// Stores users.
///
/// # Errors
///
/// If the database fails, also when somebody has a name or an id of theirs, or a value breaks a rule.
///
/// # Concurrency
///
/// One statement, however many they are: each would add a row to `user_counts` that stays until the
/// transaction ends, and that each later one has to pass.
pub async fn insert(connection: &mut PgConnection, new: &[NewUser]) -> Result<()> {
    let new: Vec<_> = new
        .iter()
        .map(|(user, password_hash)| users::NewUser {
            user,
            password_hash,
            password_reset_openly_at: None,
        })
        .collect();
    users::insert_each(connection, &new).await
}

/// A user who needs another nickname than his old one.
#[derive(Debug, Clone, FromRow)]
pub struct Nameless {
    /// Who he is.
    pub id: UserId,
    /// What he is called now, in lower case.
    pub placeholder: String,
    /// What he was called.
    pub old_nickname: String,
}

/// Up to a thousand users whose nicknames in lower case are behind `after` and before `to`, in their
/// order.
///
/// # Errors
///
/// If the database fails.
pub async fn find_nameless(
    connection: &mut PgConnection,
    after: &str,
    to: &str,
) -> Result<Vec<Nameless>> {
    let nameless = sqlx::query_as(
        "select users.id, lower(users.nickname) as placeholder, old.nickname as old_nickname \
         from users join fastapi_users old on old.id = users.id \
         where lower(users.nickname) > $1 and lower(users.nickname) < $2 order by lower(users.nickname) limit 1000",
    )
    .bind(after)
    .bind(to)
    .fetch_all(connection)
    .await?;
    Ok(nameless)
}

/// Gives a user this nickname if nobody has it, and answers whether it did.
///
/// # Errors
///
/// If the database fails.
///
/// # Concurrency
///
/// Only for one who is alone with the users: a nickname that somebody else takes at once is an error.
pub async fn rename(
    connection: &mut PgConnection,
    id: UserId,
    nickname: &Nickname,
) -> Result<bool> {
    let renamed = sqlx::query(
        "update users set nickname = $2 where id = $1 \
         and not exists (select 1 from users where lower(nickname) = lower($2))",
    )
    .bind(id)
    .bind(nickname.as_str())
    .execute(connection)
    .await?;
    Ok(renamed.rows_affected() == 1)
}

/// Lets PostgreSQL count what is in the users, which it would do later by itself.
///
/// # Errors
///
/// If the database fails.
pub async fn analyze(connection: &mut PgConnection) -> Result<()> {
    sqlx::query("analyze users").execute(connection).await?;
    Ok(())
}

/// Forgets where the old users are.
///
/// # Errors
///
/// If the database fails.
pub async fn forget_old_users(connection: &mut PgConnection) -> Result<()> {
    sqlx::query("close old_users")
        .execute(&mut *connection)
        .await?;
    sqlx::query("drop view fastapi_users")
        .execute(connection)
        .await?;
    Ok(())
}
