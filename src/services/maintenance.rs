//! Clearing away what has expired.

use chrono::{DateTime, TimeDelta, Utc};

use super::platform::Platform;
use crate::{
    domain::signing_key::swept_before,
    error::Result,
    repository::{
        email_changes, idempotency_keys, jobs::JobKind, login_throttle, one_time_tokens, outbox,
        search_words, sessions, signing_keys, users,
    },
};

/// The job that clears away what has expired.
pub const SWEEP: JobKind = JobKind {
    name: "sweep",
    max_attempts: 3,
};

/// Rows deleted in one statement.
const BATCH: u16 = 1000;
/// Accounts erased in one statement, each with all that belongs to it.
const ACCOUNTS_BATCH: u16 = 100;

/// How long messages for others stay after they were consumed: to look into what went wrong.
const KEEP_PUBLISHED: TimeDelta = TimeDelta::days(7);

/// Clears away what has expired.
pub struct Maintenance {
    platform: Platform,
}

impl Maintenance {
    /// The service on this database.
    pub fn new(platform: Platform) -> Self {
        Self { platform }
    }

    /// Erases accounts whose owners have let the time to restore them pass, and deletes expired
    /// sessions, tokens, changes of addresses, charges of logins and idempotency keys, and signing
    /// keys that were retired and messages that were consumed long ago, a batch at a time; and forgets words that nobody is called by any more.
    ///
    /// # Errors
    ///
    /// If the database fails; what was deleted until then is.
    pub async fn sweep(&self, now: DateTime<Utc>) -> Result<()> {
        let batch = i64::from(BATCH);
        let mut connection = self.platform.pool.acquire().await?;
        loop {
            let erased = users::erase_due(&mut connection, now, i64::from(ACCOUNTS_BATCH)).await?;
            for user_id in &erased {
                tracing::info!(%user_id, "account erased");
            }
            if erased.len() < usize::from(ACCOUNTS_BATCH) {
                break;
            }
        }
        while sessions::sweep(&mut connection, now, batch).await? == u64::from(BATCH) {}
        while one_time_tokens::sweep(&mut connection, now, batch).await? == u64::from(BATCH) {}
        while search_words::forget_left(&mut connection, batch).await? == u64::from(BATCH) {}
        let before = swept_before(now);
        while signing_keys::sweep(&mut connection, before, batch).await? == u64::from(BATCH) {}
        while email_changes::sweep(&mut connection, now, batch).await? == u64::from(BATCH) {}
        let before = now - KEEP_PUBLISHED;
        while outbox::sweep(&mut connection, before, batch).await? == u64::from(BATCH) {}
        let override_ = self.platform.clock.database_override();
        while login_throttle::sweep(&mut connection, override_, batch).await? == u64::from(BATCH) {}
        while idempotency_keys::sweep(&mut connection, override_, batch).await? == u64::from(BATCH)
        {
        }
        Ok(())
    }
}
