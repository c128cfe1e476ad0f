//! The form by which texts are compared when users are searched for.

use unicode_normalization::UnicodeNormalization as _;

/// `text` in lower case and without accents, as `search_form` of the database makes it of what users
/// are called: compatibility decomposition (NFKD), less the combining marks.
///
/// Where the database's locale isn't one of UTF-8, it leaves letters of other scripts than Latin as they are.
#[must_use]
pub fn search_form(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    text.nfkd()
        .flat_map(char::to_lowercase)
        .filter(|c| !matches!(c, '\u{300}'..='\u{36f}'))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_and_accents_make_no_difference() {
        for (written, form) in [
            ("Ada_L", "ada_l"),
            ("José", "jose"),
            ("ÅNGSTRÖM", "angstrom"),
            ("İstanbul", "istanbul"),
            ("ΣΑΣ", "σασ"),
            ("李明", "李明"),
            ("ﬁn", "fin"),
        ] {
            assert_eq!(search_form(written), form);
        }
    }
}
