//! The tables `users`, `user_counts` and `first_user`.

mod change;
mod credentials;
mod many;
mod named;
mod new;
mod snapshot;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::{FromRow, PgConnection};

use crate::{
    domain::{
        email::Email,
        id::UserId,
        legacy_name::LegacyName,
        locale::Locale,
        nickname::Nickname,
        page::{Listed, Page},
        phone::PhoneNumber,
        profile::{Bio, Location, PersonName, Profile, WebUrl},
        role::Role,
        token::{OneTimeToken, Purpose},
        user::User,
    },
    error::Result,
};

pub use change::{delete, delete_unproven, erase_due, update, verify_email};
pub use credentials::{
    Credentials, find_credentials, find_password_hash, put_open_reset, set_password_hash,
    take_open_reset,
};
pub(super) use credentials::{OptionalCredentials, credentials_columns};
pub use many::{
    Holder, NewUser, expect_many, find_holders, find_ids, insert_all, insert_each,
    insert_unless_taken, replace, take_in,
};
pub use named::find_named;
pub use new::{
    claim_configured_admin, claim_first, insert, insert_unverified, is_configured_admin,
};
pub use snapshot::Snapshot;

macro_rules! prefixed {
    ($table:literal; $first:literal $($column:literal)+) => {
        concat!($table, ".", $first $(, ", ", $table, ".", $column)+)
    };
}
pub(super) use prefixed;

/// The columns of [`UserRow`], of the table of this name.
macro_rules! columns_of {
    ($table:literal) => {
        $crate::repository::users::prefixed! {
            $table;
            "id" "nickname" "email" "email_verified_at" "phone_number" "first_name" "middle_name"
            "last_name" "is_name_public" "bio" "location" "locale" "profile_picture_url"
            "linkedin_profile_url" "github_profile_url" "role" "is_professional"
            "professional_status_updated_at" "locked_at" "deletion_due_at" "last_login_at"
            "created_at" "updated_at" "revision" "legacy_name"
        }
    };
}
pub(super) use columns_of;

macro_rules! columns {
    () => {
        columns_of!("users")
    };
}

#[derive(FromRow, Serialize, Deserialize)]
pub(super) struct UserRow {
    id: UserId,
    nickname: String,
    email: Option<String>,
    email_verified_at: Option<DateTime<Utc>>,
    phone_number: Option<String>,
    first_name: Option<String>,
    middle_name: Option<String>,
    last_name: Option<String>,
    is_name_public: bool,
    bio: Option<String>,
    location: Option<String>,
    locale: Option<String>,
    profile_picture_url: Option<String>,
    linkedin_profile_url: Option<String>,
    github_profile_url: Option<String>,
    role: String,
    is_professional: bool,
    professional_status_updated_at: Option<DateTime<Utc>>,
    locked_at: Option<DateTime<Utc>>,
    deletion_due_at: Option<DateTime<Utc>>,
    last_login_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    revision: i64,
    legacy_name: Option<String>,
}

impl TryFrom<UserRow> for User {
    type Error = crate::error::Error;

    fn try_from(row: UserRow) -> Result<Self> {
        Ok(Self {
            id: row.id,
            nickname: Nickname::from_trusted(row.nickname),
            email: row.email.map(Email::from_database),
            email_verified_at: row.email_verified_at,
            phone_number: row.phone_number.map(PhoneNumber::from_database),
            legacy_name: row.legacy_name.map(LegacyName::from_database),
            profile: Profile {
                first_name: row.first_name.map(PersonName::from_database),
                middle_name: row.middle_name.map(PersonName::from_database),
                last_name: row.last_name.map(PersonName::from_database),
                is_name_public: row.is_name_public,
                bio: row.bio.map(Bio::from_database),
                location: row.location.map(Location::from_database),
                locale: row.locale.map(Locale::from_database),
                profile_picture_url: row.profile_picture_url.map(WebUrl::from_database),
                linkedin_profile_url: row.linkedin_profile_url.map(WebUrl::from_database),
                github_profile_url: row.github_profile_url.map(WebUrl::from_database),
            },
            role: role(&row.role)?,
            is_professional: row.is_professional,
            professional_status_updated_at: row.professional_status_updated_at,
            locked_at: row.locked_at,
            deletion_due_at: row.deletion_due_at,
            last_login_at: row.last_login_at,
            created_at: row.created_at,
            updated_at: row.updated_at,
            revision: row.revision,
        })
    }
}

