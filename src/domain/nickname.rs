//! Nicknames: the only public names of users.

use std::fmt;

use crate::error::Rule;

/// Names that could be taken for the service itself or its staff, in lower case.
const RESERVED: &[&str] = &[
    "abuse",
    "admin",
    "administrator",
    "anonymous",
    "api",
    "authenticated",
    "docs",
    "everyone",
    "health",
    "help",
    "hostmaster",
    "info",
    "login",
    "logout",
    "manager",
    "me",
    "metrics",
    "moderator",
    "news",
    "nobody",
    "null",
    "openapi",
    "operator",
    "owner",
    "password-reset",
    "postmaster",
    "profile",
    "profiles",
    "register",
    "root",
    "security",
    "self",
    "sessions",
    "settings",
    "staff",
    "static",
    "suggest",
    "superuser",
    "support",
    "system",
    "token",
    "undefined",
    "user",
    "users",
    "verify-email",
    "webmaster",
    "well-known",
    "www",
];

/// A nickname: 3 to 50 of `A-Z a-z 0-9 _ -`, so that it stands in a URL as it is. Unique without
/// case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nickname(String);

impl Nickname {
    /// Reads a nickname that somebody chose.
    ///
    /// # Errors
    ///
    /// The rule that `text` breaks.
    pub fn parse(text: &str) -> Result<Self, Rule> {
        if !(3..=50).contains(&text.chars().count()) {
            return Err(Rule::new("invalid_length", "must have 3 to 50 characters"));
        }
        if !text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
        {
            return Err(Rule::new(
                "invalid_nickname",
                "must consist of letters A to Z, digits, underscores and hyphens",
            ));
        }
        if RESERVED.contains(&text.to_ascii_lowercase().as_str()) {
            return Err(Rule::new("reserved_nickname", "is a reserved name"));
        }
        Ok(Self(text.to_owned()))
    }

    /// A nickname that the database holds, or that the generator made.
    #[must_use]
    pub fn from_trusted(nickname: String) -> Self {
        Self(nickname)
    }

    /// The nickname, to show or store it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Nickname {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nicknames_stand_in_a_url_as_they_are() {
        for good in ["abc", "clever_panda_417", "A-b", "___", &"x".repeat(50)] {
            assert_eq!(Nickname::parse(good).unwrap().as_str(), good);
        }
        for (bad, kind) in [
            ("", "invalid_length"),
            ("ab", "invalid_length"),
            (&"x".repeat(51), "invalid_length"),
            ("has space", "invalid_nickname"),
            ("ünïcødé", "invalid_nickname"),
            ("a/b", "invalid_nickname"),
            ("abc\n", "invalid_nickname"),
            ("Admin", "reserved_nickname"),
        ] {
            assert_eq!(Nickname::parse(bad).unwrap_err().kind, kind, "{bad:?}");
        }
    }
}
