//! Names of accounts of an older API that are no e-mail addresses.

use std::fmt;

use super::email;
use crate::error::Rule;

/// What an account of an older API has in place of an address: `bob`. It stands as it was typed, and
/// two names are equal only as they stand.
///
/// Only that API logs in by it or shows it. Its `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct LegacyName(String);

impl LegacyName {
    /// Takes a name: 1 to 254 bytes, none of them of a control character.
    ///
    /// # Errors
    ///
    /// The rule that `text` breaks.
    pub fn parse(text: &str) -> Result<Self, Rule> {
        if text.is_empty() {
            return Err(Rule::new("empty", "must not be empty"));
        }
        if text.len() > email::MAX_LENGTH {
            return Err(Rule::new("too_long", "must have at most 254 bytes"));
        }
        if text.chars().any(char::is_control) {
            return Err(Rule::new(
                "control_character",
                "must not contain control characters",
            ));
        }
        Ok(Self(text.to_owned()))
    }

    /// A name that the database holds.
    #[must_use]
    pub fn from_database(name: String) -> Self {
        Self(name)
    }

    /// The name, to store it or to show it in that API.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for LegacyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LegacyName(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stands_as_typed_within_its_bounds() {
        for good in ["bob", "Bob ", "bob@localhost", "ü", &"x".repeat(254)] {
            assert_eq!(LegacyName::parse(good).unwrap().as_str(), good);
        }
        for bad in ["", "a\0b", "a\nb", "a\u{85}b", &"x".repeat(255)] {
            assert!(LegacyName::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn debug_hides_the_name() {
        assert!(!format!("{:?}", LegacyName::parse("bob").unwrap()).contains("bob"));
    }
}
