//! Paths.

use std::{convert::Infallible, str::FromStr};

use axum::{
    extract::{FromRequestParts, Path},
    http::request::Parts,
};

use crate::{
    domain::{
        id::{ImportId, SessionId, UserId},
        nickname::Nickname,
        token::OneTimeToken,
    },
    error::{Error, ErrorCode, FieldError},
    http::error::Problem,
};

/// The id of a user in the path.
pub struct Id(pub UserId);

/// The id of a session in the path.
pub struct SessionIdInPath(pub SessionId);

/// The id of an import in the path.
pub struct ImportIdInPath(pub ImportId);

/// A nickname in the path; none where it can't be one.
pub struct Nicknamed(pub Option<Nickname>);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        id_in_path(parts, state, "user_id").await.map(Self)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for SessionIdInPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        id_in_path(parts, state, "session_id").await.map(Self)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for ImportIdInPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        id_in_path(parts, state, "import_id").await.map(Self)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Nicknamed {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        Ok(Self(
            path.ok().and_then(|Path(text)| Nickname::parse(&text).ok()),
        ))
    }
}

async fn id_in_path<T: FromStr, S: Send + Sync>(
    parts: &mut Parts,
    state: &S,
    name: &'static str,
) -> Result<T, Problem> {
    let invalid = || {
        Error::invalid(FieldError {
            location: vec!["path".into(), name.into()],
            message: "must be a UUID".into(),
            kind: "invalid_uuid",
        })
    };
    let Path(text) = Path::<String>::from_request_parts(parts, state)
        .await
        .map_err(|_| invalid())?;
    Ok(text.parse().map_err(|_| invalid())?)
}

/// The id and the token in the path of a link in a mail; none when no link of ours has such. The id is
/// a user's where nothing else is said.
pub struct MailLink<I = UserId>(pub Option<(I, OneTimeToken)>);

impl<S: Send + Sync, I: FromStr> FromRequestParts<S> for MailLink<I> {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        let path = Path::<(String, String)>::from_request_parts(parts, state).await;
        let link = path
            .ok()
            .and_then(|Path((id, token))| Some((id.parse().ok()?, OneTimeToken::presented(token))));
        Ok(Self(link))
    }
}

/// The token in the path of a link that has nothing else; none when no link of ours has such.
pub struct MailToken(pub Option<OneTimeToken>);

impl<S: Send + Sync> FromRequestParts<S> for MailToken {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        Ok(Self(
            path.ok().map(|Path(token)| OneTimeToken::presented(token)),
        ))
    }
}

/// The name of a file or a mail in the path. There is none whose name isn't UTF-8.
pub struct Name(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Name {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(name) = Path::from_request_parts(parts, state)
            .await
            .map_err(|_| Error::NotFound(ErrorCode::NotFound))?;
        Ok(Self(name))
    }
}
