//! What commands print: JSON for programs, aligned tables for people.

use std::{
    fmt::{self, Write as _},
    io::{self, Write as _},
};

use anyhow::Context as _;
use chrono::{DateTime, SecondsFormat, Utc};
use clap::Args;
use rustix::termios::tcgetwinsize;
use serde::Serialize;
use unicode_width::UnicodeWidthStr as _;

/// `--json`, of every command that tells something.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct Format {
    /// Print JSON, for programs.
    #[arg(long)]
    json: bool,
}

impl Format {
    /// Whether a program reads it.
    pub(super) fn is_json(self) -> bool {
        self.json
    }

    /// Prints `value`: as one JSON document, or for people as `text` has it.
    ///
    /// # Errors
    ///
    /// If standard output takes it not.
    pub(super) fn print<T: Serialize>(
        self,
        value: &T,
        text: impl FnOnce(&T) -> String,
    ) -> anyhow::Result<()> {
        if !self.json {
            return print(&text(value));
        }
        let mut json = serde_json::to_string_pretty(value).context("can't write JSON")?;
        json.push('\n');
        print(&json)
    }
}

/// Writes to standard output. That its reader has seen enough, as `head` has, is no error.
///
/// # Errors
///
/// If standard output takes it not: a disk is full.
pub(super) fn print(text: &str) -> anyhow::Result<()> {
    pass_on(text.as_bytes()).map(drop)
}

/// Writes a part of a file to standard output, and answers whether somebody takes it: `head` leaves when it
/// has seen enough.
///
/// # Errors
///
/// If standard output takes it not: a disk is full.
pub(super) fn pass_on(bytes: &[u8]) -> anyhow::Result<bool> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        written => written.context("can't print").map(|()| true),
    }
}

/// A time as tables show it, to the second; `-` for none.
pub(super) fn time(at: Option<DateTime<Utc>>) -> String {
    at.map_or_else(
        || "-".to_owned(),
        |at| at.to_rfc3339_opts(SecondsFormat::Secs, true),
    )
}

/// `yes` or `no`.
pub(super) fn yes_or_no(yes: bool) -> &'static str {
    if yes { "yes" } else { "no" }
}

/// `1 user`, `2 users`: so many of what is called so where there are several.
pub(super) fn count(number: u64, many: &str) -> String {
    format!("{number} {}", called(number, many))
}

/// What so many are called, by what several are called.
pub(super) fn called(number: u64, many: &str) -> &str {
    match (number, many) {
        (1, "entries") => "entry",
        (1, many) => many.strip_suffix('s').unwrap_or(many),
        (_, many) => many,
    }
}

/// Blanks between columns.
const GAP: usize = 2;
/// Columns are cut to no less than this.
const NARROWEST: usize = 4;

/// A table whose columns are as wide as what is in them. What could move a terminal's cursor or turn
/// the direction of writing is shown as an escape.
#[derive(Debug)]
pub(super) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with this head; no head for a list of names and values.
    pub(super) fn new(head: &[&str]) -> Self {
        let head: Vec<String> = head.iter().map(|cell| (*cell).to_owned()).collect();
        Self {
            rows: if head.is_empty() { vec![] } else { vec![head] },
        }
    }

    /// Adds a row.
    pub(super) fn row<const N: usize>(&mut self, cells: [&str; N]) -> &mut Self {
        self.rows.push(cells.map(printable).into());
        self
    }

    /// The table, with cells cut where standard output is a terminal and its lines would be too wide for that.
    pub(super) fn fitted(mut self) -> String {
        if let Some(width) = terminal_width() {
            self.fit(width);
        }
        self.to_string()
    }

    /// Cuts the cells of the widest columns until lines are this wide.
    fn fit(&mut self, width: usize) {
        let mut widths = self.widths();
        let gaps = GAP * widths.len().saturating_sub(1);
        while widths.iter().sum::<usize>() + gaps > width {
            match widths.iter_mut().max() {
                Some(widest) if *widest > NARROWEST => *widest -= 1,
                _ => break,
            }
        }
        for row in &mut self.rows {
            for (cell, width) in row.iter_mut().zip(&widths) {
                cut(cell, *width);
            }
        }
    }

    fn widths(&self) -> Vec<usize> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |at| {
            let cells = self.rows.iter().filter_map(|row: &Vec<String>| row.get(at));
            cells.map(|cell: &String| cell.width()).max().unwrap_or(0)
        };
        (0..columns).map(width).collect()
    }
}

/// The columns of the terminal that standard output is, if it is one and tells.
fn terminal_width() -> Option<usize> {
    let size = tcgetwinsize(io::stdout()).ok()?;
    Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
}

/// Takes away the end of a cell that is wider than this.
fn cut(cell: &mut String, width: usize) {
    if cell.width() <= width {
        return;
    }
    while cell.width() >= width && cell.pop().is_some() {}
    cell.push('…');
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths = self.widths();
        for row in &self.rows {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                let blanks = width - cell.width() + GAP;
                write!(line, "{cell}{:blanks$}", "")?;
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// `text` without what a terminal obeys.
pub(super) fn printable(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for c in text.chars() {
        let misleads = matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
        if c.is_control() || misleads {
            clean.extend(c.escape_default());
        } else {
            clean.push(c);
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_what_is_in_them_and_obey_nobody() {
        let mut table = Table::new(&["NAME", "ROLE", "CITY"]);
        table.row(["Ada", "ADMIN", ""]);
        table.row(["日本", "MANAGER", "a\u{1b}[31m\nb\u{202e}"]);
        assert_eq!(
            table.to_string(),
            "NAME  ROLE     CITY\n\
             Ada   ADMIN\n\
             日本  MANAGER  a\\u{1b}[31m\\nb\\u{202e}\n"
        );
        assert_eq!(Table::new(&[]).to_string(), "");
    }

    #[test]
    fn the_widest_cells_are_cut_where_lines_are_too_wide() {
        let fitted = |width| {
            let mut table = Table::new(&["ID", "NAME", "ROLE"]);
            table.row(["0199c5a0-6d54", "日本日本日本日本", "ADMIN"]);
            table.row(["1", "Ada", "MANAGER"]);
            table.fit(width);
            table.to_string()
        };
        assert_eq!(
            fitted(30),
            "ID          NAME       ROLE\n\
             0199c5a0-…  日本日本…  ADMIN\n\
             1           Ada        MANAGER\n"
        );
        assert_eq!(fitted(40), fitted(1_000));
        assert!(fitted(3).lines().all(|line| line.width() <= 16));
    }

    #[test]
    fn one_is_called_otherwise_than_several() {
        for (number, many, told) in [
            (1, "users", "1 user"),
            (0, "users", "0 users"),
            (1, "entries", "1 entry"),
            (2, "entries", "2 entries"),
        ] {
            assert_eq!(count(number, many), told);
        }
    }

    #[test]
    fn times_are_shown_to_the_second() {
        let at = "2026-11-21T12:00:00.123Z".parse().unwrap();
        assert_eq!(time(Some(at)), "2026-11-21T12:00:00Z");
        assert_eq!(time(None), "-");
    }
}
