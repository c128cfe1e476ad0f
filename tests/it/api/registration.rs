//! `POST /register/`

use serde_json::json;

use crate::support::{app::TestApp, request::link_in};

#[tokio::test]
async fn a_new_user_verifies_his_address_and_logs_in() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let user = app.register("Ada@Example.com").await.expect(200).json();
    assert_eq!(user["email"], "Ada@example.com");
    assert_eq!(user["role"], "ANONYMOUS");
    assert_eq!(user["email_verified"], false);
    app.log_in("ada@example.com")
        .await
        .expect_problem(401, "email_not_verified");

    let mail = app.deliver_mail().await.remove(0);
    assert_eq!(mail.to.address, "Ada@example.com");
    app.get(&link_in(&mail.text)).send().await.expect(200);
    app.log_in("ADA@EXAMPLE.COM").await.expect(200);

    let id = user["id"].as_str().unwrap();
    let user = app
        .get(&format!("/users/{id}"))
        .by(&admin)
        .send()
        .await
        .expect(200)
        .json();
    assert_eq!(user["role"], "AUTHENTICATED");
    assert_eq!(user["email_verified"], true);
}

#[tokio::test]
async fn every_invalid_field_is_named_at_once_and_nothing_is_stored() {
    let app = TestApp::start().await;
    let body = json!({
        "email": "no address", "password": "seven77", "nickname": "a b", "first_name": "a\u{0}b",
        "github_profile_url": "javascript:alert(1)",
    });
    let refused = app
        .post("/register/")
        .json(&body)
        .send()
        .await
        .expect_problem(422, "invalid_input");
    assert_eq!(
        refused.invalid_fields(),
        [
            "body.email invalid_email",
            "body.password password_too_short",
            "body.nickname invalid_nickname",
            "body.first_name control_character",
            "body.github_profile_url invalid_url",
        ]
    );
    assert!(!refused.body.contains("seven77") && !refused.body.contains("javascript"));
    assert_eq!(app.count("users").await, 0);
    assert_eq!(app.count("jobs").await, 0);
}
