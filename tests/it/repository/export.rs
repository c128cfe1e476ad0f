//! Everything that is kept of one user.

use serde_json::json;
use user_management::repository::export;

use super::{put, user};
use crate::support::database::TestDatabase;

#[tokio::test]
async fn an_export_is_of_one_user_and_of_nobody_who_is_not_there() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    put(&mut conn, 1).await;
    put(&mut conn, 2).await;
    let found = export::find(&mut conn, user(1).id, &[[7; 32]])
        .await
        .unwrap();
    let found = found.unwrap();
    assert_eq!(found["users"]["nickname"], "user_1");
    assert_eq!(found["users"].get("password_hash"), None);
    assert_eq!(found["sessions"], json!([]));
    let nobody = export::find(&mut conn, user(3).id, &[]).await.unwrap();
    assert_eq!(nobody, None);
}
