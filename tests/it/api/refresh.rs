//! Refresh tokens, and what else OAuth2 clients do with tokens.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use chrono::TimeDelta;
use serde_json::{Value, json};
use user_management::{domain::role::Role, infra::clock::Clock as _};

use crate::support::{app::TestApp, request::TestResponse};

async fn refresh(app: &TestApp, token: &str) -> TestResponse {
    app.post("/login/")
        .form(&[("grant_type", "refresh_token"), ("refresh_token", token)])
        .send()
        .await
}

fn assert_invalid(answer: TestResponse) {
    let refused = answer.expect_problem(400, "invalid_refresh_token").json();
    assert_eq!(refused["error"], "invalid_grant");
}

/// Logs in and answers the refresh token.
async fn log_in(app: &TestApp, email: &str) -> String {
    app.log_in(email).await.expect(200).text("refresh_token")
}

async fn sessions(app: &TestApp) -> i64 {
    app.count("sessions").await
}

#[tokio::test]
async fn a_refresh_token_is_exchanged_for_the_next_tokens() {
    let app = TestApp::start().await;
    let ada = app.user(Role::Authenticated, "ada@example.com").await;
    let mut token = log_in(&app, "ada@example.com").await;
    for _ in 0..3 {
        app.clock.advance(TimeDelta::minutes(14));
        let answer = refresh(&app, &token).await.expect(200);
        assert_eq!(answer.header("cache-control"), "no-store");
        let body = answer.json();
        assert_eq!(
            (&body["token_type"], &body["expires_in"]),
            (&json!("bearer"), &json!(900))
        );
        let me = app
            .get("/me")
            .bearer(&answer.text("access_token"))
            .send()
            .await;
        assert_eq!(me.expect(200).text("id"), ada.id.to_string());
        let next = answer.text("refresh_token");
        assert_ne!(next, token);
        token = next;
    }
    // One session, however often it was refreshed, beside that of the first login.
    assert_eq!(sessions(&app).await, 2);
    // Each exchange renews its life of a day.
    app.clock
        .advance(TimeDelta::hours(24) - TimeDelta::microseconds(1));
    let answer = refresh(&app, &token).await.expect(200);
    app.clock.advance(TimeDelta::hours(24));
    assert_invalid(refresh(&app, &answer.text("refresh_token")).await);
    assert!(app.deliver_mail().await.is_empty());
}

#[tokio::test]
async fn a_lost_answer_may_be_asked_for_again_and_its_token_is_replaced() {
    let app = TestApp::start().await;
    app.user(Role::Authenticated, "ada@example.com").await;
    let first = log_in(&app, "ada@example.com").await;
    let lost = refresh(&app, &first)
        .await
        .expect(200)
        .text("refresh_token");
    app.clock.advance(TimeDelta::seconds(9));
    let kept = refresh(&app, &first)
        .await
        .expect(200)
        .text("refresh_token");
    assert_ne!(lost, kept);
    // Never two live branches; and a moment later nobody is blamed for it.
    assert_invalid(refresh(&app, &lost).await);
    let next = refresh(&app, &kept).await.expect(200).text("refresh_token");
    refresh(&app, &next).await.expect(200);
    assert_eq!(sessions(&app).await, 2);
    assert!(app.deliver_mail().await.is_empty());
}

/// Uses tokens in an order that tells of two who have them, and checks that the session ends.
async fn ends_family(name: &str, steal: impl AsyncFn(&TestApp, &str) -> (String, String)) {
    let app = TestApp::start().await;
    app.user(Role::Authenticated, "ada@example.com").await;
    let login = app.log_in("ada@example.com").await.expect(200);
    let (stolen, good) = steal(&app, &login.text("refresh_token")).await;
    assert_invalid(refresh(&app, &stolen).await);
    assert_eq!(sessions(&app).await, 1, "{name}");
    assert_invalid(refresh(&app, &good).await);
    assert_invalid(refresh(&app, &stolen).await);
    let me = app
        .get("/me")
        .bearer(&login.text("access_token"))
        .send()
        .await;
    me.expect_problem(401, "not_authenticated");
    let mails = app.deliver_mail().await;
    assert_eq!(mails.len(), 1, "{name}: the owner is told once");
    assert_eq!(mails[0].to.address, "ada@example.com");
}

