//! The connections to the database, and the migrations.

use std::time::Duration;

use anyhow::{Context as _, bail};
use sqlx::{
    ConnectOptions as _, Connection as _, Executor as _, PgConnection, PgPool,
    migrate::Migrator,
    postgres::{PgConnectOptions, PgPoolOptions},
};

use super::schema::{self, Origin};
use crate::error::Result;

/// The migrations, compiled in.
pub static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// What our connections are called in `pg_stat_activity`.
const APPLICATION_NAME: &str = "user-management";
/// How long a request waits for a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);
/// A connection that was idle for longer is tried before it is used.
const TRUSTED_IDLE: Duration = Duration::from_secs(5);

/// A pool of at most `max_connections`, which connects when it is first used.
///
/// Statements are cancelled after 5 seconds, and transactions that stand idle for 10 are ended.
#[must_use]
pub fn connect(options: PgConnectOptions, max_connections: u32) -> PgPool {
    let options = options.application_name(APPLICATION_NAME).options([
        ("statement_timeout", "5s"),
        ("idle_in_transaction_session_timeout", "10s"),
        // They pay off for statements of seconds.
        ("jit", "off"),
        ("max_parallel_workers_per_gather", "0"),
        // Of disks without moving parts, and of memory.
        ("random_page_cost", "1.1"),
        // Every search reads what waits outside its index.
        ("gin_pending_list_limit", "512kB"),
    ]);
    PgPoolOptions::new()
        .max_connections(max_connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        // A trial costs a round trip: spend it only where the server may have gone meanwhile.
        .test_before_acquire(false)
        .before_acquire(|connection, used| {
            Box::pin(async move {
                if used.idle_for > TRUSTED_IDLE {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
        .connect_lazy_with(options)
}

/// One connection for work on the database as a whole, which may take its time: statements have no
/// limit, but the wait for a lock that somebody else holds has one of 5 seconds.
///
/// # Errors
///
/// If the database can't be reached.
pub async fn connect_alone(options: &PgConnectOptions) -> Result<PgConnection> {
    let options = options.clone().application_name(APPLICATION_NAME);
    let options = options.options([("lock_timeout", "5s")]);
    // Slow ones are what it is for.
    let options = options.disable_statement_logging();
    Ok(PgConnection::connect_with(&options).await?)
}

/// Applies the migrations that the database lacks: answers how many were applied meanwhile.
///
/// # Errors
///
/// If the database can't be reached or isn't ours, a migration fails, or the database has migrations
/// that this program doesn't know.
///
/// # Concurrency
///
/// Under an advisory lock: of several instances that start at once one migrates, the others wait.
pub async fn migrate(options: &PgConnectOptions) -> anyhow::Result<usize> {
    let mut connection = PgConnection::connect_with(options)
        .await
        .context("can't connect to the database")?;
    match schema::find_origin(&mut connection).await? {
        Origin::Ours | Origin::Empty => {}
        Origin::FastApi { .. } => bail!(
            "the database is one of the FastAPI service: `user-management db adopt` takes it over"
        ),
        Origin::Foreign { .. } => {
            bail!("the database has a table `users` that isn't ours: use another database")
        }
    }
    let before = schema::applied_migrations(&mut connection).await?.len();
    MIGRATIONS
        .run(&mut connection)
        .await
        .context("can't migrate the database")?;
    let after = schema::applied_migrations(&mut connection).await?.len();
    let left = connection.close().await;
    left.context("can't leave the database")?;
    Ok(after.saturating_sub(before))
}

/// Asks the database for a sign of life.
///
/// # Errors
///
/// If it gives none.
pub async fn ping(pool: &PgPool) -> sqlx::Result<()> {
    pool.execute("select 1").await.map(drop)
}
