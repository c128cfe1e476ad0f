//! What was refused in a request, for the audit log.

use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::runtime::Handle;

use super::AuditLog;
use crate::{domain::audit::NewEntry, error::Result, repository::audit_log};

/// What was refused in a request. It is noted here and written when the request is answered: the
/// transaction in which it was refused is rolled back, and some refusals come before there is one.
/// Where nobody waits for the answer any more, it is written when the last who works on it is done.
///
/// # Concurrency
///
/// Clones share one list.
#[derive(Clone, Default)]
pub struct Refusals(Arc<Noted>);

#[derive(Default)]
struct Noted {
    entries: Mutex<Vec<NewEntry>>,
    /// Who writes what is left at the end.
    log: Option<Arc<AuditLog>>,
}

impl Noted {
    fn entries(&self) -> MutexGuard<'_, Vec<NewEntry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Refusals {
    /// An empty list of what is refused, which doesn't get lost.
    #[must_use]
    pub fn kept_by(log: &Arc<AuditLog>) -> Self {
        Self(Arc::new(Noted {
            entries: Mutex::default(),
            log: Some(Arc::clone(log)),
        }))
    }

    pub(in crate::services) fn note(&self, entry: NewEntry) {
        self.0.entries().push(entry);
    }
}

impl std::fmt::Debug for Refusals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.entries().iter()).finish()
    }
}

/// A client that goes away must not take with him what he tried.
impl Drop for Noted {
    fn drop(&mut self) {
        let left = mem::take(&mut *self.entries());
        let Some(log) = self.log.take().filter(|_| !left.is_empty()) else {
            return;
        };
        let Ok(runtime) = Handle::try_current() else {
            tracing::error!("a refused attempt isn't audited: the program ends");
            return;
        };
        let detached = log.platform.detached.clone();
        let write = async move {
            if let Err(error) = log.write(&left).await {
                tracing::error!(%error, "a refused attempt isn't audited");
            }
        };
        detached.spawn_on(write, &runtime);
    }
}

impl AuditLog {
    /// Writes what was refused in a request that has been done with.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub async fn write_refusals(&self, refusals: &Refusals) -> Result<()> {
        let noted = mem::take(&mut *refusals.0.entries());
        self.write(&noted).await
    }

    async fn write(&self, refused: &[NewEntry]) -> Result<()> {
        if refused.is_empty() {
            return Ok(());
        }
        let mut connection = self.platform.pool.acquire().await?;
        for entry in refused {
            audit_log::insert(&mut connection, entry).await?;
        }
        self.platform.audit.written.notify_one();
        Ok(())
    }
}
