//! Keys of access tokens: which one signs, and whose signatures count; beside, `list.rs` has the keys
//! themselves, and `stored.rs` those of the database.
//!
//! A token is signed with the secret of the settings, with a key pair from a file, or with a key pair
//! that the service makes and keeps in the database. One of the latter is replaced by
//! [`SigningKeys::rotate`] while every instance goes on:
//!
//! * The new key signs from its commit on. An instance that meets its name before it has heard of it
//!   reads the keys again, once a second at most; a token with a name that nobody knows waits for
//!   that reading, so that no token is refused for having come early.
//! * Nobody goes by a list of keys that is older than [`LONGEST_LIST_LIFE`](crate::domain::signing_key::LONGEST_LIST_LIFE): so the retired key signs
//!   no longer than that, and its retirement is known everywhere long before it counts. PostgreSQL's
//!   NOTIFY only makes it faster.
//! * The retired key is accepted until the last of its tokens has expired: [`accepted_until`].

mod list;
mod stored;

use anyhow::anyhow;
use chrono::{DateTime, Utc};
use jsonwebtoken::Validation;
use secrecy::SecretString;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::json;
use tracing::instrument;

use self::{
    list::{Key, KeyList, ListedKey, jwt_algorithm},
    stored::StoredKeys,
};
use super::{Ctx, audit::Act, platform::Platform};
use crate::{
    domain::{
        audit::{Action, Subject},
        permission::Permission,
        signing_key::{Algorithm, KeyAlgorithm, KeyId, PublicKey, accepted_until},
    },
    error::Result,
    infra::key_pair::KeyPair,
    repository::signing_keys::{self, StoredKey},
};

/// The claims of a token with a good signature.
#[derive(Debug)]
pub struct Verified<C> {
    /// What it says.
    pub claims: C,
    /// Until when its signature is good for sure, exclusively: after that, verify it again. None:
    /// for as long as this process runs.
    pub valid_until: Option<DateTime<Utc>>,
}

/// A key pair, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyInfo {
    /// Its name.
    pub id: KeyId,
    /// What it signs by.
    pub algorithm: KeyAlgorithm,
    /// From when on it signs; none where it is from a file.
    pub created_at: Option<DateTime<Utc>>,
    /// From when on it signs no more.
    pub retired_at: Option<DateTime<Utc>>,
}

/// What keys there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyListing {
    /// These pairs.
    Pairs(Vec<KeyInfo>),
    /// None: the secret of the settings signs.
    Secret(Algorithm),
}

/// What became of the wish to rotate keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rotation {
    /// This key signs from now on.
    Rotated(KeyId),
    /// The secret of the settings signs: there is nothing to rotate.
    Secret(Algorithm),
    /// The keys are in files, which are their owner's.
    Files,
}

/// The keys of access tokens.
pub struct SigningKeys {
    platform: Platform,
    algorithm: Algorithm,
    source: Source,
}

enum Source {
    Secret(Box<Key>),
    Files(KeyList),
    Database(StoredKeys),
}

impl SigningKeys {
    /// The keys of this algorithm: `secret` itself, the pairs of `files`, or where there are none
    /// those of the database, sealed under a key of `secret`. Each pair must be of the algorithm.
    pub fn new(
        platform: Platform,
        algorithm: Algorithm,
        secret: &SecretString,
        files: &[KeyPair],
    ) -> Self {
        let source = match algorithm {
            Algorithm::KeyPair(algorithm) if files.is_empty() => {
                Source::Database(StoredKeys::new(platform.clone(), algorithm, secret))
            }
            Algorithm::KeyPair(_) => Source::Files(KeyList::of_files(files)),
            Algorithm::Hs256 | Algorithm::Hs384 | Algorithm::Hs512 => {
                Source::Secret(Box::new(Key::of_secret(algorithm, secret)))
            }
        };
        Self {
            platform,
            algorithm,
            source,
        }
    }

    /// How tokens are checked: by this algorithm and no other.
    #[must_use]
    pub fn validation(&self) -> Validation {
        Validation::new(jwt_algorithm(self.algorithm))
    }

    /// Makes the first key where there is none, so that whatever is wrong with it shows at start.
    ///
    /// # Errors
    ///
    /// If the database fails, or the key that signs doesn't open.
    ///
    /// # Concurrency
    ///
    /// Of several instances that start at once one makes it.
    pub async fn prepare(&self) -> Result<()> {
        match &self.source {
            Source::Secret(_) | Source::Files(_) => Ok(()),
            Source::Database(stored) => stored.current().await?.list.signing().map(|_| ()),
        }
    }

    /// The token of these claims. May take a connection: hold none.
    ///
    /// # Errors
    ///
    /// [`Unavailable`](crate::error::Error::Unavailable) when the keys can't be read, [`Internal`](crate::error::Error::Internal)
    /// when there is none that signs.
    pub async fn sign<C: Serialize>(&self, claims: &C) -> Result<SecretString> {
        match &self.source {
            Source::Secret(key) => key.sign(claims),
            Source::Files(list) => list.signing()?.sign(claims),
            Source::Database(stored) => stored.current().await?.list.signing()?.sign(claims),
        }
    }

