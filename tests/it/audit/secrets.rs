//! What the rows of the audit log tell, and what they don't.

use serde_json::{Value, json};
use user_management::domain::role::Role;

use super::{gist, walk::Walk};
use crate::support::{
    app::{PASSWORD, TestApp},
    operations::OPERATIONS,
};

async fn all_rows(app: &TestApp) -> String {
    let rows: Vec<String> = sqlx::query_scalar("select to_jsonb(a)::text from audit_log a")
        .fetch_all(&app.database.pool)
        .await
        .unwrap();
    rows.join("\n")
}

#[tokio::test]
async fn no_row_has_a_secret() {
    let walk = Walk::start().await;
    for operation in OPERATIONS.iter().filter(|known| known.method != "GET") {
        walk.succeed(operation).await;
        walk.app.deliver_mail().await;
    }
    let rows = all_rows(&walk.app).await;
    assert!(rows.lines().count() > 60);
    assert!(!rows.contains("$argon2"), "{rows}");
    let secrets = walk.secrets.into_inner().unwrap();
    assert!(secrets.len() > 30, "{}", secrets.len());
    for secret in secrets {
        assert!(!rows.contains(&secret), "{secret}");
    }
}

#[tokio::test]
async fn a_change_tells_who_did_it_from_where_and_what_changed() {
    let app = TestApp::start().await;
    let (admin, user) = (
        app.admin().await,
        app.user(Role::Authenticated, "ada@example.com").await,
    );
    let change = json!({"first_name": "Ada", "role": "MANAGER", "bio": null});
    let changed = app
        .put(&format!("/users/{}", user.id))
        .by(&admin)
        .from([203, 0, 113, 7])
        .header("user-agent", "a browser")
        .json(&change)
        .send()
        .await
        .expect(200);
    let rows = app.audited(&changed).await;
    let told: Vec<_> = rows
        .iter()
        .map(|row| json!([row["action"], row["before"], row["after"]]))
        .collect();
    assert_eq!(
        told,
        [
            json!(["role_changed", {"role": "AUTHENTICATED"}, {"role": "MANAGER"}]),
            json!(["user_changed", {"first_name": null}, {"first_name": "Ada"}]),
        ]
    );
    for row in &rows {
        assert_eq!(
            gist(row),
            json!(["user", admin.id, row["action"], user.id, "success"])
        );
        assert_eq!(row["client_address"], "203.0.113.7");
        assert_eq!(row["device"], "a browser");
        assert_eq!(row["at"], "2026-01-02T03:04:05+00:00");
        assert_eq!(row["on_behalf_of"], Value::Null);
    }
    // What changes nothing is no act.
    let same = app.change(&admin, user.id, &change).await.expect(200);
    assert_eq!(app.audited(&same).await, [json!(null); 0]);
    app.deliver_mail().await;
}

#[tokio::test]
async fn logins_that_succeed_fail_and_lock_are_told() {
    let app = TestApp::start().await;
    let user = app.user(Role::Authenticated, "ada@example.com").await;
    let login = app.log_in("ada@example.com").await.expect(200);
    let row = app.audited_once(&login).await;
    assert_eq!(
        gist(&row),
        json!(["user", user.id, "session_opened", user.id, "success"])
    );
    assert_eq!(row["after"]["used_by"], "tokens");
    let wrong = app.guess("ada@example.com").await.expect(401);
    let failed = json!(["nobody", null, "login_failed", user.id, "failed"]);
    assert_eq!(gist(&app.audited_once(&wrong).await), failed);
    let unknown = app.guess("nobody@example.com").await.expect(401);
    let row = app.audited_once(&unknown).await;
    let failed = json!(["nobody", null, "login_failed", null, "failed"]);
    assert_eq!(gist(&row), failed);
    assert!(!row.to_string().contains("example.com"), "{row}");
    for _ in 0..3 {
        app.guess("ada@example.com").await.expect(401);
    }
    let last = app.guess("ada@example.com").await.expect(401);
    let rows = app.audited(&last).await;
    let actions: Vec<_> = rows.iter().map(|row| &row["action"]).collect();
    assert_eq!(actions, ["login_failed", "locked_out"]);
    // Of what is refused unseen there may be any number.
    let refused = app.guess("ada@example.com").await.expect(400);
    assert_eq!(app.audited(&refused).await.len(), 0);
    app.deliver_mail().await;
}

#[tokio::test]
async fn an_exchange_of_a_refresh_token_is_told_only_where_it_is_theft() {
    let app = TestApp::start().await;
    let user = app.user(Role::Authenticated, "ada@example.com").await;
    let first = app
        .log_in("ada@example.com")
        .await
        .expect(200)
        .text("refresh_token");
    let exchange = async |token: &str| {
        let fields = [("grant_type", "refresh_token"), ("refresh_token", token)];
        app.post("/login/").form(&fields).send().await
    };
    let refreshed = exchange(&first).await.expect(200);
    assert_eq!(app.audited(&refreshed).await.len(), 0);
    exchange(&refreshed.text("refresh_token")).await.expect(200);
    let reused = exchange(&first).await.expect(400);
    let row = app.audited_once(&reused).await;
    let theft = json!(["nobody", null, "refresh_token_reused", user.id, "failed"]);
    assert_eq!(gist(&row), theft);
    app.deliver_mail().await;
}

#[tokio::test]
async fn a_request_that_is_sent_again_is_told_once() {
    let app = TestApp::start().await;
    let body = json!({"email": "ada@example.com", "password": PASSWORD});
    let send = async || {
        let request = app.post("/register/").header("idempotency-key", "once");
        request.json(&body).send().await.expect(200)
    };
    let (made, again) = (send().await, send().await);
    assert_eq!(again.header("idempotency-replayed"), "true");
    let row = app.audited_once(&made).await;
    assert_eq!(row["action"], "user_registered");
    assert_eq!(row["after"]["email"], "ada@example.com");
    assert_eq!(app.audited(&again).await.len(), 0);
    app.deliver_mail().await;
}

#[tokio::test]
async fn a_request_of_a_session_that_has_ended_leaves_nothing() {
    let app = TestApp::start().await;
    let user = app.user(Role::Authenticated, "ada@example.com").await;
    app.delete("/sessions/current")
        .by(&user)
        .send()
        .await
        .expect(204);
    let change = json!({"first_name": "Ada"});
    let late = app.patch("/me").by(&user).json(&change).send().await;
    assert_eq!(app.audited(&late.expect(401)).await.len(), 0);
}

#[tokio::test]
async fn what_was_done_to_a_user_outlives_him() {
    let app = TestApp::start().await;
    let (admin, user) = (
        app.admin().await,
        app.user(Role::Authenticated, "ada@example.com").await,
    );
    app.close(&user).await.expect(202);
    app.deliver_mail().await;
    app.clock.advance(chrono::TimeDelta::days(20));
    let now = user_management::infra::clock::Clock::now(&app.clock);
    app.app.services.maintenance.sweep(now).await.unwrap();
    let token = app.log_in(&admin.email).await.expect(200);
    let listed = app
        .get(&format!("/audit-log?subject={}", user.id))
        .bearer(&token.text("access_token"))
        .send()
        .await
        .expect(200)
        .json();
    let told: Vec<_> = listed["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| json!([row["actor_kind"], row["action"], row["before"]]))
        .collect();
    assert_eq!(told[0], json!(["system", "user_erased", null]));
    assert_eq!(told[1][1], "deletion_requested");
    app.chain().await;
    app.assert_chained().await;
}
