//! Cursors: where the next page of a list begins, signed, so that a client can only give back what he was
//! given.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};

use crate::{
    error::{Error, FieldError},
    infra::keys::PurposeKey,
};

/// Bytes of a tag.
const TAG: usize = 16;
/// Most characters of a cursor, so that a made-up one costs nothing.
const MAX_LENGTH: usize = 512;

/// Makes and reads cursors.
#[derive(Debug, Clone)]
pub struct Cursors(PurposeKey);

impl Cursors {
    /// Cursors signed by `key`. Those that clients have are refused when it changes.
    #[must_use]
    pub fn new(key: PurposeKey) -> Self {
        Self(key)
    }

    /// The cursor of a place in this list.
    #[must_use]
    pub fn make(&self, list: &str, place: &[u8]) -> String {
        let tag = self.0.tag(&[list.as_bytes(), place]);
        BASE64_URL_SAFE_NO_PAD.encode([place, &tag[..TAG]].concat())
    }

    /// The place that a cursor of this list stands for.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] where we didn't make it, or for another list.
    pub fn read(&self, list: &str, cursor: &str) -> Result<Vec<u8>, Error> {
        self.read_ours(list, cursor).ok_or_else(invalid_cursor)
    }

    fn read_ours(&self, list: &str, cursor: &str) -> Option<Vec<u8>> {
        if cursor.len() > MAX_LENGTH {
            return None;
        }
        let mut place = BASE64_URL_SAFE_NO_PAD.decode(cursor).ok()?;
        let tag = place.split_off(place.len().checked_sub(TAG)?);
        let parts = [list.as_bytes(), &place];
        self.0.verify_beginning(&parts, &tag).then_some(place)
    }
}

/// What is told of a cursor that isn't ours.
#[must_use]
pub fn invalid_cursor() -> Error {
    Error::invalid(FieldError {
        location: vec!["query".into(), "cursor".into()],
        message: "must be one that this list gave, as it was".into(),
        kind: "invalid_cursor",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cursors(secret: &str) -> Cursors {
        Cursors::new(PurposeKey::derive(&secret.to_owned().into(), "cursors"))
    }

    #[test]
    fn only_cursors_of_ours_and_of_this_list_are_read() {
        let ours = cursors("ours");
        let cursor = ours.make("users", b"a place");
        assert_eq!(ours.read("users", &cursor).unwrap(), b"a place");
        assert!(ours.read("events", &cursor).is_err());
        assert!(cursors("others").read("users", &cursor).is_err());
        for position in 0..cursor.len() {
            let mut changed = cursor.clone();
            let other = if &changed[position..=position] == "A" {
                "B"
            } else {
                "A"
            };
            changed.replace_range(position..=position, other);
            assert!(ours.read("users", &changed).is_err(), "{position}");
        }
        for bad in ["", "A", "ä", &cursor[1..], &"A".repeat(10_000)] {
            assert!(ours.read("users", bad).is_err());
        }
    }
}
