//! Requests that make something and may be sent again: the header `Idempotency-Key`, and what tells
//! that an answer is that of an earlier request.

use axum::{
    extract::{FromRequest, Request},
    http::{HeaderMap, HeaderName, HeaderValue},
    response::{IntoResponse, Response},
};
use serde::de::DeserializeOwned;
use utoipa::IntoParams;

use super::body::{parse_json, read_json};
use crate::{
    domain::idempotency::IdempotencyKey,
    error::{Error, FieldError, Result, Rule},
    http::{
        error::{Answer, Problem},
        state::AppState,
    },
    services::idempotency::{Answered, Repeatable},
};

/// The header by which clients name a request that they may send again.
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// The header of an answer that was given before.
pub const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// A JSON body of a request that may be sent again, if it has a key.
pub struct Idempotent<T> {
    /// The body.
    pub body: T,
    /// What the request is known by.
    pub request: Option<Repeatable>,
}

/// The parameter of [`Idempotent`] requests in the document.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "only documents the parameter")]
pub struct IdempotencyParam {
    /// Names the request, so that it can be sent again when its answer was lost: best a random UUID, new
    /// for each request. For 24 hours the same key with the same body gets the same answer, with the
    /// header `Idempotency-Replayed`, and nothing is done again
    #[param(
        rename = "Idempotency-Key",
        value_type = String,
        required = false,
        min_length = 1,
        max_length = 255,
        pattern = "^[!-~]([ -~]*[!-~])?$",
        example = "8e03978e-40d5-43dd-bc93-6894a57f9324"
    )]
    idempotency_key: Option<String>,
}

impl<T: DeserializeOwned> FromRequest<AppState> for Idempotent<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &AppState) -> Answer<Self> {
        let key = key(request.headers())?;
        let bytes = read_json(request).await?;
        let body = parse_json(&bytes)?;
        let identify = |key| state.services.idempotency.identify(key, &bytes);
        Ok(Self {
            body,
            request: key.map(identify),
        })
    }
}

fn key(headers: &HeaderMap) -> Result<Option<IdempotencyKey>> {
    let invalid = |rule: Rule| {
        Error::invalid(FieldError {
            location: vec!["header".into(), IDEMPOTENCY_KEY.as_str().to_owned().into()],
            message: rule.message,
            kind: rule.kind,
        })
    };
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(invalid(Rule::new("duplicate", "must not occur twice")));
    }
    // What is no ASCII is no key, like the empty one.
    let text = value.to_str().unwrap_or_default();
    IdempotencyKey::parse(text).map(Some).map_err(invalid)
}

/// The answer to an [`Idempotent`] request; `render` shows what was made.
pub fn answer<T, R: IntoResponse>(answered: Answered<T>, render: impl FnOnce(T) -> R) -> Response {
    let answer: Answer<R> = answered.result.map(render).map_err(Problem::from);
    let mut response = answer.into_response();
    if answered.is_replay {
        let headers = response.headers_mut();
        headers.insert(IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true"));
    }
    response
}
