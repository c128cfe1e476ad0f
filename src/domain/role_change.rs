//! Changes of roles.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{id::UserId, profile::free_text, role::Role};
use crate::error::Rule;

/// The id of a change of a role: of two changes of one user the later one has the greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RoleChangeId(pub i64);

/// Why a role was changed: 1 to 500 characters, line breaks allowed. The user gets to read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason(String);

impl Reason {
    /// Reads a text, blanks around it left out.
    ///
    /// # Errors
    ///
    /// The rule that `text` breaks.
    pub fn parse(text: &str) -> Result<Self, Rule> {
        free_text(text, 500, true).map(Self)
    }

    /// A value that the database holds.
    #[must_use]
    pub fn from_database(text: String) -> Self {
        Self(text)
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A change of a role that is being made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRoleChange {
    /// Whose role it is.
    pub user_id: UserId,
    /// The role before.
    pub from: Role,
    /// The role after: another one.
    pub to: Role,
    /// Why, if anything was said.
    pub reason: Option<Reason>,
    /// Who changes it, where it is a user.
    pub changed_by: Option<UserId>,
    /// When.
    pub changed_at: DateTime<Utc>,
}

/// A change of a role that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleChange {
    /// Its id.
    pub id: RoleChangeId,
    /// What was changed.
    pub change: NewRoleChange,
    /// The nickname that the user has now who changed it; none when he is gone, or it was no user.
    pub changed_by_nickname: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_a_text_of_up_to_500_characters() {
        assert_eq!(Reason::parse(" Left\nus ").unwrap().as_str(), "Left\nus");
        assert!(Reason::parse(&"ü".repeat(500)).is_ok());
        for (bad, kind) in [
            ("", "empty"),
            (" \n", "empty"),
            ("a\0b", "control_character"),
            ("a\u{202e}b", "control_character"),
            (&*"ü".repeat(501), "too_long"),
        ] {
            assert_eq!(Reason::parse(bad).unwrap_err().kind, kind, "{bad:?}");
        }
    }
}
