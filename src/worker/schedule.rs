//! Jobs that recur.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::PgPool;

use crate::repository::jobs::{self, JobKind, Lease, NewJob};

/// A kind of job that is run once each `every`, by one worker of all.
///
/// There is always one job that holds the kind's dedupe key: it waits for the next slot, or has just
/// been claimed. Slots are whole multiples of `every` since 1970. So there is never a second one,
/// however many workers enqueue it, and slots that nobody worked in are made up for by one run and
/// not by many. A worker enqueues it when it starts; who runs it hands the key over to the job of the
/// slot after, in one transaction. A queue that runs needs no timer and makes no query for its
/// schedules.
#[derive(Debug, Clone, Copy)]
pub struct Schedule {
    /// What is run.
    pub kind: JobKind,
    /// How often; at least a second.
    pub every: Duration,
}

impl Schedule {
    /// Makes sure that a job waits for the next slot. `running` is the job that now holds the key, if
    /// the caller runs it.
    ///
    /// # Errors
    ///
    /// The database's.
    pub async fn enqueue_next(
        &self,
        pool: &PgPool,
        running: Option<Lease>,
        now: Option<DateTime<Utc>>,
    ) -> sqlx::Result<()> {
        let mut tx = pool.begin().await?;
        if let Some(lease) = running {
            jobs::hand_over(&mut tx, lease).await?;
        }
        let time = jobs::database_time(&mut tx, now).await?;
        let key = jobs::schedule_key(self.kind);
        let job = NewJob {
            run_at: Some(self.slot_after(time)),
            // a run that is still going on, or is to be retried, is not overtaken by the next
            serial_key: Some(key.clone()),
            dedupe_key: Some(key),
            ..NewJob::new(self.kind, json!({}))
        };
        jobs::enqueue(&mut tx, &job, now).await?;
        tx.commit().await
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
