//! Paths and queries.

use axum::{
    extract::{FromRequestParts, Path},
    http::request::Parts,
};
use url::form_urlencoded;

use crate::{
    domain::{id::UserId, page::Page},
    error::{Error, FieldError},
    http::error::Problem,
};

/// The id of a user in the path.
pub struct Id(pub UserId);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let invalid = || {
            Error::invalid(FieldError {
                location: vec!["path".into(), "user_id".into()],
                message: "must be a UUID".into(),
                kind: "invalid_uuid",
            })
        };
        let Path(text) = Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(|_| invalid())?;
        Ok(Self(text.parse().map_err(|_| invalid())?))
    }
}

/// `skip` and `limit` of a list.
pub struct Paged(pub Page);

impl<S: Send + Sync> FromRequestParts<S> for Paged {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query = parts.uri.query().unwrap_or_default();
        let mut errors = Vec::new();
        let page = Page {
            skip: number(query, "skip", 0, 0, i32::MAX.cast_unsigned(), &mut errors),
            limit: number(query, "limit", 10, 1, Page::MAX_LIMIT, &mut errors),
        };
        if errors.is_empty() {
            Ok(Self(page))
        } else {
            Err(Error::Invalid(errors).into())
        }
    }
}

fn number(
    query: &str,
    name: &'static str,
    default: u32,
    least: u32,
    most: u32,
    errors: &mut Vec<FieldError>,
) -> u32 {
    let mut values = form_urlencoded::parse(query.as_bytes()).filter(|(key, _)| key == name);
    let Some((_, text)) = values.next() else {
        return default;
    };
    // Two values are as unclear as none that can be read.
    let value = text
        .parse()
        .ok()
        .filter(|value| (least..=most).contains(value) && values.next().is_none());
    value.unwrap_or_else(|| {
        errors.push(FieldError {
            location: vec!["query".into(), name.into()],
            message: format!("must be a whole number from {least} to {most}").into(),
            kind: "out_of_range",
        });
        default
    })
}
