//! Key pairs of access tokens: made, and read from files and from the database.

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
};

use aws_lc_rs::{
    error::Unspecified,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _},
};
use rustls_pki_types::{PrivateKeyDer, pem::PemObject as _};
use secrecy::{ExposeSecret as _, SecretSlice};

use crate::domain::signing_key::{KeyAlgorithm, KeyId, PublicKey};

/// A private key and its public one. `Debug` shows the public one.
#[derive(Debug, Clone)]
pub struct KeyPair {
    /// The public key.
    pub public: PublicKey,
    /// The private key (PKCS#8, RFC 5958).
    pub private: SecretSlice<u8>,
}

/// Why something is no key pair that we can use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyPairError {
    /// It isn't PEM, or has no private key of PKCS#8.
    #[error(
        "has no unencrypted private key in PKCS#8 (`-----BEGIN PRIVATE KEY-----`); `openssl pkcs8 -topk8 -nocrypt` makes one of other forms"
    )]
    NoKey,
    /// It is the key of the other algorithm.
    #[error("has a key for {} and not for {}", .is.as_str(), .wanted.as_str())]
    OtherAlgorithm {
        /// What it is for.
        is: KeyAlgorithm,
        /// What it was to be for.
        wanted: KeyAlgorithm,
    },
    /// It is a key of another kind, or damaged.
    #[error("has no key for {}", .wanted.as_str())]
    OtherKind {
        /// What it was to be for.
        wanted: KeyAlgorithm,
    },
}

impl KeyPair {
    /// A new key pair.
    ///
    /// Its bits come from the generator of the crypto library, which takes none from outside; no
    /// test can repeat them.
    ///
    /// # Errors
    ///
    /// If the system has no randomness.
    pub fn generate(algorithm: KeyAlgorithm) -> anyhow::Result<Self> {
        let made = match algorithm {
            KeyAlgorithm::EdDsa => {
                Ed25519KeyPair::generate().and_then(|pair| Self::of_ed25519(&pair))
            }
            KeyAlgorithm::Es256 => EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)
                .and_then(|pair| Self::of_p256(&pair)),
        };
        made.map_err(|Unspecified| anyhow::anyhow!("can't generate a key pair"))
    }

    /// Reads a private key.
    ///
    /// # Errors
    ///
    /// [`KeyPairError::OtherAlgorithm`] and [`KeyPairError::OtherKind`].
    pub fn from_pkcs8(wanted: KeyAlgorithm, pkcs8: &[u8]) -> Result<Self, KeyPairError> {
        let read = |algorithm| match algorithm {
            KeyAlgorithm::EdDsa => Self::of_ed25519(&Ed25519KeyPair::from_pkcs8(pkcs8).ok()?).ok(),
            KeyAlgorithm::Es256 => {
                let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8);
                Self::of_p256(&pair.ok()?).ok()
            }
        };
        if let Some(pair) = read(wanted) {
            return Ok(pair);
        }
        let other = KeyAlgorithm::ALL
            .into_iter()
            .find(|other| *other != wanted && read(*other).is_some());
        Err(match other {
            Some(is) => KeyPairError::OtherAlgorithm { is, wanted },
            None => KeyPairError::OtherKind { wanted },
        })
    }

    /// Reads the first private key of a PEM text.
    ///
    /// # Errors
    ///
    /// Every [`KeyPairError`].
    pub fn from_pem(wanted: KeyAlgorithm, pem: &[u8]) -> Result<Self, KeyPairError> {
        match PrivateKeyDer::from_pem_slice(pem) {
            Ok(PrivateKeyDer::Pkcs8(key)) => Self::from_pkcs8(wanted, key.secret_pkcs8_der()),
            _ => Err(KeyPairError::NoKey),
        }
    }

    /// Reads the private keys of these files, in their order.
    ///
    /// # Errors
    ///
    /// What is wrong with each of them.
    pub fn read_files(wanted: KeyAlgorithm, files: &[PathBuf]) -> Result<Vec<Self>, Vec<String>> {
        let (mut pairs, mut problems, mut known) = (Vec::new(), Vec::new(), HashSet::new());
        for file in files {
            match Self::read_file(wanted, file) {
                Ok(pair) if !known.insert(pair.id()) => {
                    problems.push(format!("{} has a key for the second time", file.display()));
                }
                Ok(pair) => pairs.push(pair),
                Err(problem) => problems.push(problem),
            }
        }
        if problems.is_empty() {
            Ok(pairs)
        } else {
            Err(problems)
        }
    }

    fn read_file(wanted: KeyAlgorithm, file: &Path) -> Result<Self, String> {
        let shown = file.display();
        let pem = fs::read(file).map_err(|error| format!("can't read {shown}: {error}"))?;
        Self::from_pem(wanted, SecretSlice::from(pem).expose_secret())
            .map_err(|error| format!("{shown} {error}"))
    }

    /// The name of the pair.
    #[must_use]
    pub fn id(&self) -> KeyId {
        self.public.id()
    }

    fn of_ed25519(pair: &Ed25519KeyPair) -> Result<Self, Unspecified> {
        let point = pair.public_key().as_ref().try_into();
        Ok(Self {
            public: PublicKey::Ed25519(point.map_err(|_| Unspecified)?),
            private: pair.to_pkcs8v1()?.as_ref().to_vec().into(),
        })
    }

    fn of_p256(pair: &EcdsaKeyPair) -> Result<Self, Unspecified> {
        // SEC 1, 2.3.3: 4 for an uncompressed point, and its coordinates.
        let point = pair.public_key().as_ref();
        let [4, coordinates @ ..] = point else {
            return Err(Unspecified);
        };
        let (x, y) = coordinates.split_first_chunk().ok_or(Unspecified)?;
        Ok(Self {
            public: PublicKey::P256 {
                x: *x,
                y: y.try_into().map_err(|_| Unspecified)?,
            },
            private: pair.to_pkcs8v1()?.as_ref().to_vec().into(),
        })
    }
}

#[cfg(test)]
mod tests;
