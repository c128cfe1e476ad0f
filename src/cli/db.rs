//! `user-management db …`; `db/adopt.rs` takes a database over.

mod adopt;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::{
    confirm::Consent,
    exit::{Exit, Refusal},
    output::{self, Format, Table},
    runtime::{self, Database},
};
use crate::{
    config::{Config, Environment, without_password},
    error::Error,
    repository::{pool, schema::Origin},
    services::schema::{Reset, Schema, Status},
};

/// What to do.
#[derive(Debug, Clone, Copy, Subcommand)]
pub(super) enum Command {
    /// Apply the migrations that the database lacks; `serve` does so too.
    Migrate(MigrateOptions),
    /// Tell which database it is, whether it answers and is up to date, and how large it is.
    Status(StatusOptions),
    /// Drop everything that the service keeps in the database, and migrate it afresh.
    ///
    /// What else is in the database stays, unless it depends on what is dropped. In production it
    /// takes --force, and so it does while the service runs.
    Reset(ResetOptions),
    /// Turn a database of the FastAPI service into one of this service, with all its users.
    ///
    /// First it tells of each value that can't be taken as it is, and what becomes of it; nobody is left
    /// out, and passwords stay as they are. Everything happens in one transaction. The old tables are
    /// kept in the schema `fastapi`. Stop the old service before.
    Adopt(adopt::Options),
}

/// How to tell it.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct MigrateOptions {
    #[command(flatten)]
    format: Format,
}

/// How to tell it.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct StatusOptions {
    #[command(flatten)]
    format: Format,
}

/// What to be careful of.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct ResetOptions {
    #[command(flatten)]
    consent: Consent,
    /// Do it in production too, and while the service runs.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    format: Format,
}

pub(super) async fn run(command: Command) -> anyhow::Result<Exit> {
    let config = runtime::load_config()?;
    runtime::start_log(&config)?;
    let database = Database::of_command(&config).await?;
    let done = match command {
        Command::Migrate(options) => migrate(options, &database).await,
        Command::Status(options) => status(options, &database).await,
        Command::Reset(options) => reset(options, &config, &database).await,
        Command::Adopt(options) => adopt::run(options, &config, &database).await,
    };
    database.close().await?;
    done
}

/// What `db migrate` did, as programs read it.
#[derive(Serialize)]
struct Migrated {
    /// How many migrations were applied.
    applied: usize,
}

async fn migrate(options: MigrateOptions, database: &Database) -> anyhow::Result<Exit> {
    let applied = pool::migrate(&database.options).await?;
    options
        .format
        .print(&Migrated { applied }, |_| match applied {
            0 => "nothing to do: the schema is up to date\n".to_owned(),
            some => format!("{} applied\n", output::count(some as u64, "migrations")),
        })?;
    Ok(Exit::Done)
}

/// `db status` as programs read it.
#[derive(Serialize)]
struct Report {
    /// Without the password.
    url: String,
    is_reachable: bool,
    /// Why it isn't.
    problem: Option<String>,
    #[serde(flatten)]
    inside: Option<Inside>,
}

#[derive(Serialize)]
struct Inside {
    database: String,
    server_version: String,
    /// `ours`, `fastapi`, `foreign` or `empty`.
    contents: &'static str,
    migrations: Migrations,
    /// Null unless the database is ours and up to date.
    users: Option<u64>,
    size_bytes: i64,
    /// Sessions of the service, or of its commands.
    service_sessions: i64,
    other_sessions: i64,
}

#[derive(Serialize)]
struct Migrations {
    applied: usize,
    pending: Vec<i64>,
    unknown: Vec<i64>,
}

impl From<Status> for Inside {
    fn from(status: Status) -> Self {
        Self {
            database: status.facts.name,
            server_version: status.facts.server_version,
            contents: match status.origin {
                Origin::Ours => "ours",
                Origin::FastApi { .. } => "fastapi",
                Origin::Foreign { .. } => "foreign",
                Origin::Empty => "empty",
            },
            migrations: Migrations {
                applied: status.applied.len(),
                pending: status.pending,
                unknown: status.unknown,
            },
            users: status.users,
            size_bytes: status.facts.size,
            service_sessions: status.facts.own_sessions,
            other_sessions: status.facts.other_sessions,
        }
    }
}

