//! Jobs that recur.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::PgPool;

use crate::repository::jobs::{self, JobKind, NewJob};

/// A kind of job that is run once each `every`, by one worker of all.
///
/// There is always one job that waits for the next slot: slots are whole multiples of `every` since
/// 1970. Its dedupe key is the kind's, so that there is never a second one, however many workers
/// enqueue it, and slots that nobody worked in are made up for by one run and not by many. A worker
/// enqueues it when it starts and, before it runs a job of the kind, for the slot after: a queue that
/// runs needs no timer and makes no query for its schedules.
#[derive(Debug, Clone, Copy)]
pub struct Schedule {
    /// What is run.
    pub kind: JobKind,
    /// How often; at least a second.
    pub every: Duration,
}

impl Schedule {
    /// Makes sure that a job waits for the next slot.
    ///
    /// # Errors
    ///
    /// The database's.
    pub async fn enqueue_next(
        &self,
        pool: &PgPool,
        now: Option<DateTime<Utc>>,
    ) -> sqlx::Result<()> {
        let mut conn = pool.acquire().await?;
        let time = jobs::database_time(&mut conn, now).await?;
        let key = format!("schedule:{}", self.kind.name);
        let job = NewJob {
            run_at: Some(self.slot_after(time)),
            // a run that is still going on, or is to be retried, is not overtaken by the next
            serial_key: Some(key.clone()),
            dedupe_key: Some(key),
            ..NewJob::new(self.kind, json!({}))
        };
        jobs::enqueue(&mut conn, &job, now).await?;
        Ok(())
    }

    fn slot_after(&self, time: DateTime<Utc>) -> DateTime<Utc> {
        let every = i64::try_from(self.every.as_secs())
            .unwrap_or(i64::MAX)
            .max(1);
        let slot = (time.timestamp().div_euclid(every) + 1).saturating_mul(every);
        DateTime::from_timestamp(slot, 0).unwrap_or(DateTime::<Utc>::MAX_UTC)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_slot_is_the_next_multiple() {
        let schedule = Schedule {
            kind: JobKind {
                name: "test",
                max_attempts: 1,
            },
            every: Duration::from_secs(3600),
        };
        for (time, slot) in [
            ("2026-11-21T10:00:00Z", "2026-11-21T11:00:00Z"),
            ("2026-11-21T10:59:59.999999Z", "2026-11-21T11:00:00Z"),
            ("1969-12-31T23:30:00Z", "1970-01-01T00:00:00Z"),
        ] {
            assert_eq!(
                schedule.slot_after(time.parse().unwrap()),
                slot.parse::<DateTime<Utc>>().unwrap()
            );
        }
    }
}
