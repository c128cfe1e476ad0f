//! Walking along the index of an order, and looking at each row.

use sqlx::PgConnection;

use super::{
    Found, Search,
    filter::{Sql, is_bounded, push_bounds, push_branch},
    gather,
    order::{Branch, Fixed, Keys},
    words::By,
};
use crate::{domain::user_order::Place, error::Result};

/// Fewest and most rows that a walk looks at where it isn't known that it needs more: some 1 ms, and 10 ms.
const SHORT_WALK: usize = 1_000;
const LONG_WALK: usize = 10_000;
/// Most rows that a walk looks at, but for as many as are wanted.
const LONGEST_WALK: usize = 50_000;
/// So many times more rows than needed on average are looked at, since users who pass aren't spread evenly.
const SLACK: usize = 3;
/// So many times more rows than needed on average a walk may cost: a sample of a few is off by so much.
const RISK: usize = 2;
/// To gather a row costs as much as to pass by so many on a walk: all indexes are read that lead to it.
const GATHERED: usize = 2;

/// The first rows of a branch that pass: by a walk, or gathered where they are rare. `share` is the part of all
/// users who pass, by a sample; none where everybody does.
pub(super) async fn find(
    connection: &mut PgConnection,
    search: &Search<'_>,
    branch: &Branch,
    after: Option<&Place>,
    limit: usize,
    share: Option<f64>,
) -> Result<Found> {
    let Some(share) = share else {
        return walk(connection, search, branch, after, limit, limit).await;
    };
    let needed = (limit as f64 / share) as usize;
    let gathered = (search.everybody as f64 * share) as usize;
    let most = gathered.saturating_mul(GATHERED);
    let mut length = needed.saturating_mul(SLACK).min(LONG_WALK);
    length = length.max(needed).max(limit).max(SHORT_WALK);
    // The first walk ends with the last row that is wanted, so its bound is no measure of its work.
    let mut expected = needed.saturating_mul(RISK);
    while expected <= most.min(LONGEST_WALK).max(limit) {
        let walked = walk(connection, search, branch, after, length, limit).await?;
        let is_found = walked.users.len() >= limit;
        if is_found || !goes_on(connection, search, branch, after, length).await? {
            return Ok(walked);
        }
        // Where many pass, but none at the beginning, a longer walk is still less work.
        length = length.saturating_mul(4);
        expected = length;
    }
    gather(connection, search, branch, after, limit).await
}

/// Whether the order has more rows than a walk of this length looks at.
async fn goes_on(
    connection: &mut PgConnection,
    search: &Search<'_>,
    branch: &Branch,
    after: Option<&Place>,
    length: usize,
) -> Result<bool> {
    let is_bounded = after.is_some()
        || branch.fixed.iter().any(|fixed| bounds(branch, *fixed))
        || branch
            .keys
            .first()
            .is_some_and(|key| is_bounded(search.filter, key.field));
    if !is_bounded && search.everybody > u64::try_from(length).unwrap_or(u64::MAX) {
        return Ok(true);
    }
    let mut sql = Sql::new("select exists (select 1 from users where true");
    push_way(&mut sql, search, branch, after);
    sql.push(" offset ").push(length).push(" limit 1)");
    Ok(sql.build_query_scalar().fetch_one(connection).await?)
}

/// Whether what is fixed is where the index of a branch's order begins or ends.
fn bounds(branch: &Branch, fixed: Fixed) -> bool {
    match fixed {
        Fixed::Present(_) => true,
        // In the order of ids it is where the index of its field begins.
        Fixed::Absent(_) => branch.keys.is_empty(),
        _ => false,
    }
}

/// Writes which rows a walk looks at, in which order.
fn push_way(sql: &mut Sql, search: &Search<'_>, branch: &Branch, after: Option<&Place>) {
    let fixed = branch.fixed.iter().copied();
    let bounds = Branch {
        fixed: fixed.filter(|fixed| bounds(branch, *fixed)).collect(),
        ..Branch::default()
    };
    push_branch(sql, &bounds, &search.words, By::Fields);
    if let Some(key) = branch.keys.first() {
        push_bounds(sql, search.filter, key.field);
    }
    if let Some(place) = after {
        branch.push_after(sql, place, Keys::OfRow);
    }
    branch.push_order(sql, Keys::OfRow);
}

/// Looks at so many rows along the order. The numbers stand in the statement, so that one plan is good for
/// all values.
async fn walk(
    connection: &mut PgConnection,
    search: &Search<'_>,
    branch: &Branch,
    after: Option<&Place>,
    length: usize,
    limit: usize,
) -> Result<Found> {
    let mut sql = Sql::new("select ");
    search.push_columns(&mut sql);
    sql.push("0::bigint as total from (select users.*, ");
    search.push_tier(&mut sql, branch);
    // The keys are handed on, as they are by an index: else PostgreSQL would sort all rows by them once more.
    sql.push(" from (select ");
    branch.push_key_columns(&mut sql);
    sql.push("users.* from users where true");
    push_way(&mut sql, search, branch, after);
    sql.push(" limit ").push(length).push(") users where true");
    search.push_filter(&mut sql, branch, By::Text);
    push_branch(&mut sql, branch, &search.words, By::Text);
    sql.push(") users");
    branch.push_order(&mut sql, Keys::Gathered);
    sql.push(" limit ").push(limit);
    let found = sql.build_query_as().fetch_all(connection).await?;
    Found::of(found)
}
