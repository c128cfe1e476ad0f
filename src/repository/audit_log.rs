//! The table `audit_log`; `audit_chain.rs` has its chain.
//!
//! A statement that needs no transaction writes its entry itself: see `entry_parts`.

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::{FromRow, PgConnection, Postgres, QueryBuilder};
use std::net::IpAddr;
use uuid::Uuid;

pub(super) use super::users::prefixed;
use crate::{
    domain::{
        audit::{AuditEntry, AuditFilter, Members, NewEntry, Position, Subject},
        id::UserId,
    },
    error::Result,
};

/// The parts of a `with` that write an entry and note that the chain lacks it, if the `from` clause that
/// begins with `$from` has a row. `$json` is the parameter that [`json`] gives.
macro_rules! entry_parts {
    ($json:literal, $from:literal) => {
        concat!(
            "entry as ( \
               insert into audit_log (at, actor_kind, actor_id, actor_name, action, subject_kind, subject_id, \
                 request_id, client_address, device, before, after, outcome) \
               select e.at, e.actor_kind, e.actor_id, e.actor_name, e.action, e.subject_kind, e.subject_id, \
                 e.request_id, e.client_address, e.device, e.before, e.after, e.outcome \
               from ", $from, "jsonb_to_record(", $json, ") as e (at timestamptz, actor_kind text, \
                 actor_id uuid, actor_name text, action text, subject_kind text, subject_id text, \
                 request_id uuid, client_address text, device text, before jsonb, after jsonb, outcome text) \
               returning id \
             ), pending as ( \
               insert into audit_pending (entry_id) select id from entry \
             )"
        )
    };
}
pub(super) use entry_parts;

/// An entry as the parameter of [`entry_parts`].
///
/// # Errors
///
/// Never by what it is given.
pub(super) fn json(entry: &NewEntry) -> Result<Value> {
    #[derive(Serialize)]
    struct Written<'a> {
        at: DateTime<Utc>,
        actor_kind: &'a str,
        actor_id: Option<UserId>,
        actor_name: Option<&'a str>,
        action: &'a str,
        subject_kind: Option<&'a str>,
        subject_id: Option<String>,
        request_id: Uuid,
        client_address: Option<IpAddr>,
        device: Option<&'a str>,
        before: Option<&'a Members>,
        after: Option<&'a Members>,
        outcome: &'a str,
    }
    let written = Written {
        at: entry.at,
        actor_kind: entry.actor_kind.as_str(),
        actor_id: entry.actor_id,
        actor_name: entry.actor_name.as_deref(),
        action: entry.action.as_str(),
        subject_kind: entry.subject.as_ref().map(Subject::kind),
        subject_id: entry.subject.as_ref().map(Subject::id),
        request_id: entry.request_id.0,
        client_address: entry.client_address,
        device: entry.device.as_deref(),
        before: entry.before.as_ref(),
        after: entry.after.as_ref(),
        outcome: entry.outcome.as_str(),
    };
    Ok(serde_json::to_value(written).context("can't write an audit entry")?)
}

/// Writes an entry, and notes that the chain lacks it; answers its id.
///
/// # Errors
///
/// If the database fails.
///
/// # Concurrency
///
/// One statement. Writers don't wait for each other: their places in the chain are given later.
pub async fn insert(connection: &mut PgConnection, entry: &NewEntry) -> Result<i64> {
    let id = sqlx::query_scalar(concat!(
        "with ",
        entry_parts!("$1", ""),
        " select id from entry"
    ))
    .bind(json(entry)?)
    .fetch_one(connection)
    .await?;
    Ok(id)
}

/// Writes entries as [`insert`] does, in their order.
///
/// # Errors
///
/// If the database fails.
///
/// # Concurrency
///
/// As of [`insert`].
pub async fn insert_all(connection: &mut PgConnection, entries: &[NewEntry]) -> Result<()> {
    let entries: Vec<Value> = entries.iter().map(json).collect::<Result<_>>()?;
    sqlx::query(
        "with entry as ( \
           insert into audit_log (at, actor_kind, actor_id, actor_name, action, subject_kind, subject_id, \
             request_id, client_address, device, before, after, outcome) \
           select e.at, e.actor_kind, e.actor_id, e.actor_name, e.action, e.subject_kind, e.subject_id, \
             e.request_id, e.client_address, e.device, e.before, e.after, e.outcome \
           from jsonb_to_recordset($1) as e (at timestamptz, actor_kind text, actor_id uuid, actor_name text, \
             action text, subject_kind text, subject_id text, request_id uuid, client_address text, \
             device text, before jsonb, after jsonb, outcome text) \
           returning id \
         ) \
         insert into audit_pending (entry_id) select id from entry",
    )
    .bind(Value::Array(entries))
    .execute(connection)
    .await?;
    Ok(())
}

