//! Users by whatever they are called.

use sqlx::PgConnection;

use super::{UserRow, columns_of, find};
use crate::{
    domain::{id::UserId, login_name::LoginName, user::User},
    error::Result,
};

/// The users whose nickname, address or phone number this is, oldest first: one at most by each; where there
/// is none, the one whose legacy name it is. `name` is what a login would make of `typed`.
///
/// Whatever can be an id is looked up as nothing else: somebody may have chosen another's id as his name.
///
/// # Errors
///
/// If the database fails.
pub async fn find_named(
    connection: &mut PgConnection,
    typed: &str,
    name: &LoginName,
) -> Result<Vec<User>> {
    if let Ok(id) = typed.parse::<UserId>() {
        return Ok(find(connection, id).await?.into_iter().collect());
    }
    // Legacy names were taken without a look at the names of others, so they give way to those.
    let rows: Vec<UserRow> = sqlx::query_as(concat!(
        "with named as (select id from users where lower(nickname) = $3 \
           or lower(email) = $2 or phone_number = $2) \
         select ",
        columns_of!("users"),
        " from users where id in (select id from named) \
         union all select ",
        columns_of!("users"),
        " from users where legacy_name = $1 and not exists (select from named) order by id"
    ))
    .bind(typed)
    .bind(name.as_str())
    .bind(typed.to_ascii_lowercase())
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(User::try_from).collect()
}
