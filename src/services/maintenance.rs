//! Clearing away what has expired.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    Ctx,
    audit::{Act, AuditLog},
    platform::Platform,
    user_imports::{IMPORT_USERS, import_given_up},
};
use crate::{
    domain::{
        audit::Action,
        id::{RequestId, UserId},
        signing_key::swept_before,
    },
    error::Result,
    repository::{
        email_changes, idempotency_keys, jobs::JobKind, login_throttle, one_time_tokens, outbox,
        search_words, sessions, signing_keys, user_imports, users,
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

/// How long imports of users stay after they last got on, with what was wrong with their rows.
const KEEP_IMPORTS: TimeDelta = TimeDelta::days(30);
/// Why an import has failed whose job isn't tried again.
const BROKEN_OFF: &str = "it was broken off too often";
/// How long an upload may stand still before it is given up.
const KEEP_UPLOADS: TimeDelta = TimeDelta::hours(1);

/// Clears away what has expired.
pub struct Maintenance {
    platform: Platform,
    audit: Arc<AuditLog>,
}

impl Maintenance {
    /// The service on this database.
    pub fn new(platform: Platform, audit: Arc<AuditLog>) -> Self {
        Self { platform, audit }
    }

    /// Erases accounts whose owners have let the time to restore them pass, and deletes expired
    /// sessions, tokens, changes of addresses, charges of logins and idempotency keys, and signing
    /// keys that were retired, messages that were consumed and imports that ended long ago, and the oldest
    /// part of the audit log, a batch at a time; and forgets words that nobody is called by any more.
    ///
    /// # Errors
    ///
    /// If the database fails; what was deleted until then is.
    pub async fn sweep(&self, now: DateTime<Utc>) -> Result<()> {
        let batch = i64::from(BATCH);
        while self.erase_due(now).await? == usize::from(ACCOUNTS_BATCH) {}
        let mut connection = self.platform.pool.acquire().await?;
        while sessions::sweep(&mut connection, now, batch).await? == u64::from(BATCH) {}
        while one_time_tokens::sweep(&mut connection, now, batch).await? == u64::from(BATCH) {}
        while search_words::forget_left(&mut connection, batch).await? == u64::from(BATCH) {}
        let before = swept_before(now);
        while signing_keys::sweep(&mut connection, before, batch).await? == u64::from(BATCH) {}
        while email_changes::sweep(&mut connection, now, batch).await? == u64::from(BATCH) {}
        let before = now - KEEP_PUBLISHED;
        while outbox::sweep(&mut connection, before, batch).await? == u64::from(BATCH) {}
        let (before, uploads) = (now - KEEP_IMPORTS, now - KEEP_UPLOADS);
        let job = IMPORT_USERS.name;
        self.end_forsaken(job, now).await?;
        while user_imports::sweep_errors(&mut connection, before, batch).await? == u64::from(BATCH)
        {
        }
        users::merge_counts(&mut connection).await?;
        // One at a time: each may have a file.
        while user_imports::sweep(&mut connection, before, uploads, 1).await? == 1 {}
        let override_ = self.platform.clock.database_override();
        while login_throttle::sweep(&mut connection, override_, batch).await? == u64::from(BATCH) {}
        while idempotency_keys::sweep(&mut connection, override_, batch).await? == u64::from(BATCH)
        {
        }
        drop(connection);
        self.audit.trim(now).await?;
        Ok(())
    }

    /// Ends imports that no job goes on with.
    async fn end_forsaken(&self, job: &str, now: DateTime<Utc>) -> Result<()> {
        let ctx = Ctx::system(RequestId(self.platform.random.uuid_v7(now)), now);
        let mut transaction = self.platform.pool.begin().await?;
        let ended = user_imports::end_forsaken(&mut transaction, job, BROKEN_OFF, now).await?;
        let acts = ended.iter().map(|id| import_given_up(*id, BROKEN_OFF));
        let audit = &self.platform.audit;
        audit.record_all(&mut transaction, &ctx, acts).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Erases accounts whose time has come, at most [`ACCOUNTS_BATCH`]: answers how many.
    async fn erase_due(&self, now: DateTime<Utc>) -> Result<usize> {
        let ctx = Ctx::system(RequestId(self.platform.random.uuid_v7(now)), now);
        let mut transaction = self.platform.pool.begin().await?;
        let erased: Vec<UserId> =
            users::erase_due(&mut transaction, now, i64::from(ACCOUNTS_BATCH)).await?;
        for user_id in &erased {
            let act = Act::new(Action::UserErased).on(*user_id);
            let audit = &self.platform.audit;
            audit.record(&mut transaction, &ctx, act).await?;
        }
        transaction.commit().await?;
        for user_id in &erased {
            tracing::info!(%user_id, "account erased");
        }
        Ok(erased.len())
    }
}
