//! Many users at once, as an import brings them.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgConnection, Postgres, Row as _, postgres::PgArguments, query::Query};

use crate::{
    domain::{
        email::Email,
        id::UserId,
        legacy_name::LegacyName,
        locale::Locale,
        password::PasswordHash,
        phone::PhoneNumber,
        profile::{Bio, Location, PersonName, WebUrl},
        user::User,
    },
    error::Result,
};

type PgQuery<'q> = Query<'q, Postgres, PgArguments>;

/// A user to be stored.
#[derive(Debug, Clone, Copy)]
pub struct NewUser<'a> {
    /// The account.
    pub user: &'a User,
    /// What his password was hashed to.
    pub password_hash: &'a PasswordHash,
    /// When whoever knew his name set it.
    pub password_reset_openly_at: Option<DateTime<Utc>>,
}

/// Lets the rest of a transaction, which stores many users, leave what it adds outside the indexes of texts:
/// somebody else is to take it in by [`take_in`] meanwhile.
///
/// # Errors
///
/// If the database fails.
pub async fn expect_many(connection: &mut PgConnection) -> Result<()> {
    sqlx::query("select set_config('gin_pending_list_limit', '64MB', true), set_config('work_mem', '32MB', true)")
        .execute(connection)
        .await?;
    Ok(())
}

