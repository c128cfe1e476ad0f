//! The users that the server serves.

use std::{num::NonZeroUsize, sync::Arc};

use anyhow::{Context as _, Result, anyhow};
use sqlx::{Connection as _, PgConnection, postgres::PgConnectOptions};
use user_management::{
    domain::password::{Password, PasswordHash, TypedPassword},
    infra::{
        password_hasher::{HashCost, PasswordHasher},
        random::SystemRandom,
    },
};
use uuid::Uuid;

/// How many users are made.
pub const USERS: usize = 100_000;

/// The password of each of them.
pub const PASSWORD: &str = "the same for every user";

/// The address of one of them.
pub fn email(number: usize) -> String {
    format!("user-{number}@example.com")
}

/// Makes the users, straight in the database: registered within the last year, verified, half of
/// them with a filled profile. Returns their ids.
pub async fn seed(database: &PgConnectOptions) -> Result<Vec<Uuid>> {
    let hash = hash().await?;
    let mut connection = PgConnection::connect_with(database).await?;
    // An id of version 7: 48 bits of time, then random ones.
    sqlx::query(
        "insert into users (
             id, nickname, email, email_verified_at, password_hash, first_name, last_name, bio,
             profile_picture_url, linkedin_profile_url, github_profile_url, role, last_login_at,
             created_at, updated_at)
         select
             encode(
                 set_byte(
                     substring(int8send(floor(extract(epoch from at) * 1000)::bigint) from 3)
                         || substring(uuid_send(gen_random_uuid()) from 7),
                     6,
                     112 + get_byte(uuid_send(gen_random_uuid()), 0) % 16),
                 'hex')::uuid,
             'quiet_otter_' || number,
             'user-' || number || '@example.com',
             at,
             $2,
             'Ada' || number,
             'Lovelace',
             case when number % 2 = 0 then repeat('Writes programs for engines. ', 4) end,
             case when number % 2 = 0 then 'https://img.example.com/' || number || '.jpg' end,
             case when number % 2 = 0 then 'https://www.linkedin.com/in/user-' || number end,
             case when number % 2 = 0 then 'https://github.com/user-' || number end,
             'AUTHENTICATED',
             at + interval '1 day',
             at,
             at
         from (
             select number, now() - interval '1 year' + number * interval '5 minutes' as at
             from generate_series(0, $1 - 1) as number) as numbers",
    )
    .bind(i32::try_from(USERS)?)
    .bind(hash.expose())
    .execute(&mut connection)
    .await
    .context("cannot make the users")?;
    sqlx::query("vacuum analyze users")
        .execute(&mut connection)
        .await?;
    let ids = sqlx::query_scalar("select id from users where role = 'AUTHENTICATED'")
        .fetch_all(&mut connection)
        .await?;
    connection.close().await?;
    Ok(ids)
}

/// [`PASSWORD`]'s hash, as the server makes it: one for all, since a hash of each would take an
/// hour.
async fn hash() -> Result<PasswordHash> {
    let random = Arc::new(SystemRandom);
    let hasher = PasswordHasher::start(HashCost::RECOMMENDED, NonZeroUsize::new(1), random)?;
    let password = Password::parse(&TypedPassword::new(PASSWORD.to_owned()))
        .map_err(|rule| anyhow!("{rule:?}"))?;
    Ok(hasher.hash(&password).await?)
}
