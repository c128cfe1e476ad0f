//! Gives the entries of the audit log their places in the chain of hashes.
//!
//! Writers don't: they would wait for each other. Each process that serves or works looks about a second
//! after it has written an entry, and every ten seconds for what others have left; one at a time does it.
//! What a crash, a lost connection or a stop leaves undone, the next look finds in `audit_pending`.

use std::{
    sync::{Arc, PoisonError},
    time::Duration,
};

use chrono::TimeDelta;
use tokio_util::sync::CancellationToken;

use super::AuditLog;
use crate::{
    domain::audit::GENESIS,
    error::Result,
    repository::audit_chain::{self, Link},
};

/// How long entries are gathered before they get their places.
const GATHER: Duration = Duration::from_millis(800);
/// How often to look for entries that other processes have left.
const POLL: Duration = Duration::from_secs(10);
/// Entries that get their places in one transaction.
const BATCH: i64 = 1000;
/// How often the log tells where the chain ends, while it grows.
const TELL_EVERY: TimeDelta = TimeDelta::minutes(10);

/// What a step came to.
enum Step {
    /// Somebody else is at it.
    Busy,
    /// Nothing waits.
    Idle,
    /// The chain ends here now; whether more may wait.
    Grown(Link, bool),
}

impl AuditLog {
    /// Gives every entry that waits its place; answers whether none waits any more, as far as it knows:
    /// not where somebody else is at it.
    ///
    /// # Errors
    ///
    /// If the database fails; what was done until then is.
    ///
    /// # Concurrency
    ///
    /// Of any number of processes one does it at a time, under an advisory lock that ends with its
    /// transaction. Entries of transactions that commit meanwhile come later, whatever their ids are.
    pub async fn extend_chain(&self) -> Result<bool> {
        loop {
            match self.step().await? {
                Step::Busy => return Ok(false),
                Step::Idle => return Ok(true),
                Step::Grown(head, more) => {
                    self.tell_head(head);
                    if !more {
                        return Ok(true);
                    }
                }
            }
        }
    }

    async fn step(&self) -> Result<Step> {
        let mut transaction = self.platform.pool.begin().await?;
        if !audit_chain::try_lock(&mut transaction).await? {
            transaction.rollback().await?;
            return Ok(Step::Busy);
        }
        let pending = audit_chain::list_pending(&mut transaction, BATCH).await?;
        if pending.is_empty() {
            // Now, and not when the connection is next used: others want the lock.
            transaction.rollback().await?;
            return Ok(Step::Idle);
        }
        let head = audit_chain::find_head(&mut transaction).await?;
        let mut head = head.unwrap_or(Link {
            sequence: 0,
            hash: GENESIS,
        });
        let (mut links, mut ids) = (Vec::new(), Vec::new());
        for waiting in &pending {
            ids.push(waiting.entry.id);
            // What has a place keeps it, whoever made it wait.
            if !waiting.is_chained {
                head = Link {
                    sequence: head.sequence + 1,
                    hash: waiting.entry.hash(&head.hash),
                };
                links.push((waiting.entry.id, head));
            }
        }
        audit_chain::append(&mut transaction, &links).await?;
        audit_chain::settle(&mut transaction, &ids).await?;
        transaction.commit().await?;
        let more = i64::try_from(pending.len()).is_ok_and(|pending| pending == BATCH);
        Ok(Step::Grown(head, more))
    }

    /// Tells the log where the chain ends, now and then: there, whoever changes the database doesn't
    /// reach it.
    fn tell_head(&self, head: Link) {
        let now = self.platform.clock.now();
        let mut told_at = self
            .head_told_at
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if told_at.is_none_or(|told_at| now - told_at >= TELL_EVERY) {
            *told_at = Some(now);
            tracing::info!(
                sequence = head.sequence,
                head = hex(&head.hash),
                "the audit log's chain has grown"
            );
        }
    }

    async fn is_behind(&self) -> Result<bool> {
        let mut connection = self.platform.pool.acquire().await?;
        audit_chain::is_behind(&mut connection).await
    }
}

/// A hash as people note it.
pub(super) fn hex(hash: &[u8; 32]) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Gives entries their places, until `stop`; what was written until then too.
pub async fn keep_chained(log: Arc<AuditLog>, stop: CancellationToken) {
    let mut failed = false;
    // What the process before left.
    let mut is_called = true;
    loop {
        let done = match is_called {
            true => log.extend_chain().await,
            false => look(&log).await,
        };
        match &done {
            Ok(_) if failed => {
                failed = false;
                tracing::info!("the audit log's chain grows again");
            }
            Err(error) if !failed => {
                failed = true;
                tracing::warn!(%error, "the audit log's chain doesn't grow");
            }
            Ok(_) | Err(_) => {}
        }
        if stop.is_cancelled() {
            break;
        }
        // Somebody else may have looked before an entry of ours was committed.
        let again = matches!(done, Ok(false));
        let call = async {
            if !again {
                log.platform.audit.written.notified().await;
            }
            tokio::time::sleep(GATHER).await;
        };
        let called = tokio::time::timeout(POLL, call);
        is_called = match stop.run_until_cancelled(called).await {
            Some(called) => called.is_ok(),
            None => true,
        };
    }
}

/// One statement where there is nothing to do.
async fn look(log: &AuditLog) -> Result<bool> {
    match log.is_behind().await? {
        true => log.extend_chain().await,
        false => Ok(true),
    }
}
