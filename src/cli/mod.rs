//! The command line: one file a command.
//!
//! # How to add a command
//!
//! A variant of `Command`, and a file with its `run`, which builds a `Ctx` and calls services.
//! Answers go to standard output, logs to standard error.

mod audit;
mod health;
mod keys;
mod migrate;
mod openapi;
mod runtime;
mod serve;
mod users;
mod worker;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// A self-hosted user-management server.
///
/// Settings come from the environment and from a .env file: see .env.sample.
#[derive(Debug, Parser)]
#[command(name = "user-management", version)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the API; in development with a database, secrets and a mailbox of its own. The default.
    Serve(serve::Options),
    /// Send mail and do the other work behind requests, apart from the server.
    Worker,
    /// Apply the migrations that the database lacks.
    Migrate,
    /// Ask the server at BIND_ADDRESS whether it is ready: exit code 0 if it is.
    Health,
    /// Print the OpenAPI document.
    Openapi,
    /// Manage users.
    #[command(subcommand)]
    Users(users::Command),
    /// Manage the keys that sign access tokens.
    #[command(subcommand)]
    Keys(keys::Command),
    /// Read and verify the audit log.
    #[command(subcommand)]
    Audit(audit::Command),
}

impl Cli {
    /// Does what the command line says.
    #[must_use]
    pub fn run(self) -> ExitCode {
        let done = match self
            .command
            .unwrap_or_else(|| Command::Serve(serve::Options::default()))
        {
            Command::Serve(options) => runtime::block_on(serve::run(options)),
            Command::Worker => runtime::block_on(worker::run()),
            Command::Migrate => runtime::block_on(migrate::run()),
            Command::Health => runtime::load_config().and_then(|config| health::run(&config)),
            Command::Openapi => openapi::run(),
            Command::Users(command) => runtime::block_on(users::run(command)),
            Command::Keys(command) => runtime::block_on(keys::run(command)),
            Command::Audit(command) => runtime::block_on(audit::run(command)),
        };
        match done {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                complain(&error);
                ExitCode::FAILURE
            }
        }
    }
}

#[expect(
    clippy::print_stderr,
    reason = "the last word of a command, for people, with or without a log"
)]
fn complain(error: &anyhow::Error) {
    eprintln!("user-management: {error:#}");
}
