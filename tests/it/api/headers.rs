//! Headers of security, on every kind of answer.

use axum::{Router, body::Body, http::Request, routing::get};
use tower::ServiceExt as _;
use user_management::http::middleware;

use crate::support::{accounts::BROWSER, app::TestApp, request::TestResponse};

const NOTHING: &str = "default-src 'none'; frame-ancestors 'none'";

async fn panic() -> &'static str {
    panic!("a secret in a panic")
}

/// An answer of each kind.
async fn answers(app: &TestApp) -> Vec<(&'static str, TestResponse)> {
    let admin = app.admin().await;
    app.register("ada@example.com").await.expect(200);
    let link = crate::support::request::link_in(&app.deliver_mail().await.remove(0).text);
    let panicking = middleware::stack(Router::new().route("/", get(panic)), &app.app.state);
    let panicked = panicking
        .oneshot(Request::new(Body::empty()))
        .await
        .unwrap();
    vec![
        ("success", app.get("/").send().await.expect(200)),
        ("a user", app.read(&admin, admin.id).await.expect(200)),
        ("login", app.log_in("admin@example.com").await.expect(200)),
        ("a refused login", app.guess("x").await.expect(401)),
        (
            "not authenticated",
            app.get("/users/").send().await.expect(401),
        ),
        ("invalid", app.register("x").await.expect(422)),
        (
            "malformed",
            app.post("/register/")
                .raw("application/json", "{")
                .send()
                .await
                .expect(400),
        ),
        (
            "too large",
            app.post("/register/")
                .raw("application/json", "x".repeat(70_000))
                .send()
                .await
                .expect(413),
        ),
        (
            "media type",
            app.post("/register/").send().await.expect(415),
        ),
        ("not found", app.get("/nothing").send().await.expect(404)),
        ("method", app.delete("/").send().await.expect(405)),
        (
            "a page",
            app.get(&link)
                .header("accept", BROWSER)
                .send()
                .await
                .expect(200),
        ),
        (
            "the document",
            app.get("/openapi.json").send().await.expect(200),
        ),
        ("documentation", app.get("/docs").send().await.expect(200)),
        (
            "a script",
            app.get("/docs/swagger-ui-bundle.js")
                .send()
                .await
                .expect(200),
        ),
        (
            "a panic",
            TestResponse::read(panicked)
                .await
                .expect_problem(500, "internal_error"),
        ),
    ]
}

#[tokio::test]
async fn every_answer_has_the_headers_of_security() {
    let app = TestApp::start().await;
    for (what, answer) in answers(&app).await {
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{what}");
        assert_eq!(answer.header("referrer-policy"), "no-referrer", "{what}");
        assert_eq!(
            answer.header("strict-transport-security"),
            "max-age=31536000",
            "{what}"
        );
        assert_eq!(answer.header("x-request-id").len(), 36, "{what}");
        assert!(answer.headers.get("server").is_none(), "{what}");
        let policy = answer.header("content-security-policy");
        assert!(
            policy.starts_with("default-src 'none';"),
            "{what}: {policy}"
        );
        assert!(
            policy.contains("frame-ancestors 'none'"),
            "{what}: {policy}"
        );
        let is_public = ["the document", "documentation", "a script"].contains(&what);
        if is_public {
            assert!(!policy.contains("script-src 'unsafe"), "{what}: {policy}");
        } else {
            assert_eq!(answer.header("cache-control"), "no-store", "{what}");
            assert!(what == "a page" || policy == NOTHING, "{what}: {policy}");
        }
        for name in answer.headers.keys() {
            let count = answer.headers.get_all(name).iter().count();
            assert_eq!(count, 1, "{what}: {name} stands {count} times");
        }
    }
}

#[tokio::test]
async fn a_panic_is_told_without_its_text() {
    let app = TestApp::start().await;
    let answers = answers(&app).await;
    let (_, panicked) = answers.last().unwrap();
    assert!(!panicked.body.contains("secret"), "{}", panicked.body);
}

#[tokio::test]
async fn over_http_nothing_is_said_of_https() {
    let app = TestApp::start_with(&[("SERVER_BASE_URL", "http://localhost:8000")]).await;
    let answer = app.get("/").send().await.expect(200);
    assert!(answer.headers.get("strict-transport-security").is_none());
}

#[tokio::test]
async fn the_pages_behind_links_run_no_script_and_load_nothing() {
    let app = TestApp::start().await;
    let user = app.unverified("ada@example.com").await;
    for request in [
        app.get(&user.link),
        app.post(&user.link),
        app.post(&user.link),
    ] {
        let page = request.header("accept", BROWSER).send().await;
        let policy = page.header("content-security-policy");
        assert!(!policy.contains("script-src"), "{policy}");
        assert!(policy.contains("form-action 'self'"), "{policy}");
        for forbidden in ["<script", " src=", "<link", "onclick", "javascript:"] {
            assert!(!page.body.contains(forbidden), "{forbidden}: {}", page.body);
        }
    }
}
