//! What a user says of himself.

use url::Url;

use super::{locale::Locale, patch::Patch};
use crate::error::Rule;

/// A first or last name: 1 to 100 characters, none of them a control character.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonName(String);

impl PersonName {
    /// Reads a name, blanks around it left out.
    ///
    /// # Errors
    ///
    /// The rule that `text` breaks.
    pub fn parse(text: &str) -> Result<Self, Rule> {
        free_text(text, 100, false).map(Self)
    }
}

/// Where a user says that he is: 1 to 100 characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location(String);

impl Location {
    /// Reads a place, blanks around it left out.
    ///
    /// # Errors
    ///
    /// The rule that `text` breaks.
    pub fn parse(text: &str) -> Result<Self, Rule> {
        free_text(text, 100, false).map(Self)
    }
}

/// What a user writes about himself: 1 to 500 characters, line breaks allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bio(String);

impl Bio {
    /// Reads a text, blanks around it left out.
    ///
    /// # Errors
    ///
    /// The rule that `text` breaks.
    pub fn parse(text: &str) -> Result<Self, Rule> {
        free_text(text, 500, true).map(Self)
    }
}

/// The address of a web page: http or https, at most 255 characters. Stored and shown, never
/// fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebUrl(String);

impl WebUrl {
    /// Reads a URL.
    ///
    /// # Errors
    ///
    /// The rule that `text` breaks.
    pub fn parse(text: &str) -> Result<Self, Rule> {
        const INVALID: Rule = Rule::new(
            "invalid_url",
            "must be a URL that begins with http:// or https://",
        );
        let text = text.trim();
        if text.chars().count() > 255 {
            return Err(Rule::new("too_long", "must have at most 255 characters"));
        }
        // Besides blanks, what programs read differently or what ends an attribute of HTML.
        let unsound = |c: char| c.is_control() || c.is_whitespace() || "\\\"<>^`".contains(c);
        if text.chars().any(unsound) {
            return Err(INVALID);
        }
        let url = Url::parse(text).map_err(|_| INVALID)?;
        // Credentials before a host make a link look like one to another host.
        if !matches!(url.scheme(), "http" | "https")
            || url.host().is_none()
            || !url.username().is_empty()
            || url.password().is_some()
        {
            return Err(INVALID);
        }
        // The database holds the scheme to lower case; the rest stands as typed.
        let rest = text.split_once(':').map_or("", |(_, rest)| rest);
        if !rest.starts_with("//") {
            return Err(INVALID);
        }
        Ok(Self(format!("{}:{rest}", url.scheme())))
    }
}

