//! Passwords as people type and choose them.

use std::{fmt, sync::LazyLock};

use secrecy::{ExposeSecret as _, SecretString};
use unicode_normalization::UnicodeNormalization as _;

use super::{email::Email, nickname::Nickname, phone::PhoneNumber};
use crate::error::Rule;

/// Fewest characters (NIST SP 800-63B, 5.1.1.2).
pub const MIN_CHARACTERS: usize = 8;
/// Most characters.
pub const MAX_CHARACTERS: usize = 128;
/// Most bytes, checked before anything is done with a password.
pub const MAX_BYTES: usize = 512;

/// The commonest passwords of eight characters and more, lower case, one a line, sorted by bytes.
static COMMON: LazyLock<&'static str> = LazyLock::new(|| include_str!("common_passwords.txt"));

/// A password as it was typed, to be compared with a hash. `Debug` hides it.
#[derive(Clone)]
pub struct TypedPassword(SecretString);

impl TypedPassword {
    /// Keeps what was typed.
    #[must_use]
    pub fn new(typed: String) -> Self {
        Self(typed.into())
    }

    /// As typed; none when it is longer than any password can be.
    #[must_use]
    pub fn expose(&self) -> Option<&str> {
        let typed = self.0.expose_secret();
        (typed.len() <= MAX_BYTES).then_some(typed)
    }
}

impl fmt::Debug for TypedPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TypedPassword(…)")
    }
}

/// A password that may be an account's: normalized (NFKC), neither trimmed nor cut. `Debug` hides
/// it.
#[derive(Clone)]
pub struct Password {
    text: SecretString,
    policy: Policy,
}

/// Which rules a password is held to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Policy {
    /// All of them.
    Full,
    /// Not to be empty.
    Relaxed,
}

impl Password {
    /// Takes a password that somebody chose.
    ///
    /// # Errors
    ///
    /// The rule that it breaks: length, or being among the commonest.
    pub fn parse(typed: &TypedPassword) -> Result<Self, Rule> {
        const TOO_LONG: Rule = Rule::new("password_too_long", "must have at most 128 characters");
        let normalized: String = typed.expose().ok_or(TOO_LONG)?.nfkc().collect();
        let characters = normalized.chars().count();
        if characters < MIN_CHARACTERS {
            return Err(Rule::new(
                "password_too_short",
                "must have at least 8 characters",
            ));
        }
        if characters > MAX_CHARACTERS || normalized.len() > MAX_BYTES {
            return Err(TOO_LONG);
        }
        if is_common(&normalized.to_lowercase()) {
            return Err(Rule::new(
                "password_too_common",
                "is one of the commonest passwords",
            ));
        }
        Ok(Self {
            text: normalized.into(),
            policy: Policy::Full,
        })
    }

    /// Takes a password that somebody chose by an older API whose clients know no policy: only the
    /// adapter of that API may call this. It is not to be empty, and has at most 512 bytes.
    ///
    /// # Errors
    ///
    /// The rule that it breaks.
    pub fn parse_relaxed(typed: &TypedPassword) -> Result<Self, Rule> {
        const TOO_LONG: Rule = Rule::new("password_too_long", "must have at most 512 bytes");
        let normalized: String = typed.expose().ok_or(TOO_LONG)?.nfkc().collect();
        if normalized.is_empty() {
            return Err(Rule::new("password_too_short", "must not be empty"));
        }
        if normalized.len() > MAX_BYTES {
            return Err(TOO_LONG);
        }
        Ok(Self {
            text: normalized.into(),
            policy: Policy::Relaxed,
        })
    }

    /// Checks it against the account that it is for.
    ///
    /// # Errors
    ///
    /// The rule that a password doesn't contain the account's own address, nickname or phone number,
    /// however the number is written. A [relaxed](Self::parse_relaxed) one may.
    pub fn check_owner(
        &self,
        email: Option<&Email>,
        nickname: Option<&Nickname>,
        phone_number: Option<&PhoneNumber>,
    ) -> Result<(), Rule> {
        if self.policy == Policy::Relaxed {
            return Ok(());
        }
        let password = self.text.expose_secret().to_lowercase();
        let own_address = email.map(Email::normalized);
        let own_name = nickname.map(|nickname| nickname.as_str().to_lowercase());
        let own_number = phone_number.map(PhoneNumber::national_digits);
        let unspaced: String = password
            .chars()
            .filter(|c| !"+-./() ".contains(*c))
            .collect();
        if own_number.is_some_and(|own| unspaced.contains(&own))
            || [own_address, own_name]
                .iter()
                .flatten()
                .any(|own| password.contains(own))
        {
            return Err(Rule::new(
                "password_contains_identifier",
                "must not contain the account's e-mail address, phone number or nickname",
            ));
        }
        Ok(())
    }

