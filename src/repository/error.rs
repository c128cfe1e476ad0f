//! What a database error means, by SQLSTATE and by the name of the constraint.

use anyhow::anyhow;

use crate::error::{Error, ErrorCode};

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => Self::Unavailable(anyhow!(error)),
            sqlx::Error::Database(database) => {
                if let Some(code) = database.constraint().and_then(conflict) {
                    return Self::Conflict(code);
                }
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
                if passing.iter().any(|class| state.starts_with(class)) {
                    Self::Unavailable(anyhow!(error))
                } else {
                    Self::Internal(anyhow!(error))
                }
            }
            _ => Self::Internal(anyhow!(error)),
        }
    }
}

fn conflict(constraint: &str) -> Option<ErrorCode> {
    match constraint {
        "users_email_key" | "users_legacy_name_key" => Some(ErrorCode::EmailAlreadyExists),
        "users_phone_number_key" => Some(ErrorCode::PhoneNumberAlreadyExists),
        "users_nickname_key" => Some(ErrorCode::NicknameAlreadyExists),
        _ => None,
    }
}
