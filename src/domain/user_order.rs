//! In which order users are listed, and places in it.

use serde::{Deserialize, Serialize};

use super::id::UserId;
use crate::error::Rule;

/// What users can be sorted by. What is absent comes first, or last where the order is descending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SortField {
    /// The nickname, without case.
    Nickname,
    /// The address, without case.
    Email,
    /// The given name, without case and accents.
    FirstName,
    /// The family name, without case and accents.
    LastName,
    /// The role, by rank.
    Role,
    /// Professional status: those without it first.
    IsProfessional,
    /// Time of registration.
    CreatedAt,
    /// The last login.
    LastLoginAt,
}

impl SortField {
    /// Every field.
    pub const ALL: [Self; 8] = [
        Self::Nickname,
        Self::Email,
        Self::FirstName,
        Self::LastName,
        Self::Role,
        Self::IsProfessional,
        Self::CreatedAt,
        Self::LastLoginAt,
    ];

    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Nickname => "nickname",
            Self::Email => "email",
            Self::FirstName => "first_name",
            Self::LastName => "last_name",
            Self::Role => "role",
            Self::IsProfessional => "is_professional",
            Self::CreatedAt => "created_at",
            Self::LastLoginAt => "last_login_at",
        }
    }
}

/// A field, and in which direction it is sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SortKey {
    /// The field.
    pub field: SortField,
    /// Whether the greatest comes first.
    pub descending: bool,
}

/// The order of a list of users. Those who are alike by it follow in the order of their ids; but those with a field
/// that begins with the one word that is looked for in the order of that field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserOrder {
    /// Those who match the words best come first: see [`Tier`].
    BestMatch,
    /// By these keys; the first decides.
    By(Vec<SortKey>),
}

impl UserOrder {
    /// Most keys.
    pub const MAX_KEYS: usize = 3;

    /// Reads fields with commas between, each with `-` before it for descending order.
    ///
    /// # Errors
    ///
    /// The rule that `text` breaks.
    pub fn parse(text: &str) -> Result<Self, Rule> {
        let names: Vec<&str> = text.split(',').map(str::trim).collect();
        if names.len() > Self::MAX_KEYS {
            return Err(Rule::new("too_many", "must name at most 3 fields"));
        }
        let mut keys: Vec<SortKey> = Vec::new();
        for name in names {
            let (descending, name) = match name.strip_prefix('-') {
                Some(name) => (true, name),
                None => (false, name),
            };
            let found = SortField::ALL.iter().find(|field| field.as_str() == name);
            let Some(&field) = found else {
                let known: Vec<_> = SortField::ALL.map(SortField::as_str).into();
                return Err(Rule {
                    kind: "unknown_field",
                    message: format!(
                        "must name fields with commas between, each with - before it for descending order: {}",
                        known.join(", ")
                    )
                    .into(),
                });
            };
            if keys.iter().any(|key| key.field == field) {
                return Err(Rule::new("repeated_field", "must name each field once"));
            }
            keys.push(SortKey { field, descending });
        }
        Ok(Self::By(keys))
    }
}

impl Default for UserOrder {
    /// Newest last.
    fn default() -> Self {
        Self::By(vec![SortKey {
            field: SortField::CreatedAt,
            descending: false,
        }])
    }
}

/// How well a user matches words: as badly as the word that matches him worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Tier {
    /// A field is the word; of several words, it is one of those in what he is called.
    Equal,
    /// A field begins with it.
    Prefix,
    /// A field contains it.
    Contains,
    /// He is called by a word that is like it but for one letter.
    Similar,
}

impl Tier {
    /// Every tier, the best first.
    pub const ALL: [Self; 4] = [Self::Equal, Self::Prefix, Self::Contains, Self::Similar];
}

/// A user's place in an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// How well he matches, in the order of best match.
    pub tier: Option<Tier>,
    /// His values of the keys, as the database writes them; in the order of best match the least value of a
    /// field that begins with the word, or an empty text.
    pub keys: Vec<String>,
    /// Who he is.
    pub id: UserId,
}

impl Place {
    /// In the order of best match: the least value of a field that begins with the word.
    #[must_use]
    pub fn matched(&self) -> String {
        self.keys.first().cloned().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_name_up_to_three_fields_that_exist() {
        let Ok(UserOrder::By(keys)) = UserOrder::parse("-role, last_name,created_at") else {
            panic!("not read");
        };
        let read: Vec<_> = keys
            .iter()
            .map(|key| (key.field.as_str(), key.descending))
            .collect();
        assert_eq!(
            read,
            [("role", true), ("last_name", false), ("created_at", false)]
        );
        for (bad, kind) in [
            ("", "unknown_field"),
            ("password_hash", "unknown_field"),
            ("--role", "unknown_field"),
            ("role,-role", "repeated_field"),
            ("role,email,nickname,created_at", "too_many"),
        ] {
            assert_eq!(UserOrder::parse(bad).unwrap_err().kind, kind, "{bad}");
        }
    }
}
