//! Walking along the index of an order, and looking at each row.

use sqlx::PgConnection;

use super::{
    Found, SOME, Search,
    filter::{Sql, is_bounded, push_bounds, push_branch},
    gather,
    order::{Branch, Fixed, Keys},
    words::By,
};
use crate::{domain::user_order::Place, error::Result};

/// Rows that the first walk looks at: some 1 ms.
pub(super) const SHORT_WALK: usize = 1_000;
/// Rows that the second walk looks at, where the first found some.
const LONG_WALK: usize = 10_000;

/// The first rows of a branch that pass: by short walks, or gathered where those tell that they are rare.
pub(super) async fn find(
    connection: &mut PgConnection,
    search: &Search<'_>,
    branch: &Branch,
    after: Option<&Place>,
    limit: usize,
) -> Result<Found> {
    if search.is_open() && branch.fixed.is_empty() {
        return walk(connection, search, branch, after, limit, limit).await;
    }
    for length in [SHORT_WALK, LONG_WALK] {
        let length = length.max(limit);
        let walked = walk(connection, search, branch, after, length, limit).await?;
        let passed = walked.users.len();
        if passed >= limit || !goes_on(connection, search, branch, after, length).await? {
            return Ok(walked);
        }
        if passed < SOME {
            break;
        }
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
    let is_present = |fixed: &Fixed| matches!(fixed, Fixed::Present(_));
    let is_bounded = after.is_some()
        || branch.fixed.iter().any(is_present)
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

/// Writes which rows a walk looks at, in which order.
fn push_way(sql: &mut Sql, search: &Search<'_>, branch: &Branch, after: Option<&Place>) {
    let bounds = |fixed: &&Fixed| matches!(fixed, Fixed::Present(_));
    let bounds = Branch {
        fixed: branch.fixed.iter().filter(bounds).copied().collect(),
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
    search.push_tier(&mut sql);
    sql.push(" from (select users.* from users where true");
    push_way(&mut sql, search, branch, after);
    sql.push(" limit ").push(length).push(") users where true");
    search.push_filter(&mut sql, branch, By::Text);
    push_branch(&mut sql, branch, &search.words, By::Text);
    sql.push(") users");
    branch.push_order(&mut sql, Keys::OfRow);
    sql.push(" limit ").push(limit);
    let found = sql.build_query_as().fetch_all(connection).await?;
    Found::of(found)
}
