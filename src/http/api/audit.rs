//! `GET /audit-log` and `GET /me/activity`: who did what. Beside, `query.rs` reads what is asked for, and
//! `export.rs` writes what is no page.

mod export;
mod query;

use axum::{
    extract::State,
    response::{IntoResponse as _, Response},
};
use chrono::{DateTime, Utc};
use futures::StreamExt as _;
use serde::Serialize;
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use self::query::{Asked, Format};
use super::{download, links::Link, user_body::time};
use crate::{
    domain::audit::AuditEntry,
    error::{Error, Result},
    http::{
        error::Answer,
        extract::Authenticated,
        mount,
        openapi::{Forbidden, Internal, Invalid, Unauthenticated, Unavailable},
        state::AppState,
    },
    services::audit::Entries,
};

pub use export::{head, lines};

pub(super) fn router() -> OpenApiRouter<AppState> {
    let router = mount(OpenApiRouter::new(), routes!(browse));
    mount(router, routes!(activity))
}

/// An entry of the audit log.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditEntry, example = json!({
    "id": 4711, "at": "2026-11-21T12:00:00.000000Z", "actor_kind": "user",
    "actor_id": "0199c5a0-6d54-7c1e-8f6a-3b1f2d4e5a6b", "actor_name": null, "on_behalf_of": null,
    "action": "user_locked", "outcome": "success", "subject_kind": "user",
    "subject_id": "0199c5a0-7e65-7d2f-9071-4c2f3e5d6b7c", "request_id": "0199c5a0-8f76-7e30-a182-5d304f6e7c8d",
    "client_address": "203.0.113.7", "device": "curl/7.88.1",
    "before": {"locked_at": null}, "after": {"locked_at": "2026-11-21T12:00:00.000000Z"},
}))]
pub struct AuditEntryBody {
    /// Its number, in the order of writing; with gaps.
    id: i64,
    /// When it was.
    #[serde(serialize_with = "time")]
    at: DateTime<Utc>,
    /// What acted: `user`, `service`, `system`, `operator` or `nobody` who said who he is.
    actor_kind: String,
    /// Which user.
    actor_id: Option<Uuid>,
    /// Which account of the operating system, of an operator.
    actor_name: Option<String>,
    /// For which user, if not for himself.
    on_behalf_of: Option<Uuid>,
    /// What was done or tried, in snake case.
    action: String,
    /// `success`, `refused` (he may not) or `failed` (he didn't prove what he had to).
    outcome: String,
    /// What it was done to: `user`, `signing_key`.
    subject_kind: Option<String>,
    /// Which one.
    subject_id: Option<String>,
    /// In which request.
    request_id: Option<Uuid>,
    /// From where.
    client_address: Option<String>,
    /// By what program: its `User-Agent`.
    device: Option<String>,
    /// The members that changed, as they were.
    #[schema(value_type = Option<Object>)]
    before: Option<Value>,
    /// The members that changed, as they are since.
    #[schema(value_type = Option<Object>)]
    after: Option<Value>,
}

impl TryFrom<AuditEntry> for AuditEntryBody {
    type Error = Error;

    fn try_from(entry: AuditEntry) -> Result<Self> {
        let object = |text: Option<String>| text.as_deref().map(serde_json::from_str).transpose();
        let unreadable =
            |error| Error::Internal(anyhow::Error::new(error).context("can't read an audit entry"));
        Ok(Self {
            id: entry.id,
            at: entry.at,
            actor_kind: entry.actor_kind,
            actor_id: entry.actor_id,
            actor_name: entry.actor_name,
            on_behalf_of: entry.on_behalf_of,
            action: entry.action,
            outcome: entry.outcome,
            subject_kind: entry.subject_kind,
            subject_id: entry.subject_id,
            request_id: entry.request_id,
            client_address: entry.client_address,
            device: entry.device,
            before: object(entry.before).map_err(unreadable)?,
            after: object(entry.after).map_err(unreadable)?,
        })
    }
}

/// A page of the audit log.
#[derive(Serialize, ToSchema)]
#[schema(as = AuditEntryList, example = json!({
    "items": [{
        "id": 4711, "at": "2026-11-21T12:00:00.000000Z", "actor_kind": "user",
        "actor_id": "0199c5a0-6d54-7c1e-8f6a-3b1f2d4e5a6b", "actor_name": null, "on_behalf_of": null,
        "action": "session_opened", "outcome": "success", "subject_kind": "user",
        "subject_id": "0199c5a0-6d54-7c1e-8f6a-3b1f2d4e5a6b", "request_id": "0199c5a0-8f76-7e30-a182-5d304f6e7c8d",
        "client_address": "203.0.113.7", "device": "curl/7.88.1", "before": null,
        "after": {"session_id": "0199c5a0-7e65-7d2f-9071-4c2f3e5d6b7c", "used_by": "tokens"},
    }],
    "next_cursor": "AAZEG8v0QAAAAAAAAAASZzLwq0pSkV3u",
    "links": [{"rel": "next", "href": "https://users.example.com/audit-log?cursor=AAZEG8v0QAAAAAAAAAASZzLwq0pSkV3u",
               "method": "GET", "action": "view", "type": "application/json"}],
}))]
struct AuditEntryListBody {
    /// The entries, newest first.
    items: Vec<AuditEntryBody>,
    /// What to give as `cursor` for the next page; none where there is none.
    next_cursor: Option<String>,
    /// This page, and the next where there is one.
    links: Vec<Link>,
}

