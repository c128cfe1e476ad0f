//! What an application keeps for a user.

use serde_json::{Map, Value};

use crate::error::Rule;

/// Most bytes of preferences, written as JSON.
pub const MAX_BYTES: usize = 16 * 1024;

/// What an application keeps for a user: an object, in which it has what it likes. Empty at first.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Preferences(Map<String, Value>);

impl Preferences {
    /// Takes an object.
    ///
    /// # Errors
    ///
    /// The rule that `value` breaks: it is an object of at most 16 KiB, without the character NUL,
    /// which the database doesn't take.
    pub fn parse(value: Value) -> Result<Self, Rule> {
        let Value::Object(object) = value else {
            return Err(Rule::new("invalid_type", "must be an object"));
        };
        let written = Value::Object(object.clone()).to_string();
        if written.len() > MAX_BYTES {
            return Err(Rule::new("too_long", "must have at most 16 KiB"));
        }
        if written.contains("\\u0000") {
            return Err(Rule::new(
                "control_character",
                "must not contain the character NUL",
            ));
        }
        Ok(Self(object))
    }

    /// What the database holds.
    #[must_use]
    pub fn from_database(object: Map<String, Value>) -> Self {
        Self(object)
    }

    /// The object, to store it.
    #[must_use]
    pub fn as_object(&self) -> &Map<String, Value> {
        &self.0
    }

    /// The object, to show it.
    #[must_use]
    pub fn into_value(self) -> Value {
        Value::Object(self.0)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn preferences_are_an_object_of_bounded_size() {
        let good = json!({"favorite_cast": ["Meg Ryan"], "x": {"y": null}, "text": "ends in \\u"});
        assert_eq!(Preferences::parse(good.clone()).unwrap().into_value(), good);
        for bad in [
            json!(null),
            json!("text"),
            json!([1]),
            json!({"nul": "\0"}),
            json!({"\0": 1}),
            json!({"long": "x".repeat(MAX_BYTES)}),
        ] {
            assert!(Preferences::parse(bad).is_err());
        }
        let frame = json!({"long": ""}).to_string().len();
        let most = json!({"long": "x".repeat(MAX_BYTES - frame)});
        assert!(Preferences::parse(most).is_ok());
    }
}
