//! `GET /me/export`: everything that is kept of the caller.

use axum::{
    extract::State,
    http::{HeaderName, header},
};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::user_body::time;
use crate::http::{
    error::Answer,
    extract::Authenticated,
    mount,
    openapi::{Internal, Unauthenticated, Unavailable},
    state::AppState,
};

pub(super) fn router() -> OpenApiRouter<AppState> {
    mount(OpenApiRouter::new(), routes!(read))
}

/// Everything that is kept of a user.
#[derive(Serialize, ToSchema)]
#[schema(as = Export, example = json!({
    "exported_at": "2026-11-21T12:00:00.000000Z",
    "data": {
        "users": {"id": "0199c5a0-6d54-7c1e-8f6a-3b1f2d4e5a6b", "nickname": "clever_panda_417", "email": "ada@example.com"},
        "sessions": [{"id": "0199c5a0-7e65-7d2f-9071-4c2f3e5d6b7c", "client_address": "203.0.113.7"}],
    },
}))]
struct ExportBody {
    /// When it was written.
    #[serde(serialize_with = "time")]
    exported_at: DateTime<Utc>,
    /// A member for each table of the database that has something of the user: an object for his
    /// account, and lists for what there may be several of. What they hold may grow. Hashes and
    /// digests of secrets are left out.
    #[schema(value_type = Object)]
    data: Value,
}

/// Export one's own data
///
/// Everything that is kept of the caller, to be saved as a file.
#[utoipa::path(
    get, path = "/me/export", operation_id = "export_me", tag = "me", security(("password" = [])),
    responses(
        (status = 200, description = "Everything that is kept of the caller", body = ExportBody, headers(
            ("Content-Disposition" = String, description = "Names the file"),
        )),
        Unauthenticated, Internal, Unavailable
    ),
)]
async fn read(
    State(state): State<AppState>,
    Authenticated(ctx): Authenticated,
) -> Answer<([(HeaderName, &'static str); 1], axum::Json<ExportBody>)> {
    let data = state.services.export.read(&ctx).await?;
    let name = "attachment; filename=\"account.json\"";
    let body = ExportBody {
        exported_at: ctx.now,
        data,
    };
    Ok(([(header::CONTENT_DISPOSITION, name)], axum::Json(body)))
}
