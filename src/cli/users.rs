//! `user-management users …`.

mod import;

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use anyhow::Context as _;
use clap::{Args, Subcommand};

use super::{output, runtime::Session};
use crate::{
    domain::{
        email::Email,
        nickname::Nickname,
        password::{Password, TypedPassword},
        profile::Profile,
    },
    error::{Error, FieldError, FieldErrors, Rule},
    services::registration::NewAccount,
};

/// What to do.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make an administrator, whose address counts as verified.
    ///
    /// The password is read from standard input: at a terminal it is asked for, else it is the
    /// first line.
    CreateAdmin(CreateAdmin),
    /// Import users from a file of any size: good rows go in, and what is wrong with others is told.
    ///
    /// The exit code is 4 where rows were rejected. An import that was stopped or killed goes on with
    /// `--resume`, and comes to the same end.
    Import(import::Import),
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
    match command {
        Command::CreateAdmin(options) => create_admin(options).await,
        Command::Import(options) => import::run(options).await,
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
    let session = Session::open().await?;
    let registration = &session.app.services.registration;
    let made = registration.create_admin(&session.ctx, account).await;
    session.close().await?;
    let user = made?;
    output::print(&format!("{} {}\n", user.id, user.nickname))
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
        let missing = Rule::new("missing", "is required on standard input");
        return Err(Error::invalid(FieldError::body("password", missing)).into());
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
