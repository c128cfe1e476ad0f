//! What is asked for of the audit log: nothing is passed over.

use std::convert::Infallible;

use axum::{extract::FromRequestParts, http::request::Parts};
use url::form_urlencoded;

use crate::{
    domain::{audit::AuditFilter, file_format::FileFormat},
    error::{Error, FieldError, Result, Rule},
    http::{api::download::format_of, extract::Accepted},
    services::audit::MAX_LIMIT,
};

/// Entries of a page where nobody says how many.
const DEFAULT_LIMIT: u32 = 50;
/// Most characters of an unknown name that are repeated.
const MAX_NAME: usize = 64;
/// Most parameters that are looked at: more than there are, so that all that are wrong can be named.
const MAX_PARAMETERS: usize = 32;

/// How the answer is to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// A page, as JSON.
    Page,
    /// All that match, as a file.
    All(FileFormat),
}

impl<S: Sync> FromRequestParts<S> for Format {
    type Rejection = Infallible;

    /// The first media type of `Accept` that we write; a page where none is named.
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        let Accepted(accepted) = Accepted::from_request_parts(parts, state).await?;
        let found = accepted.iter().find_map(|essence| match &**essence {
            "application/json" | "application/*" | "*/*" => Some(Self::Page),
            other => format_of(other).map(Self::All),
        });
        Ok(found.unwrap_or(Self::Page))
    }
}

/// What stands in the query.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) filter: AuditFilter,
    pub(super) cursor: Option<String>,
    pub(super) limit: u32,
    pairs: Vec<(String, String)>,
}

impl<S: Sync> FromRequestParts<S> for Asked {
    type Rejection = Infallible;

    /// As it stands: each list has parameters of its own.
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let query = parts.uri.query().unwrap_or_default();
        Ok(Self {
            filter: AuditFilter::default(),
            cursor: None,
            limit: DEFAULT_LIMIT,
            pairs: form_urlencoded::parse(query.as_bytes())
                .into_owned()
                .collect(),
        })
    }
}

impl Asked {
    /// Reads filters and a part of the list.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] naming every parameter that is wrong, unknown or there twice.
    pub(super) fn filters(self) -> Result<Self> {
        self.read(&AuditFilter::NAMES)
    }

    /// Reads a part of a list that takes no filters.
    ///
    /// # Errors
    ///
    /// As of [`Self::filters`].
    pub(super) fn no_filters(self) -> Result<Self> {
        self.read(&[])
    }

    fn read(mut self, filters: &[&str]) -> Result<Self> {
        let mut errors = Vec::new();
        if self.pairs.len() > MAX_PARAMETERS {
            return Err(Error::invalid(FieldError {
                location: vec!["query".into()],
                ..invalid("", unknown(filters))
            }));
        }
        for (at, (name, value)) in self.pairs.iter().enumerate() {
            let is_second = self.pairs[..at].iter().any(|(earlier, _)| earlier == name);
            let read = match &**name {
                _ if is_second => Err(Rule::new("duplicate", "must not occur twice")),
                "cursor" => {
                    self.cursor = Some(value.clone());
                    Ok(())
                }
                "limit" => limit(value).map(|limit| self.limit = limit),
                filter if filters.contains(&filter) => self.filter.set(filter, value),
                _ => Err(unknown(filters)),
            };
            if let Err(rule) = read {
                errors.push(invalid(name, rule));
            }
        }
        if errors.is_empty() {
            Ok(self)
        } else {
            Err(Error::Invalid(errors))
        }
    }

    /// The filters of an answer that is no page.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] where a part of the list is asked for.
    pub(super) fn whole(self) -> Result<AuditFilter> {
        let parts = ["cursor", "limit"];
        let named = self.pairs.iter().map(|(name, _)| name);
        let errors: Vec<_> = named
            .filter(|name| parts.contains(&&***name))
            .map(|name| invalid(name, Rule::new("not_a_page", "is for pages, as JSON, only")))
            .collect();
        if errors.is_empty() {
            Ok(self.filter)
        } else {
            Err(Error::Invalid(errors))
        }
    }

    /// The query of another part of the same list.
    pub(super) fn query_with(&self, cursor: Option<&str>) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (name, value) in self.pairs.iter().filter(|(name, _)| name != "cursor") {
            query.append_pair(name, value);
        }
        if let Some(cursor) = cursor {
            query.append_pair("cursor", cursor);
        }
        match query.finish() {
            query if query.is_empty() => query,
            query => format!("?{query}"),
        }
    }
}

fn limit(text: &str) -> Result<u32, Rule> {
    let is_plain = text.bytes().all(|b| b.is_ascii_digit());
    let limit = text.parse().ok().filter(|_| is_plain);
    limit
        .filter(|limit| (1..=MAX_LIMIT).contains(limit))
        .ok_or_else(|| Rule {
            kind: "out_of_range",
            message: format!("must be a whole number from 1 to {MAX_LIMIT}").into(),
        })
}

fn unknown(filters: &[&str]) -> Rule {
    let known = [filters, &["cursor", "limit"]].concat();
    Rule {
        kind: "unknown_parameter",
        message: format!(
            "is no parameter of this list, which has {}",
            known.join(", ")
        )
        .into(),
    }
}

fn invalid(name: &str, rule: Rule) -> FieldError {
    let name: String = name.chars().take(MAX_NAME).collect();
    FieldError {
        location: vec!["query".into(), name.into()],
        message: rule.message,
        kind: rule.kind,
    }
}