pub(super) fn role(name: &str) -> Result<Role> {
    name.parse()
        .map_err(|_| anyhow::anyhow!("the database has a role that is none of ours").into())
}

/// The user of this id.
///
/// # Errors
///
/// If the database fails.
pub async fn find(connection: &mut PgConnection, id: UserId) -> Result<Option<User>> {
    let row: Option<UserRow> =
        sqlx::query_as(concat!("select ", columns!(), " from users where id = $1"))
            .bind(id)
            .fetch_optional(connection)
            .await?;
    row.map(User::try_from).transpose()
}

/// The user of this id, and whether a token of his is still good; it isn't used up.
///
/// # Errors
///
/// If the database fails.
pub async fn find_with_token(
    connection: &mut PgConnection,
    id: UserId,
    purpose: Purpose,
    token: &OneTimeToken,
    now: DateTime<Utc>,
) -> Result<Option<(User, bool)>> {
    #[derive(FromRow)]
    struct Row {
        #[sqlx(flatten)]
        user: UserRow,
        is_live: bool,
    }
    let row: Option<Row> = sqlx::query_as(concat!(
        "select ",
        columns!(),
        ", exists (select 1 from one_time_tokens \
         where user_id = $1 and purpose = $2 and digest = $3 and expires_at > $4) as is_live \
         from users where id = $1"
    ))
    .bind(id)
    .bind(purpose.as_str())
    .bind(token.digest().as_slice())
    .bind(now)
    .fetch_optional(connection)
    .await?;
    row.map(|row| Ok((row.user.try_into()?, row.is_live)))
        .transpose()
}

/// The user of this id, locked until the transaction ends.
///
/// # Errors
///
/// If the database fails.
///
/// # Concurrency
///
/// Whoever wants to change or delete him waits. Take this lock before those of other rows of his
/// (tokens, notices): a deletion takes them in that order, and two orders make deadlocks.
pub async fn find_for_update(connection: &mut PgConnection, id: UserId) -> Result<Option<User>> {
    let row: Option<UserRow> = sqlx::query_as(concat!(
        "select ",
        columns!(),
        " from users where id = $1 for update"
    ))
    .bind(id)
    .fetch_optional(connection)
    .await?;
    row.map(User::try_from).transpose()
}

/// The user of this nickname, in whatever case.
///
/// # Errors
///
/// If the database fails.
pub async fn find_by_nickname(
    connection: &mut PgConnection,
    nickname: &Nickname,
) -> Result<Option<User>> {
    let row: Option<UserRow> = sqlx::query_as(concat!(
        "select ",
        columns!(),
        " from users where lower(nickname) = $1"
    ))
    .bind(nickname.as_str().to_ascii_lowercase())
    .fetch_optional(connection)
    .await?;
    row.map(User::try_from).transpose()
}

/// The user of this address in lower case.
///
/// # Errors
///
/// If the database fails.
pub async fn find_by_email(
    connection: &mut PgConnection,
    normalized: &str,
) -> Result<Option<User>> {
    let row: Option<UserRow> = sqlx::query_as(concat!(
        "select ",
        columns!(),
        " from users where lower(email) = $1"
    ))
    .bind(normalized)
    .fetch_optional(connection)
    .await?;
    row.map(User::try_from).transpose()
}