/// The columns of [`Row`], of the table of this name.
macro_rules! entry_columns {
    ($table:literal) => {
        concat!(
            $crate::repository::audit_log::prefixed! {
                $table;
                "id" "at" "actor_kind" "actor_id" "actor_name" "on_behalf_of" "action"
                "subject_kind" "subject_id" "request_id" "client_address" "device" "outcome"
            },
            ", ",
            $table,
            ".before::text as before, ",
            $table,
            ".after::text as after"
        )
    };
}
pub(super) use entry_columns;

/// A row, which may be missing from an outer join.
#[derive(FromRow)]
pub(super) struct Row {
    id: Option<i64>,
    at: Option<DateTime<Utc>>,
    actor_kind: Option<String>,
    actor_id: Option<Uuid>,
    actor_name: Option<String>,
    on_behalf_of: Option<Uuid>,
    action: Option<String>,
    subject_kind: Option<String>,
    subject_id: Option<String>,
    request_id: Option<Uuid>,
    client_address: Option<String>,
    device: Option<String>,
    before: Option<String>,
    after: Option<String>,
    outcome: Option<String>,
}

impl From<Row> for Option<AuditEntry> {
    fn from(row: Row) -> Self {
        Some(AuditEntry {
            id: row.id?,
            at: row.at?,
            actor_kind: row.actor_kind?,
            actor_id: row.actor_id,
            actor_name: row.actor_name,
            on_behalf_of: row.on_behalf_of,
            action: row.action?,
            subject_kind: row.subject_kind,
            subject_id: row.subject_id,
            request_id: row.request_id,
            client_address: row.client_address,
            device: row.device,
            before: row.before,
            after: row.after,
            outcome: row.outcome?,
        })
    }
}

/// The entries that a filter lets pass, newest first, those behind `after` only, at most `limit`.
///
/// # Errors
///
/// If the database fails.
pub async fn list(
    connection: &mut PgConnection,
    filter: &AuditFilter,
    after: Option<Position>,
    limit: u32,
) -> Result<Vec<AuditEntry>> {
    let mut query = QueryBuilder::<Postgres>::new(concat!(
        "select ",
        entry_columns!("audit_log"),
        " from audit_log where true"
    ));
    if let Some(actor) = filter.actor {
        query.push(" and actor_id = ").push_bind(actor);
    }
    if let Some(subject) = &filter.subject {
        query.push(" and subject_id = ").push_bind(subject);
    }
    if let Some(action) = filter.action {
        query.push(" and action = ").push_bind(action.as_str());
    }
    if let Some(outcome) = filter.outcome {
        // No parameter: the index on what isn't success is used only where the text says so. The names
        // are ours.
        let outcome = outcome.as_str();
        query.push(format_args!(" and outcome = '{outcome}'"));
    }
    if let Some(request_id) = filter.request_id {
        query.push(" and request_id = ").push_bind(request_id.0);
    }
    if let Some(address) = filter.client_address {
        let address = address.to_string();
        query.push(" and client_address = ").push_bind(address);
    }
    if let Some(from) = filter.from {
        query.push(" and at >= ").push_bind(from);
    }
    if let Some(to) = filter.to {
        query.push(" and at < ").push_bind(to);
    }
    if let Some(after) = after {
        query.push(" and (at, id) < (").push_bind(after.at);
        query.push(", ").push_bind(after.id).push(")");
    }
    query.push(" order by at desc, id desc limit ");
    query.push_bind(i64::from(limit));
    let rows: Vec<Row> = query.build_query_as().fetch_all(connection).await?;
    Ok(rows.into_iter().filter_map(Row::into).collect())
}

/// The entries of which a user is the actor or the subject, newest first, those behind `after` only, at
/// most `limit`.
///
/// # Errors
///
/// If the database fails.
pub async fn list_of(
    connection: &mut PgConnection,
    user_id: UserId,
    after: Option<Position>,
    limit: u32,
) -> Result<Vec<AuditEntry>> {
    // Each half by an index of its own, and no further than the page.
    let rows: Vec<Row> = sqlx::query_as(concat!(
        "with own as ( \
           (select id from audit_log where actor_id = $1 \
             and (at, id) < (coalesce($3, 'infinity'::timestamptz), $4) order by at desc, id desc limit $5) \
           union \
           (select id from audit_log where subject_id = $2 and subject_kind = 'user' \
             and (at, id) < (coalesce($3, 'infinity'::timestamptz), $4) order by at desc, id desc limit $5) \
         ) \
         select ",
        entry_columns!("l"),
        " from audit_log l where l.id in (select id from own) order by l.at desc, l.id desc limit $5"
    ))
    .bind(user_id)
    .bind(user_id.to_string())
    .bind(after.map(|after| after.at))
    .bind(after.map_or(i64::MAX, |after| after.id))
    .bind(i64::from(limit))
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().filter_map(Row::into).collect())
}
