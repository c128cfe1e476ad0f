//! The pages behind the links of mails.
//!
//! They have no script and fetch nothing; their button posts to the address that they stand at.

use askama::Template;
use axum::{
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Response},
};

use crate::http::middleware::ContentPolicy;

/// The style stands in the page.
const POLICY: ContentPolicy = ContentPolicy(
    "default-src 'none'; style-src 'self' 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
);

/// What a page says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Page {
    /// Asks to confirm an address.
    ConfirmAddress,
    /// The address is verified.
    AddressConfirmed,
    /// Asks to unlock an account.
    ConfirmUnlock,
    /// The account takes logins again.
    AccountUnlocked,
    /// The link was used, replaced or is too old.
    LinkNotValid,
}

#[derive(Template)]
#[template(path = "page.html")]
struct PageTemplate {
    title: &'static str,
    text: &'static str,
    button: Option<&'static str>,
}

impl Page {
    fn template(self) -> PageTemplate {
        let (title, text, button) = match self {
            Self::ConfirmAddress => (
                "Confirm your e-mail address",
                "One click, and your account is ready.",
                Some("Confirm my address"),
            ),
            Self::AddressConfirmed => (
                "Your address is confirmed",
                "You can log in now, and close this page.",
                None,
            ),
            Self::ConfirmUnlock => (
                "Unlock your account",
                "One click, and you can log in again.",
                Some("Unlock my account"),
            ),
            Self::AccountUnlocked => (
                "Your account is unlocked",
                "You can log in now, and close this page.",
                None,
            ),
            Self::LinkNotValid => (
                "This link is not valid",
                "It was used already, a newer one took its place, or it is too old. Ask for a new one.",
                None,
            ),
        };
        PageTemplate { title, text, button }
    }
}

/// Whether a client asks for a page rather than for data: it names `text/html`.
#[must_use]
pub fn is_wanted(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|range| range.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("text/html")))
}

/// Answers with a page.
#[must_use]
pub fn show(status: StatusCode, page: Page) -> Response {
    render(status, &page.template())
}

/// Answers with a rendered template.
pub(super) fn render(status: StatusCode, template: &impl Template) -> Response {
    match template.render() {
        Ok(html) => {
            let headers = [(header::CONTENT_TYPE, "text/html; charset=utf-8")];
            let mut response = (status, headers, html).into_response();
            response.extensions_mut().insert(POLICY);
            response
        }
        Err(error) => {
            let error = crate::error::Error::Internal(anyhow::anyhow!(error).context("can't render a page"));
            crate::http::error::Problem::from(error).into_response()
        }
    }
}
