//! What people type as the name of an account.

use std::fmt;

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization as _;

use super::{
    email::{self, Email},
    legacy_name::LegacyName,
    phone::{PhoneNumber, Region},
};

/// The name of an account at a login, in the form that accounts are looked up and failed logins are
/// counted by: equal for all ways to write one address or one phone number, and something of bounded
/// length for what is neither.
///
/// Stored in jobs: the names of its variants stay as they are. Its `Debug` hides it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoginName {
    /// An address in lower case, or what is the name of no account at all.
    Email(String),
    /// A phone number as accounts have it.
    PhoneNumber(String),
    /// A name of an older API that is no address. [`LoginName::read`] reads nothing as one: only that
    /// API logs in by it.
    Legacy(String),
}

impl LoginName {
    /// Reads what somebody typed; a number without a country's code is of `region`.
    #[must_use]
    pub fn read(typed: &str, region: Region) -> Self {
        if let Ok(email) = Email::parse(typed) {
            return Self::from(&email);
        }
        // The database takes no NUL, and no address has a control character.
        let printable = |c: char| if c.is_control() { '\u{fffd}' } else { c };
        let text: String = typed
            .trim()
            .nfkc()
            .map(printable)
            .take(email::MAX_LENGTH)
            .collect();
        if let Ok(number) = PhoneNumber::parse(&text, region) {
            return Self::from(&number);
        }
        // Accounts of an older client may have digits that are no number of any country.
        let digits = text.strip_prefix('+').unwrap_or(&text);
        if (7..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()) {
            return Self::PhoneNumber(text);
        }
        Self::Email(text.to_lowercase())
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Email(name) | Self::PhoneNumber(name) | Self::Legacy(name) => name,
        }
    }

    /// What failed logins are counted by. A legacy name is told apart: who has another's address or
    /// number as his legacy name must not be able to forgive the guesses on the other's account.
    #[must_use]
    pub fn counted_as(&self) -> Vec<&[u8]> {
        match self {
            Self::Email(name) | Self::PhoneNumber(name) => vec![name.as_bytes()],
            Self::Legacy(name) => vec![b"legacy", name.as_bytes()],
        }
    }
}

impl From<&Email> for LoginName {
    fn from(email: &Email) -> Self {
        Self::Email(email.normalized())
    }
}

impl From<&PhoneNumber> for LoginName {
    fn from(number: &PhoneNumber) -> Self {
        Self::PhoneNumber(number.as_str().to_owned())
    }
}

impl From<&LegacyName> for LoginName {
    fn from(name: &LegacyName) -> Self {
        Self::Legacy(name.as_str().to_owned())
    }
}

impl fmt::Debug for LoginName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LoginName(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(typed: &str) -> LoginName {
        LoginName::read(typed, "US".parse().unwrap())
    }

    #[test]
    fn all_ways_to_write_an_address_are_one_name() {
        assert_eq!(read(" A@Example.COM"), read("a@example.com"));
        assert_eq!(
            read("a@example.com"),
            LoginName::Email("a@example.com".into())
        );
    }

    #[test]
    fn all_ways_to_write_a_number_are_one_name() {
        for typed in [
            "+14155552671",
            " (415) 555-2671 ",
            "1-415-555-2671",
            "415.555.2671",
            "+1 415\u{a0}555\u{a0}2671",
            "\u{ff0b}\u{ff11}4155552671",
        ] {
            let name = LoginName::PhoneNumber("+14155552671".into());
            assert_eq!(read(typed), name, "{typed}");
        }
        // No number of any country, but some account may have it.
        for typed in ["1234567890", "+999123456789"] {
            assert_eq!(read(typed), LoginName::PhoneNumber(typed.into()));
        }
    }

    #[test]
    fn what_is_neither_is_a_name_of_bounded_length_all_the_same() {
        for (typed, name) in [
            ("Nobody", "nobody"),
            ("a\0b", "a\u{fffd}b"),
            ("", ""),
            ("12", "12"),
            ("1234567890123456", "1234567890123456"),
            ("+1 415 555 2671 ext. 5", "+1 415 555 2671 ext. 5"),
        ] {
            assert_eq!(read(typed), LoginName::Email(name.into()));
        }
        assert!(read(&"x".repeat(100_000)).as_str().len() <= email::MAX_LENGTH);
        assert!(read(&"1".repeat(100_000)).as_str().len() <= email::MAX_LENGTH);
    }

    #[test]
    fn a_legacy_name_is_counted_apart_from_an_address_or_number_of_the_same_text() {
        for typed in ["bob", "+14155552671", "a@example.com"] {
            let legacy = LoginName::from(&LegacyName::parse(typed).unwrap());
            assert_eq!(legacy.as_str(), typed);
            assert_ne!(legacy.counted_as(), read(typed).counted_as());
        }
    }

    #[test]
    fn a_name_in_a_job_is_read_back_as_it_was_written() {
        let name = read("a@example.com");
        let written = serde_json::json!({"email": "a@example.com"});
        assert_eq!(serde_json::to_value(&name).unwrap(), written);
        let name = read("+14155552671");
        let written = serde_json::json!({"phone_number": "+14155552671"});
        assert_eq!(serde_json::from_value::<LoginName>(written).unwrap(), name);
        assert!(!format!("{name:?}").contains("2671"));
    }
}
