//! `DELETE /users/{user_id}`

use user_management::domain::role::Role;

use crate::support::app::TestApp;

#[tokio::test]
async fn a_deleted_user_is_gone_with_all_that_was_his() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let user = app.user(Role::Authenticated, "ada@example.com").await;
    app.lock_out("ada@example.com").await;
    app.deliver_mail().await;
    let path = format!("/users/{}", user.id);
    let gone = app.delete(&path).by(&admin).send().await.expect(204);
    assert_eq!(gone.body, "");
    assert!(gone.headers.get("content-type").is_none());
    app.delete(&path)
        .by(&admin)
        .send()
        .await
        .expect_problem(404, "user_not_found");
    app.read(&admin, user.id)
        .await
        .expect_problem(404, "user_not_found");
    app.get("/users/")
        .by(&user)
        .send()
        .await
        .expect_problem(401, "not_authenticated");
    for (table, left) in [
        ("users", 1),
        ("sessions", 1),
        ("one_time_tokens", 0),
        ("notices", 0),
    ] {
        assert_eq!(app.count(table).await, left, "{table}");
    }
    app.clock.advance(chrono::TimeDelta::minutes(1));
    app.log_in("ada@example.com")
        .await
        .expect_problem(401, "invalid_credentials");
    app.register("ada@example.com").await.expect(200);
    app.deliver_mail().await;
}

#[tokio::test]
async fn whoever_deletes_himself_is_logged_out_by_it() {
    let app = TestApp::start().await;
    app.admin().await;
    let other = app.user(Role::Admin, "other@example.com").await;
    let path = format!("/users/{}", other.id);
    app.delete(&path).by(&other).send().await.expect(204);
    app.delete(&path)
        .by(&other)
        .send()
        .await
        .expect_problem(401, "not_authenticated");
}
