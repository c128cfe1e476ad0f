//! `user-management settings …`.

use std::sync::Arc;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use serde::Serialize;
use sqlx::{Connection as _, PgConnection};

use super::{
    exit::Exit,
    output::{Format, Table, printable},
    runtime::{self, Sources},
};
use crate::{
    app,
    config::{Config, Problems, SettingValue, without_password},
    infra::clock::{Clock, SystemClock},
    repository::schema,
};

/// What to do.
#[derive(Debug, Clone, Copy, Subcommand)]
pub(super) enum Command {
    /// Show every setting with its value and where that comes from; secrets are hidden.
    Show(Show),
    /// Check all settings and the files that they name, and report all problems together.
    Check(Check),
}

/// How to show them.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct Show {
    #[command(flatten)]
    format: Format,
}

/// What to check.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct Check {
    /// Connect to the database and to the SMTP server too, and log in there. No mail is sent.
    #[arg(long)]
    connect: bool,
    #[command(flatten)]
    format: Format,
}

pub(super) fn run(command: Command) -> anyhow::Result<Exit> {
    match command {
        Command::Show(options) => show(options).map(|()| Exit::Done),
        Command::Check(options) => runtime::block_on(check(options)),
    }
}

/// Where a value comes from.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
enum Origin {
    Default,
    Environment,
    EnvFile,
}

#[derive(Serialize)]
struct Line {
    name: &'static str,
    section: &'static str,
    /// Null where it is hidden, and where there is none.
    value: Option<String>,
    is_hidden: bool,
    origin: Origin,
}

impl Line {
    fn new(value: SettingValue, sources: &Sources) -> Self {
        let name = value.setting.name;
        Self {
            name,
            section: value.setting.section,
            is_hidden: value.is_set && value.shown.is_none(),
            value: value.shown,
            origin: match value.is_set {
                false => Origin::Default,
                true if sources.environment.contains_key(name) => Origin::Environment,
                true => Origin::EnvFile,
            },
        }
    }
}

fn show(options: Show) -> anyhow::Result<()> {
    let sources = Sources::read()?;
    let values = Config::values(&sources.joined());
    let lines: Vec<_> = values
        .into_iter()
        .map(|value| Line::new(value, &sources))
        .collect();
    options.format.print(&lines, |lines| {
        let mut table = Table::new(&["SETTING", "VALUE", "ORIGIN"]);
        for line in lines {
            let value = match (&line.value, line.is_hidden) {
                (Some(value), _) => value,
                (None, true) => "(hidden)",
                (None, false) => "-",
            };
            let origin = match line.origin {
                Origin::Default => "default",
                Origin::Environment => "environment",
                Origin::EnvFile => ".env file",
            };
            table.row([line.name, value, origin]);
        }
        table.to_string()
    })
}

#[derive(Default, Serialize)]
struct Report {
    problems: Vec<String>,
    warnings: Vec<String>,
    /// Empty unless they were to be tried.
    connections: Vec<Connection>,
}

#[derive(Serialize)]
struct Connection {
    to: &'static str,
    #[serde(flatten)]
    outcome: Outcome,
}

/// What became of a connection.
#[derive(Serialize)]
#[serde(tag = "outcome", content = "detail", rename_all = "snake_case")]
enum Outcome {
    Connected(String),
    Failed(String),
    /// The settings name none.
    NotSet(&'static str),
}

async fn check(options: Check) -> anyhow::Result<Exit> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let mut report = Report::default();
    match Config::read(&Sources::read()?.joined()) {
        Err(Problems(problems)) => report.problems = problems,
        Ok(config) => {
            report.problems = app::check(&config, &clock);
            report.warnings.clone_from(&config.warnings);
            if options.connect {
                report.connections = vec![
                    Connection {
                        to: "database",
                        outcome: try_database(&config).await,
                    },
                    Connection {
                        to: "smtp",
                        outcome: try_smtp(&config, &clock).await,
                    },
                ];
            }
        }
    }
    options.format.print(&report, in_words)?;
    if !report.problems.is_empty() {
        return Ok(Exit::Failed);
    }
    let failed = |connection: &Connection| matches!(connection.outcome, Outcome::Failed(_));
    Ok(match report.connections.iter().any(failed) {
        true => Exit::Unavailable,
        false => Exit::Done,
    })
}

async fn try_database(config: &Config) -> Outcome {
    let Some(options) = &config.database.url else {
        return Outcome::NotSet("DATABASE_URL is unset: a PostgreSQL of our own is used");
    };
    let version = async {
        let mut connection = PgConnection::connect_with(options).await?;
        let version = schema::server_version(&mut connection).await;
        connection.close().await?;
        version.context("the database doesn't tell its version")
    };
    match version.await {
        Ok(version) => Outcome::Connected(format!(
            "PostgreSQL {version} at {}",
            without_password(options)
        )),
        Err(error) => Outcome::Failed(format!("{error:#}")),
    }
}

async fn try_smtp(config: &Config, clock: &Arc<dyn Clock>) -> Outcome {
    match app::smtp_mailer(config, clock) {
        Ok(None) => Outcome::NotSet("mail is kept in DATA_DIR and not sent"),
        // A problem that is told already.
        Err(error) => Outcome::Failed(format!("{error:#}")),
        Ok(Some(mailer)) => match mailer.try_out().await {
            Ok(()) => {
                let smtp = config.mail.smtp.as_ref();
                let place = smtp.map(|it| format!("{}:{}", it.server, it.port));
                let logged_in = smtp.is_some_and(|it| it.credentials.is_some());
                Outcome::Connected(format!(
                    "{}, {}",
                    place.unwrap_or_default(),
                    if logged_in {
                        "logged in"
                    } else {
                        "without a login"
                    }
                ))
            }
            Err(error) => Outcome::Failed(error.to_string()),
        },
    }
}

fn in_words(report: &Report) -> String {
    let mut text = match report.problems.len() {
        0 => "the settings are in order\n".to_owned(),
        count => format!("the settings have {count} problem(s):\n"),
    };
    for problem in &report.problems {
        text += &format!("  - {}\n", printable(problem));
    }
    for warning in &report.warnings {
        text += &format!("warning: {}\n", printable(warning));
    }
    for Connection { to, outcome } in &report.connections {
        let (what, detail) = match outcome {
            Outcome::Connected(detail) => ("connected", &**detail),
            Outcome::Failed(detail) => ("FAILED", &**detail),
            Outcome::NotSet(detail) => ("not set", *detail),
        };
        text += &format!("{to}: {what}: {}\n", printable(detail));
    }
    text
}
