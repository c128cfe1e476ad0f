//! Errors as answers: the one place that knows which status an error has, and that logs it.
//!
//! A handler answers with a [`Problem`], which travels in the response's extensions until the
//! middleware `http::middleware::observe` writes the body: only there the request's id is known.

use std::{borrow::Cow, time::Duration};

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::{
    domain::id::RequestId,
    error::{Error, ErrorCode, FieldError},
};

/// The media type of an error's body (RFC 9457).
pub const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// The answer of a handler that may fail.
pub type Answer<T> = Result<T, Problem>;

/// An error on its way out.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    code: ErrorCode,
    detail: Cow<'static, str>,
    fields: Vec<FieldError>,
    retry_after: Option<Duration>,
    oauth_error: Option<&'static str>,
    source: Option<anyhow::Error>,
    /// What an older API answers in place of the problem.
    said: Option<Box<Value>>,
}

impl Problem {
    /// An error of HTTP itself.
    #[must_use]
    pub fn new(status: StatusCode, code: ErrorCode) -> Self {
        Self {
            status,
            code,
            detail: code.message().into(),
            fields: Vec::new(),
            retry_after: None,
            oauth_error: None,
            source: None,
            said: None,
        }
    }

    /// The status that it is answered with.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The same as an older API answers it: with this status and this JSON.
    #[must_use]
    pub fn said_as(mut self, status: StatusCode, body: Value) -> Self {
        self.status = status;
        self.said = Some(Box::new(body));
        self
    }

    /// The same where an older API tells it in one member of an object. Invalid input is a 400 there,
    /// and the text names the fields.
    fn said_in(&self, member: &str) -> (StatusCode, Value) {
        if let Some(said) = &self.said {
            return (self.status, Value::clone(said));
        }
        let status = match self.status {
            StatusCode::UNPROCESSABLE_ENTITY => StatusCode::BAD_REQUEST,
            status => status,
        };
        let text = if self.fields.is_empty() {
            self.detail.to_string()
        } else {
            let fields = self.fields.iter().map(|field| {
                let name = field.location.iter().skip(1).cloned().collect::<Vec<_>>();
                format!("{} {}", name.join("."), field.message)
            });
            fields
                .collect::<Vec<_>>()
                .join("; ")
                .trim_start()
                .to_owned()
        };
        (status, json!({ member: text }))
    }

    /// The same with OAuth2's member `error` (RFC 6749, 5.2), for the token endpoint.
    #[must_use]
    pub fn with_oauth_error(mut self) -> Self {
        self.oauth_error = Some(match self.status {
            StatusCode::UNPROCESSABLE_ENTITY | StatusCode::UNSUPPORTED_MEDIA_TYPE => {
                "invalid_request"
            }
            StatusCode::PAYLOAD_TOO_LARGE => "invalid_request",
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                "temporarily_unavailable"
            }
            StatusCode::INTERNAL_SERVER_ERROR => "server_error",
            StatusCode::BAD_REQUEST if self.code == ErrorCode::MalformedBody => "invalid_request",
            _ => "invalid_grant",
        });
        self
    }

    /// What the answer to a request says of it.
    #[must_use]
    pub fn body(&self, request_id: RequestId) -> ProblemBody<'_> {
        ProblemBody {
            kind: format!("urn:user-management:problem:{}", self.code.as_str()),
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            detail: &self.detail,
            code: self.code.as_str(),
            instance: format!("urn:uuid:{request_id}"),
            errors: self
                .fields
                .iter()
                .map(|field| FieldProblem {
                    loc: &field.location,
                    msg: &field.message,
                    kind: field.kind,
                })
                .collect(),
            error: self.oauth_error,
        }
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let code = error.code();
        let status = match &error {
            Error::NotFound(_) => StatusCode::NOT_FOUND,
            // Clients of the older service know this one as 400.
            Error::Conflict(ErrorCode::EmailAlreadyExists) => StatusCode::BAD_REQUEST,
            Error::Conflict(_) => StatusCode::CONFLICT,
            Error::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Error::Unauthenticated(_) => StatusCode::UNAUTHORIZED,
            Error::Forbidden(_) => StatusCode::FORBIDDEN,
            // As the older service answered.
            Error::Stale => StatusCode::PRECONDITION_FAILED,
            Error::InvalidToken(_) | Error::Locked { .. } => StatusCode::BAD_REQUEST,
            Error::RateLimited { .. } => StatusCode::TOO_MANY_REQUESTS,
            Error::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Error::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let mut problem = Self::new(status, code);
        match error {
            Error::Invalid(fields) => problem.fields = fields,
            Error::Conflict(ErrorCode::IdempotencyKeyInUse) => {
                problem.retry_after = Some(Duration::from_secs(1));
            }
            Error::Locked { retry_after } => problem.retry_after = retry_after,
            Error::RateLimited { retry_after } => problem.retry_after = Some(retry_after),
            Error::Unavailable(source) => {
                problem.retry_after = Some(Duration::from_secs(1));
                problem.source = Some(source);
            }
            Error::Internal(source) => problem.source = Some(source),
            _ => {}
        }
        problem
    }
}

