//! Cursors: places in lists, as clients carry them from page to page.
//!
//! A cursor is sealed: nobody makes one up, and what it holds (a user's address, where a list is sorted
//! by that) shows in no log of URLs.

use anyhow::Context as _;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    error::{Error, FieldError, Result, Rule},
    infra::{random::Random, sealer::Sealer},
};

/// Makes and reads cursors.
pub struct Cursors(Sealer);

impl Cursors {
    /// Cursors under the service's secret.
    #[must_use]
    pub fn new(secret: &SecretString) -> Self {
        Self(Sealer::new(secret.expose_secret().as_bytes(), "cursor"))
    }

    /// The cursor of a place in this list: `list` tells apart lists, their filters and their orders.
    ///
    /// # Errors
    ///
    /// Never by what it is given.
    pub fn seal<T: Serialize>(
        &self,
        random: &dyn Random,
        list: &[u8],
        place: &T,
    ) -> Result<String> {
        let plain = serde_json::to_vec(place).context("can't write a cursor")?;
        Ok(URL_SAFE_NO_PAD.encode(self.0.seal(random, list, &plain)))
    }

    /// The place of a cursor of this list.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] naming the parameter `cursor` when it is none of ours, or of another list.
    pub fn open<T: DeserializeOwned>(&self, list: &[u8], cursor: &str) -> Result<T> {
        let read = || {
            let sealed = URL_SAFE_NO_PAD.decode(cursor).ok()?;
            let plain = self.0.open(list, &sealed).ok()?;
            serde_json::from_slice(plain.expose_secret()).ok()
        };
        read().ok_or_else(|| {
            let rule = Rule::new(
                "invalid_cursor",
                "must be one that a page with the same filters and the same order gave; begin again without it",
            );
            Error::invalid(FieldError::query("cursor", rule))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::infra::random::SeededRandom;

    #[test]
    fn a_cursor_is_of_one_list_and_can_be_neither_read_nor_made_up() {
        let random = SeededRandom::new(1);
        let cursors = Cursors::new(&SecretString::from("0123456789abcdef0123456789abcdef"));
        let place = vec!["ada@example.com".to_owned()];
        let cursor = cursors.seal(&random, b"users", &place).unwrap();
        assert_eq!(
            cursors.open::<Vec<String>>(b"users", &cursor).unwrap(),
            place
        );
        assert!(cursors.open::<Vec<String>>(b"others", &cursor).is_err());
        let mut forged = URL_SAFE_NO_PAD.decode(&cursor).unwrap();
        assert!(!forged.windows(3).any(|part| part == b"ada"));
        for at in 0..forged.len() {
            forged[at] ^= 1;
            let changed = URL_SAFE_NO_PAD.encode(&forged);
            assert!(cursors.open::<Vec<String>>(b"users", &changed).is_err());
            forged[at] ^= 1;
        }
        let other = Cursors::new(&SecretString::from("another secret of thirty-two char"));
        for bad in [&*cursor, "", "x", "ä"] {
            assert!(other.open::<Vec<String>>(b"users", bad).is_err());
        }
    }
}
