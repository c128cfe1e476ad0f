//! What clients accept.

use std::convert::Infallible;

use axum::{
    extract::FromRequestParts,
    http::{header, request::Parts},
};

/// The media types of `Accept`, in its order, in lower case and without parameters.
#[derive(Debug, Clone, Default)]
pub struct Accepted(pub Vec<String>);

impl<S: Sync> FromRequestParts<S> for Accepted {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let headers = parts.headers.get_all(header::ACCEPT).iter();
        let ranges = headers
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','));
        let named = ranges.map(|range| {
            let essence = range.split(';').next().unwrap_or_default();
            essence.trim().to_ascii_lowercase()
        });
        Ok(Self(named.collect()))
    }
}
