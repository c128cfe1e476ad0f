//! Languages of users.

use unic_langid::LanguageIdentifier;

use crate::error::Rule;

/// The language that a user wants, with script and region where they matter: a Unicode language
/// identifier in canonical form, as BCP 47 writes it (`de`, `pt-BR`, `zh-Hans`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Locale(String);

impl Locale {
    /// Most characters (RFC 5646, section 4.4.1).
    pub const MAX_LENGTH: usize = 35;

    /// Reads a language identifier in whatever case.
    ///
    /// # Errors
    ///
    /// The rule that `text` breaks.
    pub fn parse(text: &str) -> Result<Self, Rule> {
        const INVALID: Rule = Rule::new(
            "invalid_locale",
            "must be a language tag such as de or pt-BR",
        );
        let text = text.trim();
        if text.len() > Self::MAX_LENGTH {
            return Err(INVALID);
        }
        let identifier: LanguageIdentifier = text.parse().map_err(|_| INVALID)?;
        // Longer ones have never been registered.
        let is_short = (2..=3).contains(&identifier.language.as_str().len());
        if !is_short || identifier.language.is_empty() {
            return Err(INVALID);
        }
        Ok(Self(identifier.to_string()))
    }

    /// A value that the database holds.
    #[must_use]
    pub fn from_database(text: String) -> Self {
        Self(text)
    }

    /// The tag.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_kept_in_canonical_form() {
        for (typed, kept) in [
            ("de", "de"),
            ("PT-br", "pt-BR"),
            ("pt_BR", "pt-BR"),
            (" zh-hans-cn ", "zh-Hans-CN"),
        ] {
            assert_eq!(Locale::parse(typed).unwrap().as_str(), kept);
        }
        for bad in [
            "",
            "d",
            "english language",
            "und",
            "english",
            "de-",
            "x\0",
            &"de-".repeat(20),
        ] {
            assert!(Locale::parse(bad).is_err(), "{bad:?}");
        }
    }
}