/// A [`Problem`] travels in an extension, which must be cloned; this is moved out instead.
#[derive(Clone)]
struct Travelling(std::sync::Arc<Problem>);

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.status;
        response
            .extensions_mut()
            .insert(Travelling(std::sync::Arc::new(self)));
        response
    }
}

/// An error, by RFC 9457.
#[derive(Debug, Serialize, ToSchema)]
#[schema(
    as = Problem,
    example = json!({
        "type": "urn:user-management:problem:invalid_input",
        "title": "Unprocessable Entity",
        "status": 422,
        "detail": "The request has invalid fields",
        "code": "invalid_input",
        "instance": "urn:uuid:0199c5a0-6d54-7c1e-8f6a-3b1f2d4e5a6b",
        "errors": [{"loc": ["body", "email"], "msg": "must be a valid e-mail address", "type": "invalid_email"}],
    })
)]
pub struct ProblemBody<'a> {
    /// Names the problem as a URI.
    #[serde(rename = "type")]
    #[schema(value_type = String)]
    kind: String,
    /// The status in words.
    #[schema(value_type = String)]
    title: &'a str,
    /// The HTTP status.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// What went wrong, for people.
    #[schema(value_type = String)]
    detail: &'a str,
    /// What went wrong, for programs: stable.
    #[schema(value_type = String)]
    code: &'a str,
    /// The request's id, as in the header `X-Request-Id` and in the log.
    instance: String,
    /// What is wrong with which field, for invalid input.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    errors: Vec<FieldProblem<'a>>,
    /// OAuth2's error code, at the token endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false, nullable = false)]
    error: Option<&'a str>,
}

/// What is wrong with a field.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FieldProblem)]
pub struct FieldProblem<'a> {
    /// Where the field stands.
    #[schema(value_type = Vec<String>)]
    loc: &'a [Cow<'static, str>],
    /// What is wrong, for people.
    #[schema(value_type = String)]
    msg: &'a str,
    /// What is wrong, for programs.
    #[serde(rename = "type")]
    #[schema(value_type = String)]
    kind: &'a str,
}

/// Writes the body of an error, and logs it where it is a fault of ours. Where an older API tells
/// what went wrong in a member of an object, that is its name.
pub fn render(response: Response, request_id: RequestId, member: Option<&'static str>) -> Response {
    let (mut parts, body) = response.into_parts();
    let Some(Travelling(problem)) = parts.extensions.remove::<Travelling>() else {
        return Response::from_parts(parts, body);
    };
    if let Some(source) = &problem.source {
        let error = format!("{source:#}");
        if problem.status == StatusCode::INTERNAL_SERVER_ERROR {
            tracing::error!(%request_id, error, "request failed");
        } else {
            tracing::warn!(%request_id, error, "request turned away");
        }
    }
    let (kind, written) = match member {
        Some(member) => {
            let (status, said) = problem.said_in(member);
            parts.status = status;
            (JSON, serde_json::to_vec(&said))
        }
        None => (PROBLEM_JSON, serde_json::to_vec(&problem.body(request_id))),
    };
    let bytes = written.unwrap_or_else(|error| {
        tracing::error!(%request_id, %error, "can't write an error");
        Vec::new()
    });
    parts.headers.insert(header::CONTENT_TYPE, kind);
    if problem.status == StatusCode::UNAUTHORIZED {
        let scheme = match problem.code {
            ErrorCode::InvalidClient => "Basic realm=\"services\"",
            _ => "Bearer",
        };
        parts
            .headers
            .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(scheme));
    }
    if let Some(wait) = problem.retry_after {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        parts
            .headers
            .insert(header::RETRY_AFTER, seconds.max(1).into());
    }
    Response::from_parts(parts, Body::from(bytes))
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;
    use crate::error::Rule;

    /// The status and text of each error: clients rely on them.
    #[test]
    fn errors_have_the_statuses_of_the_contract() {
        let mut table = String::new();
        for error in [
            Error::NotFound(ErrorCode::UserNotFound),
            Error::Conflict(ErrorCode::EmailAlreadyExists),
            Error::Conflict(ErrorCode::EmailTaken),
            Error::Conflict(ErrorCode::NicknameAlreadyExists),
            Error::Conflict(ErrorCode::IdempotencyKeyInUse),
            Error::Conflict(ErrorCode::IdempotencyKeyReused),
            Error::invalid(FieldError::body(
                "email",
                Rule::new("invalid_email", "must be valid"),
            )),
            Error::Unauthenticated(ErrorCode::NotAuthenticated),
            Error::Unauthenticated(ErrorCode::InvalidCredentials),
            Error::Unauthenticated(ErrorCode::EmailNotVerified),
            Error::Forbidden(ErrorCode::OperationNotPermitted),
            Error::Forbidden(ErrorCode::LastAdministrator),
            Error::InvalidToken(ErrorCode::InvalidVerificationToken),
            Error::Locked { retry_after: None },
            Error::RateLimited {
                retry_after: Duration::from_millis(1500),
            },
            Error::Unavailable(anyhow!("secret detail")),
            Error::Internal(anyhow!("secret detail")),
        ] {
            let problem = Problem::from(error);
            table += &format!(
                "{} {} {}\n",
                problem.status.as_u16(),
                problem.code.as_str(),
                problem.detail
            );
        }
        insta::assert_snapshot!(table);
    }
}
