//! The table `user_preferences`.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use sqlx::{PgConnection, types::Json};

use crate::{
    domain::{id::UserId, preferences::Preferences},
    error::Result,
};

/// A user's preferences; none where he has never had any.
///
/// # Errors
///
/// If the database fails.
pub async fn find(connection: &mut PgConnection, user_id: UserId) -> Result<Option<Preferences>> {
    let found: Option<Json<Map<String, Value>>> =
        sqlx::query_scalar("select preferences from user_preferences where user_id = $1")
            .bind(user_id)
            .fetch_optional(connection)
            .await?;
    Ok(found.map(|Json(object)| Preferences::from_database(object)))
}

/// Puts preferences in the place of a user's former ones; answers whether he is there.
///
/// # Errors
///
/// If the database fails.
///
/// # Concurrency
///
/// One statement, which keeps the user from being deleted meanwhile: of two at once the later one
/// stays.
pub async fn replace(
    connection: &mut PgConnection,
    user_id: UserId,
    preferences: &Preferences,
    now: DateTime<Utc>,
) -> Result<bool> {
    let stored = sqlx::query(
        "insert into user_preferences as p (user_id, preferences, updated_at) \
         select id, $2, $3 from users where id = $1 for key share \
         on conflict on constraint user_preferences_pkey do update \
         set preferences = excluded.preferences, updated_at = excluded.updated_at",
    )
    .bind(user_id)
    .bind(Json(preferences.as_object()))
    .bind(now)
    .execute(connection)
    .await?;
    Ok(stored.rows_affected() == 1)
}
