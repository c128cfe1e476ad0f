//! What is put into a template, and what makes it harmless.

use std::{collections::BTreeMap, fmt, sync::Arc};

use minijinja::{Value, value::Object};
use thiserror::Error;
use unicode_normalization::{UnicodeNormalization as _, char::is_combining_mark};
use url::Url;

/// The most characters of somebody's text that a mail repeats.
const TEXT_LIMIT: usize = 200;
/// The most characters of a first name by which we greet: room for a name, not for a message.
const NAME_LIMIT: usize = 40;

/// The values for one mail, by name.
#[derive(Clone, Default)]
pub struct Values(BTreeMap<&'static str, Value>);

impl Values {
    /// No values yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds text that came from outside. It is shown as text only: it can carry no markup, no
    /// line break, and nothing that a mail program would turn into a link.
    #[must_use]
    pub fn text(mut self, name: &'static str, text: &str) -> Self {
        self.0.insert(name, Value::from(text));
        self
    }

    /// Adds a link of ours.
    #[must_use]
    pub fn link(mut self, name: &'static str, link: Link) -> Self {
        self.0.insert(name, Value::from_object(Trusted(link.0)));
        self
    }

    /// Adds a number.
    #[must_use]
    pub fn number(mut self, name: &'static str, number: u64) -> Self {
        self.0.insert(name, Value::from(number));
        self
    }

    /// Adds a flag, for `{% if %}`.
    #[must_use]
    pub fn flag(mut self, name: &'static str, flag: bool) -> Self {
        self.0.insert(name, Value::from(flag));
        self
    }

    /// Adds text from our own settings: it can carry no markup, but a host name stays whole.
    pub(super) fn trusted(mut self, name: &'static str, text: &str) -> Self {
        self.0
            .insert(name, Value::from_object(Trusted(text.to_owned())));
        self
    }

    /// The texts of the links among the values.
    pub(super) fn links(&self) -> impl Iterator<Item = String> {
        self.0
            .values()
            .filter(|value| value.downcast_object_ref::<Trusted>().is_some())
            .map(ToString::to_string)
            .filter(|text| text.starts_with("http"))
    }

    /// Whether there is a value of that name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// The values as a template's context.
    pub(super) fn context(&self) -> Value {
        Value::from_pairs(self.0.iter().map(|(name, value)| (*name, value.clone())))
    }
}

/// Tells the names only: links carry tokens.
impl fmt::Debug for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Text of our own making. A filter or an operator would make a plain string of it, which is
/// untrusted again.
struct Trusted(String);

impl fmt::Debug for Trusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Trusted(..)")
    }
}

impl Object for Trusted {
    fn repr(self: &Arc<Self>) -> minijinja::value::ObjectRepr {
        minijinja::value::ObjectRepr::Plain
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `value` as one line of harmless text: see [`Values::text`].
pub(super) fn as_plain_text(value: &Value) -> String {
    let text = value.to_string();
    if value.is_number() || value.downcast_object_ref::<Trusted>().is_some() {
        one_line(&text)
    } else {
        break_links(&one_line(&text))
            .chars()
            .take(TEXT_LIMIT)
            .collect()
    }
}

/// `text` without control and invisible characters, and with single spaces for white space.
pub(super) fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_whitespace() {
            if !line.is_empty() && !line.ends_with(' ') {
                line.push(' ');
            }
        } else if !c.is_control() && !is_invisible(c) {
            line.push(c);
        }
    }
    line.truncate(line.trim_end().len());
    line
}

/// Characters without a shape of their own that can hide, reorder or split what is read. The
/// joiners U+200C and U+200D stay, since Persian and Indian names need them.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}' | '\u{200e}' | '\u{200f}'
        | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}'
        | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// `text` with a space after each character that could tie a web or e-mail address together, in
/// any of its Unicode shapes: mail programs make links of plain text by themselves.
fn break_links(text: &str) -> String {
    let mut broken = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        broken.push(c);
        let ties = std::iter::once(c)
            .nfkc()
            .any(|c| matches!(c, '.' | ':' | '/' | '\\' | '@' | '。' | '․'));
        if ties && chars.peek().is_some_and(|next| *next != ' ') {
            broken.push(' ');
        }
    }
    broken
}

/// The name by which to greet somebody: the first name if it is plainly a name, otherwise the
/// nickname.
///
/// Anybody can register with a stranger's address and a first name of his choice, so a first name
/// is repeated only if it is short and made of letters, marks, spaces, apostrophes, hyphens, and
/// periods that no letter follows. A nickname is made of harmless characters anyway.
#[must_use]
pub fn greeting_name<'a>(first_name: Option<&'a str>, nickname: &'a str) -> &'a str {
    first_name
        .map(str::trim)
        .filter(|name| is_plainly_a_name(name))
        .unwrap_or(nickname)
}

fn is_plainly_a_name(name: &str) -> bool {
    let mut before = None;
    let sound = name.chars().all(|c| {
        let follows_period = before.replace(c) == Some('.');
        if c.is_alphabetic() {
            !follows_period
        } else {
            matches!(c, ' ' | '\'' | '’' | '-' | '‐' | '.') || is_combining_mark(c)
        }
    });
    sound && name.chars().any(char::is_alphabetic) && name.chars().nth(NAME_LIMIT).is_none()
}

