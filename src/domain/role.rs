//! Roles.

use std::{fmt, str::FromStr};

/// What an account is; each role may do all that the ones before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Registered, address not verified.
    Anonymous,
    /// Verified.
    Authenticated,
    /// Manages users of lower rank.
    Manager,
    /// Manages everything.
    Admin,
}

impl Role {
    /// Every role, lowest first.
    pub const ALL: [Self; 4] = [
        Self::Anonymous,
        Self::Authenticated,
        Self::Manager,
        Self::Admin,
    ];

    /// The role's name in answers and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Anonymous => "ANONYMOUS",
            Self::Authenticated => "AUTHENTICATED",
            Self::Manager => "MANAGER",
            Self::Admin => "ADMIN",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// No role has this name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be one of ANONYMOUS, AUTHENTICATED, MANAGER, ADMIN")]
pub struct UnknownRole;

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|role| role.as_str() == name)
            .ok_or(UnknownRole)
    }
}
