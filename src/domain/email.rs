//! E-mail addresses.

use std::fmt;

use unicode_normalization::is_nfkc;
use validator::ValidateEmail as _;

use crate::error::Rule;

/// Longest address, in bytes (RFC 5321, 4.5.3.1.3, without the angle brackets).
pub const MAX_LENGTH: usize = 254;

/// An e-mail address that mail can be sent to.
///
/// The local part stands as typed, the domain as lower-case A-labels (RFC 5890). Two addresses are
/// the same account's when they are equal in lower case, see [`Email::normalized`]; dots and
/// `+tags` are not folded.
///
/// Its `Debug` hides it: addresses stay out of logs.
#[derive(Clone, PartialEq, Eq)]
pub struct Email(String);

impl Email {
    /// Reads an address, blanks around it left out.
    ///
    /// # Errors
    ///
    /// The rule that `text` breaks: length, form (HTML's definition of a valid address; no quoted
    /// local part, no control characters), or a form that changes under NFKC, behind which look-alikes of other addresses
    /// hide.
    pub fn parse(text: &str) -> Result<Self, Rule> {
        const INVALID: Rule = Rule::new("invalid_email", "must be a valid e-mail address");
        const AMBIGUOUS: Rule = Rule::new(
            "ambiguous_email",
            "must not have characters that stand for others",
        );
        let text = text.trim();
        if text.len() > MAX_LENGTH {
            return Err(Rule::new("too_long", "must have at most 254 characters"));
        }
        if !is_nfkc(text) {
            return Err(AMBIGUOUS);
        }
        let (local, typed_domain) = text.split_once('@').ok_or(INVALID)?;
        let domain = idna::domain_to_ascii_strict(typed_domain).map_err(|_| INVALID)?;
        // Characters that IDNA leaves out, such as a zero-width space, make look-alikes too.
        if !typed_domain.is_ascii()
            && idna::domain_to_unicode(&domain).0 != typed_domain.to_lowercase()
        {
            return Err(AMBIGUOUS);
        }
        // What looks like a domain but is an address literal or a single label gets no mail.
        let last = domain.rsplit('.').next().unwrap_or_default();
        let is_number = last.starts_with(|c: char| c.is_ascii_digit());
        if !domain.contains('.') || is_number {
            return Err(INVALID);
        }
        let address = format!("{local}@{domain}");
        if address.len() > MAX_LENGTH || local.len() > 64 || !address.validate_email() {
            return Err(INVALID);
        }
        if local.starts_with('.') || local.ends_with('.') || local.contains("..") {
            return Err(INVALID);
        }
        // An encoded word (RFC 2047), behind which mail programs may see another address.
        if local.contains("=?") {
            return Err(AMBIGUOUS);
        }
        Ok(Self(address))
    }

    /// An address that the database holds.
    #[must_use]
    pub fn from_database(address: String) -> Self {
        Self(address)
    }

    /// The address for one who may know that it is there, but not which one it is: its first
    /// character and its domain.
    #[must_use]
    pub fn masked(&self) -> String {
        let (local, domain) = self.0.split_once('@').unwrap_or_default();
        let first: String = local.chars().take(1).collect();
        format!("{first}…@{domain}")
    }

    /// The address, to store it or send to it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What addresses are compared by.
    #[must_use]
    pub fn normalized(&self) -> String {
        self.0.to_ascii_lowercase()
    }
}

impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Email(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_keep_their_local_part_and_get_an_ascii_domain() {
        for (typed, kept) in [
            ("john.doe@example.com", "john.doe@example.com"),
            ("  John.Doe+tag@EXAMPLE.com ", "John.Doe+tag@example.com"),
            ("ada@bücher.example", "ada@xn--bcher-kva.example"),
            ("o'hara@example.co.uk", "o'hara@example.co.uk"),
        ] {
            assert_eq!(Email::parse(typed).unwrap().as_str(), kept);
        }
        let upper = Email::parse("A@BÜCHER.example").unwrap();
        assert_eq!(
            upper.normalized(),
            Email::parse("a@bücher.example").unwrap().normalized()
        );
    }

    #[test]
    fn a_masked_address_shows_its_first_character_and_its_domain() {
        for (address, shown) in [
            ("ada@example.com", "a…@example.com"),
            ("x@example.com", "x…@example.com"),
            ("Übung@example.com", "Ü…@example.com"),
        ] {
            let address = Email::from_database(address.to_owned());
            assert_eq!(address.masked(), shown);
        }
    }

    #[test]
    fn what_is_no_address_or_looks_like_another_is_refused() {
        let long = format!("{}@{}.example", "a".repeat(60), "b.".repeat(120));
        for typed in [
            "",
            " ",
            "@",
            "a@",
            "@b.example",
            "plain",
            "a@b",
            "a@b@c.example",
            "a b@c.example",
            "\"a b\"@c.example",
            "a@127.0.0.1",
            "a@1.2.3",
            "a@0x7f.0x1",
            "a@[127.0.0.1]",
            "a\0@b.example",
            "a\n@b.example",
            "a@b.example\u{7f}",
            ".a@b.example",
            "a.@b.example",
            "a..b@c.example",
            "ａdmin@example.com",
            "admin@ｅxample.com",
            "ﬁ@example.com",
            "аdmin@example.com",
            "a@exa\u{200b}mple.com",
            "a@example.com.",
            "a@-b.example",
            "a@b_c.example",
            "<a@b.example>",
            "=?utf-8?q?vic=40bank?=@example.com",
            &long,
        ] {
            assert!(Email::parse(typed).is_err(), "{typed:?} was taken");
        }
    }

    #[test]
    fn debug_hides_the_address() {
        assert!(!format!("{:?}", Email::parse("a@b.example").unwrap()).contains("b.example"));
    }
}
