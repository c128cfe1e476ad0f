//! Spans of time as values of PostgreSQL's type `interval`.

use chrono::TimeDelta;
use sqlx::postgres::types::PgInterval;

/// `delta` in whole microseconds.
pub(super) fn interval(delta: TimeDelta) -> PgInterval {
    PgInterval {
        months: 0,
        days: 0,
        microseconds: delta.num_microseconds().unwrap_or(i64::MAX),
    }
}
