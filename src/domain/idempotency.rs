//! Keys by which a request that is sent again is known.

use std::fmt;

use chrono::TimeDelta;

use crate::error::Rule;

/// How long a request may run before it is taken to have died: twice as long as a client waits for it.
pub const LEASE: TimeDelta = TimeDelta::seconds(30);

/// How long a key is known.
pub const LIFETIME: TimeDelta = TimeDelta::hours(24);

/// What a client names a request by, so that sending it twice does its work once: 1 to 255 printable
/// ASCII characters, best a random UUID. `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// Reads a key, as it stands: every character tells it from others.
    ///
    /// # Errors
    ///
    /// The rule that `text` breaks.
    pub fn parse(text: &str) -> Result<Self, Rule> {
        let is_printable = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        if is_printable && (1..=255).contains(&text.len()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Rule::new(
                "invalid_idempotency_key",
                "must be 1 to 255 printable ASCII characters",
            ))
        }
    }

    /// The key.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdempotencyKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_of_printable_ascii_and_not_too_long() {
        for good in ["x", "a key: \"~\"", &"k".repeat(255)] {
            let key = IdempotencyKey::parse(good).unwrap();
            assert_eq!(key.as_str(), good);
        }
        for bad in ["", "a\tb", "a\u{7f}", "schlüssel", &"k".repeat(256)] {
            let rule = IdempotencyKey::parse(bad).unwrap_err();
            assert_eq!(rule.kind, "invalid_idempotency_key", "{bad:?}");
        }
        let key = IdempotencyKey::parse("secret").unwrap();
        assert!(!format!("{key:?}").contains("secret"));
    }
}
