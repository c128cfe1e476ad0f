//! Which users are searched for.

use chrono::{DateTime, Utc};

use super::{locale::Locale, role::Role, search_form::search_form};
use crate::error::Rule;

/// Fewest letters between two stars: trigrams find nothing shorter.
const LEAST_CONTAINED: usize = 3;

/// How one field is compared. Texts are in [search form](search_form).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TextMatch {
    /// The whole field.
    Exact(String),
    /// Its beginning.
    Prefix(String),
    /// Any part of it.
    Contains(String),
}

impl TextMatch {
    /// Most characters of a pattern.
    pub const MAX_LENGTH: usize = 254;

    /// Reads `text`, `text*` or `*text*`; `\*` is a star, `\\` a backslash.
    ///
    /// # Errors
    ///
    /// The rule that `text` breaks.
    pub fn parse(text: &str) -> Result<Self, Rule> {
        check(text, Self::MAX_LENGTH)?;
        let mut parts = vec![String::new()];
        let mut chars = text.trim().chars();
        while let Some(c) = chars.next() {
            let literal = match c {
                '*' => {
                    parts.push(String::new());
                    continue;
                }
                '\\' => chars.next().unwrap_or('\\'),
                c => c,
            };
            if let Some(part) = parts.last_mut() {
                part.push(literal);
            }
        }
        let form = |part: &String| search_form(part);
        let (pattern, text): (fn(String) -> Self, String) = match &parts[..] {
            [text] => (Self::Exact, form(text)),
            [text, rest] if rest.is_empty() => (Self::Prefix, form(text)),
            [before, text, after] if before.is_empty() && after.is_empty() => {
                let text = form(text);
                if text.chars().count() < LEAST_CONTAINED {
                    return Err(Rule::new(
                        "too_short",
                        "must have at least 3 characters between the stars",
                    ));
                }
                (Self::Contains, text)
            }
            _ => {
                return Err(Rule::new(
                    "unknown_operator",
                    "must be text, text* or *text*; a star that is meant is written \\*",
                ));
            }
        };
        if text.is_empty() {
            return Err(Rule::new("empty", "must not be empty"));
        }
        Ok(pattern(text))
    }
}

/// What is typed into a search box: words, all of which are to be found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchText(Vec<String>);

impl SearchText {
    /// Most characters.
    pub const MAX_LENGTH: usize = 200;
    /// Most words.
    pub const MAX_WORDS: usize = 8;

    /// Reads a text. One that is a phone number as people write it is one word, its digits.
    ///
    /// # Errors
    ///
    /// The rule that `text` breaks.
    pub fn parse(text: &str) -> Result<Self, Rule> {
        check(text, Self::MAX_LENGTH)?;
        let digits: String = text.chars().filter(char::is_ascii_digit).collect();
        let is_number = |c: char| c.is_ascii_digit() || " +-./()".contains(c);
        if digits.len() >= LEAST_CONTAINED && text.chars().all(is_number) {
            return Ok(Self(vec![digits]));
        }
        let mut words: Vec<String> = search_form(text)
            .split_whitespace()
            .map(str::to_owned)
            .collect();
        words.sort_unstable();
        words.dedup();
        if words.is_empty() {
            return Err(Rule::new("empty", "must not be empty"));
        }
        if words.len() > Self::MAX_WORDS {
            return Err(Rule::new("too_many_words", "must have at most 8 words"));
        }
        Ok(Self(words))
    }

    /// The words, in search form.
    #[must_use]
    pub fn words(&self) -> &[String] {
        &self.0
    }
}

/// Whether parts of fields are looked for, or only their beginnings.
#[must_use]
pub fn finds_parts(word: &str) -> bool {
    word.chars().count() >= LEAST_CONTAINED
}

