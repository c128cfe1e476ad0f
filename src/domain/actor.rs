//! Who does it.

use super::{
    id::{SessionId, UserId},
    role::Role,
};

/// On whose account a use case runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Actor {
    /// Somebody who didn't log in.
    Nobody,
    /// A logged-in user.
    User {
        /// Who he is.
        id: UserId,
        /// His role as the database has it; never the one that a token claims.
        role: Role,
        /// The session that he uses.
        session: SessionId,
    },
    /// Another service, by credentials of the settings.
    Service,
    /// The service itself: the worker, or a step at start.
    System,
    /// An operator at the command line, who could as well use SQL.
    Operator,
}
