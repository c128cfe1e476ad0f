//! Reading the audit log.

use std::sync::{Arc, Mutex};

use chrono::{DateTime, TimeDelta, Utc};
use futures::{Stream, stream};
use sha2::{Digest as _, Sha256};
use tracing::instrument;

use crate::{
    domain::{
        audit::{AuditEntry, AuditFilter, Position},
        permission::Permission,
    },
    error::Result,
    repository::audit_log,
    services::{Ctx, cursors::Cursors, platform::Platform},
};

/// Most entries of a page.
pub const MAX_LIMIT: u32 = 200;
/// Entries that are read at a time for a stream.
const BATCH: u32 = 1000;
/// The lists that cursors are of.
const LOG: &[u8] = b"audit log";
const ACTIVITY: &[u8] = b"activity";

/// The audit log.
pub struct AuditLog {
    pub(super) platform: Platform,
    cursors: Arc<Cursors>,
    /// For how long entries are kept; none: for ever.
    pub(super) retention: Option<TimeDelta>,
    /// When the log last told where the chain ends.
    pub(super) head_told_at: Mutex<Option<DateTime<Utc>>>,
}

/// A page of entries.
#[derive(Debug, Clone)]
pub struct Entries {
    /// The entries, newest first.
    pub items: Vec<AuditEntry>,
    /// The cursor of the next page, if there is one.
    pub next: Option<String>,
}

impl AuditLog {
    /// The audit log of this database; entries older than `retention` are removed.
    #[must_use]
    pub fn new(platform: Platform, cursors: Arc<Cursors>, retention: Option<TimeDelta>) -> Self {
        Self {
            platform,
            cursors,
            retention,
            head_told_at: Mutex::default(),
        }
    }

    /// A page of the entries that a filter lets pass, newest first, at most [`MAX_LIMIT`].
    ///
    /// # Errors
    ///
    /// [`Error::Forbidden`](crate::error::Error::Forbidden) but for administrators;
    /// [`Error::Invalid`](crate::error::Error::Invalid) for a cursor that isn't ours, or of another filter.
    #[instrument(skip_all, fields(request_id = %ctx.request_id))]
    pub async fn browse(
        &self,
        ctx: &Ctx,
        filter: &AuditFilter,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Entries> {
        ctx.require(Permission::ReadAuditLog)?;
        let list = fingerprint(filter);
        let after = self.position(&list, cursor)?;
        let limit = limit.min(MAX_LIMIT);
        let mut connection = self.platform.pool.acquire().await?;
        let found = audit_log::list(&mut connection, filter, after, limit + 1).await?;
        self.page(&list, found, limit)
    }

    /// All entries that a filter lets pass, newest first, in batches. No connection is held while one is
    /// used, so that whoever takes them slowly keeps nobody waiting.
    ///
    /// # Errors
    ///
    /// [`Error::Forbidden`](crate::error::Error::Forbidden) but for administrators; if the database fails,
    /// then or in the stream.
    #[instrument(skip_all, fields(request_id = %ctx.request_id))]
    pub async fn stream(
        self: &Arc<Self>,
        ctx: &Ctx,
        filter: AuditFilter,
    ) -> Result<impl Stream<Item = Result<Vec<AuditEntry>>> + Send + 'static> {
        ctx.require(Permission::ReadAuditLog)?;
        let (log, ctx) = (Arc::clone(self), ctx.clone());
        // The first is read now: what is wrong with the database is told by a status then.
        let first = log.batch(&ctx, &filter, None).await?;
        Ok(stream::try_unfold(first, move |batch| {
            let (log, ctx, filter) = (Arc::clone(&log), ctx.clone(), filter.clone());
            async move {
                let Some(last) = batch.last().map(AuditEntry::position) else {
                    return Ok(None);
                };
                let is_last = batch.len() < BATCH as usize;
                let next = match is_last {
                    true => Vec::new(),
                    false => log.batch(&ctx, &filter, Some(last)).await?,
                };
                Ok(Some((batch, next)))
            }
        }))
    }

    async fn batch(
        &self,
        ctx: &Ctx,
        filter: &AuditFilter,
        after: Option<Position>,
    ) -> Result<Vec<AuditEntry>> {
        let mut connection = self.platform.pool.acquire().await?;
        // Somebody who loses his session or his role takes no more.
        ctx.still_logged_in(&mut connection).await?;
        audit_log::list(&mut connection, filter, after, BATCH).await
    }

    /// A page of what the caller did and what was done to him, newest first, at most [`MAX_LIMIT`].
    ///
    /// Of an actor who isn't he himself he learns the kind, and neither name, address, device nor
    /// request; of somebody else to whom he did something, not what it changed.
    ///
    /// # Errors
    ///
    /// [`Error::Unauthenticated`](crate::error::Error::Unauthenticated);
    /// [`Error::Invalid`](crate::error::Error::Invalid) for a cursor that isn't ours.
    #[instrument(skip_all, fields(request_id = %ctx.request_id))]
    pub async fn activity(&self, ctx: &Ctx, cursor: Option<&str>, limit: u32) -> Result<Entries> {
        let (id, _) = ctx.user()?;
        let after = self.position(ACTIVITY, cursor)?;
        let limit = limit.min(MAX_LIMIT);
        let mut connection = self.platform.pool.acquire().await?;
        let mut found = audit_log::list_of(&mut connection, id, after, limit + 1).await?;
        for entry in &mut found {
            if entry.actor_id != Some(id.0) {
                entry.actor_id = None;
                entry.actor_name = None;
                entry.on_behalf_of = None;
                entry.request_id = None;
                entry.client_address = None;
                entry.device = None;
            }
            let is_subject = entry.subject_kind.as_deref() == Some("user")
                && entry.subject_id.as_deref() == Some(&*id.to_string());
            if !is_subject {
                entry.before = None;
                entry.after = None;
            }
        }
        self.page(ACTIVITY, found, limit)
    }

    fn page(&self, list: &[u8], mut found: Vec<AuditEntry>, limit: u32) -> Result<Entries> {
        let limit = limit as usize;
        let has_next = found.len() > limit;
        found.truncate(limit);
        let last = found.last().filter(|_| has_next).map(AuditEntry::position);
        let random = &*self.platform.random;
        let seal = |last: Position| self.cursors.seal(random, list, &last);
        Ok(Entries {
            next: last.map(seal).transpose()?,
            items: found,
        })
    }

    fn position(&self, list: &[u8], cursor: Option<&str>) -> Result<Option<Position>> {
        cursor.map(|text| self.cursors.open(list, text)).transpose()
    }
}

/// What tells lists apart, however a filter was written.
fn fingerprint(filter: &AuditFilter) -> Vec<u8> {
    Sha256::new()
        .chain_update(LOG)
        .chain_update(format!("{filter:?}"))
        .finalize()
        .to_vec()
}
