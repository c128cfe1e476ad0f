//! Requests with an `Idempotency-Key`: the work is done once, and the answer is the same for a day.

mod failures;
mod hidden;

use chrono::TimeDelta;
use serde_json::{Value, json};
use user_management::domain::role::Role;

use crate::support::{
    accounts::id_of,
    app::{PASSWORD, TestApp, TestUser},
    request::{TestRequest, TestResponse, link_in},
};

const KEY: &str = "8e03978e-40d5-43dd-bc93-6894a57f9324";

fn body(email: &str) -> Value {
    json!({"email": email, "password": PASSWORD})
}

async fn register(app: &TestApp, key: &str, body: &Value) -> TestResponse {
    let request = app.post("/register/").header("idempotency-key", key);
    request.json(body).send().await
}

fn adding<'a>(app: &'a TestApp, actor: &TestUser, key: &str, body: &Value) -> TestRequest<'a> {
    let request = app.post("/users/").by(actor).json(body);
    request.header("idempotency-key", key)
}

fn is_replay(answer: &TestResponse) -> bool {
    let header = answer.headers.get("idempotency-replayed");
    header.is_some_and(|value| value == "true")
}

/// Fails unless `again` is the answer that `first` was, but for the request's id.
#[track_caller]
fn assert_replayed(first: &TestResponse, again: &TestResponse) {
    let seen = |answer: &TestResponse| {
        let mut body = answer.json();
        body["instance"].take();
        let mut headers = answer.headers.clone();
        headers.remove("x-request-id");
        headers.remove("idempotency-replayed");
        (answer.status, headers, body)
    };
    assert_eq!(seen(first), seen(again));
    assert!(is_replay(again) && !is_replay(first));
}

#[tokio::test]
async fn a_registration_sent_again_is_answered_as_before_whatever_has_changed_since() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let body = json!({
        "email": "Ada@example.com", "phone_number": "+14155552671", "password": PASSWORD,
        "first_name": "Ada", "middle_name": "Augusta", "last_name": "Lovelace", "bio": "two\nlines",
        "location": "London", "profile_picture_url": "https://example.com/a.png",
        "linkedin_profile_url": "https://linkedin.com/in/ada", "github_profile_url": "https://github.com/ada",
    });
    let first = register(&app, KEY, &body).await.expect(200);
    let mail = app.deliver_mail().await.remove(0);
    app.get(&link_in(&mail.text)).send().await.expect(200);
    app.clock.advance(TimeDelta::minutes(10));
    let change = json!({"nickname": "somebody_else", "bio": null, "role": "MANAGER"});
    app.change(&admin, id_of(&first.json()), &change)
        .await
        .expect(200);
    app.deliver_mail().await;
    let before = app.stored().await;
    for path in ["/register/", "/register"] {
        let request = app.post(path).header("idempotency-key", KEY);
        assert_replayed(&first, &request.json(&body).send().await);
    }
    assert_eq!(app.stored().await, before);
    // Without the key, or with another one, it is another request.
    for key in [None, Some("another")] {
        let request = app.post("/register/").json(&body);
        let request = key.into_iter().fold(request, |request, key| {
            request.header("idempotency-key", key)
        });
        let refused = request.send().await;
        assert!(!is_replay(&refused));
        refused.expect_problem(400, "email_already_exists");
    }
}

#[tokio::test]
async fn a_user_added_again_is_answered_as_before_with_his_location() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let body = json!({"email": "ada@example.com", "password": PASSWORD, "role": "MANAGER"});
    let first = adding(&app, &admin, KEY, &body).send().await.expect(201);
    app.deliver_mail().await;
    app.change(
        &admin,
        id_of(&first.json()),
        &json!({"role": "AUTHENTICATED"}),
    )
    .await
    .expect(200);
    app.deliver_mail().await;
    let before = app.stored().await;
    let again = adding(&app, &admin, KEY, &body).send().await.expect(201);
    assert_replayed(&first, &again);
    assert_eq!(again.header("location"), again.json()["links"][0]["href"]);
    assert_eq!(again.text("role"), "MANAGER");
    assert_eq!(app.stored().await, before);
}

#[tokio::test]
async fn the_key_of_another_body_is_refused_and_nothing_is_stored() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    register(&app, KEY, &body("ada@example.com"))
        .await
        .expect(200);
    adding(&app, &admin, KEY, &body("eve@example.com"))
        .send()
        .await
        .expect(201);
    app.deliver_mail().await;
    let before = app.stored().await;
    for other in [
        json!({"email": "new@example.com", "password": PASSWORD}),
        json!({"email": "ada@example.com", "password": "Secure*12345"}),
        json!({"email": "ada@example.com", "password": PASSWORD, "first_name": "Ada"}),
    ] {
        let refused = register(&app, KEY, &other).await;
        assert!(!is_replay(&refused));
        refused.expect_problem(409, "idempotency_key_reused");
        let refused = adding(&app, &admin, KEY, &other).send().await;
        refused.expect_problem(409, "idempotency_key_reused");
    }
    assert_eq!(app.stored().await, before);
}

