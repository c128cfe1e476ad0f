//! What was refused in a request, for the audit log.

use std::{
    mem,
    sync::{Arc, Mutex, PoisonError},
};

use super::AuditLog;
use crate::{domain::audit::NewEntry, error::Result, repository::audit_log};

/// What was refused in a request. It is noted here and written when the request is answered: the
/// transaction in which it was refused is rolled back, and some refusals come before there is one.
///
/// # Concurrency
///
/// Clones share one list.
#[derive(Debug, Clone, Default)]
pub struct Refusals(Arc<Mutex<Vec<NewEntry>>>);

impl Refusals {
    pub(in crate::services) fn note(&self, entry: NewEntry) {
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        noted.push(entry);
    }

    fn take(&self) -> Vec<NewEntry> {
        mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl AuditLog {
    /// Writes what was refused in a request that has been done with.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub async fn write_refusals(&self, refusals: &Refusals) -> Result<()> {
        let noted = refusals.take();
        if noted.is_empty() {
            return Ok(());
        }
        let mut connection = self.platform.pool.acquire().await?;
        for entry in noted {
            audit_log::insert(&mut connection, &entry).await?;
        }
        self.platform.audit.written.notify_one();
        Ok(())
    }
}
