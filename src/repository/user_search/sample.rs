//! Users on some pages of the table, and how many of them pass a filter: by it is told what is rare and what is
//! common, which PostgreSQL can't tell well from its statistics, least of all for parts of texts and for filters
//! that go together.

use sqlx::{PgConnection, Row as _};

use super::{
    Search,
    filter::{Sql, push_branch, push_filter},
    order::Branch,
    words::By,
};
use crate::error::Result;

/// Users of a sample: some 2 ms.
pub(super) const SAMPLE: usize = 2_000;
/// Fewest users who pass by whom more is told than that they are rare.
pub(super) const SOME: usize = 3;

/// How many users of a sample pass a filter.
#[derive(Debug, Clone)]
pub struct Sample {
    /// Those in each branch.
    pub(super) passing: Vec<usize>,
    /// How many pages they are on.
    pages: u64,
    /// The part of all pages that was looked at.
    share: f64,
    /// How many users were looked at, more or less.
    size: f64,
    /// How many pass in all, reckoned from these.
    pub estimate: u64,
}

impl Sample {
    /// Whether more than `bound` pass in all, but for once in ten thousand times: were it no more, they would be
    /// on `bound` pages at most, and only by chance on so many of these.
    #[must_use]
    pub fn tells_more_than(&self, bound: u64) -> bool {
        // The chance of so many pages and more, by Poisson's law.
        let expected = bound as f64 * self.share;
        let (mut chance, mut fewer) = ((-expected).exp(), 0.0);
        for pages in 0..self.pages {
            fewer += chance;
            chance *= expected / (pages + 1) as f64;
        }
        1.0 - fewer < 1e-4
    }

    /// The part of all users who pass and are in a branch.
    pub(super) fn share(&self, branch: usize) -> f64 {
        self.passing[branch] as f64 / self.size
    }

    /// Users in any branch.
    pub(super) fn all(&self) -> usize {
        self.passing.iter().sum()
    }
}

/// How many users pass, by a look at some.
///
/// # Errors
///
/// If the database fails.
pub async fn look_at_some(connection: &mut PgConnection, search: &Search<'_>) -> Result<Sample> {
    take(connection, search, &[]).await
}

/// Looks at some [`SAMPLE`] users, always on the same pages: who asks twice gets one answer, and those pages are
/// in memory.
pub(super) async fn take(
    connection: &mut PgConnection,
    search: &Search<'_>,
    branches: &[Branch],
) -> Result<Sample> {
    let everybody = search.everybody.max(1) as f64;
    // In two figures, so that it can stand in the statement, whose plan is then good for other values too.
    let percent = 100.0 * (SAMPLE as f64 / everybody).min(1.0);
    let unit = 10_f64.powf(percent.log10().floor() - 1.0);
    let percent = (percent / unit).round() * unit;
    let share = percent / 100.0;
    let mut sql = Sql::new("select count(distinct (ctid::text::point)[0]), count(*)");
    for branch in branches {
        sql.push(", count(*) filter (where true");
        push_branch(&mut sql, branch, &search.words, By::Text);
        sql.push(")");
    }
    sql.push(" from users tablesample system (")
        .push(format!("{percent:e}"));
    sql.push(") repeatable (0) where true");
    push_filter(&mut sql, search.filter, &search.words, By::Text);
    let row = sql.build().fetch_one(connection).await?;
    let number = |at: usize| -> Result<i64> { Ok(row.try_get(at)?) };
    let passing = (2..2 + branches.len()).map(|at| {
        let count = number(at)?;
        Ok(usize::try_from(count).unwrap_or(0))
    });
    Ok(Sample {
        pages: u64::try_from(number(0)?).unwrap_or(0),
        share,
        size: everybody * share,
        estimate: (number(1)? as f64 / share) as u64,
        passing: passing.collect::<Result<_>>()?,
    })
}