    /// The normalized password.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.text.expose_secret()
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

fn is_common(lower: &str) -> bool {
    // A binary search by bytes in the text itself: it costs no memory beyond the program's pages.
    let text = *COMMON;
    let (mut low, mut high) = (0, text.len());
    while low < high {
        let middle = low + (high - low) / 2;
        let start = text.as_bytes()[low..middle]
            .iter()
            .rposition(|b| *b == b'\n')
            .map_or(low, |at| low + at + 1);
        let end = text.as_bytes()[start..]
            .iter()
            .position(|b| *b == b'\n')
            .map_or(text.len(), |at| start + at);
        match text.as_bytes()[start..end].cmp(lower.as_bytes()) {
            std::cmp::Ordering::Equal => return true,
            std::cmp::Ordering::Less => low = end + 1,
            std::cmp::Ordering::Greater => high = start,
        }
    }
    false
}

/// The stored hash of a password: a PHC or modular-crypt string. `Debug` hides it.
#[derive(Clone)]
pub struct PasswordHash(SecretString);

impl PasswordHash {
    /// Keeps a hash.
    #[must_use]
    pub fn new(hash: String) -> Self {
        Self(hash.into())
    }

    /// The hash, to store or compare it.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(typed: &str) -> Result<Password, Rule> {
        Password::parse(&TypedPassword::new(typed.to_owned()))
    }

    #[test]
    fn length_counts_characters_after_normalization() {
        for good in [
            "Secure*1234",
            "correct horse battery staple",
            "        ",
            "пароль-длинный",
            &"x".repeat(128),
        ] {
            assert!(parse(good).is_ok(), "{good:?}");
        }
        for (bad, kind) in [
            ("", "password_too_short"),
            ("7 chars", "password_too_short"),
            (&"x".repeat(129), "password_too_long"),
            (&"x".repeat(100_000), "password_too_long"),
            (&"\u{1f600}".repeat(128), "ok"),
            (&"\u{fdfa}".repeat(28), "password_too_long"),
        ] {
            assert_eq!(
                parse(bad).err().map_or("ok", |rule| rule.kind),
                kind,
                "{bad:?}"
            );
        }
        assert_eq!(parse("ﬁﬁﬁﬁ").unwrap().expose(), "fifififi");
    }

    #[test]
    fn every_listed_password_is_found_and_nothing_between_them() {
        let listed: Vec<_> = COMMON.lines().collect();
        assert!(
            listed.len() > 5_000,
            "only {} common passwords",
            listed.len()
        );
        assert!(listed.is_sorted_by(|a, b| a.as_bytes() < b.as_bytes()));
        for password in &listed {
            assert!(is_common(password), "{password}");
            assert!(!is_common(&format!("{password}\u{1}")));
        }
        for password in ["Password1", "12345678", "QWERTYUIOP"] {
            assert_eq!(parse(password).unwrap_err().kind, "password_too_common");
        }
    }

    #[test]
    fn the_own_name_is_no_password() {
        let email = Email::parse("john@example.com").unwrap();
        let nickname = Nickname::parse("clever_panda_417").unwrap();
        let number = PhoneNumber::from_database("+14155552671".to_owned());
        let check = |typed: &str| {
            parse(typed)
                .unwrap()
                .check_owner(Some(&email), Some(&nickname), Some(&number))
        };
        assert!(check("xJOHN@example.com1").is_err());
        assert!(check("Clever_Panda_417").is_err());
        assert!(check("john loves example.com").is_ok());
        assert!(check("call +1 (415) 555-2671").is_err());
        assert!(check("x4155552671").is_err());
        assert!(check("415 and 5552671").is_ok());
    }

    #[test]
    fn a_relaxed_password_is_only_not_empty() {
        let relaxed = |typed: &str| Password::parse_relaxed(&TypedPassword::new(typed.to_owned()));
        for good in [
            "t4rt1",
            "x",
            "password1",
            "ada@example.com",
            &"x".repeat(512),
        ] {
            let password = relaxed(good).unwrap();
            assert_eq!(password.expose(), good);
            let own = Email::parse("ada@example.com").unwrap();
            assert!(password.check_owner(Some(&own), None, None).is_ok());
        }
        assert_eq!(relaxed("ﬁ").unwrap().expose(), "fi");
        assert_eq!(relaxed("").unwrap_err().kind, "password_too_short");
        for long in ["x".repeat(513), "\u{fdfa}".repeat(170)] {
            assert_eq!(relaxed(&long).unwrap_err().kind, "password_too_long");
        }
    }

    #[test]
    fn debug_hides_passwords_and_hashes() {
        let shown = format!(
            "{:?} {:?} {:?}",
            TypedPassword::new("Secure*1234".into()),
            parse("Secure*1234").unwrap(),
            PasswordHash::new("$argon2id$".into())
        );
        assert!(!shown.contains("Secure") && !shown.contains("argon2id"));
    }
}
