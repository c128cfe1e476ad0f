//! The end of the audit log: what is older than it is kept for.

use chrono::{DateTime, NaiveTime, Utc};
use serde_json::json;

use super::{Act, AuditLog, chain::hex};
use crate::{
    domain::{audit::Action, id::RequestId},
    error::Result,
    repository::audit_chain,
    services::Ctx,
};

/// Entries that are removed in one transaction.
const BATCH: i64 = 5000;

impl AuditLog {
    /// Removes the oldest part of the chain, up to the first entry that is still to be kept, and leaves an
    /// anchor from which the rest verifies; answers how many entries. Whole days go at once, so that there
    /// are few anchors.
    ///
    /// An entry that is missing stays in the way: it is to be found by a verification, and not to
    /// vanish with those around it.
    ///
    /// # Errors
    ///
    /// If the database fails; what was removed until then is.
    ///
    /// # Concurrency
    ///
    /// Nobody writes the chain meanwhile. Where somebody is at it, the next time will do.
    pub async fn trim(&self, now: DateTime<Utc>) -> Result<u64> {
        let Some(retention) = self.retention else {
            return Ok(0);
        };
        let before = (now - retention).date_naive().and_time(NaiveTime::MIN);
        let before = before.and_utc();
        let ctx = Ctx::system(RequestId(self.platform.random.uuid_v7(now)), now);
        let mut removed = 0;
        loop {
            let mut transaction = self.platform.pool.begin().await?;
            if !audit_chain::try_lock(&mut transaction).await? {
                transaction.rollback().await?;
                break;
            }
            let link = audit_chain::find_removable(&mut transaction, before, BATCH).await?;
            let Some(link) = link else {
                // Now, and not when the connection is next used: others want the lock.
                transaction.rollback().await?;
                break;
            };
            removed += audit_chain::remove_up_to(&mut transaction, link, now).await?;
            let act = Act::new(Action::AuditLogTrimmed)
                .after(json!({"sequence": link.sequence, "hash": hex(&link.hash)}));
            self.platform
                .audit
                .record(&mut transaction, &ctx, act)
                .await?;
            transaction.commit().await?;
        }
        if removed > 0 {
            tracing::info!(removed, "the oldest part of the audit log was removed");
        }
        Ok(removed)
    }
}
