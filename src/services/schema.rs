//! The database as a whole: looking at it, and emptying it.

use anyhow::Context as _;
use sqlx::{Connection as _, PgConnection, postgres::PgConnectOptions};
use tracing::instrument;

use super::Ctx;
use crate::{
    domain::permission::Permission,
    error::Result,
    repository::{
        pool::{self, MIGRATIONS},
        schema::{self, Facts, Origin},
        users,
    },
};

/// A database as it is now.
#[derive(Debug)]
pub struct Status {
    /// What PostgreSQL tells of it.
    pub facts: Facts,
    /// Whose it is.
    pub origin: Origin,
    /// Migrations that are applied.
    pub applied: Vec<i64>,
    /// Migrations that this program has and the database lacks.
    pub pending: Vec<i64>,
    /// Migrations that the database has and this program doesn't know, or knows otherwise, or that
    /// never came to their end.
    pub unknown: Vec<i64>,
    /// The number of users; none where the database isn't ours or isn't up to date.
    pub users: Option<u64>,
}

/// What became of a wish to empty a database.
#[derive(Debug, PartialEq, Eq)]
pub enum Reset {
    /// It is empty, and migrated.
    Done {
        /// How many tables, functions and types were dropped.
        dropped: usize,
    },
    /// Nothing was done: it has a table `users` that isn't ours.
    NotOurs,
    /// Nothing was done: this service uses it.
    InUse {
        /// By so many sessions.
        sessions: i64,
    },
    /// Nothing was done: it has migrations that this program doesn't know, so that what they have made
    /// would remain.
    Unknown {
        /// Their numbers.
        migrations: Vec<i64>,
    },
}

/// Looks after the database as a whole.
pub struct Schema {
    database: PgConnectOptions,
}

impl Schema {
    /// The service on this database, which need not be ours yet.
    #[must_use]
    pub fn new(database: PgConnectOptions) -> Self {
        Self { database }
    }

    /// Tells what is in the database.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`](crate::error::Error::Unavailable) if it is away.
    pub async fn status(&self, ctx: &Ctx) -> Result<Status> {
        ctx.require(Permission::ManageDatabase)?;
        let mut connection = pool::connect_alone(&self.database).await?;
        let status = read_status(&mut connection).await;
        leave(connection).await;
        status
    }

    /// Drops everything that our migrations have made, with whatever depends on it, and migrates afresh:
    /// all of it or nothing. What else is in the database stays. `forced` does so even while the service
    /// uses it, and where something of unknown migrations remains.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`](crate::error::Error::Unavailable) also when somebody holds a table for more
    /// than 5 seconds.
    ///
    /// # Concurrency
    ///
    /// One transaction: who reads meanwhile waits, and finds the empty tables.
    #[instrument(skip_all, fields(request_id = %ctx.request_id))]
    pub async fn reset(&self, ctx: &Ctx, forced: bool) -> Result<Reset> {
        ctx.require(Permission::ManageDatabase)?;
        let mut connection = pool::connect_alone(&self.database).await?;
        let reset = reset(&mut connection, forced).await;
        leave(connection).await;
        reset
    }
}

async fn read_status(connection: &mut PgConnection) -> Result<Status> {
    let noted = schema::applied_migrations(connection).await?;
    let is_known = |version: i64, success: bool, checksum: &[u8]| {
        let mut known = MIGRATIONS.iter();
        success && known.any(|it| it.version == version && *it.checksum == *checksum)
    };
    let (applied, unknown): (Vec<_>, Vec<_>) = noted
        .iter()
        .partition(|it| is_known(it.version, it.success, &it.checksum));
    let is_pending = |version: &i64| !noted.iter().any(|noted| noted.version == *version);
    let pending: Vec<_> = MIGRATIONS
        .iter()
        .map(|migration| migration.version)
        .filter(is_pending)
        .collect();
    let origin = schema::find_origin(connection).await?;
    let is_current = origin == Origin::Ours && pending.is_empty() && unknown.is_empty();
    Ok(Status {
        facts: schema::facts(connection).await?,
        applied: applied.iter().map(|it| it.version).collect(),
        unknown: unknown.iter().map(|it| it.version).collect(),
        users: match is_current {
            true => Some(users::count(connection).await?),
            false => None,
        },
        pending,
        origin,
    })
}

async fn reset(connection: &mut PgConnection, forced: bool) -> Result<Reset> {
    let mut transaction = connection.begin().await?;
    let status = read_status(&mut transaction).await?;
    if matches!(
        status.origin,
        Origin::FastApi { .. } | Origin::Foreign { .. }
    ) {
        return Ok(Reset::NotOurs);
    }
    let sessions = status.facts.own_sessions;
    if sessions > 0 && !forced {
        return Ok(Reset::InUse { sessions });
    }
    if !status.unknown.is_empty() && !forced {
        let migrations = status.unknown;
        return Ok(Reset::Unknown { migrations });
    }
    let mut trial = transaction.begin().await?;
    let own = schema::own_things(&mut trial).await?;
    trial.rollback().await?;
    let present = schema::present(&mut transaction, &own).await?;
    schema::drop_things(&mut transaction, &present).await?;
    schema::migrate(&mut transaction).await?;
    transaction.commit().await?;
    tracing::info!(
        dropped = present.len(),
        "the database was emptied and migrated"
    );
    Ok(Reset::Done {
        dropped: present.len(),
    })
}

/// What was to be done has been done, or has failed for a reason of its own: how the connection ends
/// changes nothing.
pub(super) async fn leave(connection: PgConnection) {
    if let Err(error) = connection.close().await.context("can't leave the database") {
        tracing::debug!("{error:#}");
    }
}