    /// The claims of a token that one of our keys has signed; none if it is no such token. May take a
    /// connection: hold none.
    ///
    /// # Errors
    ///
    /// [`Unavailable`](crate::error::Error::Unavailable) when the keys can't be read.
    pub async fn verify<C: DeserializeOwned>(
        &self,
        token: &str,
        validation: &Validation,
    ) -> Result<Option<Verified<C>>> {
        let forever = |claims| Verified {
            claims,
            valid_until: None,
        };
        match &self.source {
            Source::Secret(key) => Ok(key.verify(token, validation).map(forever)),
            Source::Files(list) => {
                let key = self.key_of(token).and_then(|id| list.find(&id));
                Ok(key
                    .and_then(|found| found.key.verify(token, validation))
                    .map(forever))
            }
            Source::Database(stored) => {
                let Some(id) = self.key_of(token) else {
                    return Ok(None);
                };
                let keys = stored.with(&id).await?;
                let now = self.platform.clock.now();
                let found = keys.list.find(&id).filter(|key| key.is_accepted(now));
                Ok(found.and_then(|found| {
                    // It wasn't retired before the keys were read.
                    let retired_at = found.retired_at.unwrap_or(keys.at);
                    Some(Verified {
                        claims: found.key.verify(token, validation)?,
                        valid_until: Some(accepted_until(retired_at)),
                    })
                }))
            }
        }
    }

    /// The name of the key that a token claims to be signed with, by our algorithm.
    fn key_of(&self, token: &str) -> Option<KeyId> {
        let header = jsonwebtoken::decode_header(token).ok()?;
        let is_ours = header.alg == jwt_algorithm(self.algorithm);
        KeyId::parse(&header.kid.filter(|_| is_ours)?)
    }

    /// The public keys that are accepted at present, the one that signs first.
    ///
    /// # Errors
    ///
    /// [`Unavailable`](crate::error::Error::Unavailable) when the keys can't be read.
    pub async fn public_keys(&self) -> Result<Vec<PublicKey>> {
        let now = self.platform.clock.now();
        let accepted = |list: &KeyList| {
            let accepted = list.keys.iter().filter(|key| key.is_accepted(now));
            accepted.map(|key| key.public).collect()
        };
        match &self.source {
            Source::Secret(_) => Ok(Vec::new()),
            Source::Files(list) => Ok(accepted(list)),
            Source::Database(stored) => Ok(accepted(&stored.current().await?.list)),
        }
    }

    /// Every key pair that there is, the newest first; also of algorithms that the settings don't
    /// name.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub async fn list(&self, ctx: &Ctx) -> Result<KeyListing> {
        ctx.require(Permission::ListKeys)?;
        let keys = match &self.source {
            Source::Secret(_) => return Ok(KeyListing::Secret(self.algorithm)),
            Source::Files(list) => {
                let info = |key: &ListedKey| KeyInfo {
                    id: key.id.clone(),
                    algorithm: key.public.algorithm(),
                    created_at: None,
                    retired_at: None,
                };
                list.keys.iter().map(info).collect()
            }
            Source::Database(_) => {
                let mut connection = self.platform.pool.acquire().await?;
                let stored = signing_keys::list(&mut connection, None).await?;
                let info = |key: StoredKey| KeyInfo {
                    id: key.id,
                    algorithm: key.algorithm,
                    created_at: Some(key.created_at),
                    retired_at: key.retired_at,
                };
                stored.into_iter().map(info).collect()
            }
        };
        Ok(KeyListing::Pairs(keys))
    }

    /// Makes a new key, which signs from now on, and retires all others.
    ///
    /// # Errors
    ///
    /// If the database fails.
    ///
    /// # Concurrency
    ///
    /// Rotations at the same time come one after the other. No token is refused for it, see the
    /// module's documentation.
    #[instrument(skip_all, fields(request_id = %ctx.request_id))]
    pub async fn rotate(&self, ctx: &Ctx) -> Result<Rotation> {
        ctx.require(Permission::RotateKeys)?;
        let keys = match &self.source {
            Source::Secret(_) => return Ok(Rotation::Secret(self.algorithm)),
            Source::Files(_) => return Ok(Rotation::Files),
            Source::Database(keys) => keys,
        };
        let key = keys.make(ctx.now)?;
        let mut transaction = self.platform.pool.begin().await?;
        let retired =
            signing_keys::retire_all(&mut transaction, self.platform.clock.database_override())
                .await?;
        if !signing_keys::insert(&mut transaction, &key).await? {
            return Err(anyhow!("a key signs that should have been retired").into());
        }
        let subject = Subject::SigningKey(key.id.as_str().to_owned());
        let act = Act::new(Action::KeysRotated).on_subject(subject);
        let audit = &self.platform.audit;
        audit
            .record(
                &mut transaction,
                ctx,
                act.after(json!({"retired": retired})),
            )
            .await?;
        transaction.commit().await?;
        keys.outdate();
        tracing::info!(kid = %key.id, retired, "the keys of access tokens were rotated");
        Ok(Rotation::Rotated(key.id))
    }

    /// Notes that the keys in the database have changed, or may have.
    pub fn outdate(&self) {
        if let Source::Database(keys) = &self.source {
            keys.outdate();
        }
    }
}
