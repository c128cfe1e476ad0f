//! Users by whatever they are called.

use sqlx::PgConnection;

use super::{UserRow, columns_of};
use crate::{
    domain::{id::UserId, login_name::LoginName, user::User},
    error::Result,
};

/// The users whose id, nickname, address, phone number or legacy name this is, oldest first: one at most
/// by each. `name` is what a login would make of `typed`.
///
/// # Errors
///
/// If the database fails.
pub async fn find_named(
    connection: &mut PgConnection,
    typed: &str,
    name: &LoginName,
) -> Result<Vec<User>> {
    let rows: Vec<UserRow> = sqlx::query_as(concat!(
        "select ",
        columns_of!("users"),
        " from users where id = $1 or lower(nickname) = $4 or lower(email) = $3 \
         or phone_number = $3 or legacy_name = $2 order by id"
    ))
    .bind(typed.parse::<UserId>().ok())
    .bind(typed)
    .bind(name.as_str())
    .bind(typed.to_ascii_lowercase())
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(User::try_from).collect()
}
