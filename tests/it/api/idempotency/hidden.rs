//! Requests with a key where nobody may learn who has an account.

use serde_json::json;
use user_management::domain::role::Role;

use super::{KEY, assert_replayed, body, register};
use crate::support::app::TestApp;

/// What is stored of a key, but for what is random or a time.
async fn kept(app: &TestApp) -> String {
    sqlx::query_scalar(
        "select (to_jsonb(k) - array['scope', 'request_digest', 'created_at', 'expires_at'])::text \
         from idempotency_keys k order by created_at desc limit 1",
    )
    .fetch_one(&app.database.pool)
    .await
    .unwrap()
}

#[tokio::test]
async fn registrations_sent_again_are_answered_alike_for_known_and_unknown_addresses() {
    let app = TestApp::start_with(&[("HIDE_ACCOUNT_EXISTENCE", "true")]).await;
    let owner = app.user(Role::Authenticated, "ada@example.com").await;
    let mut seen = Vec::new();
    for (key, email) in [("known", "ada@example.com"), ("new", "new@example.com")] {
        let first = register(&app, key, &body(email)).await.expect(202);
        assert_eq!(first.json(), json!({"message": "Check your mail"}));
        let again = register(&app, key, &body(email)).await;
        assert_replayed(&first, &again);
        seen.push((first.json(), kept(&app).await));
        app.clock.advance(chrono::TimeDelta::seconds(1));
    }
    assert_eq!(seen[0], seen[1]);
    assert!(seen[0].1.contains("undisclosed"), "{}", seen[0].1);
    assert_eq!(app.count("users").await, 2);
    // One mail each, although each request came twice.
    let mails = app.deliver_mail().await;
    let mut told: Vec<_> = mails.iter().map(|mail| &*mail.to.address).collect();
    told.sort_unstable();
    assert_eq!(told, [&*owner.email, "new@example.com"]);
}

#[tokio::test]
async fn nor_does_the_end_of_an_account_tell_that_it_was_made() {
    let app = TestApp::start_with(&[("HIDE_ACCOUNT_EXISTENCE", "true")]).await;
    app.admin().await;
    let first = register(&app, KEY, &body("new@example.com"))
        .await
        .expect(202);
    app.deliver_mail().await;
    sqlx::query("delete from users where email = 'new@example.com'")
        .execute(&app.database.pool)
        .await
        .unwrap();
    let again = register(&app, KEY, &body("new@example.com")).await;
    assert_replayed(&first, &again);
    assert_eq!(app.count("users").await, 1);
}
