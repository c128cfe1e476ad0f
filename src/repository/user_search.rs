//! Searching the table `users`: filtered, sorted, a page at a time.
//!
//! # How a page is found
//!
//! Two ways lead to the first rows that a filter lets pass. One walks along the index of the order and
//! looks at each row: quick where many rows pass, however many there are. The other gathers all rows
//! that pass, by the indexes of the filter, and sorts them: quick where few do. Which one it is a look at some
//! rows tells (`sample.rs` beside).
//!
//! Users that match one word best, those with a field that begins with it, need neither: see `begun.rs` beside.

mod all;
mod begun;
mod filter;
mod implied;
mod order;
mod sample;
mod totals;
mod walk;
mod words;

use std::collections::HashSet;

use sqlx::{FromRow, PgConnection};

use super::{
    search_words,
    users::{UserRow, columns_of},
};
use crate::{
    domain::{
        user::User,
        user_order::{Place, Tier, UserOrder},
        user_search::UserFilter,
    },
    error::{Error, Result},
};

pub use all::{Window, find_window, list_window};
use filter::{Sql, is_text_only, push_branch, push_filter, push_filter_but_text};
pub use implied::with_implied_times;
use order::{Branch, Keys, push_keys};
use sample::SOME;
pub use sample::{Sample, look_at_some};
pub use totals::{count, estimate};
use words::{By, push_match, push_tier_of};
pub use words::{Known, Scope, Word};

/// Begins the transaction of a search. Statements that walk along an index have one plan for all values, which
/// takes longer to find than the rows; others, and what little may follow them, are planned for the very values.
pub const BEGIN: &str = "begin read only; set local plan_cache_mode = force_generic_plan";

/// Which users, and in which order.
#[derive(Debug, Clone)]
pub struct Search<'a> {
    /// Which.
    pub filter: &'a UserFilter,
    /// The words of the filter's text. They are looked up when that is needed.
    pub words: Vec<Word>,
    /// In which order; the best match only with words.
    pub order: &'a UserOrder,
    /// How many users there are, or about so many: the best way to a page depends on it, and nothing else.
    pub everybody: u64,
    /// So many matches, by the database's statistics, are gathered before anything else is tried.
    pub gathered_up_to: u64,
}

/// Which page.
#[derive(Debug, Clone, Copy)]
pub struct PageOf<'a> {
    /// The place before it, in the direction in which it is read; none: from the beginning.
    pub after: Option<&'a Place>,
    /// Whether the order is read backwards: the page before a place, last row first.
    pub backwards: bool,
    /// Rows to pass over.
    pub skip: u32,
    /// Rows at most.
    pub limit: u32,
}

/// A page of users.
#[derive(Debug, Default)]
pub struct Found {
    /// The users, and their places.
    pub users: Vec<(User, Place)>,
    /// How many users pass the filter, where that came to light.
    pub total: Option<u64>,
    /// The same by the database's statistics, where they were asked.
    pub estimate: Option<u64>,
    /// How many of some users pass it, where it was looked at.
    pub sample: Option<Sample>,
}

#[derive(FromRow)]
struct Row {
    #[sqlx(flatten)]
    user: UserRow,
    keys: Vec<String>,
    tier: Option<i32>,
    total: i64,
}

impl Found {
    /// The users of these rows; their total is not known.
    fn of(rows: Vec<Row>) -> Result<Self> {
        let users: Result<_> = rows.into_iter().map(TryInto::try_into).collect();
        Ok(Self {
            users: users?,
            ..Self::default()
        })
    }
}

impl TryFrom<Row> for (User, Place) {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        let user = User::try_from(row.user)?;
        let tier = row.tier.and_then(|tier| usize::try_from(tier).ok());
        let place = Place {
            tier: tier.and_then(|tier| Tier::ALL.get(tier).copied()),
            keys: row.keys,
            id: user.id,
        };
        Ok((user, place))
    }
}

/// A page of the users that are searched for.
///
/// # Errors
///
/// If the database fails.
///
/// # Concurrency
///
/// Several statements, in a transaction that [`BEGIN`] began; a user who changes between them is listed where one of
/// them finds him, once.
pub async fn find_page(
    connection: &mut PgConnection,
    search: &mut Search<'_>,
    page: PageOf<'_>,
) -> Result<Found> {
    let keys = match search.order {
        UserOrder::By(keys) => &keys[..],
        UserOrder::BestMatch => &[],
    };
    let filter = search.filter;
    if filter.created.is_empty() || filter.last_login.is_empty() {
        return Ok(Found {
            total: Some(0),
            ..Found::default()
        });
    }
    let all = Branch::whole(search.order, page.backwards);
    let mut branches = all.split(search.words.len(), filter);
    branches.retain(|branch| branch.may_pass(filter));
    if let Some(place) = page.after {
        let at = branches.iter().position(|branch| branch.holds(place, keys));
        branches.drain(..at.unwrap_or_default());
    }
    let is_whole = page.after.is_none();
    let skip = usize::try_from(page.skip).unwrap_or(usize::MAX);
    let wanted = skip + usize::try_from(page.limit).unwrap_or(usize::MAX);
    let mut found = Found::default();
    let mut listed = HashSet::new();
    let are_all_wanted = search.is_open() && branches.iter().all(|branch| branch.fixed.is_empty());
    let is_sampled = !search.is_selective() && !are_all_wanted;
    for (number, branch) in branches.iter().enumerate() {
        let missing = wanted - found.users.len();
        let after = page.after.filter(|_| number == 0);
        let is_quick = number == 0 && search.is_quick(branch);
        if !is_quick {
            search.look_up(connection).await?;
        }
        if is_sampled && !is_quick && found.sample.is_none() {
            if search.is_by_words() {
                let estimated = estimate(connection, search).await?;
                if estimated <= search.gathered_up_to {
                    found = gather(connection, search, &all, page.after, wanted).await?;
                    break;
                }
                found.estimate = Some(estimated);
            }
            let sample = sample::take(connection, search, &branches).await?;
            if sample.all() < SOME {
                found = gather(connection, search, &all, page.after, wanted).await?;
                break;
            }
            found.sample = Some(sample);
        }
        let sample = found.sample.as_ref();
        let is_rare = sample.is_some_and(|sample| sample.passing[number] < SOME);
        let share = sample.map(|sample| sample.share(number));
        let mut part = match &search.words[..] {
            [word] if branch.is_begun() && (is_quick || !is_rare) => {
                begun::scan(connection, search, word, branch, after, missing).await?
            }
            _ if is_rare || branch.is_begun() || search.is_selective() => {
                gather(connection, search, branch, after, missing).await?
            }
            _ => walk::find(connection, search, branch, after, missing, share).await?,
        };
        if is_whole && branches.len() == 1 {
            found.total = part.total;
        }
        part.users.retain(|(user, _)| listed.insert(user.id));
        found.users.append(&mut part.users);
        if found.users.len() >= wanted {
            break;
        }
    }
    found.users.drain(..found.users.len().min(skip));
    Ok(found)
}

