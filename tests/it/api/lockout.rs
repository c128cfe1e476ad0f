//! Lockout after failed logins, the owner's own devices, and the notice with its link.

use chrono::TimeDelta;
use serde_json::json;
use user_management::domain::role::Role;

use crate::support::{
    accounts::BROWSER,
    app::{PASSWORD, TestApp},
    request::{TestResponse, link_in},
};

const ADA: &str = "ada@example.com";

/// The service with one account.
async fn start() -> TestApp {
    let app = TestApp::start().await;
    app.user(Role::Authenticated, ADA).await;
    app
}

/// Logs in on a device that presents `token`.
async fn log_in_on(app: &TestApp, email: &str, token: &str) -> TestResponse {
    app.post("/login/")
        .form(&[("username", email), ("password", PASSWORD)])
        .header("x-device-token", token)
        .send()
        .await
}

#[tokio::test]
async fn after_five_wrong_passwords_the_right_one_waits_too() {
    let app = start().await;
    for email in [ADA, "nobody@example.com"] {
        app.lock_out(email).await;
        let refused = app
            .log_in(email)
            .await
            .expect_problem(400, "account_locked");
        assert_eq!(
            refused.text("detail"),
            "Account locked due to too many failed login attempts."
        );
        assert_eq!(refused.text("error"), "invalid_grant");
        assert_eq!(refused.header("retry-after"), "30");
    }
    app.clock.advance(TimeDelta::milliseconds(29_001));
    let refused = app.log_in(ADA).await.expect_problem(400, "account_locked");
    assert_eq!(refused.header("retry-after"), "1");
    app.clock.advance(TimeDelta::milliseconds(999));
    app.log_in(ADA).await.expect(200);
    // All is forgiven.
    app.lock_out(ADA).await;
    app.deliver_mail().await;
}

#[tokio::test]
async fn each_further_guess_waits_twice_as_long_up_to_a_quarter_of_an_hour() {
    let app = start().await;
    app.lock_out(ADA).await;
    let mut waits = Vec::new();
    for _ in 0..8 {
        let refused = app.guess(ADA).await.expect_problem(400, "account_locked");
        let wait: i64 = refused.header("retry-after").parse().unwrap();
        waits.push(wait);
        app.clock.advance(TimeDelta::seconds(wait));
        app.guess(ADA)
            .await
            .expect_problem(401, "invalid_credentials");
    }
    assert_eq!(waits, [30, 60, 120, 240, 480, 900, 900, 900]);
    app.deliver_mail().await;
}

#[tokio::test]
async fn all_ways_to_write_a_name_are_one_name() {
    let app = start().await;
    for name in [
        ADA,
        "ADA@example.com",
        " ada@EXAMPLE.com ",
        "ａda@example.com",
        "Ada@Example.Com",
    ] {
        app.guess(name)
            .await
            .expect_problem(401, "invalid_credentials");
    }
    app.log_in(ADA).await.expect_problem(400, "account_locked");
    app.deliver_mail().await;
}

#[tokio::test]
async fn the_limit_is_the_one_of_the_settings() {
    let app = TestApp::start_with(&[("MAX_LOGIN_ATTEMPTS", "1")]).await;
    app.guess("nobody@example.com")
        .await
        .expect_problem(401, "invalid_credentials");
    app.guess("nobody@example.com")
        .await
        .expect_problem(400, "account_locked");
    app.guess("another@example.com")
        .await
        .expect_problem(401, "invalid_credentials");
}

#[tokio::test]
async fn a_device_of_the_owner_gets_in_while_everybody_else_waits() {
    let app = start().await;
    app.user(Role::Authenticated, "eve@example.com").await;
    let logged_in = app.log_in(ADA).await.expect(200);
    let device = logged_in.header("x-device-token").to_owned();
    let cookie = logged_in.header("set-cookie").split(';').next().unwrap();
    let of_eve = app.log_in("eve@example.com").await.expect(200);
    let of_eve = of_eve.header("x-device-token").to_owned();
    app.lock_out(ADA).await;

    let mut forged = device.clone().into_bytes();
    forged[3] ^= 1;
    let forged = String::from_utf8(forged).unwrap();
    for token in [&of_eve, &forged, &device[..20], "", "x", &"A".repeat(8000)] {
        log_in_on(&app, ADA, token)
            .await
            .expect_problem(400, "account_locked");
    }
    app.log_in(ADA).await.expect_problem(400, "account_locked");

    let answer = log_in_on(&app, ADA, &device).await.expect(200);
    // The device keeps its name.
    assert_eq!(answer.header("x-device-token"), device);
    // A browser that several people use has a cookie for each.
    let cookie = format!("theme=dark; __Host-um_device_0123456789ab={of_eve}; {cookie}; other=1");
    app.post("/login/")
        .form(&[("username", "ADA@example.com"), ("password", PASSWORD)])
        .header("cookie", &cookie)
        .send()
        .await
        .expect(200);
    // The others wait as before.
    app.log_in(ADA).await.expect_problem(400, "account_locked");
    app.deliver_mail().await;
}

#[tokio::test]
async fn a_device_of_the_owner_has_a_limit_of_its_own_and_nobody_is_told() {
    let app = start().await;
    let device = app
        .log_in(ADA)
        .await
        .expect(200)
        .header("x-device-token")
        .to_owned();
    for _ in 0..5 {
        app.post("/login/")
            .form(&[("username", ADA), ("password", "wrong password")])
            .header("x-device-token", &device)
            .send()
            .await
            .expect_problem(401, "invalid_credentials");
    }
    log_in_on(&app, ADA, &device)
        .await
        .expect_problem(400, "account_locked");
    assert_eq!(app.deliver_mail().await, []);
    // Elsewhere nothing happened.
    app.log_in(ADA).await.expect(200);
}

