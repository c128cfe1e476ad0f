//! New rows of the table `users`, and who is the first.

use anyhow::anyhow;
use chrono::{DateTime, Utc};
use sqlx::{PgConnection, Postgres, postgres::PgArguments, query::Query};

use crate::{
    domain::{
        audit::NewEntry,
        email::Email,
        legacy_name::LegacyName,
        locale::Locale,
        password::PasswordHash,
        phone::PhoneNumber,
        profile::{Bio, Location, PersonName, WebUrl},
        token::{OneTimeToken, Purpose, VERIFICATION_LIFETIME},
        user::User,
    },
    error::{Error, Result},
    repository::{
        audit_log::{self, entry_parts},
        jobs::NewJob,
    },
};

/// Takes the place of the first user, if nobody has it.
///
/// # Errors
///
/// If the database fails.
///
/// # Concurrency
///
/// Of transactions that try at once one gets it; the others wait until it commits or rolls back.
pub async fn claim_first(connection: &mut PgConnection, now: DateTime<Utc>) -> Result<bool> {
    let claimed = sqlx::query("insert into first_user (claimed_at) values ($1) on conflict on constraint first_user_pkey do nothing")
        .bind(now)
        .execute(connection)
        .await?;
    Ok(claimed.rows_affected() == 1)
}

/// Whether the administrator whom a setting asks for was noted before.
///
/// # Errors
///
/// If the database fails.
pub async fn is_configured_admin(connection: &mut PgConnection, email: &Email) -> Result<bool> {
    let known = sqlx::query_scalar(
        "select exists (select 1 from configured_admins where digest = sha256(convert_to($1, 'UTF8')))",
    )
    .bind(email.normalized())
    .fetch_one(connection)
    .await?;
    Ok(known)
}

/// Notes that the administrator whom a setting asks for is made; answers whether he wasn't noted before.
///
/// # Errors
///
/// If the database fails.
///
/// # Concurrency
///
/// Of transactions that try at once one gets it; the others wait until it commits or rolls back.
pub async fn claim_configured_admin(
    connection: &mut PgConnection,
    email: &Email,
    now: DateTime<Utc>,
) -> Result<bool> {
    let claimed = sqlx::query(
        "insert into configured_admins (digest, made_at) values (sha256(convert_to($1, 'UTF8')), $2) \
         on conflict on constraint configured_admins_pkey do nothing",
    )
    .bind(email.normalized())
    .bind(now)
    .execute(connection)
    .await?;
    Ok(claimed.rows_affected() == 1)
}

/// Stores a user who is not there; its parameters are those of [`bind_new`].
macro_rules! insert_user {
    () => {
        "insert into users (id, nickname, email, email_verified_at, password_hash, first_name, \
         last_name, bio, profile_picture_url, linkedin_profile_url, github_profile_url, role, \
         is_professional, professional_status_updated_at, locked_at, last_login_at, created_at, updated_at, \
         phone_number, middle_name, is_name_public, location, deletion_due_at, revision, legacy_name, locale) \
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, \
         $19, $20, $21, $22, $23, $24, $25, $26) \
         on conflict (lower(nickname)) do nothing"
    };
}

type PgQuery<'a> = Query<'a, Postgres, PgArguments>;

fn bind_new<'a>(
    insert: PgQuery<'a>,
    user: &'a User,
    password_hash: &'a PasswordHash,
) -> PgQuery<'a> {
    let profile = &user.profile;
    insert
        .bind(user.id)
        .bind(user.nickname.as_str())
        .bind(user.email.as_ref().map(Email::as_str))
        .bind(user.email_verified_at)
        .bind(password_hash.expose())
        .bind(profile.first_name.as_ref().map(PersonName::as_str))
        .bind(profile.last_name.as_ref().map(PersonName::as_str))
        .bind(profile.bio.as_ref().map(Bio::as_str))
        .bind(profile.profile_picture_url.as_ref().map(WebUrl::as_str))
        .bind(profile.linkedin_profile_url.as_ref().map(WebUrl::as_str))
        .bind(profile.github_profile_url.as_ref().map(WebUrl::as_str))
        .bind(user.role.as_str())
        .bind(user.is_professional)
        .bind(user.professional_status_updated_at)
        .bind(user.locked_at)
        .bind(user.last_login_at)
        .bind(user.created_at)
        .bind(user.updated_at)
        .bind(user.phone_number.as_ref().map(PhoneNumber::as_str))
        .bind(profile.middle_name.as_ref().map(PersonName::as_str))
        .bind(profile.is_name_public)
        .bind(profile.location.as_ref().map(Location::as_str))
        .bind(user.deletion_due_at)
        .bind(user.revision)
        .bind(user.legacy_name.as_ref().map(LegacyName::as_str))
        .bind(profile.locale.as_ref().map(Locale::as_str))
}

