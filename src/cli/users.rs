//! `user-management users …`.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};

use super::runtime;
use crate::{
    config::LogFormat,
    domain::{
        email::Email,
        nickname::Nickname,
        password::{Password, TypedPassword},
        profile::Profile,
    },
    error::{FieldErrors, Rule},
    services::registration::NewAccount,
    telemetry::{self, LogTarget},
};

/// What to do.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make an administrator, whose address counts as verified.
    ///
    /// The password is read from standard input: at a terminal it is asked for, else it is the
    /// first line.
    CreateAdmin(CreateAdmin),
}

/// Who.
#[derive(Debug, Args)]
pub(super) struct CreateAdmin {
    /// E-mail address.
    email: String,
    /// Public name; one is generated if none is given.
    #[arg(long)]
    nickname: Option<String>,
}

pub(super) async fn run(command: Command) -> anyhow::Result<()> {
    telemetry::start_log(LogFormat::Text, false, LogTarget::StandardError)?;
    match command {
        Command::CreateAdmin(options) => create_admin(options).await,
    }
}

async fn create_admin(options: CreateAdmin) -> anyhow::Result<()> {
    let mut errors = FieldErrors::default();
    let email = errors.take("email", Email::parse(&options.email));
    let nickname = options
        .nickname
        .and_then(|nickname| errors.take("nickname", Nickname::parse(&nickname)));
    let email = errors.finish(email)?;
    let password = read_password()?;
    let mut errors = FieldErrors::default();
    let password = errors.take("password", Password::parse(&password));
    let account = NewAccount {
        email: Some(email),
        phone_number: None,
        legacy_name: None,
        password: errors.finish(password)?,
        nickname,
        profile: Profile::default(),
    };
    let (app, database) = runtime::open_app().await?;
    let ctx = runtime::operator();
    let made = app.services.registration.create_admin(&ctx, account).await;
    app.pool.close().await;
    database.close().await?;
    let user = made?;
    writeln!(io::stdout(), "{} {}", user.id, user.nickname).context("can't print the user")
}

/// The password, without its line break. At a terminal it isn't shown.
fn read_password() -> anyhow::Result<TypedPassword> {
    let read = if io::stdin().is_terminal() {
        write!(io::stderr(), "Password: ")?;
        let read = without_echo(read_line);
        writeln!(io::stderr())?;
        read?
    } else {
        read_line()?
    };
    if read.is_empty() {
        bail!(
            "password: {}",
            Rule::new("missing", "is required on standard input")
        );
    }
    Ok(TypedPassword::new(read))
}

fn read_line() -> anyhow::Result<String> {
    let mut line = String::new();
    io::stdin()
        .lock()
        .read_line(&mut line)
        .context("can't read the password")?;
    Ok(line.trim_end_matches(['\n', '\r']).to_owned())
}

fn without_echo<T>(read: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
    let terminal = io::stdin();
    let before = tcgetattr(&terminal).context("can't ask the terminal")?;
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    tcsetattr(&terminal, OptionalActions::Now, &silent).context("can't silence the terminal")?;
    let read = read();
    tcsetattr(&terminal, OptionalActions::Now, &before).context("can't give the terminal back")?;
    read
}
