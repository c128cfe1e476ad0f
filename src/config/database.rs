//! The database.

use std::str::FromStr as _;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sqlx::postgres::PgConnectOptions;

use super::{Environment, Reader};

/// What is written otherwise in the parts of a URL.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Where the database is.
#[derive(Debug, Clone)]
pub struct DatabaseConfig {
    /// The server and database; none: an embedded one is started.
    pub url: Option<PgConnectOptions>,
    /// Connections at most.
    pub max_connections: u32,
}

impl DatabaseConfig {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        reader.section("Database");
        let url: Option<String> = reader.secret().optional(
            "DATABASE_URL",
            "`postgres://user:password@host:5432/database`; `postgresql+asyncpg://` is understood too. Unset in development: a PostgreSQL of our own is started in DATA_DIR.",
        );
        let url = url.and_then(|url| match parse(&url) {
            Ok(options) => {
                reader.show("DATABASE_URL", without_password(&options));
                Some(options)
            }
            Err(problem) => {
                reader.problem("DATABASE_URL", problem);
                None
            }
        });
        let max_connections = reader.with_default(
            "DATABASE_MAX_CONNECTIONS",
            "16",
            "Connections to the database at most, for each instance, from 2 to 1000.",
        );
        if !(2..=1000).contains(&max_connections) {
            reader.problem("DATABASE_MAX_CONNECTIONS", "must be from 2 to 1000");
        }
        Self {
            url,
            max_connections,
        }
    }

    pub(super) fn check(&mut self, reader: &mut Reader<'_>, environment: Environment) {
        let said = reader
            .problems
            .iter()
            .any(|problem| problem.starts_with("DATABASE_URL"));
        if environment == Environment::Production && self.url.is_none() && !said {
            reader.problem("DATABASE_URL", "is required in production");
        }
    }
}

/// The URL of a database, without its password.
#[must_use]
pub fn without_password(options: &PgConnectOptions) -> String {
    let encoded = |text: &str| utf8_percent_encode(text, RESERVED).to_string();
    let (host, query) = match options.get_socket() {
        Some(socket) => (
            String::new(),
            format!("?host={}&port={}", socket.display(), options.get_port()),
        ),
        None => (
            format!("{}:{}", options.get_host(), options.get_port()),
            String::new(),
        ),
    };
    // The server's default is the name of the user.
    let user = options.get_username();
    let database = options.get_database().unwrap_or(user);
    format!(
        "postgresql://{}@{host}/{}{query}",
        encoded(user),
        encoded(database)
    )
}

fn parse(url: &str) -> Result<PgConnectOptions, &'static str> {
    let rest = [
        "postgresql+asyncpg://",
        "postgresql+psycopg://",
        "postgresql+psycopg2://",
        "postgresql://",
        "postgres://",
    ]
    .iter()
    .find_map(|scheme| url.strip_prefix(scheme))
    .ok_or("must begin with postgres:// or postgresql://")?;
    // The error would print the URL with its password.
    PgConnectOptions::from_str(&format!("postgresql://{rest}"))
        .map_err(|_| "is not a URL of a PostgreSQL database")
}