/// Stores a new user and the audit entry that tells of him, unless somebody has his nickname: answers
/// whether it did.
///
/// # Errors
///
/// [`ErrorCode::EmailAlreadyExists`](crate::error::ErrorCode::EmailAlreadyExists), of a legacy name too,
/// [`ErrorCode::PhoneNumberAlreadyExists`](crate::error::ErrorCode::PhoneNumberAlreadyExists). Where both
/// are taken it is the address: PostgreSQL looks at indexes in the order of their making.
///
/// # Concurrency
///
/// Held by `users_email_key`, `users_phone_number_key`, `users_legacy_name_key` and `users_nickname_key`. A taken nickname leaves the transaction
/// usable, so that another one can be tried.
pub async fn insert(
    connection: &mut PgConnection,
    user: &User,
    password_hash: &PasswordHash,
    entry: &NewEntry,
) -> Result<bool> {
    let insert = sqlx::query(concat!(
        "with registered as (",
        insert_user!(),
        " returning id), ",
        entry_parts!("$27", "registered, "),
        " select id from registered"
    ));
    let inserted = bind_new(insert, user, password_hash)
        .bind(audit_log::json(entry)?)
        .fetch_optional(connection)
        .await?;
    Ok(inserted.is_some())
}

/// [Stores a new user](insert) whose address is to be verified, with the token that does so and the
/// job that mails it: all of them or nothing.
///
/// # Errors
///
/// As of [`insert`]; [`Error::Internal`] where `mail` is not simply due now.
///
/// # Concurrency
///
/// As of [`insert`]. One statement, which needs no transaction.
pub async fn insert_unverified(
    connection: &mut PgConnection,
    user: &User,
    password_hash: &PasswordHash,
    token: &OneTimeToken,
    mail: &NewJob,
    entry: &NewEntry,
    now_override: Option<DateTime<Utc>>,
) -> Result<bool> {
    if mail.serial_key.is_some() || mail.dedupe_key.is_some() || mail.run_at.is_some() {
        return Err(Error::Internal(anyhow!(
            "a job with keys or a time can't be enqueued with a user"
        )));
    }
    let purpose = Purpose::EmailVerification;
    let secret = mail.secret.as_ref();
    let insert = sqlx::query(concat!(
        "with registered as (",
        insert_user!(),
        " returning id), token as ( \
           insert into one_time_tokens (user_id, purpose, digest, created_at, expires_at) \
           select id, $27, $28, $17, $29 from registered \
         ), clock as materialized ( \
           select coalesce($30, clock_timestamp()) as now \
         ), mail as ( \
           insert into jobs (kind, payload, sealed_secret, secret_expires_at, max_attempts, run_at, created_at) \
           select $31, $32, $33, $34, $35, now, now from registered, clock \
         ), ",
        entry_parts!("$36", "registered, "),
        " select id from registered"
    ));
    let inserted = bind_new(insert, user, password_hash)
        .bind(purpose.as_str())
        .bind(token.digest().to_vec())
        .bind(user.created_at + VERIFICATION_LIFETIME)
        .bind(now_override)
        .bind(mail.kind.name)
        .bind(&mail.payload)
        .bind(secret.map(|secret| secret.bytes.as_slice()))
        .bind(secret.map(|secret| secret.expires_at))
        .bind(mail.kind.max_attempts)
        .bind(audit_log::json(entry)?)
        .fetch_optional(connection)
        .await?;
    Ok(inserted.is_some())
}
