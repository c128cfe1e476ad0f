//! Clearing away what has expired.

use chrono::{DateTime, Utc};

use super::platform::Platform;
use crate::{
    domain::signing_key::swept_before,
    error::Result,
    repository::{
        idempotency_keys, jobs::JobKind, login_throttle, one_time_tokens, sessions, signing_keys,
    },
};

/// The job that clears away what has expired.
pub const SWEEP: JobKind = JobKind {
    name: "sweep",
    max_attempts: 3,
};

/// Rows deleted in one statement.
const BATCH: u16 = 1000;

/// Clears away what has expired.
pub struct Maintenance {
    platform: Platform,
}

impl Maintenance {
    /// The service on this database.
    pub fn new(platform: Platform) -> Self {
        Self { platform }
    }

    /// Deletes expired sessions, tokens, charges of logins and idempotency keys, and signing keys that were retired long ago, a
    /// batch at a time.
    ///
    /// # Errors
    ///
    /// If the database fails; what was deleted until then is.
    pub async fn sweep(&self, now: DateTime<Utc>) -> Result<()> {
        let batch = i64::from(BATCH);
        let mut connection = self.platform.pool.acquire().await?;
        while sessions::sweep(&mut connection, now, batch).await? == u64::from(BATCH) {}
        while one_time_tokens::sweep(&mut connection, now, batch).await? == u64::from(BATCH) {}
        let before = swept_before(now);
        while signing_keys::sweep(&mut connection, before, batch).await? == u64::from(BATCH) {}
        let override_ = self.platform.clock.database_override();
        while login_throttle::sweep(&mut connection, override_, batch).await? == u64::from(BATCH) {}
        while idempotency_keys::sweep(&mut connection, override_, batch).await? == u64::from(BATCH)
        {
        }
        Ok(())
    }
}
