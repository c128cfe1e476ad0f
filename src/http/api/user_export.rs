//! `GET /users/export`: users as a file.

use axum::{extract::State, response::Response};
use futures::StreamExt as _;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    download,
    user_query::{SelectionParams, selection},
};
use crate::{
    domain::{file_format::FileFormat, user_selection::UserSelection},
    error::Result,
    http::{
        error::Answer,
        extract::{Accepted, Authenticated, Query},
        mount,
        openapi::{Forbidden, Internal, Invalid, Unauthenticated, Unavailable},
        state::AppState,
    },
    infra::user_writer::UserWriter,
};

pub(super) fn router() -> OpenApiRouter<AppState> {
    mount(OpenApiRouter::new(), routes!(export))
}

/// How it is written.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only documents the parameters")]
struct FormatParams {
    /// `ndjson` or `csv`; without it what `Accept` names, or NDJSON
    #[param(required = false, pattern = "^(ndjson|csv)$")]
    format: String,
}

/// Export users
///
/// All users whom the filters let pass, in the order of their ids, as lines of JSON or as a table, as an
/// import reads them. Cells that a spreadsheet would take for formulas begin with an apostrophe. Password
/// hashes are given at the command line only. An export that breaks off lacks the end of its encoding; it does so
/// when the caller's session ends.
#[utoipa::path(
    get, path = "/users/export", operation_id = "export_users", tag = "users", security(("password" = [])),
    params(SelectionParams, FormatParams),
    responses(
        (status = 200, description = "The users, a line for each", content(
            (String = "application/x-ndjson", example = "{\"id\":\"0199c5a0-6d54-7c1e-8f6a-3b1f2d4e5a6b\",\"nickname\":\"clever_panda_417\",…}\n"),
            (String = "text/csv", example = "id,nickname,email,…\r\n0199c5a0-6d54-7c1e-8f6a-3b1f2d4e5a6b,clever_panda_417,ada@example.com,…\r\n"),
        ), headers(
            ("Content-Disposition" = String, description = "Names the file"),
        )),
        Unauthenticated, Forbidden, Invalid, Internal, Unavailable
    ),
)]
async fn export(
    State(state): State<AppState>,
    Authenticated(ctx): Authenticated,
    accepted: Accepted,
    mut query: Query,
) -> Answer<Response> {
    query.only(&[&UserSelection::NAMES[..], &["format"]].concat());
    let selection = selection(&mut query);
    let format = query.read("format", FileFormat::parse);
    let selection = query.finish(selection)?;
    let accepted = || accepted.0.iter().find_map(|kind| download::format_of(kind));
    let format = format.or_else(accepted).unwrap_or(FileFormat::Ndjson);
    let exports = &state.services.user_export;
    let users = exports.stream(&ctx, &selection, false).await?;
    let writer = UserWriter::new(format, false);
    let head = writer.head();
    let lines = users.map(move |batch| -> Result<Vec<u8>> { Ok(writer.lines(&batch?)?) });
    let (name, request_id) = ("users", ctx.request_id);
    Ok(download::answer(format, name, request_id, head, lines))
}
