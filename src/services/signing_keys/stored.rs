//! The keys of the database, as this instance has read them.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::anyhow;
use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret as _, SecretString};
use sqlx::PgConnection;
use tokio::time::{Instant, sleep_until};

use super::list::{KeyList, seal};
use crate::{
    domain::signing_key::{KeyAlgorithm, KeyId, LONGEST_LIST_LIFE},
    error::{Error, Result},
    infra::{key_pair::KeyPair, sealer::Sealer},
    repository::signing_keys::{self, StoredKey},
    services::platform::Platform,
};

/// For how long names that nobody knows don't make us read the keys again.
const SHORTEST_LIST_LIFE: Duration = Duration::from_secs(1);

/// The keys of one algorithm in the database.
///
/// # Concurrency
///
/// Of all who need the keys one reads them, and the others wait for him.
pub(super) struct StoredKeys {
    platform: Platform,
    algorithm: KeyAlgorithm,
    sealer: Sealer,
    kept: Mutex<Kept>,
    /// Held by whoever reads; when the last reading failed, if it did.
    reading: tokio::sync::Mutex<Option<Instant>>,
}

/// Keys that were read.
pub(super) struct ReadKeys {
    pub(super) list: KeyList,
    /// When that began, by the clock.
    pub(super) at: DateTime<Utc>,
    /// When that began, in this process's own time.
    begun: Instant,
}

#[derive(Default)]
struct Kept {
    keys: Option<Arc<ReadKeys>>,
    /// How often they were outdated.
    epoch: u64,
}

impl StoredKeys {
    /// The keys of this algorithm, sealed under a key of `secret`.
    pub(super) fn new(platform: Platform, algorithm: KeyAlgorithm, secret: &SecretString) -> Self {
        Self {
            platform,
            algorithm,
            sealer: Sealer::new(secret.expose_secret().as_bytes(), "signing keys"),
            kept: Mutex::default(),
            reading: tokio::sync::Mutex::default(),
        }
    }

    /// A new key for the database.
    pub(super) fn make(&self, now: DateTime<Utc>) -> Result<StoredKey> {
        let pair = KeyPair::generate(self.algorithm)?;
        Ok(seal(&self.sealer, &*self.platform.random, &pair, now))
    }

    /// Notes that the keys have changed, or may have.
    pub(super) fn outdate(&self) {
        let mut kept = self.kept();
        kept.epoch += 1;
        kept.keys = None;
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The keys, read no longer than [`LONGEST_LIST_LIFE`] ago.
    pub(super) async fn current(&self) -> Result<Arc<ReadKeys>> {
        let kept = self.kept().keys.clone();
        if let Some(keys) = &kept {
            let age = self.platform.clock.now() - keys.at;
            if age.abs() < LONGEST_LIST_LIFE {
                return Ok(Arc::clone(keys));
            }
        }
        self.read_again(kept.as_ref()).await
    }

    /// The keys, with the one of this name if there is one at all.
    pub(super) async fn with(&self, id: &KeyId) -> Result<Arc<ReadKeys>> {
        let asked = Instant::now();
        let mut keys = self.current().await?;
        // Whoever presents a token comes after its key: keys that were read since have it.
        while keys.list.find(id).is_none() && keys.begun < asked {
            sleep_until(keys.begun + SHORTEST_LIST_LIFE).await;
            keys = self.read_again(Some(&keys)).await?;
        }
        Ok(keys)
    }

    /// Reads the keys, unless somebody else has replaced those that are outdated meanwhile.
    async fn read_again(&self, outdated: Option<&Arc<ReadKeys>>) -> Result<Arc<ReadKeys>> {
        let asked = Instant::now();
        let mut failed_at = self.reading.lock().await;
        let (kept, epoch) = {
            let kept = self.kept();
            (kept.keys.clone(), kept.epoch)
        };
        if let Some(keys) = kept
            && !outdated.is_some_and(|outdated| Arc::ptr_eq(outdated, &keys))
        {
            return Ok(keys);
        }
        if failed_at.is_some_and(|failed_at| failed_at > asked) {
            // Who has waited for a reading that failed doesn't wait for another.
            return Err(Error::Unavailable(anyhow!("the keys can't be read")));
        }
        let keys = match self.read().await {
            Ok(keys) => Arc::new(keys),
            Err(error) => {
                *failed_at = Some(Instant::now());
                return Err(error);
            }
        };
        let mut kept = self.kept();
        if kept.epoch == epoch {
            kept.keys = Some(Arc::clone(&keys));
        }
        Ok(keys)
    }

    async fn read(&self) -> Result<ReadKeys> {
        let mut connection = self.platform.pool.acquire().await?;
        let (at, begun) = (self.platform.clock.now(), Instant::now());
        let mut stored = signing_keys::list(&mut connection, Some(self.algorithm)).await?;
        if stored.iter().all(|key| key.retired_at.is_some()) {
            self.make_first(&mut connection, at).await?;
            stored = signing_keys::list(&mut connection, Some(self.algorithm)).await?;
        }
        let list = KeyList::open(&self.sealer, &stored);
        Ok(ReadKeys { list, at, begun })
    }

    async fn make_first(&self, connection: &mut PgConnection, now: DateTime<Utc>) -> Result<()> {
        let key = self.make(now)?;
        if signing_keys::insert(connection, &key).await? {
            // The first line that people see tells where everything is.
            tracing::debug!(kid = %key.id, "made a key that signs access tokens");
        }
        Ok(())
    }
}