fn check(text: &str, most: usize) -> Result<(), Rule> {
    if text.chars().count() > most {
        return Err(Rule {
            kind: "too_long",
            message: format!("must have at most {most} characters").into(),
        });
    }
    if text.chars().any(char::is_control) {
        return Err(Rule::new(
            "control_character",
            "must not contain control characters",
        ));
    }
    Ok(())
}

/// A time in a range: both ends belong to it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TimeRange {
    /// The first time.
    pub from: Option<DateTime<Utc>>,
    /// The last time.
    pub to: Option<DateTime<Utc>>,
}

impl TimeRange {
    /// Whether no time is in it.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.from.zip(self.to).is_some_and(|(from, to)| from > to)
    }
}

/// A state of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Its address is verified.
    Verified,
    /// It has no address that is verified.
    Unverified,
    /// An administrator locked it.
    Locked,
    /// It was deleted, by its owner or an operator, and is to be erased.
    Deleted,
}

impl Status {
    /// Every state.
    pub const ALL: [Self; 4] = [
        Self::Verified,
        Self::Unverified,
        Self::Locked,
        Self::Deleted,
    ];

    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::Unverified => "unverified",
            Self::Locked => "locked",
            Self::Deleted => "deleted",
        }
    }
}

/// What users must be like, all of it; nothing that is empty narrows the search.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserFilter {
    /// Words to be found in whatever the user is called.
    pub text: Option<SearchText>,
    /// His nickname.
    pub nickname: Option<TextMatch>,
    /// His address.
    pub email: Option<TextMatch>,
    /// His given name.
    pub first_name: Option<TextMatch>,
    /// His family name.
    pub last_name: Option<TextMatch>,
    /// One of these roles.
    pub roles: Vec<Role>,
    /// One of these states.
    pub statuses: Vec<Status>,
    /// Professional status.
    pub is_professional: Option<bool>,
    /// When he registered.
    pub created: TimeRange,
    /// When he last logged in.
    pub last_login: TimeRange,
    /// He hasn't logged in, or registered, since.
    pub inactive_since: Option<DateTime<Utc>>,
    /// One of these languages.
    pub locales: Vec<Locale>,
    /// If he has ever logged in, he has since. It follows from the rest, and nobody is left out by it.
    pub logged_in_since: Option<DateTime<Utc>>,
    /// He has a public profile: he was verified, isn't locked, and hasn't deleted his account.
    pub is_public: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_whole_beginnings_or_parts() {
        for (typed, pattern) in [
            ("Ada", TextMatch::Exact("ada".into())),
            (" José* ", TextMatch::Prefix("jose".into())),
            ("*LoveL*", TextMatch::Contains("lovel".into())),
            (r"a\*b\\", TextMatch::Exact(r"a*b\".into())),
            ("50%_", TextMatch::Exact("50%_".into())),
        ] {
            assert_eq!(TextMatch::parse(typed), Ok(pattern));
        }
        for (typed, kind) in [
            ("", "empty"),
            ("*", "empty"),
            ("**", "too_short"),
            ("*ab*", "too_short"),
            ("*abc", "unknown_operator"),
            ("a*c", "unknown_operator"),
            ("a\0b", "control_character"),
        ] {
            assert_eq!(TextMatch::parse(typed).unwrap_err().kind, kind, "{typed:?}");
        }
        assert!(TextMatch::parse(&"x".repeat(255)).is_err());
    }

    #[test]
    fn what_is_typed_is_words_or_a_number() {
        let words = |text| SearchText::parse(text).unwrap().0;
        assert_eq!(words(" Ada  LOVELACE ada"), ["ada", "lovelace"]);
        assert_eq!(words("(415) 555-2671"), ["4155552671"]);
        assert_eq!(words("ada.l@example.com"), ["ada.l@example.com"]);
        assert_eq!(words("🙂"), ["🙂"]);
        for bad in ["", "  ", "a\u{7}", "a b c d e f g h i", &"x".repeat(201)] {
            assert!(SearchText::parse(bad).is_err(), "{bad:?}");
        }
    }
}