#[tokio::test]
async fn the_owner_is_told_once_an_hour_at_most_and_strangers_never() {
    let app = start().await;
    app.lock_out("nobody@example.com").await;
    app.register("unverified@example.com").await.expect(200);
    app.deliver_mail().await;
    app.lock_out("unverified@example.com").await;
    assert_eq!(app.deliver_mail().await, []);

    for _ in 0..4 {
        app.guess(ADA)
            .await
            .expect_problem(401, "invalid_credentials");
    }
    assert_eq!(app.deliver_mail().await, [], "before the limit");
    let mut told = Vec::new();
    for minutes in [0, 30, 29, 1] {
        app.clock.advance(TimeDelta::minutes(minutes));
        app.guess(ADA)
            .await
            .expect_problem(401, "invalid_credentials");
        let mails = app.deliver_mail().await;
        assert!(mails.iter().all(|mail| mail.to.address == ADA));
        told.push(mails.len());
    }
    assert_eq!(told, [1, 0, 0, 1]);
}

#[tokio::test]
async fn the_link_of_the_notice_unlocks_and_makes_the_device_the_owners() {
    let app = start().await;
    app.lock_out(ADA).await;
    let link = link_in(&app.deliver_mail().await.remove(0).text);
    assert!(link.starts_with("/unlock-account/"), "{link}");
    // To look at it changes nothing.
    let page = app
        .get(&link)
        .header("accept", BROWSER)
        .send()
        .await
        .expect(200);
    assert!(
        page.body.contains("<form method=\"post\">"),
        "{}",
        page.body
    );
    app.request("HEAD", &link).send().await.expect(200);
    app.log_in(ADA).await.expect_problem(400, "account_locked");

    let confirm = || app.post(&link).header("accept", BROWSER);
    let done = confirm().send().await.expect(200);
    assert!(
        done.body.contains("Your account is unlocked"),
        "{}",
        done.body
    );
    let device = done.header("x-device-token").to_owned();
    assert!(done.header("set-cookie").starts_with("__Host-um_device_"));
    app.log_in(ADA).await.expect(200);
    let again = confirm().send().await.expect(400);
    assert!(
        again.body.contains("This link is not valid"),
        "{}",
        again.body
    );
    assert!(again.headers.get("set-cookie").is_none());

    // Whoever goes on guessing no longer meets the owner.
    app.lock_out(ADA).await;
    app.log_in(ADA).await.expect_problem(400, "account_locked");
    log_in_on(&app, ADA, &device).await.expect(200);
    app.deliver_mail().await;
}

#[tokio::test]
async fn the_link_of_the_notice_works_at_once_for_programs_for_a_day_and_once() {
    let app = start().await;
    app.lock_out(ADA).await;
    let link = link_in(&app.deliver_mail().await.remove(0).text);
    let done = app.get(&link).send().await.expect(200);
    assert_eq!(
        done.json(),
        json!({"message": "Account unlocked successfully"})
    );
    app.log_in(ADA).await.expect(200);
    let again = app
        .get(&link)
        .send()
        .await
        .expect_problem(400, "invalid_unlock_token");
    assert_eq!(again.text("detail"), "Invalid or expired unlock token");

    app.clock.advance(TimeDelta::hours(2));
    app.lock_out(ADA).await;
    let link = link_in(&app.deliver_mail().await.remove(0).text);
    app.clock.advance(TimeDelta::hours(24));
    app.get(&link)
        .send()
        .await
        .expect_problem(400, "invalid_unlock_token");
    let other_purpose = link.replace("unlock-account", "verify-email");
    app.get(&other_purpose)
        .send()
        .await
        .expect_problem(400, "invalid_verification_token");
}

#[tokio::test]
async fn the_link_of_the_notice_lifts_no_lock_of_an_administrator() {
    let app = start().await;
    let admin = app.admin().await;
    let ada = app.user(Role::Authenticated, "other@example.com").await;
    app.lock_out("other@example.com").await;
    let link = link_in(&app.deliver_mail().await.remove(0).text);
    app.lock(&admin, ada.id).await.expect(200);
    app.get(&link).send().await.expect(200);
    app.log_in("other@example.com")
        .await
        .expect_problem(400, "account_locked");
    assert_eq!(app.read(&admin, ada.id).await.json()["is_locked"], true);
    app.deliver_mail().await;
}

#[tokio::test]
async fn a_login_that_could_not_be_tried_is_not_counted() {
    let app = start().await;
    // The throttle can be read, the account can't.
    let rename = async |from: &'static str, to: &'static str| {
        let statement = sqlx::AssertSqlSafe(format!("alter table {from} rename to {to}"));
        sqlx::query(statement)
            .execute(&app.database.pool)
            .await
            .unwrap();
    };
    rename("users", "users_away").await;
    for _ in 0..10 {
        app.log_in(ADA).await.expect_problem(503, "unavailable");
    }
    rename("users_away", "users").await;
    // Both can be read, and the session can't be stored.
    rename("sessions", "sessions_away").await;
    for _ in 0..10 {
        app.log_in(ADA).await.expect_problem(500, "internal_error");
    }
    rename("sessions_away", "sessions").await;
    app.log_in(ADA).await.expect(200);
    // And if attempts can't be counted, nobody gets in.
    rename("login_throttle", "throttle_away").await;
    let refused = app.log_in(ADA).await;
    assert!(refused.status.is_server_error(), "{}", refused.body);
}
