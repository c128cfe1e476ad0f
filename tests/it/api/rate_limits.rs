//! Limits per client address.

use serde_json::json;
use user_management::domain::role::Role;

use crate::support::{
    app::{PASSWORD, TestApp},
    request::TestResponse,
};

const LIMITS: &[(&str, &str)] = &[
    ("RATE_LIMITS", "on"),
    ("RATE_LIMIT_LOGIN", "2/h"),
    ("RATE_LIMIT_REGISTER", "1/h"),
    ("RATE_LIMIT_RESEND", "1/h"),
    ("RATE_LIMIT_RESET", "1/h"),
];

fn settings<'a>(more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    LIMITS.iter().chain(more).copied().collect()
}

async fn guess_from(app: &TestApp, peer: [u8; 4], forwarded: Option<&str>) -> TestResponse {
    let request = app
        .post("/login/")
        .form(&[("username", "nobody@example.com"), ("password", "x")])
        .from(peer);
    match forwarded {
        Some(forwarded) => request.header("x-forwarded-for", forwarded).send().await,
        None => request.send().await,
    }
}

#[tokio::test]
async fn who_does_it_too_often_is_told_when_to_come_back() {
    let app = TestApp::start_with(LIMITS).await;
    let resend = || {
        app.post("/verify-email/resend")
            .json(&json!({"email": "ada@example.com"}))
    };
    app.register("ada@example.com").await.expect(200);
    let reset = || {
        app.post("/password-reset")
            .json(&json!({"email": "ada@example.com"}))
    };
    resend().send().await.expect(202);
    reset().send().await.expect(202);
    for _ in 0..2 {
        guess_from(&app, [192, 0, 2, 1], None)
            .await
            .expect_problem(401, "invalid_credentials");
    }
    for (refused, least) in [
        (guess_from(&app, [192, 0, 2, 1], None).await, 1700),
        (app.register("eve@example.com").await, 3500),
        (resend().send().await, 3500),
        (reset().send().await, 3500),
    ] {
        let refused = refused.expect_problem(429, "rate_limited");
        let wait: u32 = refused.header("retry-after").parse().unwrap();
        assert!((least..=3600).contains(&wait), "{wait}");
    }
    // Each address by itself.
    guess_from(&app, [192, 0, 2, 2], None)
        .await
        .expect_problem(401, "invalid_credentials");
    assert_eq!(app.count("users").await, 1);
    app.deliver_mail().await;
}

#[tokio::test]
async fn a_limited_login_is_no_failed_one() {
    let app = TestApp::start_with(LIMITS).await;
    for _ in 0..20 {
        guess_from(&app, [192, 0, 2, 1], None).await;
    }
    let refused = guess_from(&app, [192, 0, 2, 1], None).await;
    assert_eq!(
        refused.expect_problem(429, "rate_limited").text("error"),
        "temporarily_unavailable"
    );
    let charged: i32 = sqlx::query_scalar("select charged from login_throttle")
        .fetch_one(&app.database.pool)
        .await
        .unwrap();
    assert_eq!(charged, 2);
}

#[tokio::test]
async fn a_forwarded_address_is_believed_of_nobody_but_trusted_proxies() {
    let app = TestApp::start_with(LIMITS).await;
    for forwarded in ["203.0.113.1", "203.0.113.2"] {
        guess_from(&app, [192, 0, 2, 1], Some(forwarded))
            .await
            .expect(401);
    }
    guess_from(&app, [192, 0, 2, 1], Some("203.0.113.3"))
        .await
        .expect_problem(429, "rate_limited");
}

#[tokio::test]
async fn behind_trusted_proxies_the_last_address_that_is_not_theirs_counts() {
    let settings = settings(&[("TRUSTED_PROXIES", "10.0.0.0/8, 192.0.2.7")]);
    let app = TestApp::start_with(&settings).await;
    let proxy = [10, 0, 0, 1];
    // What stands before the client's own address he wrote himself.
    for forwarded in ["203.0.113.7", "198.51.100.1, 203.0.113.7"] {
        guess_from(&app, proxy, Some(forwarded)).await.expect(401);
    }
    for forwarded in [
        "203.0.113.7",
        "198.51.100.2, 203.0.113.7",
        "10.1.2.3, 203.0.113.7",
        "203.0.113.7, 10.9.9.9",
        "nonsense, 203.0.113.7, 10.9.9.9, 192.0.2.7",
        "::ffff:203.0.113.7",
    ] {
        guess_from(&app, [192, 0, 2, 7], Some(forwarded))
            .await
            .expect_problem(429, "rate_limited");
    }
    guess_from(&app, proxy, Some("203.0.113.8"))
        .await
        .expect(401);
    // Where the proxy names nobody, it is the client itself.
    for forwarded in [None, Some("nonsense")] {
        guess_from(&app, proxy, forwarded).await.expect(401);
    }
    guess_from(&app, proxy, Some(""))
        .await
        .expect_problem(429, "rate_limited");
}

#[tokio::test]
async fn in_development_nothing_is_limited_but_guesses_of_one_name() {
    let app = TestApp::start().await;
    for number in 0..40 {
        let form = [
            ("username", &*format!("user{number}@example.com")),
            ("password", "x"),
        ];
        app.post("/login/").form(&form).send().await.expect(401);
    }
}

#[tokio::test]
async fn checks_of_ones_own_password_count_as_logins() {
    let settings = [("RATE_LIMITS", "on"), ("RATE_LIMIT_LOGIN", "3/h")];
    let app = TestApp::start_with(&settings).await;
    let user = app.user(Role::Authenticated, "ada@example.com").await;
    let body = json!({"current_password": PASSWORD, "new_password": "ada@example.com"});
    let change = async || app.put("/me/password").by(&user).json(&body).send().await;
    for _ in 0..2 {
        change().await.expect(422);
    }
    let limited = change().await.expect_problem(429, "rate_limited");
    limited.header("retry-after");
    app.close(&user).await.expect_problem(429, "rate_limited");
}
