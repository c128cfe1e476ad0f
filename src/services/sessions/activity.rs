//! Which sessions are used, noted in memory and written to the database from time to time, so that a
//! request that only reads writes nothing.

use std::{
    collections::HashSet,
    mem,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::Sessions;
use crate::{domain::id::SessionId, error::Result, repository::sessions};

/// How long notes are gathered before they are written.
const GATHER: Duration = Duration::from_secs(5);
/// Notes written in one statement.
const BATCH: usize = 1000;

/// Sessions that were used since the last writing.
#[derive(Debug, Default)]
pub(super) struct Activity {
    seen: Mutex<HashSet<SessionId>>,
    noted: Notify,
}

impl Activity {
    pub(super) fn note(&self, id: SessionId) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.insert(id) && seen.len() == 1 {
            self.noted.notify_one();
        }
    }

    fn take(&self) -> Vec<SessionId> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        mem::take(&mut *seen).into_iter().collect()
    }
}

impl Sessions {
    /// Writes which sessions were used since the last call.
    ///
    /// # Errors
    ///
    /// If the database fails: the notes are lost then, and made anew by the next use.
    pub async fn write_seen(&self) -> Result<()> {
        let seen = self.activity.take();
        if seen.is_empty() {
            return Ok(());
        }
        let now = self.platform.clock.now();
        let mut connection = self.platform.pool.acquire().await?;
        for batch in seen.chunks(BATCH) {
            sessions::see(&mut connection, batch, now, self.lifetime).await?;
        }
        Ok(())
    }
}

/// Writes which sessions are used, until `stop`; what was noted until then too.
pub async fn keep_seen(sessions: Arc<Sessions>, stop: CancellationToken) {
    loop {
        let noted = async {
            sessions.activity.noted.notified().await;
            tokio::time::sleep(GATHER).await;
        };
        let goes_on = stop.run_until_cancelled(noted).await.is_some();
        if let Err(error) = sessions.write_seen().await {
            tracing::warn!(%error, "the last use of some sessions isn't noted");
        }
        if !goes_on {
            break;
        }
    }
}
