//! What an application keeps for a user.

use serde_json::{Map, Value};

use crate::error::Rule;

/// Most bytes of preferences, written as JSON.
pub const MAX_BYTES: usize = 16 * 1024;

/// Most values inside one another: far fewer than readers of JSON take.
pub const MAX_DEPTH: usize = 32;

/// What an application keeps for a user: an object, in which it has what it likes. Empty at first.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Preferences(Map<String, Value>);

impl Preferences {
    /// Takes an object.
    ///
    /// # Errors
    ///
    /// The rule that `value` breaks: it is an object of at most 16 KiB and 32 levels, without the
    /// character NUL, which the database doesn't take.
    pub fn parse(value: Value) -> Result<Self, Rule> {
        let Value::Object(object) = value else {
            return Err(Rule::new("invalid_type", "must be an object"));
        };
        // First of all: what follows goes down as far.
        if is_deeper(&object, MAX_DEPTH) {
            return Err(Rule::new("too_deep", "must have at most 32 levels"));
        }
        let value = Value::Object(object);
        if value.to_string().len() > MAX_BYTES {
            return Err(Rule::new("too_long", "must have at most 16 KiB"));
        }
        if has_nul(&value) {
            return Err(Rule::new(
                "control_character",
                "must not contain the character NUL",
            ));
        }
        match value {
            Value::Object(object) => Ok(Self(object)),
            _ => Ok(Self::default()),
        }
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

/// Whether there are more levels than these, looked at without going down further.
fn is_deeper(object: &Map<String, Value>, levels: usize) -> bool {
    let mut waiting: Vec<(&Value, usize)> = object.values().map(|value| (value, 1)).collect();
    while let Some((value, depth)) = waiting.pop() {
        let inner = depth + 1;
        match value {
            Value::Array(_) | Value::Object(_) if inner > levels => return true,
            Value::Array(values) => waiting.extend(values.iter().map(|value| (value, inner))),
            Value::Object(object) => waiting.extend(object.values().map(|value| (value, inner))),
            _ => {}
        }
    }
    false
}

fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(values) => values.iter().any(has_nul),
        Value::Object(object) => object
            .iter()
            .any(|(name, value)| name.contains('\0') || has_nul(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
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
            json!({"list": [{"a": "\0"}]}),
            json!({"long": "x".repeat(MAX_BYTES)}),
        ] {
            assert!(Preferences::parse(bad).is_err());
        }
        let text = json!({"text": "a backslash and \\u0000"});
        assert!(Preferences::parse(text).is_ok());
        let nested = |levels| {
            let inner = (2..levels).fold(json!([]), |inner, _| json!([inner]));
            Preferences::parse(json!({ "a": inner })).is_ok()
        };
        assert_eq!([nested(32), nested(33)], [true, false]);
        let frame = json!({"long": ""}).to_string().len();
        let most = json!({"long": "x".repeat(MAX_BYTES - frame)});
        assert!(Preferences::parse(most).is_ok());
    }
}
