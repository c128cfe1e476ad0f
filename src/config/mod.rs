//! Settings: read once at start from the environment and a `.env` file, all problems reported
//! together.
//!
//! # How to add a setting
//!
//! Read it in its section's `read` with its default and a sentence of help, then let the test
//! renew `.env.sample` and the README's table: `UPDATE_DOCS=1 cargo test settings_documents`. One that
//! nobody is to see is read by `reader.secret().optional(..)`; a default that is worked out is told by
//! `reader.show(..)`.

mod accounts;
mod audit;
mod compat;
mod database;
mod log_filter;
mod login;
mod mail;
mod reader;
mod server;
mod tokens;

use std::{fmt, str::FromStr};

pub use accounts::{AccountsConfig, FirstAdmin};
pub use audit::AuditConfig;
pub use compat::CompatApi;
pub use database::{DatabaseConfig, without_password};
pub use log_filter::LogFilter;
pub use login::{LoginConfig, Rate, RateLimitsConfig};
pub use mail::{MailConfig, SmtpConfig, SmtpSecurity};
pub use reader::{Reader, Setting, SettingValue, Source};
pub use server::{LogFormat, Origin, ServerConfig};
pub use tokens::{ServiceCredential, TokensConfig};

/// Whether the service is somebody's workplace or somebody's service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Environment {
    /// Everything that is missing is provided: database, secrets, a mailbox.
    Development,
    /// Nothing is assumed: what is missing is an error.
    Production,
}

impl fmt::Display for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Development => "development",
            Self::Production => "production",
        })
    }
}

impl FromStr for Environment {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.to_ascii_lowercase().as_str() {
            "development" => Ok(Self::Development),
            "production" => Ok(Self::Production),
            _ => Err("must be development or production"),
        }
    }
}

/// Every setting.
#[derive(Debug, Clone)]
pub struct Config {
    /// Development or production.
    pub environment: Environment,
    /// Addresses, limits and logs of the server.
    pub server: ServerConfig,
    /// The database.
    pub database: DatabaseConfig,
    /// Access tokens and sessions.
    pub tokens: TokensConfig,
    /// Lockout and rate limits.
    pub login: LoginConfig,
    /// How accounts come to be.
    pub accounts: AccountsConfig,
    /// The audit log.
    pub audit: AuditConfig,
    /// Mail.
    pub mail: MailConfig,
    /// The older APIs that are switched on.
    pub compat_apis: Vec<CompatApi>,
    /// What works but should be known, to be logged at start.
    pub warnings: Vec<String>,
}

/// What is wrong with the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(pub Vec<String>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the settings have {} problem(s):", self.0.len())?;
        self.0
            .iter()
            .try_for_each(|problem| write!(f, "\n  - {problem}"))
    }
}

impl std::error::Error for Problems {}

impl Config {
    /// Reads the settings from `source`.
    ///
    /// # Errors
    ///
    /// All problems at once.
    pub fn read(source: &Source) -> Result<Self, Problems> {
        let mut reader = Reader::new(source);
        let config = Self::read_all(&mut reader);
        if reader.problems.is_empty() {
            Ok(config)
        } else {
            Err(Problems(reader.problems))
        }
    }

    fn read_all(reader: &mut Reader<'_>) -> Self {
        reader.section("Service");
        let environment: Option<Environment> = reader.optional(
            "ENVIRONMENT",
            "`development` provides what is missing: a database, secrets, a mailbox. `production` refuses to start without them. Default: `development` while DATABASE_URL is unset, else `production`.",
        );
        let mut database = DatabaseConfig::read(reader);
        let environment = environment.unwrap_or(match database.url {
            None => Environment::Development,
            Some(_) => Environment::Production,
        });
        reader.show("ENVIRONMENT", environment);
        database.check(reader, environment);
        let server = ServerConfig::read(reader, environment);
        let tokens = TokensConfig::read(reader, environment);
        let accounts = AccountsConfig::read(reader);
        let login = LoginConfig::read(reader, environment);
        let audit = AuditConfig::read(reader);
        let mail = MailConfig::read(reader, environment);
        let compat_apis = compat::read(reader, accounts.hide_account_existence);
        Self {
            environment,
            server,
            database,
            tokens,
            login,
            accounts,
            audit,
            mail,
            compat_apis,
            warnings: std::mem::take(&mut reader.warnings),
        }
    }

    /// Every setting there is, in the order of its section.
    #[must_use]
    pub fn settings() -> Vec<Setting> {
        let values = Self::values(&Source::new());
        values.into_iter().map(|value| value.setting).collect()
    }

    /// Every setting as `source` has it, whether or not the service could work with it.
    #[must_use]
    pub fn values(source: &Source) -> Vec<SettingValue> {
        let mut reader = Reader::new(source);
        Self::read_all(&mut reader);
        reader.values()
    }
}

#[cfg(test)]
mod tests;
