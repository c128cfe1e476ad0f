//! How many users a search finds: exact where that is cheap, else an estimate.

use serde::{Deserialize, Serialize};
use sqlx::PgConnection;

use crate::{
    domain::user_search::UserFilter,
    error::Result,
    repository::user_search::{self, Found, Search},
};

/// Totals up to here are exact, and so is every one where there are few users at all.
pub const EXACT_UP_TO: u64 = 500;
/// So few users are counted one by one.
const FEW_USERS: u64 = 20_000;
/// By statistics that are off by no more than this factor it is known whether there are more than
/// [`EXACT_UP_TO`].
const TRUST: u64 = 10;
/// Where there are more, statistics that tell less than this times as many are taken to be wrong.
const DOUBT: u64 = 2;

/// How many users there are in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Total {
    /// The number.
    pub count: u64,
    /// Whether it is an estimate.
    pub is_estimate: bool,
}

/// What counts beside the search.
pub(super) struct Counting {
    pub(super) exactly: bool,
    pub(super) skip: u32,
    pub(super) has_more: bool,
}

/// How many users the search finds, of whom a page is found.
pub(super) async fn total(
    connection: &mut PgConnection,
    search: &mut Search<'_>,
    found: &Found,
    counting: Counting,
) -> Result<Total> {
    let exact = |count| Total {
        count,
        is_estimate: false,
    };
    if let Some(count) = found.total {
        return Ok(exact(count));
    }
    let seen = u64::from(counting.skip) + u64::try_from(found.users.len()).unwrap_or(0);
    if !counting.has_more && (!found.users.is_empty() || counting.skip == 0) {
        return Ok(exact(seen));
    }
    let everybody = search.everybody;
    if *search.filter == UserFilter::default() {
        return Ok(exact(everybody));
    }
    if counting.exactly || everybody <= FEW_USERS {
        search.look_up(connection).await?;
        let count = user_search::count(connection, search, None).await?;
        return Ok(exact(count));
    }
    let (mut estimate, are_surely_more) = match (&found.sample, found.estimate) {
        (Some(sample), _) => (sample.estimate, sample.tells_more_than(EXACT_UP_TO)),
        (None, Some(estimate)) => (estimate, estimate > EXACT_UP_TO * TRUST),
        (None, None) => {
            let estimate = user_search::estimate(connection, search).await?;
            (estimate, estimate > EXACT_UP_TO * TRUST)
        }
    };
    if !are_surely_more {
        search.look_up(connection).await?;
        let bound = Some(EXACT_UP_TO + 1);
        let count = user_search::count(connection, search, bound).await?;
        if count <= EXACT_UP_TO {
            return Ok(exact(count));
        }
        if found.sample.is_none() && estimate < EXACT_UP_TO * DOUBT {
            // Statistics are as old as the database's last look, and know little of what few have.
            estimate = user_search::look_at_some(connection, search)
                .await?
                .estimate;
        }
    }
    Ok(Total {
        count: estimate
            .clamp(EXACT_UP_TO + 1, everybody.max(EXACT_UP_TO + 1))
            .max(seen + 1),
        is_estimate: true,
    })
}
