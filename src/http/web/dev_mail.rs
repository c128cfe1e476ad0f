//! `GET /dev/mail`: what would have been sent, in development.

use std::net::IpAddr;

use anyhow::anyhow;
use askama::Template;
use axum::{
    Json, Router,
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header, uri::Authority},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse as _, Response},
    routing::get,
};
use chrono::{DateTime, Utc};
use serde::Serialize;

use super::pages;
use crate::{
    error::{Error, ErrorCode, Result},
    http::{error::Answer, extract::Name, middleware::ContentPolicy, state::AppState},
    infra::email::{CaughtMail, DirectoryMailer},
};

/// How many mails are listed.
const MOST: usize = 200;

/// A mail's own page: nothing but the mail, and only in a frame of ours.
const MAIL_POLICY: ContentPolicy = ContentPolicy(
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'; \
     sandbox allow-popups allow-popups-to-escape-sandbox",
);

/// The page frames a mail.
const FRAME_POLICY: ContentPolicy = ContentPolicy(
    "default-src 'none'; style-src 'unsafe-inline'; frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

pub(super) fn router(state: &AppState) -> Router<AppState> {
    let router = Router::new()
        .route("/dev/mail", get(list))
        .route("/dev/mail/", get(list))
        .route("/dev/mail/{id}", get(read))
        .route("/dev/mail/{id}/", get(read))
        .route("/dev/mail/{id}/html", get(read_html))
        .route("/dev/mail/{id}/html/", get(read_html));
    router.route_layer(from_fn_with_state(state.clone(), only_own_hosts))
}

/// Shows mail only under names that nobody else can point at us: a page of somebody's site, opened
/// by the developer, could read it otherwise, by an address of its own that it has made ours (DNS
/// rebinding).
async fn only_own_hosts(
    State(state): State<AppState>,
    request: Request,
    next: Next,
) -> Answer<Response> {
    let named = request.headers().get(header::HOST);
    let named = named.and_then(|host| host.to_str().ok()).unwrap_or("");
    let host = named
        .parse::<Authority>()
        .map(|authority| authority.host().to_ascii_lowercase());
    if host.is_ok_and(|host| is_own(&host) || state.base_url.host_str() == Some(host.as_str())) {
        Ok(next.run(request).await)
    } else {
        tracing::warn!("mail isn't shown under a host name that is not of SERVER_BASE_URL");
        Err(Error::NotFound(ErrorCode::NotFound).into())
    }
}

/// An address, or a name that the public DNS doesn't have.
fn is_own(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    address.parse::<IpAddr>().is_ok()
        || !host.is_empty() && (!host.contains('.') || host.ends_with(".localhost"))
}

#[derive(Template)]
#[template(path = "dev_mail_list.html")]
struct ListTemplate {
    path: String,
    mails: Vec<CaughtMail>,
}

#[derive(Template)]
#[template(path = "dev_mail.html")]
struct MailTemplate {
    path: String,
    mail: CaughtMail,
}

/// A mail for programs: somebody's integration tests read the links.
#[derive(Serialize)]
struct MailBody {
    message_id: String,
    from: String,
    to: String,
    subject: String,
    date: DateTime<Utc>,
    text: String,
    links: Vec<String>,
    html_url: String,
}

impl MailBody {
    fn new(state: &AppState, mail: CaughtMail) -> Self {
        Self {
            html_url: state.url(&format!("dev/mail/{}/html", mail.message_id)),
            message_id: mail.message_id.to_string(),
            from: mail.from,
            to: mail.to,
            subject: mail.subject,
            date: mail.date,
            text: mail.text,
            links: mail.links,
        }
    }
}

/// The list, as a page for browsers and as JSON for everybody else.
async fn list(State(state): State<AppState>, headers: HeaderMap) -> Answer<Response> {
    let mails = mailbox(&state)?.list(MOST).await.map_err(unreadable)?;
    if pages::is_wanted(&headers) {
        let path = path(&state);
        return Ok(pages::show(StatusCode::OK, &ListTemplate { path, mails }));
    }
    let mails: Vec<_> = mails
        .into_iter()
        .map(|mail| MailBody::new(&state, mail))
        .collect();
    Ok(Json(mails).into_response())
}

async fn read(
    State(state): State<AppState>,
    headers: HeaderMap,
    Name(id): Name,
) -> Answer<Response> {
    let mail = find(&state, &id).await?;
    if pages::is_wanted(&headers) {
        let path = path(&state);
        let mut response = pages::show(StatusCode::OK, &MailTemplate { path, mail });
        response.extensions_mut().insert(FRAME_POLICY);
        return Ok(response);
    }
    Ok(Json(MailBody::new(&state, mail)).into_response())
}

async fn read_html(State(state): State<AppState>, Name(id): Name) -> Answer<Response> {
    let mail = find(&state, &id).await?;
    // In the frame links would open in the frame, which the pages behind them forbid.
    let html = mail
        .html
        .replacen("<head>", "<head><base target=\"_blank\">", 1);
    let kind = [(header::CONTENT_TYPE, "text/html; charset=utf-8")];
    let mut response = (kind, html).into_response();
    response.extensions_mut().insert(MAIL_POLICY);
    Ok(response)
}

fn path(state: &AppState) -> String {
    format!("{}dev/mail", state.base_path())
}

fn mailbox(state: &AppState) -> Result<&DirectoryMailer> {
    state
        .caught_mail
        .as_ref()
        .ok_or(Error::NotFound(ErrorCode::NotFound))
}

async fn find(state: &AppState, id: &str) -> Result<CaughtMail> {
    let mail = mailbox(state)?.get(id).await.map_err(unreadable)?;
    mail.ok_or(Error::NotFound(ErrorCode::NotFound))
}

fn unreadable(error: std::io::Error) -> Error {
    Error::Internal(anyhow!(error).context("can't read the caught mail"))
}
