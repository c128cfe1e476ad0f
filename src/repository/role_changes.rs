//! The table `role_changes`.

use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgConnection};

use super::users::role;
use crate::{
    domain::{
        id::UserId,
        page::{Listed, Page},
        role_change::{NewRoleChange, Reason, RoleChange, RoleChangeId},
    },
    error::Result,
};

#[derive(FromRow)]
struct Row {
    id: i64,
    user_id: UserId,
    from_role: String,
    to_role: String,
    reason: Option<String>,
    changed_by: Option<UserId>,
    changed_at: DateTime<Utc>,
    changed_by_nickname: Option<String>,
}

impl TryFrom<Row> for RoleChange {
    type Error = crate::error::Error;

    fn try_from(row: Row) -> Result<Self> {
        Ok(Self {
            id: RoleChangeId(row.id),
            change: NewRoleChange {
                user_id: row.user_id,
                from: role(&row.from_role)?,
                to: role(&row.to_role)?,
                reason: row.reason.map(Reason::from_database),
                changed_by: row.changed_by,
                changed_at: row.changed_at,
            },
            changed_by_nickname: row.changed_by_nickname,
        })
    }
}

macro_rules! select {
    ($more:literal, $rest:literal) => {
        concat!(
            "select c.id, c.user_id, c.from_role, c.to_role, c.reason, c.changed_by, c.changed_at, \
             b.nickname as changed_by_nickname",
            $more,
            " from role_changes c left join users b on b.id = c.changed_by ",
            $rest
        )
    };
}

/// Stores a change of a role: answers its id. The role itself is stored with the user.
///
/// # Errors
///
/// If the database fails.
///
/// # Concurrency
///
/// The caller holds the user's row, so that ids grow in the order of the changes.
pub async fn insert(connection: &mut PgConnection, change: &NewRoleChange) -> Result<RoleChangeId> {
    let id = sqlx::query_scalar(
        "insert into role_changes (user_id, from_role, to_role, reason, changed_by, changed_at) \
         values ($1, $2, $3, $4, $5, $6) returning id",
    )
    .bind(change.user_id)
    .bind(change.from.as_str())
    .bind(change.to.as_str())
    .bind(change.reason.as_ref().map(Reason::as_str))
    .bind(change.changed_by)
    .bind(change.changed_at)
    .fetch_one(connection)
    .await?;
    Ok(RoleChangeId(id))
}

/// The change of this id.
///
/// # Errors
///
/// If the database fails.
pub async fn find(connection: &mut PgConnection, id: RoleChangeId) -> Result<Option<RoleChange>> {
    let row: Option<Row> = sqlx::query_as(select!("", "where c.id = $1"))
        .bind(id.0)
        .fetch_optional(connection)
        .await?;
    row.map(RoleChange::try_from).transpose()
}

/// A page of the changes of a user's role, newest first, and how many there are, in one statement, so
/// that they agree.
///
/// # Errors
///
/// If the database fails.
pub async fn list(
    connection: &mut PgConnection,
    user_id: UserId,
    page: Page,
) -> Result<Listed<RoleChange>> {
    #[derive(FromRow)]
    struct ListedRow {
        #[sqlx(flatten)]
        row: Row,
        total: i64,
    }
    let rows: Vec<ListedRow> = sqlx::query_as(select!(
        ", (select count(*) from role_changes where user_id = $1) as total",
        "where c.user_id = $1 order by c.id desc limit $2 offset $3"
    ))
    .bind(user_id)
    .bind(i64::from(page.limit))
    .bind(i64::from(page.skip))
    .fetch_all(&mut *connection)
    .await?;
    let total: i64 = match rows.first() {
        Some(row) => row.total,
        // Beyond the end nothing tells.
        None => {
            sqlx::query_scalar("select count(*) from role_changes where user_id = $1")
                .bind(user_id)
                .fetch_one(connection)
                .await?
        }
    };
    let items: Result<Vec<_>> = rows
        .into_iter()
        .map(|listed| RoleChange::try_from(listed.row))
        .collect();
    Ok(Listed {
        items: items?,
        total: u64::try_from(total).unwrap_or(0),
    })
}
