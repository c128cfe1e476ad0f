//! Sealing: short secrets encrypted before they are stored in the database.
//!
//! A sealed secret is `version (1 byte) ‖ nonce (12) ‖ ciphertext ‖ tag (16)`, AES-256-GCM
//! (NIST SP 800-38D). The key is derived by HKDF-SHA-256 (RFC 5869) from the master secret and a
//! purpose, so that what is sealed for one purpose does not open for another.

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    hkdf,
};
use secrecy::SecretSlice;

use super::random::Random;

const VERSION: u8 = 1;

/// Encrypts and decrypts the secrets of one purpose.
pub struct Sealer {
    key: LessSafeKey,
}

/// A sealed secret did not open: it was changed, or sealed with another key, another purpose or
/// other associated data. Which of these is not told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a sealed secret cannot be opened")]
pub struct OpenError;

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sealer").finish_non_exhaustive()
    }
}

impl Sealer {
    /// A sealer whose key comes from `master` (at least 32 bytes of entropy) for `purpose`.
    #[must_use]
    pub fn new(master: &[u8], purpose: &str) -> Self {
        let salt = hkdf::Salt::new(hkdf::HKDF_SHA256, b"user-management sealer 1");
        let key = salt
            .extract(master)
            .expand(&[purpose.as_bytes()], &AES_256_GCM)
            .map(UnboundKey::from)
            .map(LessSafeKey::new)
            .expect("a key of 32 bytes is within the limit of HKDF, 255 times 32");
        Self { key }
    }

    /// Seals `plain`. It opens only with the same `aad`, which binds it to its place: take what
    /// names the row, such as a message id.
    ///
    /// The nonce is random, so one key is good for 2³² secrets (SP 800-38D, section 8.3).
    #[must_use]
    pub fn seal(&self, random: &dyn Random, aad: &[u8], plain: &[u8]) -> Vec<u8> {
        let nonce: [u8; NONCE_LEN] = random.bytes();
        let mut sealed = vec![VERSION];
        sealed.extend(nonce);
        let mut text = plain.to_vec();
        self.key
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(bound(aad)),
                &mut text,
            )
            .expect("AES-GCM takes any text that fits in memory");
        sealed.append(&mut text);
        sealed
    }

    /// Opens what [`seal`](Self::seal) made with the same `aad`.
    ///
    /// # Errors
    ///
    /// [`OpenError`] where a byte of it, the key or `aad` is another.
    pub fn open(&self, aad: &[u8], sealed: &[u8]) -> Result<SecretSlice<u8>, OpenError> {
        let (&version, rest) = sealed.split_first().ok_or(OpenError)?;
        let (nonce, text) = rest.split_first_chunk().ok_or(OpenError)?;
        if version != VERSION {
            return Err(OpenError);
        }
        let mut text = text.to_vec();
        let length = self
            .key
            .open_in_place(
                Nonce::assume_unique_for_key(*nonce),
                Aad::from(bound(aad)),
                &mut text,
            )
            .map_err(|_| OpenError)?
            .len();
        text.truncate(length);
        Ok(text.into())
    }
}

/// The associated data with the version before it, so that the version cannot be changed either.
fn bound(aad: &[u8]) -> Vec<u8> {
    let mut bytes = vec![VERSION];
    bytes.extend(aad);
    bytes
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;
    use crate::infra::random::SeededRandom;

    const MASTER: [u8; 32] = [7; 32];

    fn sealed() -> (Sealer, Vec<u8>) {
        let sealer = Sealer::new(&MASTER, "test");
        let sealed = sealer.seal(&SeededRandom::new(1), b"message 1", b"the token");
        (sealer, sealed)
    }

    #[test]
    fn what_was_sealed_opens() {
        let (sealer, sealed) = sealed();
        let opened = sealer.open(b"message 1", &sealed).unwrap();
        assert_eq!(opened.expose_secret(), b"the token");
        assert_eq!(sealed.len(), 1 + 12 + 9 + 16);
        assert!(!sealed.windows(9).any(|window| window == b"the token"));
        let empty = sealer.seal(&SeededRandom::new(2), b"", b"");
        assert!(sealer.open(b"", &empty).unwrap().expose_secret().is_empty());
    }

    #[test]
    fn each_sealing_has_a_nonce_of_its_own() {
        let sealer = Sealer::new(&MASTER, "test");
        let random = SeededRandom::new(1);
        assert_ne!(
            sealer.seal(&random, b"a", b"same"),
            sealer.seal(&random, b"a", b"same")
        );
    }

    #[test]
    fn a_change_of_any_byte_is_refused() {
        let (sealer, sealed) = sealed();
        for position in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[position] ^= 1;
            assert_eq!(
                sealer.open(b"message 1", &changed).err(),
                Some(OpenError),
                "byte {position}"
            );
        }
        for length in 0..sealed.len() {
            assert!(sealer.open(b"message 1", &sealed[..length]).is_err());
        }
    }

    #[test]
    fn another_key_purpose_or_place_does_not_open_it() {
        let (sealer, sealed) = sealed();
        assert!(sealer.open(b"message 2", &sealed).is_err());
        for other in [
            Sealer::new(&[8; 32], "test"),
            Sealer::new(&MASTER, "another"),
        ] {
            assert!(other.open(b"message 1", &sealed).is_err());
        }
    }
}
