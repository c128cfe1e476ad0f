//! `PUT /me/password`

use chrono::TimeDelta;
use serde_json::json;
use user_management::domain::role::Role;

use crate::support::{
    app::{PASSWORD, TestApp},
    request::TestResponse,
};

const NEW: &str = "Better*5678";

async fn change(app: &TestApp, token: &str, current: &str, new: &str) -> TestResponse {
    let body = json!({"current_password": current, "new_password": new});
    app.put("/me/password")
        .bearer(token)
        .json(&body)
        .send()
        .await
}

#[tokio::test]
async fn the_owner_changes_his_password_and_ends_his_other_sessions() {
    let app = TestApp::start().await;
    let user = app.user(Role::Authenticated, "ada@example.com").await;
    let other = app.log_in("ada@example.com").await.expect(200);
    let link = app.reset_link("ada@example.com").await;
    let changed = change(&app, &user.token, PASSWORD, NEW).await.expect(204);
    assert_eq!(changed.body, "");
    assert!(app.is_logged_in(&user.token).await);
    assert!(!app.is_logged_in(&other.text("access_token")).await);
    app.log_in_with("ada@example.com", NEW).await.expect(200);
    app.log_in("ada@example.com").await.expect(401);
    let mail = app.mail_to("ada@example.com").await;
    assert!(mail.contains("was changed"), "{mail}");
    // What was mailed for another password is void.
    let token = link.rsplit('/').next();
    let body = json!({"token": token, "new_password": "Other*5678"});
    let reset = app.put("/password-reset").json(&body).send().await;
    reset.expect_problem(400, "invalid_password_reset_token");
}

#[tokio::test]
async fn what_is_wrong_with_the_request_is_told_by_field() {
    let app = TestApp::start().await;
    let user = app.user(Role::Authenticated, "ada@example.com").await;
    for (current, new, wrong) in [
        ("another one", NEW, "body.current_password wrong_password"),
        (PASSWORD, "short", "body.new_password password_too_short"),
        (
            PASSWORD,
            "ada@example.com",
            "body.new_password password_contains_identifier",
        ),
    ] {
        let refused = change(&app, &user.token, current, new).await;
        let refused = refused.expect_problem(422, "invalid_input");
        assert_eq!(refused.invalid_fields(), [wrong]);
    }
    let empty = app.put("/me/password").by(&user).json(&json!({}));
    assert_eq!(
        empty.send().await.expect(422).invalid_fields(),
        ["body.current_password missing", "body.new_password missing"]
    );
    app.log_in("ada@example.com").await.expect(200);
}

#[tokio::test]
async fn a_stolen_session_finds_no_password_out_and_keeps_nobody_out() {
    let app = TestApp::start().await;
    let user = app.user(Role::Authenticated, "ada@example.com").await;
    let own = app.log_in("ada@example.com").await.expect(200);
    let own = own.text("access_token");
    for _ in 0..5 {
        change(&app, &user.token, "a guess", NEW).await.expect(422);
    }
    for password in ["a guess", PASSWORD] {
        let refused = change(&app, &user.token, password, NEW).await;
        let refused = refused.expect_problem(400, "account_locked");
        assert_eq!(refused.header("retry-after"), "30");
    }
    // Nor does it help to guess elsewhere.
    let body = json!({"password": PASSWORD});
    let delete = app.delete("/me").by(&user).json(&body).send().await;
    delete.expect_problem(400, "account_locked");
    // The owner isn't concerned.
    app.log_in("ada@example.com").await.expect(200);
    change(&app, &own, PASSWORD, NEW).await.expect(204);
    assert!(!app.is_logged_in(&user.token).await);
    app.deliver_mail().await;
}

#[tokio::test]
async fn the_right_password_forgives_the_guesses_before_it() {
    let app = TestApp::start().await;
    let user = app.user(Role::Authenticated, "ada@example.com").await;
    for round in 0..3 {
        for _ in 0..4 {
            change(&app, &user.token, "a guess", NEW).await.expect(422);
        }
        let [old, new] = [[PASSWORD, NEW], [NEW, PASSWORD]][round % 2];
        change(&app, &user.token, old, new).await.expect(204);
    }
    for _ in 0..5 {
        change(&app, &user.token, "a guess", NEW).await.expect(422);
    }
    change(&app, &user.token, NEW, PASSWORD).await.expect(400);
    app.clock.advance(TimeDelta::seconds(30));
    change(&app, &user.token, NEW, PASSWORD).await.expect(204);
    app.deliver_mail().await;
}
