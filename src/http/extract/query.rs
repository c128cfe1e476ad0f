//! Queries: every parameter is known, stands there once, and is read; what isn't is named, and what
//! exists is listed.

use std::{convert::Infallible, str::FromStr};

use axum::{extract::FromRequestParts, http::request::Parts};
use url::form_urlencoded;

use crate::{
    domain::page::Page,
    error::{Error, FieldError, Result, Rule},
    http::error::Problem,
};

/// The parameters of a request, unread.
#[derive(Debug, Clone, Default)]
pub struct Query {
    pairs: Vec<(String, String)>,
    errors: Vec<FieldError>,
}

impl<S: Send + Sync> FromRequestParts<S> for Query {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let query = parts.uri.query().unwrap_or_default();
        let pairs = form_urlencoded::parse(query.as_bytes()).into_owned();
        Ok(Self {
            pairs: pairs.collect(),
            errors: Vec::new(),
        })
    }
}

/// Unknown parameters that are told of.
const MOST_UNKNOWN: usize = 5;

/// `skip` and `limit` of a list that takes nothing else.
pub struct Paged(pub Page);

impl<S: Send + Sync> FromRequestParts<S> for Paged {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Ok(mut query) = Query::from_request_parts(parts, state).await;
        query.only(&["skip", "limit"]);
        let page = query.read_page();
        Ok(Self(query.finish(page)?))
    }
}

impl Query {
    /// Reads `skip` and `limit`.
    pub fn read_page(&mut self) -> Page {
        let skip = self.read_number("skip", 0, i32::MAX.cast_unsigned());
        let limit = self.read_number("limit", 1, Page::MAX_LIMIT);
        Page {
            skip: skip.unwrap_or(0),
            limit: limit.unwrap_or(10),
        }
    }

    /// Notes each parameter that isn't one of these.
    pub fn only(&mut self, known: &[&'static str]) {
        let unknown = self
            .pairs
            .iter()
            .filter(|(name, _)| !known.contains(&name.as_str()));
        // A name is no secret, but may be long.
        let names = unknown.map(|(name, _)| name.chars().take(50).collect::<String>());
        let mut names: Vec<String> = names.collect();
        names.sort_unstable();
        names.dedup();
        // Whoever sends more of them learns no more.
        names.truncate(MOST_UNKNOWN);
        for name in names {
            self.errors.push(FieldError {
                location: vec!["query".into(), name.into()],
                message: format!("is no parameter; there are: {}", known.join(", ")).into(),
                kind: "unknown_parameter",
            });
        }
    }

    /// The parameters but these, as a query.
    #[must_use]
    pub fn without(&self, names: &[&str]) -> String {
        let pairs = self
            .pairs
            .iter()
            .filter(|(name, _)| !names.contains(&name.as_str()));
        form_urlencoded::Serializer::new(String::new())
            .extend_pairs(pairs)
            .finish()
    }

    /// Whether a parameter is there.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.pairs.iter().any(|(known, _)| known == name)
    }

    /// Notes what is wrong with a parameter.
    pub fn refuse(&mut self, name: &'static str, rule: Rule) {
        self.errors.push(FieldError::query(name, rule));
    }

    /// Reads a parameter, if it is there.
    pub fn read<T>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, Rule>,
    ) -> Option<T> {
        let mut values = self.pairs.iter().filter(|(known, _)| known == name);
        let (_, text) = values.next()?;
        let parsed = match values.next() {
            None => parse(text),
            Some(_) => Err(Rule::new("repeated", "must be given once")),
        };
        match parsed {
            Ok(value) => Some(value),
            Err(rule) => {
                self.refuse(name, rule);
                None
            }
        }
    }

    /// Reads values with commas between; none where the parameter isn't there.
    pub fn read_list<T>(
        &mut self,
        name: &'static str,
        parse: impl Fn(&str) -> Result<T, Rule>,
    ) -> Vec<T> {
        let values = self.read(name, |text| {
            text.split(',').map(|value| parse(value.trim())).collect()
        });
        values.unwrap_or_default()
    }

    /// Reads a whole number in this range.
    pub fn read_number(&mut self, name: &'static str, least: u32, most: u32) -> Option<u32> {
        self.read(name, |text| {
            // The parser of numbers would take a plus.
            let is_plain = text.bytes().all(|b| b.is_ascii_digit());
            let number = u32::from_str(text).ok();
            number
                .filter(|number| is_plain && (least..=most).contains(number))
                .ok_or_else(|| Rule {
                    kind: "out_of_range",
                    message: format!("must be a whole number from {least} to {most}").into(),
                })
        })
    }

    /// What was read, if nothing is wrong.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] naming each parameter that is.
    pub fn finish<T>(self, value: T) -> Result<T> {
        if self.errors.is_empty() {
            Ok(value)
        } else {
            Err(Error::Invalid(self.errors))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(text: &str) -> Query {
        Query {
            pairs: form_urlencoded::parse(text.as_bytes())
                .into_owned()
                .collect(),
            errors: Vec::new(),
        }
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once() {
        let mut query = query("limit=%2B5&limt=3&q=a&q=b");
        query.only(&["q", "limit"]);
        query.read_number("limit", 1, 100);
        query.read("q", |text| Ok(text.to_owned()));
        let Err(Error::Invalid(errors)) = query.finish(()) else {
            panic!("taken");
        };
        let told: Vec<_> = errors
            .iter()
            .map(|error| (error.path(), error.kind))
            .collect();
        assert_eq!(
            told,
            [
                ("query.limt".to_owned(), "unknown_parameter"),
                ("query.limit".to_owned(), "out_of_range"),
                ("query.q".to_owned(), "repeated"),
            ]
        );
        assert!(errors[0].message.ends_with("q, limit"));
    }
}
