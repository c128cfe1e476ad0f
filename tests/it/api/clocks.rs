//! Instances whose clocks differ by an hour: what is refused is refused in the usual way, and what can
//! work does.

use std::sync::Arc;

use chrono::TimeDelta;
use serde_json::json;
use user_management::{
    domain::role::Role,
    infra::clock::{Clock as _, ManualClock},
};

use crate::support::{
    app::{PASSWORD, TestApp},
    request::TestResponse,
};

/// Sessions of half an hour, so that an hour is more than one lives.
const SETTINGS: &[(&str, &str)] = &[("REFRESH_TOKEN_EXPIRE_MINUTES", "30")];

/// An instance beside `app` whose clock differs by so much.
fn with_clock(app: &TestApp, differs_by: TimeDelta) -> TestApp {
    let clock = ManualClock::new(app.clock.now() + differs_by);
    app.second_instance_changed(SETTINGS, |parts| parts.clock = Arc::new(clock))
}

async fn refresh(app: &TestApp, token: &str) -> TestResponse {
    app.post("/login/")
        .form(&[("grant_type", "refresh_token"), ("refresh_token", token)])
        .send()
        .await
}

#[tokio::test]
async fn a_clock_that_is_an_hour_off_never_makes_a_fault() {
    let app = TestApp::start_with(SETTINGS).await;
    app.user(Role::Authenticated, "ada@example.com").await;
    for hours in [-1, 1] {
        let wrong = with_clock(&app, TimeDelta::hours(hours));
        for (issuer, other) in [(&app, &wrong), (&wrong, &app)] {
            let login = issuer.log_in("ada@example.com").await.expect(200);
            let token = login.text("access_token");
            issuer.get("/me").bearer(&token).send().await.expect(200);
            // To the other it isn't valid yet, or has expired.
            other
                .get("/me")
                .bearer(&token)
                .send()
                .await
                .expect_problem(401, "not_authenticated");
            let cookie = issuer
                .post("/sessions")
                .json(&json!({"username": "ada@example.com", "password": PASSWORD}))
                .send()
                .await
                .expect(201);
            let is_ahead = std::ptr::eq(other, &wrong) == (hours > 0);
            let refreshed = refresh(other, &login.text("refresh_token")).await;
            let read = other.get("/me").cookies_of(&cookie).send().await;
            if is_ahead {
                // The session's half hour is over there.
                refreshed.expect_problem(400, "invalid_refresh_token");
                read.expect_problem(401, "not_authenticated");
                continue;
            }
            read.expect(200);
            let next = refreshed.expect(200).text("refresh_token");
            other.app.services.sessions.write_seen().await.unwrap();
            refresh(issuer, &next).await.expect(200);
            issuer
                .get("/me")
                .cookies_of(&cookie)
                .send()
                .await
                .expect(200);
        }
    }
}
