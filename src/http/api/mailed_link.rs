//! Links of mails: a page that asks, a button that does.
//!
//! A link changes nothing by being looked at: programs that check mail for bad links follow it. A
//! browser gets a page whose button posts to the link's own address; a client that doesn't ask for
//! HTML is taken at its word at once, by GET as by POST.

use std::convert::Infallible;

use axum::{
    extract::FromRequestParts,
    http::{Method, StatusCode, request::Parts},
    response::{IntoResponse as _, IntoResponseParts, Response},
};

use super::registration::MessageBody;
use crate::{
    error::{Error, ErrorCode, Result},
    http::{
        error::Answer,
        web::pages::{self, Page},
    },
};

/// How somebody follows the link of a mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visit {
    /// A browser, or a program that only looks: it gets the page.
    Look,
    /// The button of the page was pressed.
    Button,
    /// A client that wants no page.
    Client,
}

impl<S: Sync> FromRequestParts<S> for Visit {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let is_post = parts.method == Method::POST;
        Ok(match pages::is_wanted(&parts.headers) {
            true if is_post => Self::Button,
            false if parts.method != Method::HEAD => Self::Client,
            _ => Self::Look,
        })
    }
}

/// What the link of one kind of mail says.
#[derive(Debug, Clone, Copy)]
pub struct MailedLink {
    /// The page that asks.
    pub ask: Page,
    /// The page when it is done.
    pub done: Page,
    /// The message to other clients then.
    pub message: &'static str,
}

impl MailedLink {
    /// Answers a visit; `act` is done only if somebody means it. Its answer goes into the headers.
    ///
    /// # Errors
    ///
    /// Those of `act`; for browsers the ones that people cause themselves are pages.
    pub async fn follow<P: IntoResponseParts>(
        &self,
        visit: Visit,
        act: impl Future<Output = Result<P>>,
    ) -> Answer<Response> {
        match visit {
            Visit::Look => Ok(pages::show(StatusCode::OK, &self.ask)),
            Visit::Client => {
                let message = MessageBody {
                    message: self.message,
                };
                Ok((act.await?, axum::Json(message)).into_response())
            }
            Visit::Button => match act.await {
                Ok(parts) => Ok((parts, pages::show(StatusCode::OK, &self.done)).into_response()),
                Err(error) => refuse(error),
            },
        }
    }
}

/// What a browser gets where a link can't do what it promised.
///
/// # Errors
///
/// The error, where people can't do anything about it.
pub fn refuse(error: Error) -> Answer<Response> {
    match error {
        Error::InvalidToken(_) => Ok(pages::show(StatusCode::BAD_REQUEST, &Page::LINK_NOT_VALID)),
        Error::Conflict(ErrorCode::EmailTaken) => {
            Ok(pages::show(StatusCode::CONFLICT, &Page::ADDRESS_TAKEN))
        }
        error => Err(error.into()),
    }
}
