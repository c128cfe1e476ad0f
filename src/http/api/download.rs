//! Answers of many records, as files.

use axum::{
    body::{Body, Bytes},
    http::header,
    response::{IntoResponse as _, Response},
};
use futures::{Stream, StreamExt as _};

use crate::{
    domain::{file_format::FileFormat, id::RequestId},
    error::Result,
};

/// The format of this media type, if it is one.
pub(super) fn format_of(media_type: &str) -> Option<FileFormat> {
    match media_type {
        "application/x-ndjson" => Some(FileFormat::Ndjson),
        "text/csv" => Some(FileFormat::Csv),
        _ => None,
    }
}

/// An answer that is a file of this name. Where `lines` fail the answer breaks off, which clients notice:
/// its end is missing.
pub(super) fn answer(
    format: FileFormat,
    name: &'static str,
    request_id: RequestId,
    head: Vec<u8>,
    lines: impl Stream<Item = Result<Vec<u8>>> + Send + 'static,
) -> Response {
    let head = futures::stream::once(async { Ok(Bytes::from(head)) });
    let lines = lines.map(move |lines| {
        lines.map(Bytes::from).inspect_err(|error| {
            tracing::error!(%request_id, %error, "a download of {name} broke off");
        })
    });
    let media_type = match format {
        FileFormat::Ndjson => "application/x-ndjson",
        FileFormat::Csv => "text/csv; charset=utf-8",
    };
    let end = format.as_str();
    let headers = [
        (header::CONTENT_TYPE, media_type.to_owned()),
        (
            header::CONTENT_DISPOSITION,
            format!("attachment; filename=\"{name}.{end}\""),
        ),
    ];
    (headers, Body::from_stream(head.chain(lines))).into_response()
}