async fn status(options: StatusOptions, database: &Database) -> anyhow::Result<Exit> {
    let schema = Schema::new(database.options.clone());
    let url = without_password(&database.options);
    let report = match schema.status(&runtime::operator()).await {
        Ok(status) => Report {
            url,
            is_reachable: true,
            problem: None,
            inside: Some(status.into()),
        },
        Err(Error::Unavailable(source)) => Report {
            url,
            is_reachable: false,
            problem: Some(format!("{source:#}")),
            inside: None,
        },
        Err(error) => return Err(error.into()),
    };
    options.format.print(&report, in_words)?;
    Ok(match report.is_reachable {
        true => Exit::Done,
        false => Exit::Unavailable,
    })
}

fn in_words(report: &Report) -> String {
    let mut table = Table::new(&[]);
    table.row(["address", &report.url]);
    table.row(["reachable", output::yes_or_no(report.is_reachable)]);
    if let Some(problem) = &report.problem {
        table.row(["problem", problem]);
    }
    if let Some(inside) = &report.inside {
        let Migrations {
            applied,
            pending,
            unknown,
        } = &inside.migrations;
        let numbers = |numbers: &[i64]| match numbers {
            [] => "0".to_owned(),
            some => format!("{}: {}", some.len(), joined(some)),
        };
        let users = inside
            .users
            .map_or_else(|| "-".to_owned(), |users| users.to_string());
        table.row(["database", &inside.database]);
        table.row(["PostgreSQL", &inside.server_version]);
        table.row(["contents", in_contents(inside.contents)]);
        table.row(["migrations applied", &applied.to_string()]);
        table.row(["migrations pending", &numbers(pending)]);
        table.row(["migrations unknown", &numbers(unknown)]);
        table.row(["users", &users]);
        table.row(["size", &mebibytes(inside.size_bytes)]);
        table.row([
            "sessions of the service",
            &inside.service_sessions.to_string(),
        ]);
        table.row(["sessions of others", &inside.other_sessions.to_string()]);
    }
    table.to_string()
}

fn in_contents(contents: &str) -> &str {
    match contents {
        "fastapi" => "those of the FastAPI service: `db adopt` takes it over",
        "foreign" => "a table `users` that isn't ours",
        "empty" => "nothing of ours: `db migrate` makes it",
        contents => contents,
    }
}

fn joined(numbers: &[i64]) -> String {
    let numbers: Vec<_> = numbers.iter().map(i64::to_string).collect();
    numbers.join(", ")
}

fn mebibytes(bytes: i64) -> String {
    const MEBIBYTE: i64 = 1024 * 1024;
    format!(
        "{}.{} MiB",
        bytes / MEBIBYTE,
        bytes % MEBIBYTE * 10 / MEBIBYTE
    )
}

/// What `db reset` did, as programs read it.
#[derive(Serialize)]
struct Emptied {
    database: String,
    /// How many tables, functions and types were dropped before it was migrated afresh.
    dropped: usize,
}

async fn reset(
    options: ResetOptions,
    config: &Config,
    database: &Database,
) -> anyhow::Result<Exit> {
    if config.environment == Environment::Production && !options.force {
        return refuse("this is production: nothing is dropped without --force");
    }
    options.consent.check()?;
    let schema = Schema::new(database.options.clone());
    let ctx = runtime::operator();
    let status = schema.status(&ctx).await?;
    let name = &status.facts.name;
    let users = status.users.map_or_else(String::new, |users| {
        format!(", with {}", output::count(users, "users"))
    });
    let does = format!(
        "drops all that the service keeps in {}{users}",
        without_password(&database.options)
    );
    options.consent.ask(&does, name)?;
    match schema.reset(&ctx, options.force).await? {
        Reset::Done { dropped } => {
            let database = name.clone();
            options
                .format
                .print(&Emptied { database, dropped }, |emptied| {
                    format!(
                        "the database {} is empty and migrated; {dropped} tables, functions and types were dropped\n",
                        emptied.database
                    )
                })?;
            Ok(Exit::Done)
        }
        Reset::NotOurs => refuse("the database has a table `users` that isn't ours"),
        Reset::InUse { sessions } => refuse(&format!(
            "the service uses the database, in {sessions} {}: stop it, or give --force",
            output::called(sessions.unsigned_abs(), "sessions")
        )),
        Reset::Unknown { migrations } => refuse(&format!(
            "the database has migrations that this program doesn't know or knows otherwise ({}): what only they made \
             would remain. Use the version that made them, or give --force",
            joined(&migrations)
        )),
    }
}

/// Ends a command that won't do it.
fn refuse<T>(why: &str) -> anyhow::Result<T> {
    Err(Refusal(why.to_owned()).into())
}
