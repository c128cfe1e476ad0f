//! Bodies of several parts (RFC 7578), of which one may be a large file.

use axum::{
    body::Bytes,
    extract::{FromRequest, Request},
    http::{StatusCode, header},
};

use crate::{
    error::ErrorCode,
    http::{error::Problem, state::AppState},
};

/// Most bytes of a part that is no file.
const MAX_TEXT: usize = 256;
/// Most bytes of a body beside those of its file: heads of parts, and parts that are no file.
const MAX_REST: u64 = 64 * 1024;

/// A body of `multipart/form-data`, read part by part, with room for one file of users.
pub struct Multipart(multer::Multipart<'static>);

/// A part of it.
pub struct Part(multer::Field<'static>);

impl FromRequest<AppState> for Multipart {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, Problem> {
        let kind = request.headers().get(header::CONTENT_TYPE);
        let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let essence = kind.split(';').next().unwrap_or_default().trim();
        if !essence.eq_ignore_ascii_case("multipart/form-data") {
            return Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                ErrorCode::UnsupportedMediaType,
            ));
        }
        let boundary = multer::parse_boundary(kind).map_err(|_| malformed())?;
        let body = request.into_body().into_data_stream();
        let most = state.services.user_imports.max_bytes();
        // Else a head without an end would be taken into memory.
        let limit = multer::SizeLimit::new().whole_stream(most.saturating_add(MAX_REST));
        let constraints = multer::Constraints::new().size_limit(limit);
        Ok(Self(multer::Multipart::with_constraints(
            body,
            boundary,
            constraints,
        )))
    }
}

impl Multipart {
    /// The next part; none at the end.
    ///
    /// # Errors
    ///
    /// Where the body is cut off, malformed or too large.
    pub async fn next(&mut self) -> Result<Option<Part>, Problem> {
        let part = self.0.next_field().await.map_err(|error| unread(&error))?;
        Ok(part.map(Part))
    }
}

impl Part {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.name().unwrap_or_default()
    }

    /// The name of the file that it is, as whoever sent it says.
    #[must_use]
    pub fn file_name(&self) -> Option<&str> {
        self.0.file_name()
    }

    /// The next bytes of it; none at the end.
    ///
    /// # Errors
    ///
    /// Where the body is cut off, malformed or too large.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Problem> {
        self.0.chunk().await.map_err(|error| unread(&error))
    }

    /// All of it, where it is a short text.
    ///
    /// # Errors
    ///
    /// Where it is none, or the body is cut off or malformed.
    pub async fn text(mut self) -> Result<String, Problem> {
        let mut text = Vec::new();
        while let Some(bytes) = self.next().await? {
            text.extend_from_slice(&bytes);
            if text.len() > MAX_TEXT {
                return Err(too_large());
            }
        }
        String::from_utf8(text).map_err(|_| malformed())
    }
}

fn unread(error: &multer::Error) -> Problem {
    match error {
        multer::Error::StreamSizeExceeded { .. } => too_large(),
        _ => malformed(),
    }
}

fn malformed() -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, ErrorCode::MalformedBody)
}

/// What is told of a body that is too large.
#[must_use]
pub fn too_large() -> Problem {
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, ErrorCode::BodyTooLarge)
}
