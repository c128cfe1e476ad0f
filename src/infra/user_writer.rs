//! Files of users, as exports write them.

use anyhow::Context as _;
use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Serialize, Serializer, ser::SerializeMap as _};
use uuid::Uuid;

use super::csv::Lines;
use crate::domain::{
    exported_user::{ExportedUser, Value},
    file_format::FileFormat,
    user_record::Column,
};

/// Writes users in one format. Times stand in UTC with microseconds, as RFC 3339 has them; what is absent
/// is an empty cell, or null.
#[derive(Debug, Clone)]
pub struct UserWriter {
    format: FileFormat,
    columns: Vec<Column>,
}

impl UserWriter {
    /// For files of this format.
    #[must_use]
    pub fn new(format: FileFormat, with_password_hashes: bool) -> Self {
        let columns = Column::EXPORTED.into_iter();
        Self {
            format,
            columns: columns
                .filter(|column| with_password_hashes || *column != Column::PasswordHash)
                .collect(),
        }
    }

    /// What stands before the first user.
    #[must_use]
    pub fn head(&self) -> Vec<u8> {
        match self.format {
            FileFormat::Ndjson => Vec::new(),
            FileFormat::Csv => super::csv::line(self.columns.iter().map(|column| column.name())),
        }
    }

    /// A line for each user.
    ///
    /// # Errors
    ///
    /// Never by what the database holds.
    pub fn lines(&self, users: &[ExportedUser]) -> anyhow::Result<Vec<u8>> {
        match self.format {
            FileFormat::Ndjson => self.objects(users),
            FileFormat::Csv => Ok(self.rows(users)),
        }
    }

    fn objects(&self, users: &[ExportedUser]) -> anyhow::Result<Vec<u8>> {
        let mut lines = Vec::new();
        for user in users {
            let object = UserObject {
                user,
                columns: &self.columns,
            };
            serde_json::to_writer(&mut lines, &object).context("can't write a user")?;
            lines.push(b'\n');
        }
        Ok(lines)
    }

    fn rows(&self, users: &[ExportedUser]) -> Vec<u8> {
        let mut lines = Lines::default();
        for user in users {
            for column in &self.columns {
                match user.value(*column) {
                    Value::Nothing => lines.cell(""),
                    Value::Text(text) => lines.cell(text),
                    Value::Id(id) => {
                        let mut buffer = Uuid::encode_buffer();
                        lines.cell(id.hyphenated().encode_lower(&mut buffer));
                    }
                    Value::Flag(flag) => lines.cell(if flag { "true" } else { "false" }),
                    Value::Number(number) => lines.cell(&number.to_string()),
                    Value::Time(at) => lines.cell(&time(at)),
                }
            }
            lines.end();
        }
        lines.into_bytes()
    }
}

/// A user as an object with these columns as members.
#[derive(Debug, Clone, Copy)]
pub struct UserObject<'a> {
    /// The user.
    pub user: &'a ExportedUser,
    /// The members, in this order.
    pub columns: &'a [Column],
}

impl Serialize for UserObject<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members = serializer.serialize_map(Some(self.columns.len()))?;
        for column in self.columns {
            let name = column.name();
            match self.user.value(*column) {
                Value::Nothing => members.serialize_entry(name, &())?,
                Value::Text(text) => members.serialize_entry(name, text)?,
                Value::Id(id) => members.serialize_entry(name, &id)?,
                Value::Flag(flag) => members.serialize_entry(name, &flag)?,
                Value::Number(number) => members.serialize_entry(name, &number)?,
                Value::Time(at) => members.serialize_entry(name, &time(at))?,
            }
        }
        members.end()
    }
}

fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}

#[cfg(test)]
mod tests;
