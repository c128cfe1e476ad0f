//! Keys as they sign and verify, and lists of them.

use anyhow::{Context as _, anyhow};
use chrono::{DateTime, Utc};
use jsonwebtoken::{DecodingKey, EncodingKey, Header, Validation};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    domain::signing_key::{Algorithm, KeyAlgorithm, KeyId, PublicKey, accepted_until},
    error::{Error, Result},
    infra::{key_pair::KeyPair, random::Random, sealer::Sealer},
    repository::signing_keys::StoredKey,
};

/// What signs tokens and verifies them.
pub(super) struct Key {
    header: Header,
    signing: EncodingKey,
    verifying: DecodingKey,
}

impl Key {
    /// A secret that does both.
    pub(super) fn of_secret(algorithm: Algorithm, secret: &SecretString) -> Self {
        let secret = secret.expose_secret().as_bytes();
        Self {
            header: Header::new(jwt_algorithm(algorithm)),
            signing: EncodingKey::from_secret(secret),
            verifying: DecodingKey::from_secret(secret),
        }
    }

    fn of_pair(pair: &KeyPair) -> Self {
        let algorithm = Algorithm::KeyPair(pair.public.algorithm());
        let mut header = Header::new(jwt_algorithm(algorithm));
        header.kid = Some(pair.id().as_str().to_owned());
        let private = pair.private.expose_secret();
        let (signing, verifying) = match &pair.public {
            PublicKey::Ed25519(point) => (
                EncodingKey::from_ed_der(private),
                DecodingKey::from_ed_der(point),
            ),
            // An uncompressed point (SEC 1, 2.3.3).
            PublicKey::P256 { x, y } => (
                EncodingKey::from_ec_der(private),
                DecodingKey::from_ec_der(&[&[4], x.as_slice(), y.as_slice()].concat()),
            ),
        };
        Self {
            header,
            signing,
            verifying,
        }
    }

    /// The token of these claims.
    pub(super) fn sign<C: Serialize>(&self, claims: &C) -> Result<SecretString> {
        let token = jsonwebtoken::encode(&self.header, claims, &self.signing)
            .context("can't sign an access token")?;
        Ok(token.into())
    }

    /// The claims of a token that this key has signed, by this algorithm.
    pub(super) fn verify<C: DeserializeOwned>(
        &self,
        token: &str,
        validation: &Validation,
    ) -> Option<C> {
        let verified = jsonwebtoken::decode(token, &self.verifying, validation);
        verified.ok().map(|verified| verified.claims)
    }
}

/// A key pair in a [`KeyList`].
pub(super) struct ListedKey {
    pub(super) id: KeyId,
    pub(super) public: PublicKey,
    pub(super) key: Key,
    pub(super) retired_at: Option<DateTime<Utc>>,
}

impl ListedKey {
    fn new(pair: &KeyPair, retired_at: Option<DateTime<Utc>>) -> Self {
        Self {
            id: pair.id(),
            public: pair.public,
            key: Key::of_pair(pair),
            retired_at,
        }
    }

    /// Whether its signatures count.
    pub(super) fn is_accepted(&self, now: DateTime<Utc>) -> bool {
        self.retired_at
            .is_none_or(|retired_at| now < accepted_until(retired_at))
    }
}

/// Key pairs: the first that isn't retired signs.
pub(super) struct KeyList {
    pub(super) keys: Vec<ListedKey>,
    /// The key that ought to sign, and can't be opened.
    unopened: Option<KeyId>,
}

impl KeyList {
    /// Key pairs that nobody retires.
    pub(super) fn of_files(pairs: &[KeyPair]) -> Self {
        Self {
            keys: pairs
                .iter()
                .map(|pair| ListedKey::new(pair, None))
                .collect(),
            unopened: None,
        }
    }

    /// The key pairs of the database. Those that `sealer` doesn't open are passed over.
    pub(super) fn open(sealer: &Sealer, stored: &[StoredKey]) -> Self {
        let (mut keys, mut unopened) = (Vec::new(), None);
        for key in stored {
            match open(sealer, key) {
                Some(pair) => keys.push(ListedKey::new(&pair, key.retired_at)),
                None if key.retired_at.is_none() => unopened = Some(key.id.clone()),
                None => tracing::debug!(kid = %key.id, "a retired key doesn't open"),
            }
        }
        Self { keys, unopened }
    }

    /// The key that signs.
    pub(super) fn signing(&self) -> Result<&Key> {
        let signing = self.keys.iter().find(|key| key.retired_at.is_none());
        signing.map(|listed| &listed.key).ok_or_else(|| {
            Error::Internal(match &self.unopened {
                Some(id) => anyhow!(
                    "the key {id} in the database was encrypted under another JWT_SECRET_KEY: \
                     give every instance the former one, or make a new key by `user-management keys rotate`"
                ),
                None => anyhow!("there is no key that signs access tokens"),
            })
        })
    }

    /// The key of this name.
    pub(super) fn find(&self, id: &KeyId) -> Option<&ListedKey> {
        self.keys.iter().find(|key| key.id == *id)
    }
}

/// Seals a key pair for the database: it opens only under its own name.
pub(super) fn seal(
    sealer: &Sealer,
    random: &dyn Random,
    pair: &KeyPair,
    now: DateTime<Utc>,
) -> StoredKey {
    let id = pair.id();
    let private = pair.private.expose_secret();
    StoredKey {
        sealed_private_key: sealer.seal(random, id.as_str().as_bytes(), private),
        id,
        algorithm: pair.public.algorithm(),
        created_at: now,
        retired_at: None,
    }
}

fn open(sealer: &Sealer, stored: &StoredKey) -> Option<KeyPair> {
    let private = sealer
        .open(stored.id.as_str().as_bytes(), &stored.sealed_private_key)
        .ok()?;
    let pair = KeyPair::from_pkcs8(stored.algorithm, private.expose_secret()).ok()?;
    (pair.id() == stored.id).then_some(pair)
}

/// What the library calls it.
pub(super) fn jwt_algorithm(algorithm: Algorithm) -> jsonwebtoken::Algorithm {
    match algorithm {
        Algorithm::Hs256 => jsonwebtoken::Algorithm::HS256,
        Algorithm::Hs384 => jsonwebtoken::Algorithm::HS384,
        Algorithm::Hs512 => jsonwebtoken::Algorithm::HS512,
        Algorithm::KeyPair(KeyAlgorithm::EdDsa) => jsonwebtoken::Algorithm::EdDSA,
        Algorithm::KeyPair(KeyAlgorithm::Es256) => jsonwebtoken::Algorithm::ES256,
    }
}
