//! What follows from a filter: who hasn't logged in since some time was made before it, and who was made after
//! some time has logged in, if at all, since then. Filters bound indexes of their own; this bounds those of the
//! other times too.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;

use crate::{
    domain::user_search::{TimeRange, UserFilter},
    error::Result,
};

/// The filter with all bounds of times that follow from it; the same users pass.
///
/// # Errors
///
/// If the database fails.
///
/// # Concurrency
///
/// Holds for the users who are there now.
pub async fn with_implied_times(
    connection: &mut PgConnection,
    filter: UserFilter,
) -> Result<UserFilter> {
    let mut latest = vec![filter.created.to, filter.inactive_since];
    if filter.last_login.to.is_none() && filter.created.from.is_none() {
        return Ok(UserFilter {
            created: until(filter.created, &latest),
            ..filter
        });
    }
    let before_creation = longest_before_creation(connection).await?;
    let last_login = filter.last_login.to;
    latest.push(last_login.and_then(|time| time.checked_add_signed(before_creation)));
    let created = until(filter.created, &latest);
    let from = created.from;
    Ok(UserFilter {
        created,
        logged_in_since: from.and_then(|time| time.checked_sub_signed(before_creation)),
        ..filter
    })
}

fn until(range: TimeRange, times: &[Option<DateTime<Utc>>]) -> TimeRange {
    TimeRange {
        to: times.iter().flatten().min().copied(),
        ..range
    }
}

/// How long before his account was made somebody logged in, at most.
async fn longest_before_creation(connection: &mut PgConnection) -> Result<TimeDelta> {
    let microseconds: Option<i64> = sqlx::query_scalar(
        "select (extract(epoch from max(created_at - last_login_at)) * 1000000)::bigint from users \
         where created_at > last_login_at",
    )
    .fetch_one(connection)
    .await?;
    Ok(TimeDelta::microseconds(microseconds.unwrap_or(0)))
}