/// Takes what was left outside the indexes of texts into them: every search reads it there.
///
/// # Errors
///
/// If the database fails, or the tables are another role's.
///
/// # Concurrency
///
/// Meant for a transaction of its own, which takes as long as it takes. Others write meanwhile; of several one
/// does it, and the others wait for it.
pub async fn take_in(connection: &mut PgConnection) -> Result<()> {
    sqlx::query("set local statement_timeout = 0")
        .execute(&mut *connection)
        .await?;
    for index in ["users_search_idx", "users_search_words_idx"] {
        sqlx::query("select gin_clean_pending_list($1::regclass)")
            .bind(index)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// Stores users; its parameters are those of [`bind_all`].
macro_rules! insert_users {
    () => {
        "insert into users (id, nickname, email, email_verified_at, password_hash, first_name, last_name, bio, \
         profile_picture_url, linkedin_profile_url, github_profile_url, role, is_professional, \
         professional_status_updated_at, locked_at, last_login_at, created_at, updated_at, phone_number, \
         middle_name, is_name_public, location, deletion_due_at, revision, legacy_name, locale, \
         password_reset_openly_at) \
         select * from unnest($1::uuid[], $2::text[], $3::text[], $4::timestamptz[], $5::text[], $6::text[], \
         $7::text[], $8::text[], $9::text[], $10::text[], $11::text[], $12::text[], $13::boolean[], \
         $14::timestamptz[], $15::timestamptz[], $16::timestamptz[], $17::timestamptz[], $18::timestamptz[], \
         $19::text[], $20::text[], $21::boolean[], $22::text[], $23::timestamptz[], $24::bigint[], $25::text[], \
         $26::text[], $27::timestamptz[])"
    };
}

/// Stores those users of whom nobody has the id, the address, the phone number, the legacy name or the
/// nickname, and answers who was stored. No two of them may have one id.
///
/// # Errors
///
/// If the database fails, also where a value breaks a rule of the database.
///
/// # Concurrency
///
/// One statement, however many they are: each would add a row to `user_counts` that stays until the
/// transaction ends. Of two of them who have the same name the first is stored; where another
/// transaction is storing one, it is waited for.
pub async fn insert_all(
    connection: &mut PgConnection,
    new: &[NewUser<'_>],
) -> Result<HashSet<UserId>> {
    let insert = concat!(insert_users!(), " on conflict do nothing returning id");
    let stored = bind_all(sqlx::query(insert), new)
        .fetch_all(connection)
        .await?;
    let ids: Result<_, sqlx::Error> = stored.iter().map(|row| row.try_get("id")).collect();
    Ok(ids?)
}

/// Stores all of these users, or none.
///
/// # Errors
///
/// If the database fails, also when somebody has a name or an id of theirs, or a value breaks a rule.
///
/// # Concurrency
///
/// One statement, as of [`insert_all`].
pub async fn insert_each(connection: &mut PgConnection, new: &[NewUser<'_>]) -> Result<()> {
    bind_all(sqlx::query(insert_users!()), new)
        .execute(connection)
        .await?;
    Ok(())
}

/// Stores all of these users, and answers whether nobody had a name or an id of theirs: where somebody had, the
/// transaction or savepoint can only be rolled back. Less work than [`insert_all`] where nobody has.
///
/// # Errors
///
/// If the database fails, also where a value breaks a rule of the database.
///
/// # Concurrency
///
/// One statement, as of [`insert_all`].
pub async fn insert_unless_taken(
    connection: &mut PgConnection,
    new: &[NewUser<'_>],
) -> Result<bool> {
    let insert = bind_all(sqlx::query(insert_users!()), new);
    match insert.execute(connection).await {
        Ok(_) => Ok(true),
        Err(sqlx::Error::Database(error)) if error.is_unique_violation() => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn bind_all<'q>(insert: PgQuery<'q>, new: &[NewUser<'q>]) -> PgQuery<'q> {
    fn column<'a, T>(new: &[NewUser<'a>], value: impl Fn(&'a User) -> T) -> Vec<T> {
        new.iter().map(|new| value(new.user)).collect()
    }
    let hashes: Vec<&str> = new.iter().map(|new| new.password_hash.expose()).collect();
    let openly: Vec<_> = new.iter().map(|new| new.password_reset_openly_at).collect();
    insert
        .bind(column(new, |user| user.id.0))
        .bind(column(new, |user| user.nickname.as_str()))
        .bind(column(new, |user| user.email.as_ref().map(Email::as_str)))
        .bind(column(new, |user| user.email_verified_at))
        .bind(hashes)
        .bind(column(new, |user| {
            user.profile.first_name.as_ref().map(PersonName::as_str)
        }))
        .bind(column(new, |user| {
            user.profile.last_name.as_ref().map(PersonName::as_str)
        }))
        .bind(column(new, |user| {
            user.profile.bio.as_ref().map(Bio::as_str)
        }))
        .bind(column(new, |user| {
            user.profile
                .profile_picture_url
                .as_ref()
                .map(WebUrl::as_str)
        }))
        .bind(column(new, |user| {
            user.profile
                .linkedin_profile_url
                .as_ref()
                .map(WebUrl::as_str)
        }))
        .bind(column(new, |user| {
            user.profile.github_profile_url.as_ref().map(WebUrl::as_str)
        }))
        .bind(column(new, |user| user.role.as_str()))
        .bind(column(new, |user| user.is_professional))
        .bind(column(new, |user| user.professional_status_updated_at))
        .bind(column(new, |user| user.locked_at))
        .bind(column(new, |user| user.last_login_at))
        .bind(column(new, |user| user.created_at))
        .bind(column(new, |user| user.updated_at))
        .bind(column(new, |user| {
            user.phone_number.as_ref().map(PhoneNumber::as_str)
        }))
        .bind(column(new, |user| {
            user.profile.middle_name.as_ref().map(PersonName::as_str)
        }))
        .bind(column(new, |user| user.profile.is_name_public))
        .bind(column(new, |user| {
            user.profile.location.as_ref().map(Location::as_str)
        }))
        .bind(column(new, |user| user.deletion_due_at))
        .bind(column(new, |user| user.revision))
        .bind(column(new, |user| {
            user.legacy_name.as_ref().map(LegacyName::as_str)
        }))
        .bind(column(new, |user| {
            user.profile.locale.as_ref().map(Locale::as_str)
        }))
        .bind(openly)
}

/// What an account is known by.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Holder {
    /// Who it is.
    pub id: UserId,
    /// The address in lower case.
    pub email: Option<String>,
    /// The phone number.
    pub phone_number: Option<String>,
    /// The legacy name.
    pub legacy_name: Option<String>,
    /// The nickname in lower case.
    pub nickname: String,
}

/// The accounts that have the id or a name of one of these users.
///
/// # Errors
///
/// If the database fails.
pub async fn find_holders(connection: &mut PgConnection, of: &[&User]) -> Result<Vec<Holder>> {
    let ids: Vec<_> = of.iter().map(|user| user.id.0).collect();
    let emails = of.iter().filter_map(|user| user.email.as_ref());
    let emails: Vec<_> = emails.map(Email::normalized).collect();
    let numbers = of.iter().filter_map(|user| user.phone_number.as_ref());
    let numbers: Vec<_> = numbers.map(PhoneNumber::as_str).collect();
    let legacy_names = of.iter().filter_map(|user| user.legacy_name.as_ref());
    let legacy_names: Vec<_> = legacy_names.map(LegacyName::as_str).collect();
    let nicknames = of
        .iter()
        .map(|user| user.nickname.as_str().to_ascii_lowercase());
    let nicknames: Vec<_> = nicknames.collect();
    // Each by an index of its own.
    let holders = sqlx::query_as(
        "with found as ( \
           select id from users where id = any($1) \
           union select id from users where lower(email) = any($2) \
           union select id from users where phone_number = any($3) \
           union select id from users where legacy_name = any($4) \
           union select id from users where lower(nickname) = any($5) \
         ) \
         select users.id, lower(users.email) as email, users.phone_number, users.legacy_name, \
           lower(users.nickname) as nickname \
         from found join users on users.id = found.id",
    )
    .bind(ids)
    .bind(emails)
    .bind(numbers)
    .bind(legacy_names)
    .bind(nicknames)
    .fetch_all(connection)
    .await?;
    Ok(holders)
}

/// Those of these ids that accounts have.
///
/// # Errors
///
/// If the database fails.
pub async fn find_ids(connection: &mut PgConnection, of: &[UserId]) -> Result<Vec<UserId>> {
    let ids: Vec<_> = of.iter().map(|id| id.0).collect();
    let found = sqlx::query_scalar("select id from users where id = any($1)")
        .bind(ids)
        .fetch_all(connection)
        .await?;
    Ok(found)
}

/// Stores all of a user but his password, what [`update`](super::update) leaves as it is among it, gives
/// him his new revision, and tells every instance when the transaction commits; answers whether he is
/// there.
///
/// # Errors
///
/// A conflict over address, phone number, legacy name or nickname.
pub async fn replace(connection: &mut PgConnection, user: &mut User) -> Result<bool> {
    let replaced = sqlx::query(
        "update users set legacy_name = $2, is_professional = $3, professional_status_updated_at = $4, \
         last_login_at = $5, created_at = $6 where id = $1",
    )
    .bind(user.id)
    .bind(user.legacy_name.as_ref().map(LegacyName::as_str))
    .bind(user.is_professional)
    .bind(user.professional_status_updated_at)
    .bind(user.last_login_at)
    .bind(user.created_at)
    .execute(&mut *connection)
    .await?;
    Ok(replaced.rows_affected() == 1 && super::update(connection, user).await?)
}
