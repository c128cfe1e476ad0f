//! Many entries: as lines of JSON, or as CSV.

use axum::{
    body::{Body, Bytes},
    http::header,
    response::{IntoResponse as _, Response},
};
use chrono::SecondsFormat;
use futures::{Stream, StreamExt as _};

use super::{AuditEntryBody, query::Kind};
use crate::{
    domain::{audit::AuditEntry, id::RequestId},
    error::Result,
    infra::csv,
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

/// The first line of a table of entries.
#[must_use]
pub fn csv_head() -> Vec<u8> {
    csv::line(COLUMNS)
}

/// An entry as a line.
pub struct Written(pub AuditEntry);

impl Written {
    /// As a JSON object.
    ///
    /// # Errors
    ///
    /// Never by what the database holds.
    pub fn ndjson(self) -> Result<Vec<u8>> {
        let body = AuditEntryBody::try_from(self.0)?;
        let mut line = serde_json::to_vec(&body).map_err(anyhow::Error::from)?;
        line.push(b'\n');
        Ok(line)
    }

    /// As a line of a table.
    #[must_use]
    pub fn csv(&self) -> Vec<u8> {
        let entry = &self.0;
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
        csv::line(cells.iter().map(String::as_str))
    }
}

/// An answer of all these entries. Where the database fails on the way the answer breaks off, which
/// clients notice: its end is missing.
pub(super) fn answer(
    kind: Kind,
    request_id: RequestId,
    entries: impl Stream<Item = Result<Vec<AuditEntry>>> + Send + 'static,
) -> Response {
    let head = match kind {
        Kind::Ndjson => Vec::new(),
        Kind::Csv => csv_head(),
    };
    let head = futures::stream::once(async { Ok(Bytes::from(head)) });
    let lines = entries.map(move |batch| {
        let written = batch.and_then(|batch| lines(kind, batch));
        written.inspect_err(|error| {
            tracing::error!(%request_id, %error, "an export of the audit log broke off");
        })
    });
    let (media_type, name) = match kind {
        Kind::Ndjson => ("application/x-ndjson", "audit-log.ndjson"),
        Kind::Csv => ("text/csv; charset=utf-8", "audit-log.csv"),
    };
    let headers = [
        (header::CONTENT_TYPE, media_type.to_owned()),
        (
            header::CONTENT_DISPOSITION,
            format!("attachment; filename=\"{name}\""),
        ),
    ];
    (headers, Body::from_stream(head.chain(lines))).into_response()
}

fn lines(kind: Kind, batch: Vec<AuditEntry>) -> Result<Bytes> {
    let mut lines = Vec::new();
    for entry in batch.into_iter().map(Written) {
        match kind {
            Kind::Ndjson => lines.extend(entry.ndjson()?),
            Kind::Csv => lines.extend(entry.csv()),
        }
    }
    Ok(lines.into())
}
