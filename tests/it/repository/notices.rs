//! What users were told of.

use chrono::TimeDelta;
use sqlx::PgConnection;
use user_management::repository::notices::{Notice, claim};

use super::{after, put, user};
use crate::support::database::TestDatabase;

#[tokio::test]
async fn a_user_is_told_of_each_thing_once_in_a_while() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    for number in [1, 2] {
        put(&mut conn, number).await;
    }
    let tell = async |conn: &mut PgConnection, number, notice, minutes| {
        let now = after(TimeDelta::minutes(minutes));
        claim(conn, user(number).id, notice, now, TimeDelta::hours(1))
            .await
            .unwrap()
    };
    assert!(tell(&mut conn, 1, Notice::AccountExists, 0).await);
    assert!(!tell(&mut conn, 1, Notice::AccountExists, 59).await);
    assert!(
        tell(&mut conn, 1, Notice::AccountLocked, 59).await,
        "another thing"
    );
    assert!(
        tell(&mut conn, 2, Notice::AccountExists, 59).await,
        "another user"
    );
    // It counts from when he was told, not from when he was spared.
    assert!(tell(&mut conn, 1, Notice::AccountExists, 60).await);
    assert!(!tell(&mut conn, 1, Notice::AccountExists, 61).await);
    assert!(tell(&mut conn, 1, Notice::AccountExists, 120).await);
}
