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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Template)]
#[template(path = "page.html")]
pub struct Page {
    /// Its heading.
    pub title: &'static str,
    /// A sentence or two.
    pub text: &'static str,
    /// What the button says, if there is one.
    pub button: Option<&'static str>,
}

/// A page with a field for a new password.
#[derive(Debug, Clone, Template)]
#[template(path = "new_password.html")]
pub struct NewPasswordPage {
    /// What is wrong with the password that came last.
    pub problem: Option<String>,
}

impl Page {
    /// The link was used, replaced or is too old.
    pub const LINK_NOT_VALID: Self = Self::new(
        "This link is not valid",
        "It was used already, a newer one took its place, or it is too old. Ask for a new one.",
    );

    /// Somebody else has the address.
    pub const ADDRESS_TAKEN: Self = Self::new(
        "Somebody else has this address",
        "Another account uses it by now, so nothing was changed. Please get in touch with the people who run this service.",
    );

    /// A page that only tells.
    #[must_use]
    pub const fn new(title: &'static str, text: &'static str) -> Self {
        Self {
            title,
            text,
            button: None,
        }
    }

    /// The same with a button.
    #[must_use]
    pub const fn with_button(self, button: &'static str) -> Self {
        Self {
            button: Some(button),
            ..self
        }
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
        .any(|range| {
            range
                .split(';')
                .next()
                .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("text/html"))
        })
}

/// Answers with a page.
#[must_use]
pub fn show(status: StatusCode, page: &impl Template) -> Response {
    match page.render() {
        Ok(html) => {
            let headers = [(header::CONTENT_TYPE, "text/html; charset=utf-8")];
            let mut response = (status, headers, html).into_response();
            response.extensions_mut().insert(POLICY);
            response
        }
        Err(error) => {
            let error = crate::error::Error::Internal(
                anyhow::anyhow!(error).context("can't render a page"),
            );
            crate::http::error::Problem::from(error).into_response()
        }
    }
}
