//! What applications keep for users.

use serde_json::json;
use user_management::{
    domain::preferences::Preferences,
    repository::{export, user_preferences, users},
};

use super::{noon, put, user};
use crate::support::database::TestDatabase;

#[tokio::test]
async fn the_last_preferences_of_a_user_are_kept_until_he_goes() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    let (first, second) = (put(&mut conn, 1).await, put(&mut conn, 2).await);
    let none = user_preferences::find(&mut conn, first.id).await.unwrap();
    assert_eq!(none, None);
    for value in [json!({"a": [1, null]}), json!({})] {
        let preferences = Preferences::parse(value.clone()).unwrap();
        let stored = user_preferences::replace(&mut conn, first.id, &preferences, noon());
        assert!(stored.await.unwrap());
        let found = user_preferences::find(&mut conn, first.id).await.unwrap();
        assert_eq!(found, Some(preferences));
        let exported = export::find(&mut conn, first.id, &[]).await.unwrap();
        let exported = &exported.unwrap()["user_preferences"];
        assert_eq!(exported[0]["preferences"], value);
        assert_eq!(exported[0].get("user_id"), None);
    }
    let others = user_preferences::find(&mut conn, second.id).await.unwrap();
    assert_eq!(others, None);
    assert!(users::delete(&mut conn, first.id).await.unwrap());
    let gone = user_preferences::find(&mut conn, first.id).await.unwrap();
    assert_eq!(gone, None);
    let nobody = user(3).id;
    let preferences = Preferences::default();
    let stored = user_preferences::replace(&mut conn, nobody, &preferences, noon());
    assert!(!stored.await.unwrap());
}