impl AuditEntryListBody {
    fn new(state: &AppState, path: &str, asked: &Asked, entries: Entries) -> Result<Self> {
        let link = |rel, cursor| {
            let href = state.url(&format!("{path}{}", asked.query_with(cursor)));
            Link::new(rel, href, "GET", "view")
        };
        let mut links = vec![link("self", asked.cursor.as_deref())];
        if let Some(next) = &entries.next {
            links.push(link("next", Some(next)));
        }
        let items: Result<_> = entries.items.into_iter().map(TryFrom::try_from).collect();
        Ok(Self {
            items: items?,
            next_cursor: entries.next,
            links,
        })
    }
}

/// Which part of a list.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only documents the parameters")]
struct CursorParams {
    /// Where the page begins: `next_cursor` of the page before
    #[param(required = false)]
    cursor: String,
    /// Entries at most
    #[param(minimum = 1, maximum = 200, default = 50, required = false)]
    limit: u32,
}

/// Which entries.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only documents the parameters")]
struct FilterParams {
    /// The user who acted
    #[param(required = false)]
    actor: Uuid,
    /// The id of what it was done to
    #[param(
        required = false,
        min_length = 1,
        max_length = 200,
        example = "0199c5a0-6d54-7c1e-8f6a-3b1f2d4e5a6b"
    )]
    subject: String,
    /// What was done: the name of an action
    #[param(required = false, example = "user_locked")]
    action: String,
    /// How it went: `success`, `refused` or `failed`
    #[param(required = false, example = "refused")]
    outcome: String,
    /// The request
    #[param(required = false)]
    request_id: Uuid,
    /// Where it came from
    #[param(required = false, example = "203.0.113.7")]
    client_address: String,
    /// Not before this time; a day counts from its beginning; for example `2026-01-01`
    #[param(required = false)]
    from: String,
    /// Before this time; a day counts to its end; for example `2026-12-31T12:00:00Z`
    #[param(required = false)]
    to: String,
}

/// Browse the audit log
///
/// Who did what, when, from where, and what it changed, newest first: every change of an account or of
/// security, and refused and failed attempts. `Accept: application/x-ndjson` or `text/csv` gives all
/// entries that match and no page.
#[utoipa::path(
    get, path = "/audit-log", operation_id = "list_audit_log", tag = "audit", security(("password" = [])),
    params(FilterParams, CursorParams),
    responses(
        (status = 200, description = "A page of entries; as NDJSON or CSV, all of them", content(
            (AuditEntryListBody = "application/json"),
            (String = "application/x-ndjson", example = "{\"id\":4711,\"at\":\"2026-11-21T12:00:00.000000Z\",…}\n"),
            (String = "text/csv", example = "id,at,actor_kind,…\r\n4711,2026-11-21T12:00:00.000000Z,user,…\r\n"),
        )),
        Unauthenticated, Forbidden, Invalid, Internal, Unavailable
    ),
)]
async fn browse(
    State(state): State<AppState>,
    Authenticated(ctx): Authenticated,
    format: Format,
    asked: Asked,
) -> Answer<Response> {
    let asked = asked.filters()?;
    let log = &state.services.audit;
    if let Format::All(format) = format {
        let filter = asked.whole()?;
        let entries = log.stream(&ctx, filter).await?;
        let lines = entries.map(move |batch| batch.and_then(|batch| lines(format, batch)));
        let (name, request_id) = ("audit-log", ctx.request_id);
        return Ok(download::answer(
            format,
            name,
            request_id,
            head(format),
            lines,
        ));
    }
    let cursor = asked.cursor.as_deref();
    let entries = log.browse(&ctx, &asked.filter, cursor, asked.limit).await?;
    let body = AuditEntryListBody::new(&state, "audit-log", &asked, entries)?;
    Ok(axum::Json(body).into_response())
}

/// One's own activity
///
/// What the caller did and what was done to his account, newest first. Of others who did something to
/// it only the kind is told.
#[utoipa::path(
    get, path = "/me/activity", operation_id = "list_my_activity", tag = "me", security(("password" = [])),
    params(CursorParams),
    responses(
        (status = 200, description = "A page of entries", body = AuditEntryListBody),
        Unauthenticated, Invalid, Internal, Unavailable
    ),
)]
async fn activity(
    State(state): State<AppState>,
    Authenticated(ctx): Authenticated,
    asked: Asked,
) -> Answer<axum::Json<AuditEntryListBody>> {
    let asked = asked.no_filters()?;
    let cursor = asked.cursor.as_deref();
    let log = &state.services.audit;
    let entries = log.activity(&ctx, cursor, asked.limit).await?;
    let body = AuditEntryListBody::new(&state, "me/activity", &asked, entries)?;
    Ok(axum::Json(body))
}
