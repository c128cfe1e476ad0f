//! The command line: one file a command.
//!
//! # How to add a command
//!
//! A variant of `Command`, and a file with its `run`: in a `runtime::Session` (services, and the `Ctx` of an
//! operator), by `Session::with`, it calls a service, and prints when that is closed. Its documentation comments
//! are `--help`, the manual page and the completions. A command that needs the database only, and not
//! in the state that the services need, opens a `runtime::Database`.
//!
//! # What all commands have in common
//!
//! * Answers go to standard output, questions and logs to standard error. `output::Format` is
//!   `--json`; without it people get an `output::Table` or a line. Write by `output::print` and never by
//!   `println!`: it knows that `| head` is no error, and a table shows what a terminal would obey.
//! * `confirm::Consent` is `--yes`, for what destroys: without it a person is asked, and a program is refused.
//! * `exit::Exit` is the exit code, by the meaning of the `Error` that `run`
//!   returns, however much context it got by then. What only the command itself refuses is an
//!   `exit::Refusal`, what only it can't find an `exit::Missing`, what gives it no answer an `exit::Away`. What is
//!   wrong with the command line is collected by `options::Wrong`, before anything is opened.

mod audit;
mod confirm;
mod db;
mod exit;
mod health;
mod keys;
mod manual;
mod openapi;
mod options;
mod output;
mod password;
mod runtime;
mod serve;
mod settings;
mod users;
mod worker;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use self::exit::Exit;

/// A self-hosted user-management server.
///
/// Settings come from the environment and from a .env file: see .env.sample.
#[derive(Debug, Parser)]
#[command(name = "user-management", version, after_help = exit::HELP)]
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
    /// The same as `db migrate`.
    Migrate(db::MigrateOptions),
    /// Ask the server at BIND_ADDRESS whether it is ready: exit code 0 if it is, 5 if it isn't.
    Health(health::Options),
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
    /// Migrate, look at, empty or take over the database.
    #[command(subcommand)]
    Db(db::Command),
    /// Show and check the settings.
    #[command(subcommand)]
    Settings(settings::Command),
    /// Print what makes a shell complete commands and options.
    Completions(manual::Completions),
    /// Print the manual page of the program, or of one of its commands.
    Man(manual::Man),
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
            Command::Migrate(options) => {
                return end(runtime::block_on(db::run(db::Command::Migrate(options))));
            }
            Command::Health(options) => {
                runtime::load_config().and_then(|config| health::run(options, &config))
            }
            Command::Openapi => openapi::run(),
            Command::Users(command) => runtime::block_on(users::run(command)),
            Command::Keys(command) => runtime::block_on(keys::run(command)),
            Command::Audit(command) => runtime::block_on(audit::run(command)),
            Command::Db(command) => return end(runtime::block_on(db::run(command))),
            Command::Settings(command) => return end(settings::run(command)),
            Command::Completions(options) => manual::completions(options),
            Command::Man(options) => manual::man(&options),
        };
        end(done.map(|()| Exit::Done))
    }
}

/// The exit code, after the last word on what went wrong.
fn end(done: anyhow::Result<Exit>) -> ExitCode {
    let exit = done.unwrap_or_else(|error| {
        complain(&error);
        Exit::of(&error)
    });
    exit.into()
}

#[expect(
    clippy::print_stderr,
    reason = "the last word of a command, for people, with or without a log"
)]
fn complain(error: &anyhow::Error) {
    eprintln!("user-management: {error:#}");
}
