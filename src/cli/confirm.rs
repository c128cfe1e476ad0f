//! Asking before something is destroyed.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use anyhow::Context as _;
use clap::Args;

use super::{exit::Refusal, output};

/// `--yes`, of every command that destroys or that can't be taken back.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct Consent {
    /// Do it without asking, which programs need.
    #[arg(long)]
    yes: bool,
}

impl Consent {
    /// Whether nobody is to be asked.
    pub(super) fn is_given(self) -> bool {
        self.yes
    }

    /// Makes sure that somebody can be asked, before anything is begun.
    ///
    /// # Errors
    ///
    /// A [`Refusal`] without `--yes` where there is no terminal.
    pub(super) fn check(self) -> anyhow::Result<()> {
        if self.yes || (io::stdin().is_terminal() && io::stderr().is_terminal()) {
            return Ok(());
        }
        let why = "there is no terminal to ask at: give --yes to do it without being asked";
        Err(Refusal(why.to_owned()).into())
    }

    /// Goes on by `--yes`, or when the name of what it is done to is typed in answer to what the command `does`:
    /// `deletes ada`. A `yes` would come by habit, and to whatever was named by mistake.
    ///
    /// # Errors
    ///
    /// A [`Refusal`] after another answer, and as of [`Self::check`].
    pub(super) fn ask(self, does: &str, name: &str) -> anyhow::Result<()> {
        self.check()?;
        if self.yes {
            return Ok(());
        }
        let question = output::printable(&format!("This {does}."));
        write!(io::stderr(), "{question}\nType {name} to go on: ").context("can't ask")?;
        let mut answer = String::new();
        let read = io::stdin().lock().read_line(&mut answer);
        read.context("can't read the answer")?;
        if answer.trim() == name {
            return Ok(());
        }
        Err(Refusal("not confirmed: nothing was done".to_owned()).into())
    }
}
