//! What we tell other programs.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use super::role_change::{NewRoleChange, RoleChangeId};

/// What a message is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topic {
    /// Somebody's role was changed.
    UserRoleChanged,
}

impl Topic {
    /// Its name, which never changes: consumers go by it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UserRoleChanged => "user.role_changed",
        }
    }
}

/// A message for whoever wants to know, written in the transaction of what it tells of. It has ids and
/// no addresses, names or texts of people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxMessage {
    /// Its id: UUID of version 7.
    pub id: Uuid,
    /// What it is about.
    pub topic: Topic,
    /// To whom or what it happened.
    pub key: Uuid,
    /// What there is to know of it: an object.
    pub payload: Value,
    /// When it happened.
    pub created_at: DateTime<Utc>,
}

impl OutboxMessage {
    /// Tells that a role was changed. The reason is not in it.
    #[must_use]
    pub fn role_changed(id: Uuid, change_id: RoleChangeId, change: &NewRoleChange) -> Self {
        Self {
            id,
            topic: Topic::UserRoleChanged,
            key: change.user_id.0,
            payload: json!({
                "user_id": change.user_id,
                "change": change_id,
                "from": change.from.as_str(),
                "to": change.to.as_str(),
                "changed_by": change.changed_by,
                "changed_at": change.changed_at,
            }),
            created_at: change.changed_at,
        }
    }
}
