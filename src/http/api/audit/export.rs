//! Many entries: as lines of JSON, or as CSV.

use chrono::SecondsFormat;

use super::AuditEntryBody;
use crate::{
    domain::{audit::AuditEntry, file_format::FileFormat},
    error::Result,
    infra::csv::{self, Lines},
};

/// The columns, in the order of the members of [`AuditEntryBody`].
const COLUMNS: [&str; 15] = [
    "id",
    "at",
    "actor_kind",
    "actor_id",
    "actor_name",
    "on_behalf_of",
    "action",
    "outcome",
    "subject_kind",
    "subject_id",
    "request_id",
    "client_address",
    "device",
    "before",
    "after",
];

/// What stands before the first entry of a file.
#[must_use]
pub fn head(format: FileFormat) -> Vec<u8> {
    match format {
        FileFormat::Ndjson => Vec::new(),
        FileFormat::Csv => csv::line(COLUMNS),
    }
}

/// A line for each entry of a file.
///
/// # Errors
///
/// Never by what the database holds.
pub fn lines(format: FileFormat, entries: Vec<AuditEntry>) -> Result<Vec<u8>> {
    match format {
        FileFormat::Ndjson => objects(entries),
        FileFormat::Csv => Ok(rows(&entries)),
    }
}

fn objects(entries: Vec<AuditEntry>) -> Result<Vec<u8>> {
    let mut lines = Vec::new();
    for entry in entries {
        let body = AuditEntryBody::try_from(entry)?;
        serde_json::to_writer(&mut lines, &body).map_err(anyhow::Error::from)?;
        lines.push(b'\n');
    }
    Ok(lines)
}

fn rows(entries: &[AuditEntry]) -> Vec<u8> {
    let mut lines = Lines::default();
    for entry in entries {
        let id = |id: Option<uuid::Uuid>| id.map(|id| id.to_string()).unwrap_or_default();
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let cells = [
            entry.id.to_string(),
            entry.at.to_rfc3339_opts(SecondsFormat::Micros, true),
            entry.actor_kind.clone(),
            id(entry.actor_id),
            text(&entry.actor_name),
            id(entry.on_behalf_of),
            entry.action.clone(),
            entry.outcome.clone(),
            text(&entry.subject_kind),
            text(&entry.subject_id),
            id(entry.request_id),
            text(&entry.client_address),
            text(&entry.device),
            text(&entry.before),
            text(&entry.after),
        ];
        for cell in cells {
            lines.cell(&cell);
        }
        lines.end();
    }
    lines.into_bytes()
}