/// The address under which people reach this service: `SERVER_BASE_URL`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteUrl(Url);

/// The text is not an address that links can be built from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("not an absolute http or https URL without user, query and fragment")]
pub struct InvalidSiteUrl;

impl SiteUrl {
    /// Reads the address. A path is kept, as a prefix of every link.
    ///
    /// # Errors
    ///
    /// [`InvalidSiteUrl`] unless it is an http or https URL without user, query and fragment.
    pub fn parse(text: &str) -> Result<Self, InvalidSiteUrl> {
        let url = Url::parse(text).map_err(|_| InvalidSiteUrl)?;
        let plain = matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none();
        if plain {
            Ok(Self(url))
        } else {
            Err(InvalidSiteUrl)
        }
    }

    /// The link to the path of these segments, each of them percent-encoded as needed.
    #[must_use]
    pub fn link(&self, segments: &[&str]) -> Link {
        let mut url = self.0.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        Link(url.into())
    }
}

/// A link of ours, built from [`SiteUrl`]: the only link that a mail carries.
#[derive(Clone, PartialEq, Eq)]
pub struct Link(String);

impl Link {
    /// The link's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Tells nothing: links carry tokens.
impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Link(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        as_plain_text(&Value::from(text))
    }

    #[test]
    fn text_from_outside_is_one_line_without_anything_link_like() {
        for (text, expected) in [
            ("Anna", "Anna"),
            ("  Anna \t Lena\u{a0}", "Anna Lena"),
            ("Anna\r\nBcc: x@y", "Anna Bcc: x@ y"),
            ("Anna\u{2028}Lena\u{85}!", "Anna Lena !"),
            ("a\0b\u{1b}[31m", "ab[31m"),
            ("pay\u{202e}moc", "paymoc"),
            ("ev\u{200b}il.example", "evil. example"),
            ("http://evil.example/a", "http: / / evil. example/ a"),
            ("www.evil.example", "www. evil. example"),
            ("evil．example", "evil． example"),
            ("evil。example", "evil。 example"),
            ("evil․example", "evil․ example"),
            ("mail\u{ff20}evil", "mail\u{ff20} evil"),
            (
                "https\u{ff1a}\u{ff0f}\u{ff0f}evil",
                "https\u{ff1a} \u{ff0f} \u{ff0f} evil",
            ),
            ("", ""),
        ] {
            assert_eq!(shown(text), expected, "{text:?}");
        }
        assert_eq!(shown(&"x".repeat(9999)).len(), TEXT_LIMIT);
    }

    #[test]
    fn people_are_greeted_by_what_is_plainly_a_name() {
        for name in [
            "Anna",
            "José",
            "Jose\u{301}",
            "Anne-Marie",
            "O'Brien",
            "D’Arcy",
            "Nguyễn Văn A",
            "李小龙",
            "محمد",
            "Олександр",
            "Dr. J. R.",
            "Björk",
            "Ng\u{303}uyen",
            "아름",
        ] {
            assert_eq!(greeting_name(Some(name), "nick"), name);
        }
        assert_eq!(greeting_name(Some(" Anna "), "nick"), "Anna");
    }

    #[test]
    fn people_are_greeted_by_nickname_where_the_first_name_could_be_something_else() {
        for name in [
            "",
            "  ",
            "...",
            "-",
            "evil.example",
            "J.R.",
            "http://evil.example",
            "a@b",
            "[x](http://evil)",
            "<a href=x>",
            "Anna\nBcc",
            "Anna 0900",
            "evil。example",
            "Anna!",
            "x\u{202e}y",
            "Your account will be closed unless you call us",
        ] {
            assert_eq!(greeting_name(Some(name), "nick"), "nick", "{name:?}");
        }
        assert_eq!(greeting_name(None, "nick"), "nick");
    }

    #[test]
    fn links_are_built_under_the_base_url_and_nowhere_else() {
        for (base, link) in [
            (
                "http://localhost:8000",
                "http://localhost:8000/verify-email/a%2Fb%20c/t",
            ),
            (
                "https://example.com/",
                "https://example.com/verify-email/a%2Fb%20c/t",
            ),
            (
                "https://example.com/id",
                "https://example.com/id/verify-email/a%2Fb%20c/t",
            ),
            (
                "https://example.com/id/",
                "https://example.com/id/verify-email/a%2Fb%20c/t",
            ),
        ] {
            let site = SiteUrl::parse(base).unwrap();
            assert_eq!(site.link(&["verify-email", "a/b c", "t"]).as_str(), link);
        }
        for text in [
            "",
            "example.com",
            "ftp://example.com",
            "https://a:b@example.com",
            "https://x/?q",
            "https://x/#f",
            "javascript:alert(1)",
            "mailto:a@b",
        ] {
            assert_eq!(SiteUrl::parse(text), Err(InvalidSiteUrl), "{text}");
        }
    }
}
