//! Bodies: JSON and forms.

use axum::{
    body::{Body, Bytes},
    extract::{FromRequest, Request},
    http::{HeaderMap, StatusCode, header},
};
use http_body_util::BodyExt as _;
use percent_encoding::percent_decode;
use serde::de::{DeserializeOwned, IgnoredAny};

use crate::{
    error::{Error, ErrorCode, FieldError},
    http::error::Problem,
};

/// Most bytes of a body that isn't an upload.
pub const MAX_BODY: usize = 64 * 1024;
/// A JSON body.
pub struct Json<T>(pub T);

/// A form as browsers and OAuth2 clients send it: `application/x-www-form-urlencoded`.
pub struct Form<T>(pub T);

/// A body as either of the two.
pub struct JsonOrForm<T>(pub T);

impl<S: Sync, T: DeserializeOwned> FromRequest<S> for JsonOrForm<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if is_form(&media_type(request.headers())) {
            let Form(body) = Form::from_request(request, state).await?;
            return Ok(Self(body));
        }
        let Json(body) = Json::from_request(request, state).await?;
        Ok(Self(body))
    }
}

fn is_form(essence: &str) -> bool {
    essence == "application/x-www-form-urlencoded"
}

impl<S: Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        parse_json(&read_json(request).await?).map(Self)
    }
}

/// The bytes of a body that says it is JSON.
pub(super) async fn read_json(request: Request) -> Result<Bytes, Problem> {
    let is_json = |essence: &str| {
        essence == "application/json"
            || (essence.starts_with("application/") && essence.ends_with("+json"))
    };
    read(request, is_json).await
}

/// What these bytes say as JSON.
pub(super) fn parse_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let text = str::from_utf8(bytes).map_err(|_| malformed())?;
    // Serde would also take a list with every member in its place.
    if !text.trim_start().starts_with('{') {
        return Err(match serde_json::from_str::<IgnoredAny>(text) {
            Ok(_) => invalid(Vec::new(), "no object, expected an object"),
            Err(_) => malformed(),
        });
    }
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().iter().filter_map(segment).collect();
        let error = error.into_inner();
        match error.classify() {
            serde_json::error::Category::Data => invalid(path, &error.to_string()),
            _ => malformed(),
        }
    })?;
    deserializer.end().map_err(|_| malformed())?;
    Ok(value)
}

impl<S: Sync, T: DeserializeOwned> FromRequest<S> for Form<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let bytes = read(request, is_form).await?;
        // The parser would put a replacement character in place of what is no UTF-8.
        percent_decode(&bytes)
            .decode_utf8()
            .map_err(|_| malformed())?;
        serde_urlencoded::from_bytes(&bytes)
            .map(Self)
            .map_err(|error| invalid(Vec::new(), &error.to_string()))
    }
}

fn malformed() -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, ErrorCode::MalformedBody)
}

fn segment(segment: &serde_path_to_error::Segment) -> Option<String> {
    match segment {
        serde_path_to_error::Segment::Seq { index } => Some(index.to_string()),
        serde_path_to_error::Segment::Map { key } => Some(key.clone()),
        serde_path_to_error::Segment::Enum { .. } | serde_path_to_error::Segment::Unknown => None,
    }
}

/// What serde says of a value, without the value itself, which its messages repeat.
fn invalid(mut path: Vec<String>, message: &str) -> Problem {
    let quoted = |prefix: &str| {
        let rest = message.strip_prefix(prefix)?;
        Some(rest.split_once('`')?.0.to_owned())
    };
    let (kind, message) = if let Some(field) = quoted("missing field `") {
        path.push(field);
        ("missing", "is required".into())
    } else if let Some(field) = quoted("duplicate field `") {
        if path.last() != Some(&field) {
            path.push(field);
        }
        ("duplicate", "must not occur twice".into())
    } else {
        let expected = message
            .rsplit_once(", expected ")
            .map(|(_, expected)| expected);
        let expected = expected.and_then(|text| text.split(" at line ").next());
        match expected {
            Some(expected) => (
                "invalid_type",
                format!("has the wrong type: expected {expected}").into(),
            ),
            None => ("invalid_type", "has the wrong type".into()),
        }
    };
    let location = std::iter::once("body".into())
        .chain(path.into_iter().map(Into::into))
        .collect();
    Error::invalid(FieldError {
        location,
        message,
        kind,
    })
    .into()
}

async fn read(request: Request, is_wanted: impl Fn(&str) -> bool) -> Result<Bytes, Problem> {
    let (parts, body) = request.into_parts();
    if !is_wanted(&media_type(&parts.headers)) {
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            ErrorCode::UnsupportedMediaType,
        ));
    }
    let announced = parts
        .headers
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    let too_large = || Problem::new(StatusCode::PAYLOAD_TOO_LARGE, ErrorCode::BodyTooLarge);
    if announced.is_some_and(|length| length > MAX_BODY as u64) {
        return Err(too_large());
    }
    collect(body).await?.ok_or_else(too_large)
}

fn media_type(headers: &HeaderMap) -> String {
    let value = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    value
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase()
}

/// The whole body, or none when it is too large.
async fn collect(mut body: Body) -> Result<Option<Bytes>, Problem> {
    let mut collected = Vec::new();
    while let Some(frame) = body.frame().await {
        // The client went away, or what it sends isn't HTTP.
        let frame = frame.map_err(|_| malformed())?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if collected.len() + data.len() > MAX_BODY {
            return Ok(None);
        }
        collected.extend_from_slice(&data);
    }
    Ok(Some(collected.into()))
}
