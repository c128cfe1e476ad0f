//! Requests with a key that are refused or fail.

use chrono::TimeDelta;
use serde_json::json;
use tokio::task::yield_now;
use user_management::domain::role::Role;

use super::{KEY, adding, assert_replayed, body, is_replay, register};
use crate::support::{
    app::{PASSWORD, TestApp},
    eventually::{eventually, wait_until},
};

#[tokio::test]
async fn a_refusal_by_rule_is_the_answer_from_then_on() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let ada = app.user(Role::Authenticated, "ada@example.com").await;
    let phone = json!({"nickname": "countess", "phone_number": "+14155552671"});
    app.change(&admin, ada.id, &phone).await.expect(200);
    let mut refusals = Vec::new();
    for (key, body, code) in [
        ("1", body("ADA@example.com"), "email_already_exists"),
        (
            "2",
            json!({"phone_number": "+14155552671", "password": PASSWORD}),
            "phone_number_already_exists",
        ),
        (
            "3",
            json!({"email": "eve@example.com", "nickname": "Countess", "password": PASSWORD}),
            "nickname_already_exists",
        ),
    ] {
        let refused = register(&app, key, &body).await;
        assert_eq!(refused.text("code"), code);
        refusals.push((key, body, refused));
    }
    let path = format!("/users/{}", ada.id);
    app.delete(&path).by(&admin).send().await.expect(204);
    let before = app.stored().await;
    for (key, body, refused) in &refusals {
        assert_replayed(refused, &register(&app, key, body).await);
    }
    assert_eq!(app.stored().await, before);
    for (_, body, _) in &refusals {
        register(&app, &body.to_string(), body).await.expect(200);
    }
    app.deliver_mail().await;
}

#[tokio::test]
async fn a_grant_that_was_refused_stays_so_for_its_key() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let mut manager = app.user(Role::Manager, "manager@example.com").await;
    let body = json!({"email": "ada@example.com", "password": PASSWORD, "role": "MANAGER"});
    let refused = adding(&app, &manager, KEY, &body).send().await;
    let refused = refused.expect_problem(403, "operation_not_permitted");
    app.change(&admin, manager.id, &json!({"role": "ADMIN"}))
        .await
        .expect(200);
    let login = app.log_in(&manager.email).await.expect(200);
    manager.token = login.text("access_token");
    assert_replayed(&refused, &adding(&app, &manager, KEY, &body).send().await);
    adding(&app, &manager, "another", &body)
        .send()
        .await
        .expect(201);
    app.deliver_mail().await;
}

#[tokio::test]
async fn who_may_add_nobody_any_more_sees_no_answer_of_before() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let mut manager = app.user(Role::Manager, "manager@example.com").await;
    adding(&app, &manager, KEY, &body("ada@example.com"))
        .send()
        .await
        .expect(201);
    app.deliver_mail().await;
    app.change(&admin, manager.id, &json!({"role": "AUTHENTICATED"}))
        .await
        .expect(200);
    let login = app.log_in(&manager.email).await.expect(200);
    manager.token = login.text("access_token");
    let refused = adding(&app, &manager, KEY, &body("ada@example.com"))
        .send()
        .await;
    assert!(!is_replay(&refused));
    let refused = refused.expect_problem(403, "operation_not_permitted");
    assert!(!refused.body.contains("ada@example.com"));
    app.deliver_mail().await;
}

#[tokio::test]
async fn what_is_invalid_uses_up_no_key() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let mut wrong = body("ada@example.com");
    wrong["password"] = json!("ada@example.com1");
    register(&app, KEY, &wrong)
        .await
        .expect_problem(422, "invalid_input");
    adding(&app, &admin, KEY, &wrong)
        .send()
        .await
        .expect_problem(422, "invalid_input");
    assert_eq!(app.count("idempotency_keys").await, 0);
    register(&app, KEY, &body("ada@example.com"))
        .await
        .expect(200);
    adding(&app, &admin, KEY, &body("eve@example.com"))
        .send()
        .await
        .expect(201);
    app.deliver_mail().await;
}