/// From here on, statements of this transaction are planned for the very values: which index is best depends on
/// them.
async fn plan_for_values(connection: &mut PgConnection) -> Result<()> {
    let custom = "set local plan_cache_mode = force_custom_plan";
    sqlx::raw_sql(custom).execute(connection).await?;
    Ok(())
}

fn rows(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

impl Search<'_> {
    /// Looks the words up, unless they were.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub async fn look_up(&mut self, connection: &mut PgConnection) -> Result<()> {
        search_words::look_up(connection, &mut self.words).await
    }

    fn ways_to_gather(&self) -> Vec<By> {
        By::to_gather(self.filter, &self.words, self.everybody)
    }

    /// Whether whole words lead to all rows that pass.
    fn is_by_words(&self) -> bool {
        self.ways_to_gather() != [By::Fields]
    }

    /// Whether everybody passes.
    fn is_open(&self) -> bool {
        *self.filter == UserFilter::default()
    }

    /// Whether one user passes at most.
    fn is_selective(&self) -> bool {
        use crate::domain::user_search::TextMatch::Exact;
        matches!(self.filter.nickname, Some(Exact(_)))
            || matches!(self.filter.email, Some(Exact(_)))
    }

    /// Whether the best matches are all that is asked for, and are found without a look at how many there are.
    fn is_quick(&self, branch: &Branch) -> bool {
        branch.is_begun() && *self.order == UserOrder::BestMatch && is_text_only(self.filter)
    }

    fn push_columns(&self, sql: &mut Sql) {
        sql.push(columns_of!("users")).push(", ");
        push_keys(sql, self.order);
        sql.push(" as keys, tier, ");
    }

    /// Writes how well a row of the branch matches that matches at all, and by which value, where that counts.
    fn push_tier(&self, sql: &mut Sql, branch: &Branch) {
        if *self.order != UserOrder::BestMatch {
            sql.push("null::integer as tier");
            return;
        }
        match (&self.words[..], branch.tier()) {
            (words, Some(tier)) if words.len() > 1 || tier > Tier::Prefix => {
                sql.push(format!("{} as tier, '' as matched", tier as i32));
            }
            ([word], _) => {
                push_tier_of(sql, &self.words);
                sql.push(" as tier, coalesce(");
                push_match(sql, word);
                sql.push(", '') as matched");
            }
            (words, _) => {
                push_tier_of(sql, words);
                sql.push(" as tier, '' as matched");
            }
        }
    }

    /// Writes the conditions of the filter, but for those that are in the branch.
    fn push_filter(&self, sql: &mut Sql, branch: &Branch, by: By) {
        if branch.has_text() {
            push_filter_but_text(sql, self.filter, by);
        } else {
            push_filter(sql, self.filter, &self.words, by);
        }
    }
}

/// Gathers all rows that pass, and sorts them.
async fn gather(
    connection: &mut PgConnection,
    search: &Search<'_>,
    branch: &Branch,
    after: Option<&Place>,
    limit: usize,
) -> Result<Found> {
    let mut sql = Sql::new("with matches as materialized (");
    for (number, by) in search.ways_to_gather().into_iter().enumerate() {
        if number > 0 {
            sql.push(" union all ");
        }
        sql.push("select id, ");
        branch.push_key_columns(&mut sql);
        search.push_tier(&mut sql, branch);
        sql.push(" from users where true");
        search.push_filter(&mut sql, branch, by);
        push_branch(&mut sql, branch, &search.words, by);
    }
    sql.push(") select ");
    search.push_columns(&mut sql);
    sql.push("(select count(*) from matches) as total from (select * from matches where true");
    if let Some(place) = after {
        branch.push_after(&mut sql, place, Keys::Gathered);
    }
    branch.push_order(&mut sql, Keys::Gathered);
    sql.push(" limit ").push_bind(rows(limit));
    sql.push(") matches join users using (id)");
    branch.push_order(&mut sql, Keys::Gathered);
    plan_for_values(connection).await?;
    let found: Vec<Row> = sql
        .build_query_as()
        .persistent(false)
        .fetch_all(&mut *connection)
        .await?;
    let total = found.first().map_or(0, |row| row.total);
    Ok(Found {
        users: Found::of(found)?.users,
        total: after.is_none().then(|| u64::try_from(total).unwrap_or(0)),
        ..Found::default()
    })
}