#[tokio::test]
async fn a_used_token_that_comes_back_ends_its_session() {
    ends_family("after the next was used", async |app, first| {
        let second = refresh(app, first).await.expect(200).text("refresh_token");
        let third = refresh(app, &second)
            .await
            .expect(200)
            .text("refresh_token");
        (first.to_owned(), third)
    })
    .await;
    ends_family("after the grace", async |app, first| {
        let second = refresh(app, first).await.expect(200).text("refresh_token");
        app.clock.advance(TimeDelta::seconds(10));
        (first.to_owned(), second)
    })
    .await;
    ends_family("long after", async |app, first| {
        let mut token = first.to_owned();
        for _ in 0..5 {
            app.clock.advance(TimeDelta::hours(1));
            token = refresh(app, &token).await.expect(200).text("refresh_token");
        }
        (first.to_owned(), token)
    })
    .await;
    ends_family("the replaced one, later", async |app, first| {
        let replaced = refresh(app, first).await.expect(200).text("refresh_token");
        let good = refresh(app, first).await.expect(200).text("refresh_token");
        app.clock.advance(TimeDelta::seconds(10));
        (replaced, good)
    })
    .await;
}

#[tokio::test]
async fn what_is_no_refresh_token_is_refused_and_ends_nothing() {
    let app = TestApp::start().await;
    let ada = app.user(Role::Authenticated, "ada@example.com").await;
    let token = log_in(&app, "ada@example.com").await;
    let missing = app
        .post("/login/")
        .form(&[("grant_type", "refresh_token")])
        .send()
        .await;
    assert_eq!(
        missing.expect(422).invalid_fields(),
        ["body.refresh_token missing"]
    );
    let mut forged = token.clone().into_bytes();
    forged[40] ^= 1;
    let forged = String::from_utf8_lossy(&forged).into_owned();
    for bad in ["x", &ada.token, &token[1..], &token.to_lowercase(), &forged] {
        assert_invalid(refresh(&app, bad).await);
    }
    assert_eq!(sessions(&app).await, 2);
    // A session by cookie has none; and one that was ended has none any more.
    app.delete(&format!("/users/{}/sessions", ada.id))
        .by(&app.admin().await)
        .send()
        .await
        .expect(204);
    assert_invalid(refresh(&app, &token).await);
    assert!(app.deliver_mail().await.is_empty());
}

#[tokio::test]
async fn whoever_is_locked_or_has_another_role_refreshes_no_more() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let ada = app.user(Role::Authenticated, "ada@example.com").await;
    for change in ["lock", "role"] {
        let token = log_in(&app, "ada@example.com").await;
        if change == "lock" {
            app.lock(&admin, ada.id).await.expect(200);
        } else {
            app.change(&admin, ada.id, &json!({"role": "MANAGER"}))
                .await
                .expect(200);
        }
        assert_invalid(refresh(&app, &token).await);
        app.unlock(&admin, ada.id).await.expect(200);
    }
    app.deliver_mail().await;
}

async fn introspect(app: &TestApp, authorization: &str, token: &str) -> TestResponse {
    app.post("/token/introspect")
        .header("authorization", authorization)
        .form(&[("token", token)])
        .send()
        .await
}

fn basic(credentials: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(credentials))
}

const SERVICE: &str = "billing:0123456789abcdefghijklmnopqrstuv";

