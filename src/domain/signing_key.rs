//! Keys of access tokens: algorithms, names of keys, and how long a retired one still counts.

use std::{fmt, str::FromStr};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc};
use sha2::{Digest as _, Sha256};

/// The longest life of an access token, whatever the settings say.
pub const LONGEST_TOKEN_LIFE: TimeDelta = TimeDelta::minutes(15);

/// For how long an instance may go by the keys that it read from the database.
pub const LONGEST_LIST_LIFE: TimeDelta = TimeDelta::seconds(10);

/// How long after its retirement a key may still have signed: for instances that hear of it late
/// ([`LONGEST_LIST_LIFE`]), and for clocks that differ.
pub const RETIREMENT_LEEWAY: TimeDelta = TimeDelta::minutes(1);

/// How long a retired key stays in the database, for people to look at.
const KEPT_AFTER_RETIREMENT: TimeDelta = TimeDelta::days(7);

/// How access tokens are signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// HMAC with SHA-256.
    Hs256,
    /// HMAC with SHA-384.
    Hs384,
    /// HMAC with SHA-512.
    Hs512,
    /// By the private key of a pair.
    KeyPair(KeyAlgorithm),
}

/// The signatures of key pairs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyAlgorithm {
    /// Ed25519 (RFC 8037).
    EdDsa,
    /// ECDSA on P-256 with SHA-256 (RFC 7518, 3.4).
    Es256,
}

impl KeyAlgorithm {
    /// Every algorithm.
    pub const ALL: [Self; 2] = [Self::EdDsa, Self::Es256];

    /// The name in tokens and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::EdDsa => "EdDSA",
            Self::Es256 => "ES256",
        }
    }

    /// The algorithm of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == name)
    }
}

impl Algorithm {
    /// The name in tokens.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::Hs384 => "HS384",
            Self::Hs512 => "HS512",
            Self::KeyPair(algorithm) => algorithm.as_str(),
        }
    }
}

impl FromStr for Algorithm {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "HS256" => Ok(Self::Hs256),
            "HS384" => Ok(Self::Hs384),
            "HS512" => Ok(Self::Hs512),
            name => KeyAlgorithm::from_name(name)
                .map(Self::KeyPair)
                .ok_or("must be HS256, HS384, HS512, EdDSA or ES256"),
        }
    }
}

/// The public key of a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PublicKey {
    /// A point of Ed25519, as RFC 8032 encodes it.
    Ed25519([u8; 32]),
    /// A point of P-256.
    P256 {
        /// Its first coordinate, big-endian.
        x: [u8; 32],
        /// Its second coordinate, big-endian.
        y: [u8; 32],
    },
}

/// The members of a public key as a JSON Web Key (RFC 7517; RFC 7518, 6.2; RFC 8037, 2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JwkMembers {
    /// The key's family.
    pub kty: &'static str,
    /// The curve.
    pub crv: &'static str,
    /// The first coordinate, or all of the point, in URL-safe Base64.
    pub x: String,
    /// The second coordinate, where the point has one.
    pub y: Option<String>,
}

impl PublicKey {
    /// What it verifies.
    #[must_use]
    pub fn algorithm(&self) -> KeyAlgorithm {
        match self {
            Self::Ed25519(_) => KeyAlgorithm::EdDsa,
            Self::P256 { .. } => KeyAlgorithm::Es256,
        }
    }

    /// Its members as a JSON Web Key.
    #[must_use]
    pub fn jwk(&self) -> JwkMembers {
        let base64 = |bytes: &[u8; 32]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
        match self {
            Self::Ed25519(x) => JwkMembers {
                kty: "OKP",
                crv: "Ed25519",
                x: base64(x),
                y: None,
            },
            Self::P256 { x, y } => JwkMembers {
                kty: "EC",
                crv: "P-256",
                x: base64(x),
                y: Some(base64(y)),
            },
        }
    }

    /// Its name: the thumbprint by RFC 7638, the SHA-256 of its members in alphabetical order.
    #[must_use]
    pub fn id(&self) -> KeyId {
        let JwkMembers { kty, crv, x, y } = self.jwk();
        let y = y.map(|y| format!(r#","y":"{y}""#)).unwrap_or_default();
        let members = format!(r#"{{"crv":"{crv}","kty":"{kty}","x":"{x}"{y}}}"#);
        KeyId(BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(members)))
    }
}

/// The name of a key pair, the `kid` of tokens: 256 bits in URL-safe Base64.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct KeyId(String);

impl KeyId {
    /// Reads a name; none if it can't be one of ours.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
        (bytes.len() == 32).then(|| Self(text.to_owned()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Until when the tokens of a key are accepted that was retired at `retired_at`, exclusively: the
/// last of its tokens has expired by then, and whoever has stolen the key may sign what he likes.
#[must_use]
pub fn accepted_until(retired_at: DateTime<Utc>) -> DateTime<Utc> {
    retired_at + LONGEST_TOKEN_LIFE + RETIREMENT_LEEWAY
}

/// Keys that were retired before this are deleted.
#[must_use]
pub fn swept_before(now: DateTime<Utc>) -> DateTime<Utc> {
    now - KEPT_AFTER_RETIREMENT
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(base64: &str) -> [u8; 32] {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(base64).unwrap();
        bytes.try_into().unwrap()
    }

    #[test]
    fn a_key_is_named_by_its_thumbprint() {
        // RFC 8037, A.2 and A.3.
        let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
        let key = PublicKey::Ed25519(bytes(x));
        assert_eq!(
            key.id().as_str(),
            "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
        );
        // RFC 9449, 4.1 and 6.1.
        let key = PublicKey::P256 {
            x: bytes("l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs"),
            y: bytes("9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA"),
        };
        assert_eq!(
            key.id().as_str(),
            "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
        );
    }

    #[test]
    fn a_name_is_256_bits() {
        let name = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k";
        assert_eq!(KeyId::parse(name).unwrap().as_str(), name);
        for text in [
            "",
            "x",
            &name[1..],
            &name.replace('_', "/"),
            &format!("{name}A"),
        ] {
            assert_eq!(KeyId::parse(text), None, "{text}");
        }
    }

    #[test]
    fn algorithms_are_read_by_the_names_of_tokens() {
        for name in ["HS256", "HS384", "HS512", "EdDSA", "ES256"] {
            assert_eq!(name.parse::<Algorithm>().unwrap().as_str(), name);
        }
        for name in ["none", "RS256", "ES384", "eddsa", ""] {
            assert!(name.parse::<Algorithm>().is_err(), "{name}");
        }
    }
}
