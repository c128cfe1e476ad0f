//! Phone numbers.

use std::{fmt, str::FromStr};

use phonenumber::{Mode, country};
use unicode_normalization::UnicodeNormalization as _;

use crate::error::Rule;

/// Longest text that is looked at, in bytes: far more than any number needs.
const MAX_LENGTH: usize = 64;

/// A phone number in the form of E.164: a plus, the country's code, and the number in the country.
///
/// A number need not be one that is in use today: numbering plans change faster than programs.
///
/// Its `Debug` hides it: numbers stay out of logs.
#[derive(Clone, PartialEq, Eq)]
pub struct PhoneNumber(String);

/// The country whose numbers may stand without its code, by ISO 3166-1: `US`, `DE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Region(country::Id);

impl FromStr for Region {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let id = text.to_ascii_uppercase().parse();
        id.map(Self)
            .map_err(|_| "must be the two letters of a country, such as US or DE")
    }
}

impl PhoneNumber {
    /// Reads a number as people write it; one without a country's code is of `region`.
    ///
    /// # Errors
    ///
    /// The rule that `text` breaks.
    pub fn parse(text: &str, region: Region) -> Result<Self, Rule> {
        const INVALID: Rule = Rule::new("invalid_phone_number", "must be a valid phone number");
        if text.len() > MAX_LENGTH {
            return Err(INVALID);
        }
        // Numbers are copied with spaces that don't break.
        let text: String = text.trim().nfkc().collect();
        // The library would read letters as the digits of their keys, and extensions.
        let is_plain = |c: char| c.is_ascii_digit() || "+-./() ".contains(c);
        if !text.chars().all(is_plain) {
            return Err(INVALID);
        }
        // The zero that is only dialled within the country.
        let text = text.replace("(0)", "");
        let is_international = text.starts_with('+');
        // The library would take the default country's prefix from any number.
        let region = (!is_international).then_some(region.0);
        let number = phonenumber::parse(region, &text).map_err(|_| INVALID)?;
        let kept = number.format().mode(Mode::E164).to_string();
        let digits = kept.strip_prefix('+').ok_or(INVALID)?;
        // E.164 has 15 digits at most; no country has numbers of less than 7 with its code.
        if !(7..=15).contains(&digits.len()) || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(INVALID);
        }
        // Of a number that isn't in use the library may have taken a digit for a prefix: what isn't
        // kept as it was typed must be one that is.
        let typed: String = text.chars().filter(char::is_ascii_digit).collect();
        let is_kept_whole = is_international && digits == typed;
        if !is_kept_whole && !number.is_valid() {
            return Err(INVALID);
        }
        Ok(Self(kept))
    }

    /// The same for an older API whose clients have numbers such as `1234567890`, which no country
    /// has: ten bare digits are kept as they stand. Only the adapter of that API may call this, and imports,
    /// which bring back what an export has written.
    ///
    /// # Errors
    ///
    /// The rule that `text` breaks.
    pub fn parse_or_bare(text: &str, region: Region) -> Result<Self, Rule> {
        Self::parse(text, region).or_else(|rule| {
            let bare = text.trim();
            let is_bare = bare.len() == 10 && bare.bytes().all(|b| b.is_ascii_digit());
            is_bare.then(|| Self(bare.to_owned())).ok_or(rule)
        })
    }

    /// A number that the database holds.
    #[must_use]
    pub fn from_database(number: String) -> Self {
        Self(number)
    }

    /// Its digits within its country, without the country's code.
    #[must_use]
    pub fn national_digits(&self) -> String {
        match phonenumber::parse(None, &self.0) {
            Ok(number) => number.national().to_string(),
            // Digits of an older client, of no country.
            Err(_) => self.0.trim_start_matches('+').to_owned(),
        }
    }

    /// The number, to store or show it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PhoneNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PhoneNumber(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_number_has_one_form_however_it_is_written() {
        let us: Region = "us".parse().unwrap();
        let german: Region = "DE".parse().unwrap();
        for (typed, region, kept) in [
            ("+14155552671", german, "+14155552671"),
            (" (415) 555-2671 ", us, "+14155552671"),
            ("1-415-555-2671", us, "+14155552671"),
            ("+44 20 7946 0958", us, "+442079460958"),
            ("030 901820", german, "+4930901820"),
            ("0049 30 901820", german, "+4930901820"),
            ("415\u{a0}555\u{a0}2671", us, "+14155552671"),
            ("\u{ff0b}\u{ff11}4155552671", us, "+14155552671"),
            ("+49 151 20295678", us, "+4915120295678"),
            ("+8613912345678", us, "+8613912345678"),
            ("+86 139 0029 5678", us, "+8613900295678"),
            ("+33142340000", us, "+33142340000"),
            ("+82 10 0029 5678", us, "+821000295678"),
            ("+390612345678", german, "+390612345678"),
            ("+44 (0)20 7946 0958", us, "+442079460958"),
            ("+4402079460958", us, "+442079460958"),
            ("+1(0)4155552671", german, "+14155552671"),
            ("011 44 20 7946 0958", us, "+442079460958"),
            ("+1 555 123 4567", german, "+15551234567"),
        ] {
            let number = PhoneNumber::parse(typed, region).map(|number| number.0);
            assert_eq!(number.as_deref(), Ok(kept), "{typed}");
        }
    }

    #[test]
    fn what_is_no_number_is_refused() {
        let us: Region = "US".parse().unwrap();
        for bad in [
            "",
            "+",
            "bob",
            // They would lose a digit, and be other numbers.
            "1234567890",
            "555 123 4567",
            "001 415 555 2671",
            "89161234567",
            "1-800-FLOWERS",
            "415-555-2671 ext. 5",
            "415\n5552671",
            "12",
            "+1234567890123456",
            "+999123456789",
            &"1".repeat(65),
            "٤١٥٥٥٥٢٦٧١",
        ] {
            assert!(PhoneNumber::parse(bad, us).is_err(), "{bad:?}");
        }
        assert!("XX".parse::<Region>().is_err());
        assert!("USA".parse::<Region>().is_err());
    }

    #[test]
    fn only_an_older_api_has_ten_bare_digits_of_no_country() {
        let us: Region = "US".parse().unwrap();
        for (typed, kept) in [
            ("1234567890", "1234567890"),
            (" 1234567890 ", "1234567890"),
            ("(415) 555-2671", "+14155552671"),
            ("4155552671", "+14155552671"),
        ] {
            let number = PhoneNumber::parse_or_bare(typed, us);
            assert_eq!(number.unwrap().as_str(), kept);
        }
        for bad in [
            "",
            "123456789",
            "1234567890x",
            "123456789012",
            "123-456-7890",
            "12345 7890",
            "bob",
        ] {
            assert!(PhoneNumber::parse_or_bare(bad, us).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_digits_within_the_country_are_without_its_code() {
        for (kept, digits) in [
            ("+14155552671", "4155552671"),
            ("+4930901820", "30901820"),
            ("+390236618300", "0236618300"),
            ("1234567890", "1234567890"),
        ] {
            let number = PhoneNumber::from_database(kept.to_owned());
            assert_eq!(number.national_digits(), digits);
        }
    }

    #[test]
    fn debug_output_tells_no_number() {
        let number = PhoneNumber::parse("+14155552671", "US".parse().unwrap()).unwrap();
        assert!(!format!("{number:?}").contains("2671"));
    }
}
