//! Reading a password.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use anyhow::Context as _;

use super::options::{Wrong, wrong};
use crate::{
    domain::password::{Password, TypedPassword},
    shutdown::StopSignals,
};

/// The exit code of what was stopped by ^C, as shells have it.
const INTERRUPTED: i32 = 130;

/// Whether somebody can be asked for it.
pub(super) fn can_ask() -> bool {
    io::stdin().is_terminal()
}

/// A new password from standard input: at a terminal it is asked for twice and isn't shown, else it is the first
/// line, without its line break.
///
/// # Errors
///
/// If there is none, it is one that no account may have, or the second isn't the first.
pub(super) fn read() -> anyhow::Result<Password> {
    let typed = if can_ask() {
        let typed = ask("Password: ")?;
        if ask("Again: ")? != typed {
            return Err(wrong("password", "differs", "was another one the second time").into());
        }
        typed
    } else {
        read_line()?
    };
    if typed.is_empty() {
        return Err(wrong("password", "missing", "is required on standard input").into());
    }
    let mut errors = Wrong::default();
    let password = errors.take("password", Password::parse(&TypedPassword::new(typed)));
    let password = errors.finish(password)?;
    password.context("a password is right or wrong")
}

fn ask(question: &str) -> anyhow::Result<String> {
    write!(io::stderr(), "{question}").context("can't ask")?;
    let read = without_echo(read_line);
    writeln!(io::stderr()).context("can't ask")?;
    read
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
    let signals = StopSignals::listen().context("can't listen for signals")?;
    let as_before = before.clone();
    // We are waiting for a line until then, and would go on to.
    tokio::spawn(async move {
        signals.received().await;
        let restored = tcsetattr(io::stdin(), OptionalActions::Now, &as_before);
        std::process::exit(if restored.is_ok() { INTERRUPTED } else { 1 });
    });
    silent.local_modes.remove(LocalModes::ECHO);
    tcsetattr(&terminal, OptionalActions::Now, &silent).context("can't silence the terminal")?;
    let read = read();
    tcsetattr(&terminal, OptionalActions::Now, &before).context("can't give the terminal back")?;
    read
}
