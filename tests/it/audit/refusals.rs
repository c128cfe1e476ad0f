//! Refused attempts at what needs a right are in the audit log.

use serde_json::{Value, json};
use user_management::{
    domain::{
        id::{RequestId, UserId},
        role::Role,
    },
    infra::clock::Clock as _,
    services::{Ctx, audit::Refusals},
};
use uuid::Uuid;

use super::gist;
use crate::support::{
    app::{PASSWORD, TestApp},
    eventually::eventually,
};

/// What a user without the right may try: method, path, body, and what it is called.
fn attempts() -> [(&'static str, &'static str, Value, &'static str); 11] {
    let new = json!({"email": "new@example.com", "password": PASSWORD});
    [
        ("GET", "/users/", Value::Null, "users_listed"),
        ("POST", "/users/", new, "user_added"),
        ("GET", "/users/{id}", Value::Null, "user_read"),
        ("PUT", "/users/{id}", json!({"bio": "mine"}), "user_changed"),
        ("DELETE", "/users/{id}", Value::Null, "user_deleted"),
        ("POST", "/users/{id}/lock", Value::Null, "user_locked"),
        ("POST", "/users/{id}/unlock", Value::Null, "user_unlocked"),
        ("POST", "/users/{id}/restore", Value::Null, "user_restored"),
        (
            "GET",
            "/users/{id}/sessions",
            Value::Null,
            "sessions_listed",
        ),
        (
            "DELETE",
            "/users/{id}/sessions",
            Value::Null,
            "sessions_ended",
        ),
        ("GET", "/audit-log", Value::Null, "audit_log_read"),
    ]
}

#[tokio::test]
async fn attempts_without_the_right_are_told_with_whom_they_were_aimed_at() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let user = app.user(Role::Authenticated, "ada@example.com").await;
    for (method, path, body, action) in attempts() {
        let aimed = path.contains("{id}").then_some(admin.id);
        let path = path.replace("{id}", &admin.id.to_string());
        let request = || {
            let request = app.request(method, &path);
            match &body {
                Value::Null => request,
                body => request.json(body),
            }
        };
        let refused = request().by(&user).send().await;
        let refused = refused.expect_problem(403, "operation_not_permitted");
        let row = app.audited_once(&refused).await;
        let told = json!(["user", user.id, action, aimed, "refused"]);
        assert_eq!(gist(&row), told, "{method} {path}");
        assert_eq!(row["client_address"], "192.0.2.1");
        // Who doesn't say who he is wasn't refused for want of a right.
        let unknown = request().send().await.expect(401);
        assert_eq!(app.audited(&unknown).await.len(), 0);
    }
    assert_eq!(app.count("users").await, 2);
}

#[tokio::test]
async fn attempts_against_the_rules_of_rank_are_told_though_their_transactions_are_rolled_back() {
    let app = TestApp::start().await;
    let (admin, manager) = (
        app.admin().await,
        app.user(Role::Manager, "manager@example.com").await,
    );
    let user = app.user(Role::Authenticated, "ada@example.com").await;
    let refused = app.lock(&manager, admin.id).await.expect(403);
    let told = json!(["user", manager.id, "user_locked", admin.id, "refused"]);
    assert_eq!(gist(&app.audited_once(&refused).await), told);
    let change = json!({"role": "ADMIN"});
    let refused = app.change(&manager, user.id, &change).await.expect(403);
    let told = json!(["user", manager.id, "role_changed", user.id, "refused"]);
    assert_eq!(gist(&app.audited_once(&refused).await), told);
    let refused = app.add(&manager, "new@example.com", "ADMIN").await;
    let told = json!(["user", manager.id, "user_added", null, "refused"]);
    assert_eq!(gist(&app.audited_once(&refused.expect(403)).await), told);
    // The last administrator is kept from harming himself.
    let refused = app.lock(&admin, admin.id).await;
    let refused = refused.expect_problem(403, "last_administrator");
    let told = json!(["user", admin.id, "user_locked", admin.id, "refused"]);
    assert_eq!(gist(&app.audited_once(&refused).await), told);
}

#[tokio::test]
async fn a_wrong_password_where_it_is_asked_for_is_told() {
    let app = TestApp::start().await;
    let user = app.user(Role::Authenticated, "ada@example.com").await;
    let body = json!({"password": "another password"});
    let wrong = app.delete("/me").by(&user).json(&body).send().await;
    let row = app.audited_once(&wrong.expect(422)).await;
    let told = json!(["user", user.id, "password_proof_failed", user.id, "failed"]);
    assert_eq!(gist(&row), told);
}

#[tokio::test]
async fn what_a_client_tried_who_has_gone_away_is_told_too() {
    let app = TestApp::start().await;
    let (admin, user) = (
        app.admin().await,
        app.user(Role::Authenticated, "ada@example.com").await,
    );
    let services = &app.app.services;
    let actor = services.sessions.authenticate(&user.token).await.unwrap();
    let ctx = Ctx {
        actor,
        refusals: Refusals::kept_by(&services.audit),
        ..Ctx::system(RequestId(Uuid::nil()), app.clock.now())
    };
    services
        .users
        .delete(&ctx, UserId(admin.id))
        .await
        .unwrap_err();
    // Nobody answers.
    drop(ctx);
    let refused = "select to_jsonb(a) from audit_log a where outcome = 'refused'";
    let row: Value = eventually("it is written", async || {
        let row = sqlx::query_scalar(refused).fetch_optional(&app.database.pool);
        row.await.unwrap()
    })
    .await;
    let told = json!(["user", user.id, "user_deleted", admin.id, "refused"]);
    assert_eq!(gist(&row), told);
}
