//! How many users pass a filter.

use serde_json::Value;
use sqlx::PgConnection;

use super::{
    Search,
    filter::{Sql, push_filter},
    plan_for_values,
    words::By,
};
use crate::error::Result;

/// How many users are searched for, with words that were looked up, counted one by one, but not further than `bound`.
///
/// # Errors
///
/// If the database fails.
pub async fn count(
    connection: &mut PgConnection,
    search: &Search<'_>,
    bound: Option<u64>,
) -> Result<u64> {
    // Materialized, so that it is planned for all rows: by a bound PostgreSQL would be led to hope that it
    // meets so many on a walk over the table.
    let mut sql = Sql::new("with matches as materialized (");
    for (number, by) in search.ways_to_gather().into_iter().enumerate() {
        if number > 0 {
            sql.push(" union all ");
        }
        sql.push("select 1 from users where true");
        push_filter(&mut sql, search.filter, &search.words, by);
    }
    sql.push(") select count(*) from (select 1 from matches");
    if let Some(bound) = bound {
        sql.push(" limit ")
            .push_bind(i64::try_from(bound).unwrap_or(i64::MAX));
    }
    sql.push(") counted");
    plan_for_values(connection).await?;
    let count: i64 = sql
        .build_query_scalar()
        .persistent(false)
        .fetch_one(connection)
        .await?;
    Ok(u64::try_from(count).unwrap_or(0))
}

/// About how many users pass a filter, by the database's statistics.
///
/// # Errors
///
/// If the database fails.
pub async fn estimate(connection: &mut PgConnection, search: &Search<'_>) -> Result<u64> {
    let mut sql = Sql::new("explain (format json) select 1 from users where true");
    let by = if search.is_by_words() {
        By::Words
    } else {
        By::Fields
    };
    push_filter(&mut sql, search.filter, &search.words, by);
    let plan: Value = sql
        .build_query_scalar()
        .persistent(false)
        .fetch_one(connection)
        .await?;
    let rows = plan.pointer("/0/Plan/Plan Rows").and_then(Value::as_u64);
    Ok(rows.unwrap_or(0))
}
