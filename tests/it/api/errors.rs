//! The bodies of errors: one of each code, as clients get it.

use std::collections::BTreeMap;

use serde_json::json;
use user_management::{domain::role::Role, error::ErrorCode};
use uuid::Uuid;

use crate::support::{
    app::{PASSWORD, TestApp},
    request::TestResponse,
};

/// A refusal for each reason there is.
async fn refusals(app: &TestApp) -> Vec<TestResponse> {
    let admin = app.admin().await;
    let user = app.user(Role::Authenticated, "ada@example.com").await;
    app.change(
        &admin,
        admin.id,
        &json!({"nickname": "the_boss", "phone_number": "+14155552671"}),
    )
    .await
    .expect(200);
    app.register("unverified@example.com").await.expect(200);
    app.deliver_mail().await;
    app.lock_out("nobody@example.com").await;
    let id = Uuid::nil();
    let large = app
        .post("/register/")
        .raw("application/json", "x".repeat(70_000));
    vec![
        app.register("ADA@example.com").await,
        app.change(&admin, admin.id, &json!({"email": "ada@example.com"}))
            .await,
        app.change(&admin, user.id, &json!({"nickname": "The_Boss"}))
            .await,
        app.change(&admin, user.id, &json!({"phone_number": "+14155552671"}))
            .await,
        app.read(&admin, id).await,
        app.get("/nothing").send().await,
        app.delete("/").send().await,
        app.get("/users/").send().await,
        app.guess("ada@example.com").await,
        app.log_in("unverified@example.com").await,
        app.guess("nobody@example.com").await,
        app.get("/users/").by(&user).send().await,
        app.change(&admin, admin.id, &json!({"role": "MANAGER"}))
            .await,
        app.get(&format!("/verify-email/{id}/x")).send().await,
        app.get(&format!("/unlock-account/{id}/x")).send().await,
        app.put("/password-reset")
            .json(&json!({"token": "x", "new_password": PASSWORD}))
            .send()
            .await,
        app.get(&format!("/confirm-email/{id}/x")).send().await,
        app.get(&format!("/undo-email-change/{id}/x")).send().await,
        app.get(&format!("/restore-account/{id}/x")).send().await,
        app.post("/register/")
            .json(&json!({"email": "x", "password": PASSWORD, "bio": ""}))
            .send()
            .await,
        app.post("/register/")
            .raw("application/json", "{")
            .send()
            .await,
        large.send().await,
        app.post("/login/")
            .form(&[("grant_type", "refresh_token"), ("refresh_token", "x")])
            .send()
            .await,
        app.delete(&format!("/sessions/{id}"))
            .by(&user)
            .send()
            .await,
        app.post("/token/introspect")
            .header("authorization", "Basic eDp5")
            .form(&[("token", "x")])
            .send()
            .await,
        app.post("/sessions")
            .header("origin", "https://evil.example")
            .json(&json!({}))
            .send()
            .await,
        app.patch("/me")
            .by(&user)
            .header("if-match", "\"0\"")
            .json(&json!({"bio": "x"}))
            .send()
            .await,
        app.post("/register/").raw("text/plain", "{}").send().await,
    ]
}

/// Refusals of a request's idempotency key.
async fn refused_keys(app: &TestApp) -> Vec<TestResponse> {
    let send = |email: &str| {
        let request = app.post("/register/").header("idempotency-key", "key");
        let body = json!({"email": email, "password": PASSWORD});
        request.json(&body).send()
    };
    let mut refused = vec![send("ada@example.com").await, send("eve@example.com").await];
    sqlx::query("update idempotency_keys set result = null, running_until = expires_at")
        .execute(&app.database.pool)
        .await
        .unwrap();
    refused.push(send("ada@example.com").await);
    refused
}

/// Refusals of imports.
async fn refused_imports(app: &TestApp) -> Vec<TestResponse> {
    let admin = app.user(Role::Admin, "importer@example.com").await;
    let unknown = format!("/users/imports/{}", Uuid::nil());
    let unknown = app.get(&unknown).by(&admin).send().await;
    let file = [("file", "email\nimported@example.com\n")];
    let import = || app.post("/users/import").by(&admin).multipart(&file);
    import().send().await.expect(202);
    vec![unknown, import().send().await]
}

/// Refusals that come of the surroundings.
async fn failures(app: &TestApp) -> Vec<TestResponse> {
    let limits = [("RATE_LIMITS", "on"), ("RATE_LIMIT_LOGIN", "1/h")];
    let limited = app.second_instance(&limits);
    limited.guess("somebody@example.com").await.expect(401);
    let mut failures = vec![limited.guess("somebody@example.com").await];
    sqlx::query("alter table first_user rename to somewhere_else")
        .execute(&app.database.pool)
        .await
        .unwrap();
    let unspoilt = app.second_instance(&[]);
    failures.push(unspoilt.register("new@example.com").await);
    app.app.pool.close().await;
    failures.push(app.guess("ada@example.com").await);
    failures
}

#[tokio::test]
async fn each_code_has_its_body() {
    let app = TestApp::start().await;
    let mut bodies = BTreeMap::new();
    let mut answers = refusals(&app).await;
    answers.extend(refused_keys(&app).await);
    answers.extend(refused_imports(&app).await);
    answers.extend(failures(&app).await);
    for answer in answers {
        let mut body = answer.json();
        assert!(body["instance"].as_str().unwrap().starts_with("urn:uuid:"));
        body["instance"] = json!("urn:uuid:[request id]");
        bodies.insert(body["code"].as_str().unwrap().to_owned(), body);
    }
    let known: Vec<_> = ErrorCode::ALL.iter().map(|code| code.as_str()).collect();
    let missing: Vec<_> = known
        .iter()
        .filter(|code| !bodies.contains_key(**code))
        .collect();
    assert!(missing.is_empty(), "no answer with the codes {missing:?}");
    assert_eq!(bodies.len(), known.len());
    insta::with_settings!({snapshot_path => "../snapshots", prepend_module_to_snapshot => false}, {
        insta::assert_json_snapshot!("error_bodies", bodies);
    });
}
