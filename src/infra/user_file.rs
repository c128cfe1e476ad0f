//! Files of users, read piece by piece: `table.rs` beside has CSV, `objects.rs` NDJSON.
//!
//! Whatever is in a file, no more of it than a record of [`MAX_RECORD`] is in memory beside the piece that
//! was fed. A record that is malformed, too long or of another encoding is told as such, with its line,
//! and the next ones are read; only what makes all of the file unreadable ends it.

mod objects;
mod table;

use self::{objects::Objects, table::Table};
use crate::{
    domain::{
        user_import::{FilePlace, Format},
        user_record::{Column, Field},
    },
    error::Rule,
};

/// Most bytes of a record: many times what all columns at their longest have.
pub const MAX_RECORD: usize = 64 * 1024;

/// Most characters of a name in a file that an error repeats.
const MOST_OF_NAME: usize = 40;

/// What is wrong with a record, and in which column, if in one.
pub type Fault = (Option<Column>, Rule);

/// A record of a file.
#[derive(Debug)]
pub struct Record {
    /// Where it begins, from 1.
    pub line: u64,
    /// The place behind it.
    pub end: FilePlace,
    /// Its cells or members that aren't empty, or what keeps it from being read.
    pub fields: Result<Vec<Field>, Vec<Fault>>,
}

/// The file can't be read, or not any further.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct Unreadable {
    /// Where, from 1.
    pub line: u64,
    /// Why.
    pub reason: String,
}

/// Reads a file of users.
pub struct UserFile {
    form: Form,
    at: FilePlace,
    /// The first bytes, until there are enough to tell what they are.
    opening: Option<Vec<u8>>,
}

enum Form {
    Table(Box<Table>),
    Objects(Objects),
}

impl UserFile {
    /// A file that is read from its beginning.
    #[must_use]
    pub fn new(format: Format) -> Self {
        Self {
            form: match format {
                Format::Csv => Form::Table(Box::default()),
                Format::Ndjson => Form::Objects(Objects::default()),
            },
            at: FilePlace::default(),
            opening: Some(Vec::new()),
        }
    }

    /// Whether it knows that the file is one of its kind, and its columns, which the first row of a
    /// table names.
    #[must_use]
    pub fn has_head(&self) -> bool {
        let has_columns = match &self.form {
            Form::Table(table) => table.has_head(),
            Form::Objects(_) => true,
        };
        has_columns && self.opening.is_none()
    }

    /// Goes on at a place behind a record: what is fed next comes from there.
    pub fn go_to(&mut self, place: FilePlace) {
        match &mut self.form {
            Form::Table(table) => table.forget(),
            Form::Objects(objects) => objects.forget(),
        }
        self.at = place;
        self.opening = None;
    }

    /// Takes the next piece of the file, and adds the records that end in it.
    ///
    /// # Errors
    ///
    /// When the file can't be read at all.
    pub fn feed(&mut self, piece: &[u8], records: &mut Vec<Record>) -> Result<(), Unreadable> {
        let Some(mut opening) = self.opening.take() else {
            return self.take(piece, records);
        };
        opening.extend_from_slice(piece);
        if opening.len() < 4 {
            self.opening = Some(opening);
            return Ok(());
        }
        self.open(&opening, records)
    }

    /// Ends the file, and adds the record that it ends with.
    ///
    /// # Errors
    ///
    /// When it holds nothing.
    pub fn finish(&mut self, records: &mut Vec<Record>) -> Result<(), Unreadable> {
        if let Some(opening) = self.opening.take() {
            self.open(&opening, records)?;
        }
        match &mut self.form {
            Form::Table(table) => table.finish(self.at, records)?,
            Form::Objects(objects) => objects.finish(self.at, records),
        }
        Ok(())
    }

    /// Looks at the first bytes for what is no text of ours.
    fn open(&mut self, bytes: &[u8], records: &mut Vec<Record>) -> Result<(), Unreadable> {
        let is_wide = |bytes: &[u8]| {
            bytes.starts_with(&[0xff, 0xfe])
                || bytes.starts_with(&[0xfe, 0xff])
                || bytes.contains(&0)
        };
        let (first, _) = bytes.split_at(bytes.len().min(4));
        if is_wide(first) {
            return Err(at_beginning("is UTF-16 or binary: save it as UTF-8"));
        }
        if first.starts_with(b"PK") || first.starts_with(&[0x1f, 0x8b]) {
            return Err(at_beginning(
                "is compressed or a spreadsheet's own format: save it as CSV in UTF-8",
            ));
        }
        // The mark that editors put before UTF-8.
        let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        self.at.offset += (bytes.len() - text.len()) as u64;
        self.take(text, records)
    }

    fn take(&mut self, piece: &[u8], records: &mut Vec<Record>) -> Result<(), Unreadable> {
        match &mut self.form {
            Form::Table(table) => table.take(piece, &mut self.at, records),
            Form::Objects(objects) => {
                objects.take(piece, &mut self.at, records);
                Ok(())
            }
        }
    }
}

fn at_beginning(reason: &str) -> Unreadable {
    Unreadable {
        line: 1,
        reason: reason.to_owned(),
    }
}

/// A name of the file as an error may show it.
fn shown(name: &str) -> String {
    let cut: String = name.chars().take(MOST_OF_NAME).collect();
    format!("{cut:?}")
}

const TOO_LONG: Rule = Rule::new("too_long", "is longer than 64 KiB");
const NO_UTF8: Rule = Rule::new("no_utf8", "is not UTF-8");

#[cfg(test)]
mod tests;
