//! `user-management completions` and `user-management man`: what a shell and `man` know of the program,
//! made from the command line's own definition.

use std::collections::HashMap;

use anyhow::Context as _;
use clap::{Args, Command, CommandFactory as _};
use clap_complete::Shell;

use super::{Cli, output};
use crate::error::{Error, ErrorCode};

/// For which shell.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct Completions {
    /// The shell that is to complete.
    shell: Shell,
}

/// Which page.
#[derive(Debug, Args)]
pub(super) struct Man {
    /// The command that the page is about, such as `db reset`; none: the program.
    command: Vec<String>,
}

pub(super) fn completions(options: Completions) -> anyhow::Result<()> {
    let mut script = Vec::new();
    let mut program = Cli::command();
    let name = program.get_name().to_owned();
    clap_complete::generate(options.shell, &mut program, name, &mut script);
    let script = String::from_utf8(script).context("what was made is no text")?;
    match options.shell {
        Shell::Bash => output::print(&with_labels(&script)),
        _ => output::print(&script),
    }
}

/// A script for bash in which each command that is assigned has its label. clap_complete writes hyphens in names
/// differently in the two.
fn with_labels(script: &str) -> String {
    let assigned = script
        .lines()
        .filter_map(|line| line.trim().strip_prefix("cmd=\"")?.strip_suffix('"'));
    let assigned: HashMap<String, &str> = assigned
        .map(|command| (command.replace("subcmd__", ""), command))
        .collect();
    let mut mended = String::with_capacity(script.len());
    for line in script.lines() {
        let label = line.trim().strip_suffix(')');
        let command = label.and_then(|label| assigned.get(&label.replace("subcmd__", "")));
        match (label, command) {
            (Some(label), Some(command)) => mended += &line.replace(label, command),
            _ => mended += line,
        }
        mended.push('\n');
    }
    mended
}

pub(super) fn man(options: &Man) -> anyhow::Result<()> {
    let mut program = Cli::command();
    program.build();
    let mut command: &Command = &program;
    for name in &options.command {
        let found = command.find_subcommand(name);
        command = found
            .ok_or(Error::NotFound(ErrorCode::NotFound))
            .with_context(|| format!("there is no command `{}`", options.command.join(" ")))?;
    }
    let mut page = Vec::new();
    let man = clap_mangen::Man::new(command.clone());
    man.render(&mut page).context("can't write the page")?;
    print(page)
}

fn print(text: Vec<u8>) -> anyhow::Result<()> {
    let text = String::from_utf8(text).context("what was made is no text")?;
    output::print(&text)
}
