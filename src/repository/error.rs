//! What a database error means, by SQLSTATE and by the name of the constraint.

use anyhow::anyhow;

use crate::error::{Error, ErrorCode};

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        let database = error.as_database_error();
        if let Some(code) = database.and_then(|it| it.constraint()).and_then(conflict) {
            return Self::Conflict(code);
        }
        match is_passing(&error) {
            true => Self::Unavailable(anyhow!(error)),
            false => Self::Internal(anyhow!(error)),
        }
    }
}

/// Whether the same may work later, since the database can't be reached or can't do it now.
#[must_use]
pub fn is_passing(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Database(database) => {
            let state = database.code().unwrap_or_default();
            let passing = [
                "08",    // connection exceptions
                "25006", // only read: a standby, as after a failover
                "28",    // refused at the door, as after a change of the password
                "3D",    // no such database
                "40",    // deadlock, serialization failure
                "53",    // out of connections, memory or disk
                "55000", // the database takes no connections
                "55P03", // lock not available
                "57",    // cancelled, statement timeout, shutdown, starting up
                "25P03", // idle in transaction for too long
            ];
            passing.iter().any(|class| state.starts_with(class))
        }
        _ => false,
    }
}

/// Whether PostgreSQL ended a transaction since others waited for it while it waited for them: the same works when
/// they are done.
#[must_use]
pub fn is_deadlock(error: &Error) -> bool {
    state(error).as_deref() == Some("40P01")
}

/// The same, or that a statement took too long, most likely since it waited for others.
#[must_use]
pub fn is_held_up(error: &Error) -> bool {
    is_deadlock(error) || state(error).as_deref() == Some("57014")
}

/// PostgreSQL's code of what it failed with.
fn state(error: &Error) -> Option<String> {
    let Error::Unavailable(why) = error else {
        return None;
    };
    let database = why.downcast_ref::<sqlx::Error>()?.as_database_error()?;
    database.code().map(Into::into)
}

fn conflict(constraint: &str) -> Option<ErrorCode> {
    match constraint {
        "users_email_key" | "users_legacy_name_key" => Some(ErrorCode::EmailAlreadyExists),
        "users_phone_number_key" => Some(ErrorCode::PhoneNumberAlreadyExists),
        "users_nickname_key" => Some(ErrorCode::NicknameAlreadyExists),
        _ => None,
    }
}
