//! What an attacker tried with success once, and must not again.

use serde_json::json;
use tokio::task::yield_now;
use user_management::domain::role::Role;

use crate::support::{
    app::{PASSWORD, TestApp},
    eventually::wait_until,
};

const ADA: &str = "ada@example.com";

/// The statuses and codes of a registration with an address and of some logins after it.
async fn answers_after_registering(app: &TestApp, email: &str) -> Vec<(u16, String)> {
    let body = json!({"email": email, "password": "Attacker*Pass7"});
    let registered = app.post("/register/").json(&body).send().await;
    let mut answers = vec![(registered.status.as_u16(), registered.text("message"))];
    for _ in 0..7 {
        let form = [("username", email), ("password", "Attacker*Pass7")];
        let answer = app.post("/login/").form(&form).send().await;
        answers.push((answer.status.as_u16(), answer.text("code")));
    }
    answers
}

#[tokio::test]
async fn registering_and_logging_in_does_not_tell_who_has_an_account() {
    let app = TestApp::start_with(&[("HIDE_ACCOUNT_EXISTENCE", "true")]).await;
    app.user(Role::Authenticated, ADA).await;
    let known = answers_after_registering(&app, ADA).await;
    let unknown = answers_after_registering(&app, "nobody@example.com").await;
    assert_eq!(known, unknown);
    app.deliver_mail().await;
}

#[tokio::test]
async fn a_client_that_goes_away_locks_nobody_without_a_notice() {
    let app = TestApp::start().await;
    app.user(Role::Authenticated, ADA).await;
    for guess in 1..=5 {
        let form = [("username", ADA), ("password", "Wrong*Guess9")];
        let request = app.post("/login/").form(&form).send();
        if guess < 5 {
            request.await.expect(401);
            continue;
        }
        // The connection is dropped as soon as the attempt has been charged.
        let mut request = Box::pin(request);
        loop {
            tokio::select! {
                biased;
                _ = &mut request => panic!("the answer came before the client could go"),
                () = yield_now() => {}
            }
            let charged: Option<i32> =
                sqlx::query_scalar("select max(charged) from login_throttle")
                    .fetch_one(&app.database.pool)
                    .await
                    .unwrap();
            if charged == Some(5) {
                break;
            }
        }
    }
    wait_until("the notice is enqueued", async || {
        app.count("jobs").await > 0
    })
    .await;
    let mails = app.deliver_mail().await;
    assert_eq!(mails.len(), 1);
    assert!(mails[0].subject.contains("locked"), "{}", mails[0].subject);
}

#[tokio::test]
async fn a_device_token_ends_with_the_account_that_it_was_for() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let user = app.user(Role::Authenticated, ADA).await;
    let device = app.log_in(ADA).await.expect(200);
    let device = device.header("x-device-token").to_owned();
    let path = format!("/users/{}", user.id);
    app.delete(&path).by(&admin).send().await.expect(204);
    app.user(Role::Authenticated, ADA).await;
    for _ in 0..5 {
        let form = [("username", ADA), ("password", "Wrong*Guess9")];
        app.post("/login/").form(&form).send().await.expect(401);
    }
    let form = [("username", ADA), ("password", PASSWORD)];
    let request = app.post("/login/").form(&form);
    let answer = request.header("x-device-token", &device).send().await;
    answer.expect_problem(400, "account_locked");
    app.deliver_mail().await;
}

#[tokio::test]
async fn the_name_that_somebody_tried_is_stored_nowhere() {
    let app = TestApp::start().await;
    for name in ["My*Secret*Password1", "nobody@example.com"] {
        for _ in 0..6 {
            let form = [("username", name), ("password", "x")];
            app.post("/login/").form(&form).send().await;
        }
    }
    // The same job for each, so that its absence doesn't tell.
    let payloads: Vec<String> = sqlx::query_scalar("select payload::text from jobs")
        .fetch_all(&app.database.pool)
        .await
        .unwrap();
    assert_eq!(payloads, [r#"{"user_id": null}"#; 2]);
    assert_eq!(app.deliver_mail().await.len(), 0);
}

#[tokio::test]
async fn a_stranger_is_sent_a_few_verification_mails_and_no_flood() {
    let app = TestApp::start().await;
    app.user(Role::Admin, "admin@example.com").await;
    app.register(ADA).await.expect(200);
    let mut sent = app.deliver_mail().await.len();
    for _ in 0..24 * 6 {
        app.clock.advance(chrono::TimeDelta::minutes(10));
        let body = json!({"email": ADA});
        let asked = app.post("/verify-email/resend").json(&body).send().await;
        asked.expect(202);
        sent += app.deliver_mail().await.len();
    }
    assert!((2..=13).contains(&sent), "{sent} mails in a day");
}

#[tokio::test]
async fn the_last_administrator_keeps_his_login_whatever_address_he_types() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let path = format!("/users/{}", admin.id);
    let change = |email: &str| app.put(&path).by(&admin).json(&json!({"email": email}));
    let changed = change("tpyo@example.com").send().await.expect(200).json();
    assert_eq!(changed["email_verified"], true);
    app.log_in("tpyo@example.com").await.expect(200);
    // Where there is another one, a new address must be verified.
    app.user(Role::Admin, "second@example.com").await;
    let changed = change("typo@example.com").send().await.expect(200).json();
    assert_eq!(changed["email_verified"], false);
    app.deliver_mail().await;
}

#[tokio::test]
async fn nobody_logs_in_while_attempts_cannot_be_counted() {
    let app = TestApp::start().await;
    app.user(Role::Authenticated, ADA).await;
    sqlx::query("alter table login_throttle rename to gone")
        .execute(&app.database.pool)
        .await
        .unwrap();
    let refused = app.log_in(ADA).await.expect_problem(503, "unavailable");
    assert_eq!(refused.header("retry-after"), "1");
}
