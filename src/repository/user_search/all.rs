//! All users whom a filter lets pass, as files have them: by their ids, a window at a time.
//!
//! A window is so many rows of the table, however few of them pass: each statement looks at as many as the
//! next, and none runs into the limit of its time, however rare such users are.

use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgConnection};

use super::{
    Word,
    filter::{Sql, push_filter},
    words::By,
};
use crate::{
    domain::{
        exported_user::ExportedUser, id::UserId, password::PasswordHash, user_search::UserFilter,
    },
    error::{Error, Result},
    repository::users::{UserRow, columns_of},
};

/// A part of the table of users, in the order of their ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// The user before the first one; none: from the beginning.
    pub after: Option<UserId>,
    /// The last one.
    pub until: UserId,
}

#[derive(FromRow)]
struct Row {
    #[sqlx(flatten)]
    user: UserRow,
    password_reset_openly_at: Option<DateTime<Utc>>,
    #[sqlx(default)]
    password_hash: Option<String>,
}

impl TryFrom<Row> for ExportedUser {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        Ok(Self {
            user: row.user.try_into()?,
            password_reset_openly_at: row.password_reset_openly_at,
            password_hash: row.password_hash.map(PasswordHash::new),
        })
    }
}

fn push_after(sql: &mut Sql, after: Option<UserId>) {
    if let Some(after) = after {
        sql.push(" and id > ").push_bind(after);
    }
}

/// The window of so many rows after this user; none where there is nobody any more.
///
/// # Errors
///
/// If the database fails.
pub async fn find_window(
    connection: &mut PgConnection,
    after: Option<UserId>,
    rows: u32,
) -> Result<Option<Window>> {
    let mut sql = Sql::new("select id from (select id from users where true");
    push_after(&mut sql, after);
    sql.push(" order by id limit ").push_bind(i64::from(rows));
    sql.push(") w order by id desc limit 1");
    let until: Option<UserId> = sql.build_query_scalar().fetch_optional(connection).await?;
    Ok(until.map(|until| Window { after, until }))
}

/// The users in a window whom a filter lets pass, in the order of their ids; with the hashes of their
/// passwords only where these are wanted.
///
/// # Errors
///
/// If the database fails.
pub async fn list_window(
    connection: &mut PgConnection,
    filter: &UserFilter,
    words: &[Word],
    window: Window,
    with_password_hashes: bool,
) -> Result<Vec<ExportedUser>> {
    let mut sql = Sql::new("select ");
    sql.push(columns_of!("users"))
        .push(", users.password_reset_openly_at");
    if with_password_hashes {
        sql.push(", users.password_hash");
    }
    sql.push(" from (select * from users where true");
    push_after(&mut sql, window.after);
    sql.push(" and id <= ").push_bind(window.until);
    // What the filter says must not lead to another index, again for each window.
    sql.push(" order by id offset 0) users where true");
    push_filter(&mut sql, filter, words, By::Text);
    sql.push(" order by id");
    let rows: Vec<Row> = sql.build_query_as().fetch_all(connection).await?;
    rows.into_iter().map(TryInto::try_into).collect()
}
