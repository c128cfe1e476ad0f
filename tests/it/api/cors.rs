//! Which web pages may call the API (Fetch standard, CORS protocol).

use crate::support::{app::TestApp, request::TestResponse};

const APP: &str = "https://app.example.com";

async fn preflight(app: &TestApp, origin: &str, path: &str) -> TestResponse {
    app.request("OPTIONS", path)
        .header("origin", origin)
        .header("access-control-request-method", "PUT")
        .header(
            "access-control-request-headers",
            "authorization,content-type",
        )
        .send()
        .await
}

fn allowed_origin(response: &TestResponse) -> Option<&str> {
    let value = response.headers.get("access-control-allow-origin")?;
    Some(value.to_str().unwrap())
}

#[tokio::test]
async fn pages_of_listed_origins_may_call_the_api_with_credentials() {
    let origins = "https://app.example.com, http://localhost:3000";
    let app = TestApp::start_with(&[("CORS_ALLOWED_ORIGINS", origins)]).await;
    for origin in [APP, "http://localhost:3000"] {
        let answer = preflight(&app, origin, "/users/0199c5a0-6d54-7c1e-8f6a-3b1f2d4e5a6b").await;
        assert!(answer.status.is_success(), "{}", answer.status);
        assert_eq!(allowed_origin(&answer), Some(origin));
        assert_eq!(answer.header("access-control-allow-credentials"), "true");
        let methods = answer.header("access-control-allow-methods");
        for method in ["GET", "POST", "PUT", "DELETE"] {
            assert!(methods.contains(method), "{methods}");
        }
        let headers = answer.header("access-control-allow-headers").to_lowercase();
        for header in [
            "authorization",
            "content-type",
            "idempotency-key",
            "x-device-token",
        ] {
            assert!(headers.contains(header), "{headers}");
        }
        assert!(answer.header("vary").to_lowercase().contains("origin"));

        // Refusals too: a page must be able to read why.
        let answer = app.get("/users/").header("origin", origin).send().await;
        let answer = answer.expect_problem(401, "not_authenticated");
        assert_eq!(allowed_origin(&answer), Some(origin));
        let exposed = answer
            .header("access-control-expose-headers")
            .to_lowercase();
        for header in [
            "location",
            "retry-after",
            "idempotency-replayed",
            "x-request-id",
            "x-device-token",
        ] {
            assert!(exposed.contains(header), "{exposed}");
        }
        assert!(answer.header("vary").to_lowercase().contains("origin"));
    }
}

#[tokio::test]
async fn pages_of_other_origins_may_not() {
    let app = TestApp::start_with(&[("CORS_ALLOWED_ORIGINS", APP)]).await;
    for origin in [
        "https://evil.example.net",
        "http://app.example.com",
        "https://app.example.com:8443",
        "https://app.example.com.evil.example.net",
        "https://xapp.example.com",
        "null",
        "*",
        "",
    ] {
        let answer = preflight(&app, origin, "/users/").await;
        assert_eq!(allowed_origin(&answer), None, "{origin}");
        let answer = app
            .get("/")
            .header("origin", origin)
            .send()
            .await
            .expect(200);
        assert_eq!(allowed_origin(&answer), None, "{origin}");
    }
}

#[tokio::test]
async fn without_a_list_no_page_may() {
    let app = TestApp::start().await;
    let answer = preflight(&app, APP, "/users/").await;
    let answer = answer.expect_problem(405, "method_not_allowed");
    assert_eq!(allowed_origin(&answer), None);
    let answer = app.get("/").header("origin", APP).send().await.expect(200);
    assert_eq!(allowed_origin(&answer), None);
}