macro_rules! text {
    ($($name:ident)+) => { $(
        impl $name {
            /// A value that the database holds.
            #[must_use]
            pub fn from_database(text: String) -> Self {
                Self(text)
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
    )+ };
}

text! { PersonName Location Bio WebUrl }

/// Reads a text of at most so many characters, of several lines or one, blanks around it left out.
///
/// # Errors
///
/// The rule that `text` breaks.
pub(super) fn free_text(text: &str, most: usize, lines: bool) -> Result<String, Rule> {
    // As it was sent, blanks around it included: the limit that the document tells.
    if text.chars().count() > most {
        return Err(Rule {
            kind: "too_long",
            message: format!("must have at most {most} characters").into(),
        });
    }
    let text = text.trim();
    if text.is_empty() {
        return Err(Rule::new(
            "empty",
            "must not be empty; leave it out or send null to have none",
        ));
    }
    // Besides control characters, those that turn the direction of what follows: a name must not
    // change how the text around it reads.
    let misleading =
        |c: char| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
    if text
        .chars()
        .any(|c| misleading(c) || (c.is_control() && !(lines && matches!(c, '\n' | '\r' | '\t'))))
    {
        return Err(Rule::new(
            "control_character",
            "must not contain control characters",
        ));
    }
    Ok(text.to_owned())
}

/// The fields of a profile.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Profile {
    /// Given name.
    pub first_name: Option<PersonName>,
    /// Names between.
    pub middle_name: Option<PersonName>,
    /// Family name.
    pub last_name: Option<PersonName>,
    /// Whether the public profile shows the names.
    pub is_name_public: bool,
    /// About oneself.
    pub bio: Option<Bio>,
    /// Where he is.
    pub location: Option<Location>,
    /// The language that he wants.
    pub locale: Option<Locale>,
    /// A picture, on somebody's server.
    pub profile_picture_url: Option<WebUrl>,
    /// A page at LinkedIn.
    pub linkedin_profile_url: Option<WebUrl>,
    /// A page at GitHub.
    pub github_profile_url: Option<WebUrl>,
}

/// A change of a profile.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProfilePatch {
    /// Given name.
    pub first_name: Patch<PersonName>,
    /// Names between.
    pub middle_name: Patch<PersonName>,
    /// Family name.
    pub last_name: Patch<PersonName>,
    /// Whether the public profile shows the names.
    pub is_name_public: Option<bool>,
    /// About oneself.
    pub bio: Patch<Bio>,
    /// Where he is.
    pub location: Patch<Location>,
    /// The language that he wants.
    pub locale: Patch<Locale>,
    /// A picture, on somebody's server.
    pub profile_picture_url: Patch<WebUrl>,
    /// A page at LinkedIn.
    pub linkedin_profile_url: Patch<WebUrl>,
    /// A page at GitHub.
    pub github_profile_url: Patch<WebUrl>,
}

impl ProfilePatch {
    /// The profile after the change.
    pub fn apply(self, profile: &mut Profile) {
        self.first_name.apply(&mut profile.first_name);
        self.middle_name.apply(&mut profile.middle_name);
        self.last_name.apply(&mut profile.last_name);
        if let Some(is_public) = self.is_name_public {
            profile.is_name_public = is_public;
        }
        self.bio.apply(&mut profile.bio);
        self.location.apply(&mut profile.location);
        self.locale.apply(&mut profile.locale);
        self.profile_picture_url
            .apply(&mut profile.profile_picture_url);
        self.linkedin_profile_url
            .apply(&mut profile.linkedin_profile_url);
        self.github_profile_url
            .apply(&mut profile.github_profile_url);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_texts_carry_no_control_characters() {
        assert_eq!(PersonName::parse("  Ada ").unwrap().as_str(), "Ada");
        assert_eq!(Bio::parse("two\nlines").unwrap().as_str(), "two\nlines");
        for bad in [
            "",
            "  ",
            "a\0b",
            "a\nb",
            "a\u{1b}[31m",
            "a\u{202e}b",
            &"x".repeat(101),
        ] {
            assert!(PersonName::parse(bad).is_err(), "{bad:?}");
        }
        assert!(Bio::parse("a\0b").is_err());
        assert!(Bio::parse(&"ü".repeat(500)).is_ok());
        assert!(Bio::parse(&"ü".repeat(501)).is_err());
    }

    #[test]
    fn urls_are_of_the_web_and_stand_as_typed() {
        for (typed, kept) in [
            ("https://github.com/ada", "https://github.com/ada"),
            ("HTTPS://Example.com/Ä?x=1#y", "https://Example.com/Ä?x=1#y"),
        ] {
            assert_eq!(WebUrl::parse(typed).unwrap().as_str(), kept);
        }
        for bad in [
            "",
            "example.com",
            "javascript:alert(1)",
            "data:text/html,x",
            "ftp://a.example",
            "http://",
            "https://google.com@evil.example/",
            "http:example.com",
            "http:/example.com",
            "https://a b.example/",
            "https://a.example/\n",
            &format!("https://a.example/{}", "x".repeat(255)),
        ] {
            assert!(
                WebUrl::parse(bad.trim_end_matches('\n')).is_err() || bad.ends_with('\n'),
                "{bad:?} was taken"
            );
        }
    }
}