#[tokio::test]
async fn a_service_asks_whether_a_token_is_good() {
    let app = TestApp::start_with(&[("SERVICE_CREDENTIALS", SERVICE)]).await;
    let ada = app.user(Role::Manager, "ada@example.com").await;
    let login = app.log_in("ada@example.com").await.expect(200);
    let by_service = basic(SERVICE);
    let access = introspect(&app, &by_service, &login.text("access_token"))
        .await
        .expect(200)
        .json();
    let start = app.clock.now().timestamp();
    let nickname = app.read(&app.admin().await, ada.id).await.text("nickname");
    for (name, expected) in [
        ("active", json!(true)),
        ("sub", json!(ada.id)),
        ("username", json!(nickname)),
        ("role", json!("MANAGER")),
        ("token_type", json!("Bearer")),
        ("iat", json!(start)),
        ("exp", json!(start + 900)),
        ("iss", json!("https://users.example.com/")),
        ("aud", json!("user-management")),
    ] {
        assert_eq!(access[name], expected, "{name}");
    }
    let refresh_token = login.text("refresh_token");
    let found = introspect(&app, &by_service, &refresh_token)
        .await
        .expect(200)
        .json();
    assert_eq!(
        (&found["active"], &found["sid"]),
        (&json!(true), &access["sid"])
    );
    assert_eq!(
        (&found["token_type"], &found["exp"]),
        (&Value::Null, &json!(start + 86_400))
    );

    refresh(&app, &refresh_token).await.expect(200);
    let inactive = json!({"active": false});
    for bad in [
        "",
        "x",
        &refresh_token,
        &format!("{}x", login.text("access_token")),
    ] {
        let found = introspect(&app, &by_service, bad).await.expect(200).json();
        assert_eq!(found, inactive, "{bad}");
    }
    // An ended session's tokens are not good, and the question changes nothing.
    assert_eq!(sessions(&app).await, 3);
    app.delete("/sessions/current")
        .bearer(&login.text("access_token"))
        .send()
        .await
        .expect(204);
    let found = introspect(&app, &by_service, &login.text("access_token")).await;
    assert_eq!(found.expect(200).json(), inactive);
}

#[tokio::test]
async fn only_administrators_and_registered_services_ask() {
    let app = TestApp::start_with(&[("SERVICE_CREDENTIALS", SERVICE)]).await;
    let admin = app.admin().await;
    introspect(&app, &format!("Bearer {}", admin.token), "x")
        .await
        .expect(200);
    for wrong in [
        "",
        "billing:",
        ":",
        "billing:0123456789abcdefghijklmnopqrstuV",
        "other:0123456789abcdefghijklmnopqrstuv",
    ] {
        let refused = introspect(&app, &basic(wrong), "x")
            .await
            .expect_problem(401, "invalid_client");
        assert!(refused.header("www-authenticate").starts_with("Basic"));
    }
    introspect(&app, "Basic !", "x")
        .await
        .expect_problem(401, "invalid_client");
    // It may do nothing else.
    app.get("/me")
        .header("authorization", &basic(SERVICE))
        .send()
        .await
        .expect(401);
}

#[tokio::test]
async fn a_revoked_token_ends_its_session() {
    let app = TestApp::start().await;
    app.user(Role::Authenticated, "ada@example.com").await;
    let revoke = async |token: &str| {
        let form = [("token", token), ("token_type_hint", "refresh_token")];
        let answer = app
            .post("/token/revoke")
            .form(&form)
            .send()
            .await
            .expect(200);
        assert_eq!(answer.body, "");
    };
    for member in ["refresh_token", "access_token"] {
        let login = app.log_in("ada@example.com").await.expect(200);
        app.get("/me")
            .bearer(&login.text("access_token"))
            .send()
            .await
            .expect(200);
        revoke(&login.text(member)).await;
        app.get("/me")
            .bearer(&login.text("access_token"))
            .send()
            .await
            .expect_problem(401, "not_authenticated");
        assert_invalid(refresh(&app, &login.text("refresh_token")).await);
        revoke(&login.text(member)).await;
    }
    revoke("x").await;
    assert_eq!(sessions(&app).await, 1);
    let missing = app.post("/token/revoke").form(&[]).send().await.expect(422);
    assert_eq!(missing.json()["error"], "invalid_request");
}
