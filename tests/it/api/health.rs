//! `/health/…`

use serde_json::json;

use crate::support::app::TestApp;

#[tokio::test]
async fn a_service_with_its_database_lives_and_is_ready() {
    let app = TestApp::start().await;
    for path in ["/health/live", "/health/ready"] {
        let answer = app.get(path).send().await.expect(200);
        assert_eq!(answer.json(), json!({"status": "ok"}));
    }
}

#[tokio::test]
async fn without_its_database_it_lives_and_is_not_ready() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    app.app.pool.close().await;
    app.get("/health/live").send().await.expect(200);
    let refused = app.get("/health/ready").send().await;
    let refused = refused.expect_problem(503, "unavailable");
    assert_eq!(refused.header("retry-after"), "1");
    // Nothing else is a fault of ours either.
    for request in [
        app.get("/users/").by(&admin),
        app.post("/register/")
            .json(&json!({"email": "ada@example.com", "password": crate::support::app::PASSWORD})),
        app.post("/login/")
            .form(&[("username", "a"), ("password", "b")]),
        app.post("/verify-email/resend")
            .json(&json!({"email": "ada@example.com"})),
        app.get("/verify-email/0199c5a0-6d54-7c1e-8f6a-3b1f2d4e5a6b/x"),
        app.get("/unlock-account/0199c5a0-6d54-7c1e-8f6a-3b1f2d4e5a6b/x"),
    ] {
        let refused = request.send().await.expect_problem(503, "unavailable");
        assert_eq!(refused.header("retry-after"), "1");
    }
}

#[tokio::test]
async fn a_server_that_stops_is_not_ready_and_finishes_its_work() {
    let app = TestApp::start().await;
    app.app.state.drain();
    app.get("/health/live").send().await.expect(200);
    app.get("/health/ready")
        .send()
        .await
        .expect_problem(503, "unavailable");
    app.get("/").send().await.expect(200);
}