#[tokio::test]
async fn too_many_registrations_use_up_no_key_and_replays_count_among_them() {
    let limits = [("RATE_LIMITS", "on"), ("RATE_LIMIT_REGISTER", "2/h")];
    let app = TestApp::start_with(&limits).await;
    let first = register(&app, KEY, &body("ada@example.com"))
        .await
        .expect(200);
    assert_replayed(&first, &register(&app, KEY, &body("ada@example.com")).await);
    for key in [KEY, "another"] {
        register(&app, key, &body("ada@example.com"))
            .await
            .expect_problem(429, "rate_limited");
    }
    assert_eq!(app.count("idempotency_keys").await, 1);
    app.deliver_mail().await;
}

#[tokio::test]
async fn what_failed_is_run_again() {
    let app = TestApp::start().await;
    let rename = async |from: &'static str, to: &'static str| {
        let query = sqlx::AssertSqlSafe(format!("alter table {from} rename to {to}"));
        sqlx::query(query)
            .execute(&app.database.pool)
            .await
            .unwrap();
    };
    rename("first_user", "somewhere_else").await;
    register(&app, KEY, &body("ada@example.com"))
        .await
        .expect_problem(500, "internal_error");
    assert_eq!(app.count("idempotency_keys").await, 0);
    rename("somewhere_else", "first_user").await;
    let made = register(&app, KEY, &body("ada@example.com")).await;
    assert!(!is_replay(&made));
    assert_eq!(made.expect(200).text("role"), "ADMIN");
    app.deliver_mail().await;
}

#[tokio::test]
async fn a_request_that_died_is_run_again_when_its_lease_is_over() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let first = register(&app, KEY, &body("ada@example.com"))
        .await
        .expect(200);
    app.deliver_mail().await;
    // As a process leaves it that is killed before it commits.
    let undo = "update idempotency_keys set result = null, user_id = null, running_until = created_at + interval '30 s'";
    sqlx::query(undo).execute(&app.database.pool).await.unwrap();
    let path = format!("/users/{}", first.text("id"));
    app.delete(&path).by(&admin).send().await.expect(204);

    app.clock
        .advance(TimeDelta::seconds(30) - TimeDelta::microseconds(1));
    let refused = register(&app, KEY, &body("ada@example.com")).await;
    let refused = refused.expect_problem(409, "idempotency_key_in_use");
    assert_eq!(refused.header("retry-after"), "1");
    app.clock.advance(TimeDelta::microseconds(1));
    // It is still the key of that body.
    register(&app, KEY, &body("eve@example.com"))
        .await
        .expect_problem(409, "idempotency_key_reused");
    let made = register(&app, KEY, &body("ada@example.com"))
        .await
        .expect(200);
    assert!(!is_replay(&made));
    let again = register(&app, KEY, &body("ada@example.com")).await;
    assert_replayed(&made, &again);
    app.deliver_mail().await;
}

#[tokio::test]
async fn who_went_away_finds_the_answer_when_he_comes_back_wherever_that_is() {
    let app = TestApp::start().await;
    let body = body("ada@example.com");
    {
        // The connection is dropped as soon as the key is claimed.
        let mut request = Box::pin(register(&app, KEY, &body));
        loop {
            tokio::select! {
                biased;
                _ = &mut request => panic!("the answer came before the client could go"),
                () = yield_now() => {}
            }
            if app.count("idempotency_keys").await == 1 {
                break;
            }
        }
    }
    wait_until("the account is made", async || {
        app.count("users").await == 1
    })
    .await;
    let other = app.second_instance(&[]);
    let answer = eventually("the answer is there", async || {
        let answer = register(&other, KEY, &body).await;
        (answer.status != 409).then_some(answer)
    })
    .await
    .expect(200);
    assert!(is_replay(&answer));
    assert_eq!(answer.text("role"), "ADMIN");
    assert_eq!(app.count("users").await, 1);
    assert_eq!(app.deliver_mail().await.len(), 1);
}
