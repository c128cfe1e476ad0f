//! Keys for one purpose each, derived from the one secret that the settings give.

use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::Sha256;

/// A key that signs or hashes for one purpose. `Debug` hides it.
#[derive(Clone)]
pub struct PurposeKey(Hmac<Sha256>);

impl PurposeKey {
    /// The key of `purpose`: HMAC-SHA-256 of its name under the secret (NIST SP 800-108, a single block).
    #[must_use]
    pub fn derive(secret: &SecretString, purpose: &str) -> Self {
        Self(keyed(
            &Self(keyed(secret.expose_secret().as_bytes())).tag(&[purpose.as_bytes()]),
        ))
    }

    /// The tag of a message, its parts told apart by their lengths.
    #[must_use]
    pub fn tag(&self, parts: &[&[u8]]) -> [u8; 32] {
        self.fed(parts).finalize().into_bytes().into()
    }

    /// Whether `tag` is the message's, in constant time.
    #[must_use]
    pub fn verify(&self, parts: &[&[u8]], tag: &[u8]) -> bool {
        self.fed(parts).verify_slice(tag).is_ok()
    }

    /// Whether `tag`, of 16 bytes or more, is the beginning of the message's, in constant time.
    #[must_use]
    pub fn verify_beginning(&self, parts: &[&[u8]], tag: &[u8]) -> bool {
        tag.len() >= 16 && self.fed(parts).verify_truncated_left(tag).is_ok()
    }

    fn fed(&self, parts: &[&[u8]]) -> Hmac<Sha256> {
        let mut mac = self.0.clone();
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac
    }
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes keys of any length")
}

impl std::fmt::Debug for PurposeKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PurposeKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_different_purposes_and_secrets_differ() {
        let key = |secret: &str, purpose| PurposeKey::derive(&secret.to_owned().into(), purpose);
        let tag = key("secret", "a").tag(&[b"x"]);
        assert!(key("secret", "a").verify(&[b"x"], &tag));
        assert!(!key("secret", "b").verify(&[b"x"], &tag));
        assert!(!key("other", "a").verify(&[b"x"], &tag));
        assert_ne!(
            key("secret", "a").tag(&[b"ab", b"c"]),
            key("secret", "a").tag(&[b"a", b"bc"])
        );
    }
}
