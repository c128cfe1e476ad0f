//! Exit codes, which programs branch on.

use std::process::ExitCode;

use crate::{error::Error, repository::error::is_passing};

/// What `--help` says of them.
pub(super) const HELP: &str = "Exit codes:
  0  done
  1  failed: a fault, or settings that can't be used
  2  the command line or a value on it is wrong
  3  what was asked for isn't there
  4  refused: it conflicts with what there is, isn't allowed, or wasn't confirmed
  5  the database or another service that is needed is away";

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exit {
    /// It did what it was asked for.
    Done = 0,
    /// A fault, or settings that can't be used.
    Failed = 1,
    /// The command line or a value on it is wrong; clap's own code too.
    Usage = 2,
    /// What was asked for isn't there.
    NotFound = 3,
    /// It conflicts with what there is, isn't allowed, or wasn't confirmed.
    Refused = 4,
    /// The database or another service that is needed is away: it may work later.
    Unavailable = 5,
}

impl Exit {
    /// By the meaning of what went wrong.
    pub(super) fn of(error: &anyhow::Error) -> Self {
        for cause in error.chain() {
            if let Some(error) = cause.downcast_ref::<Error>() {
                return Self::of_meaning(error);
            }
            if cause.is::<Refusal>() {
                return Self::Refused;
            }
            if cause.is::<Missing>() {
                return Self::NotFound;
            }
            if cause.is::<Away>() || cause.downcast_ref().is_some_and(is_passing) {
                return Self::Unavailable;
            }
        }
        Self::Failed
    }

    fn of_meaning(error: &Error) -> Self {
        match error {
            Error::NotFound(_) => Self::NotFound,
            Error::Invalid(_) => Self::Usage,
            Error::Conflict(_)
            | Error::Unauthenticated(_)
            | Error::Forbidden(_)
            | Error::Stale
            | Error::InvalidToken(_)
            | Error::Locked { .. } => Self::Refused,
            Error::RateLimited { .. } | Error::Unavailable(_) => Self::Unavailable,
            Error::Internal(_) => Self::Failed,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// A command doesn't do it, for a reason of its own that no service knows: [`Exit::Refused`].
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Refusal(pub(super) String);

/// What a command is about isn't there, or can't be told from something else: [`Exit::NotFound`].
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Missing(pub(super) String);

/// What a command asks gives no answer, or none that helps: [`Exit::Unavailable`].
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Away(pub(super) String);

#[cfg(test)]
mod tests {
    use anyhow::{Context as _, anyhow};

    use super::*;
    use crate::error::{ErrorCode, FieldError};

    #[test]
    fn the_code_tells_what_an_error_means_however_it_is_wrapped() {
        let wrapped = |error: Error| Exit::of(&anyhow!(error).context("can't do it"));
        for (error, exit) in [
            (Error::NotFound(ErrorCode::UserNotFound), Exit::NotFound),
            (Error::invalid(FieldError::empty_change()), Exit::Usage),
            (Error::Conflict(ErrorCode::EmailTaken), Exit::Refused),
            (
                Error::Forbidden(ErrorCode::OperationNotPermitted),
                Exit::Refused,
            ),
            (Error::Locked { retry_after: None }, Exit::Refused),
            (Error::Unavailable(anyhow!("away")), Exit::Unavailable),
            (Error::Internal(anyhow!("a fault")), Exit::Failed),
        ] {
            assert_eq!(wrapped(error), exit);
        }
        let refused: anyhow::Result<()> = Err(Refusal("no".to_owned()).into());
        assert_eq!(
            Exit::of(&refused.context("more").unwrap_err()),
            Exit::Refused
        );
        let missing: anyhow::Result<()> = Err(Missing("nobody".to_owned()).into());
        assert_eq!(
            Exit::of(&missing.context("more").unwrap_err()),
            Exit::NotFound
        );
        let away = anyhow!(sqlx::Error::PoolTimedOut).context("can't connect");
        assert_eq!(Exit::of(&away), Exit::Unavailable);
        let fault = anyhow!(sqlx::Error::RowNotFound).context("can't read");
        assert_eq!(Exit::of(&fault), Exit::Failed);
        assert_eq!(Exit::of(&anyhow!("anything else")), Exit::Failed);
    }
}