/// The user of this phone number.
///
/// # Errors
///
/// If the database fails.
pub async fn find_by_phone_number(
    connection: &mut PgConnection,
    phone_number: &str,
) -> Result<Option<User>> {
    let row: Option<UserRow> = sqlx::query_as(concat!(
        "select ",
        columns!(),
        " from users where phone_number = $1"
    ))
    .bind(phone_number)
    .fetch_optional(connection)
    .await?;
    row.map(User::try_from).transpose()
}

/// The role that a user has now; kept from changing until the transaction ends.
///
/// # Errors
///
/// If the database fails.
pub async fn find_role_for_share(
    connection: &mut PgConnection,
    id: UserId,
) -> Result<Option<Role>> {
    let name: Option<String> =
        sqlx::query_scalar("select role from users where id = $1 and locked_at is null and deletion_due_at is null for share")
            .bind(id)
            .fetch_optional(connection)
            .await?;
    name.as_deref().map(role).transpose()
}

/// A page of users, newest last, and how many there are, in one statement, so that they agree.
///
/// # Errors
///
/// If the database fails.
pub async fn list(connection: &mut PgConnection, page: Page) -> Result<Listed<User>> {
    #[derive(FromRow)]
    struct Row {
        #[sqlx(flatten)]
        user: UserRow,
        total: i64,
    }
    let rows: Vec<Row> = sqlx::query_as(concat!(
        "select ",
        columns!(),
        ", (select sum(users)::bigint from user_counts) as total \
         from users order by created_at, id limit $1 offset $2"
    ))
    .bind(i64::from(page.limit))
    .bind(i64::from(page.skip))
    .fetch_all(&mut *connection)
    .await?;
    let total = match rows.first() {
        Some(row) => u64::try_from(row.total).unwrap_or(0),
        None => count(connection).await?,
    };
    let items: Result<Vec<User>> = rows
        .into_iter()
        .map(|row| User::try_from(row.user))
        .collect();
    Ok(Listed {
        items: items?,
        total,
    })
}

/// Adds what transactions that took long have counted apart to what the others count.
///
/// # Errors
///
/// If the database fails.
///
/// # Concurrency
///
/// One statement, so that every count is right; passes over those that are still at it.
pub async fn merge_counts(connection: &mut PgConnection) -> Result<()> {
    sqlx::query(
        "with apart as ( \
           delete from user_counts where slot in ( \
             select slot from user_counts where slot >= 32 for update skip locked) returning users \
         ) \
         update user_counts set users = users + (select sum(users) from apart) \
         where slot = 0 and exists (select 1 from apart)",
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// How many users there are: exact, at the cost of reading a few rows.
///
/// # Errors
///
/// If the database fails.
pub async fn count(connection: &mut PgConnection) -> Result<u64> {
    let count: i64 = sqlx::query_scalar("select coalesce(sum(users), 0)::bigint from user_counts")
        .fetch_one(connection)
        .await?;
    Ok(u64::try_from(count).unwrap_or(0))
}

/// Lets nobody else take an administrator's power away until the transaction ends, and answers
/// whether an administrator besides `id` can log in.
///
/// # Errors
///
/// If the database fails.
///
/// # Concurrency
///
/// An advisory lock: of two transactions that each would take away one of the last two
/// administrators the second sees what the first did.
pub async fn has_other_admin(connection: &mut PgConnection, id: UserId) -> Result<bool> {
    /// "admins" in ASCII: any number that no other lock of ours has.
    const ADMINS: i64 = 0x61_64_6d_69_6e_73;
    sqlx::query("select pg_advisory_xact_lock($1)")
        .bind(ADMINS)
        .execute(&mut *connection)
        .await?;
    let found = sqlx::query_scalar(
        "select exists (select 1 from users where role = 'ADMIN' and id <> $1 \
         and locked_at is null and deletion_due_at is null \
         and case when email is null then phone_number is not null else email_verified_at is not null end)",
    )
    .bind(id)
    .fetch_one(connection)
    .await?;
    Ok(found)
}