#[tokio::test]
async fn each_actor_and_each_operation_has_keys_of_its_own() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let manager = app.user(Role::Manager, "manager@example.com").await;
    let first = adding(&app, &admin, KEY, &body("ada@example.com"))
        .send()
        .await
        .expect(201);
    // The same body is no replay to somebody else, and another one no misuse.
    let refused = adding(&app, &manager, KEY, &body("ada@example.com"))
        .send()
        .await;
    assert!(!is_replay(&refused));
    refused.expect_problem(400, "email_already_exists");
    let registered = register(&app, KEY, &body("eve@example.com")).await;
    assert!(!is_replay(&registered.expect(200)));
    let again = adding(&app, &admin, KEY, &body("ada@example.com"))
        .send()
        .await;
    assert_replayed(&first, &again);
    // Who logs in again is the same.
    let token = app.log_in(&admin.email).await.expect(200);
    let again = app.post("/users/").bearer(&token.text("access_token"));
    let again = again.header("idempotency-key", KEY);
    let again = again.json(&body("ada@example.com")).send().await;
    assert_replayed(&first, &again);
    app.deliver_mail().await;
}

#[tokio::test]
async fn a_key_is_known_for_a_day() {
    let app = TestApp::start().await;
    app.admin().await;
    let first = register(&app, KEY, &body("ada@example.com"))
        .await
        .expect(200);
    app.deliver_mail().await;
    app.clock
        .advance(TimeDelta::hours(24) - TimeDelta::microseconds(1));
    let again = register(&app, KEY, &body("ada@example.com")).await;
    assert_replayed(&first, &again);
    app.clock.advance(TimeDelta::microseconds(1));
    let refused = register(&app, KEY, &body("ada@example.com")).await;
    assert!(!is_replay(&refused));
    let refused = refused.expect_problem(400, "email_already_exists");
    // That is the answer from now on.
    let again = register(&app, KEY, &body("ada@example.com")).await;
    assert_replayed(&refused, &again);
    app.clock.advance(TimeDelta::hours(24));
    register(&app, KEY, &body("eve@example.com"))
        .await
        .expect(200);
    app.deliver_mail().await;
}

#[tokio::test]
async fn a_key_that_is_none_is_refused_before_the_body_is_looked_at() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let before = app.stored().await;
    let (longest, too_long) = ("k".repeat(255), "k".repeat(256));
    for key in ["", "a\tb", &too_long] {
        for request in [app.post("/register/"), app.post("/users/").by(&admin)] {
            let request = request.header("idempotency-key", key);
            let refused = request.json(&json!({})).send().await;
            let refused = refused.expect_problem(422, "invalid_input");
            assert_eq!(
                refused.invalid_fields(),
                ["header.idempotency-key invalid_idempotency_key"],
                "{key:?}"
            );
        }
    }
    let twice = app.post("/register/").header("idempotency-key", KEY);
    let twice = twice.header("idempotency-key", KEY);
    let refused = twice.json(&body("ada@example.com")).send().await;
    let refused = refused.expect_problem(422, "invalid_input");
    assert_eq!(
        refused.invalid_fields(),
        ["header.idempotency-key duplicate"]
    );
    // Who may not ask learns nothing of it.
    let nobody = app.post("/users/").header("idempotency-key", "");
    let refused = nobody.json(&json!({})).send().await;
    refused.expect_problem(401, "not_authenticated");
    assert_eq!(app.stored().await, before);
    register(&app, &longest, &body("ada@example.com"))
        .await
        .expect(200);
    app.deliver_mail().await;
}

#[tokio::test]
async fn without_a_key_nothing_is_kept_and_with_one_no_secret() {
    let app = TestApp::start().await;
    app.register("ada@example.com").await.expect(200);
    assert_eq!(app.count("idempotency_keys").await, 0);
    register(&app, KEY, &body("eve@example.com"))
        .await
        .expect(200);
    let row: String = sqlx::query_scalar("select row_to_json(k)::text from idempotency_keys k")
        .fetch_one(&app.database.pool)
        .await
        .unwrap();
    assert!(row.contains("eve@example.com"), "{row}");
    for secret in [KEY, PASSWORD, "password", "argon2"] {
        assert!(!row.contains(secret), "{secret} in {row}");
    }
    app.deliver_mail().await;
}

#[tokio::test]
async fn what_is_kept_of_a_user_goes_with_him() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let first = register(&app, KEY, &body("ada@example.com"))
        .await
        .expect(200);
    app.deliver_mail().await;
    let path = format!("/users/{}", id_of(&first.json()));
    app.delete(&path).by(&admin).send().await.expect(204);
    assert_eq!(app.count("idempotency_keys").await, 0);
    let anew = register(&app, KEY, &body("ada@example.com")).await;
    assert!(!is_replay(&anew));
    assert_ne!(anew.expect(200).text("id"), first.text("id"));
    app.deliver_mail().await;
}
