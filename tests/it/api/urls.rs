//! Paths with and without their slash, methods, and the URLs that answers name.

use serde_json::json;
use user_management::domain::role::Role;

use crate::support::{
    app::{PASSWORD, TestApp},
    operations::OPERATIONS,
    request::{TestResponse, link_in},
};

fn other_form(path: &str) -> Option<String> {
    match path.strip_suffix('/') {
        Some("") => None,
        Some(without) => Some(without.to_owned()),
        None => Some(format!("{path}/")),
    }
}

#[tokio::test]
async fn every_path_is_the_same_with_and_without_its_slash() {
    let app = TestApp::start().await;
    let manager = app.user(Role::Manager, "manager@example.com").await;
    let send = async |method: &str, path: &str| {
        // Some of them end the session.
        let token = app.log_in(&manager.email).await.text("access_token");
        let request = app.request(method, path).bearer(&token);
        request.json(&json!({})).send().await
    };
    let seen = |answer: &TestResponse| (answer.status, answer.code());
    let undocumented = ["/docs", "/openapi.json"].map(|path| ("GET".to_owned(), path.to_owned()));
    let documented = OPERATIONS.iter().map(|operation| {
        let path = operation
            .path
            .replace("{user_id}", &manager.id.to_string())
            .replace("{session_id}", "x")
            .replace("{nickname}", "x")
            .replace("{token}", "x");
        (operation.method.clone(), path)
    });
    let mut tried = 0;
    for (method, path) in documented.chain(undocumented) {
        let Some(other) = other_form(&path) else {
            continue;
        };
        let one = send(&method, &path).await;
        let two = send(&method, &other).await;
        assert_eq!(seen(&one), seen(&two), "{method} {path}");
        assert!(!one.status.is_redirection(), "{method} {path}");
        assert_ne!(one.code().as_deref(), Some("not_found"), "{method} {path}");
        tried += 1;
    }
    assert!(tried >= OPERATIONS.len(), "only {tried}");
}

#[tokio::test]
async fn another_method_is_not_allowed_and_the_answer_names_those_that_are() {
    let app = TestApp::start().await;
    for (method, path, allowed) in [
        ("POST", "/", &["GET", "HEAD"][..]),
        ("GET", "/register/", &["POST"]),
        ("GET", "/login", &["POST"]),
        ("PATCH", "/users/", &["GET", "HEAD", "POST"]),
        ("PATCH", "/users/x/", &["GET", "HEAD", "PUT", "DELETE"]),
        ("GET", "/users/x/lock", &["POST"]),
        ("TRACE", "/health/live", &["GET", "HEAD"]),
        ("DELETE", "/docs", &["GET", "HEAD"]),
        ("OPTIONS", "/users/", &["GET", "HEAD", "POST"]),
    ] {
        let answer = app.request(method, path).send().await;
        let answer = answer.expect_problem(405, "method_not_allowed");
        let mut named: Vec<_> = answer.header("allow").split(',').map(str::trim).collect();
        named.sort_unstable();
        let mut allowed = allowed.to_vec();
        allowed.sort_unstable();
        assert_eq!(named, allowed, "{method} {path}");
    }
}

#[tokio::test]
async fn urls_are_built_from_the_settings_whatever_the_request_says_of_itself() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let evil = |method: &str, path: &str| {
        app.request(method, path)
            .header("host", "evil.example.net")
            .header("x-forwarded-host", "evil.example.net")
            .header("x-forwarded-proto", "gopher")
            .header("x-forwarded-prefix", "/evil")
            .header("forwarded", "host=evil.example.net;proto=gopher")
    };
    let body = json!({"email": "ada@example.com", "password": PASSWORD});
    let added = evil("POST", "/users/")
        .by(&admin)
        .json(&body)
        .send()
        .await
        .expect(201);
    assert!(
        added
            .header("location")
            .starts_with("https://users.example.com/users/")
    );
    let answers = [
        evil("GET", "/").send().await,
        evil("GET", "/users/?limit=1").by(&admin).send().await,
        evil("GET", "/openapi.json").send().await,
        evil("GET", "/docs/").send().await,
        added,
    ];
    for answer in answers {
        assert!(
            !answer.body.contains("evil") && !answer.body.contains("gopher"),
            "{}",
            answer.body
        );
    }
    let mail = app.deliver_mail().await.remove(0);
    assert!(!mail.text.contains("evil") && !mail.html.contains("evil"));
    let link = link_in(&mail.text);
    let page = evil("GET", &link)
        .header("accept", "text/html")
        .send()
        .await;
    assert!(!page.body.contains("evil"));
}

#[tokio::test]
async fn a_base_url_with_a_path_stands_before_every_url() {
    let app = TestApp::start_with(&[("SERVER_BASE_URL", "https://example.com/accounts")]).await;
    let admin = app.admin().await;
    let base = "https://example.com/accounts/";
    let welcome = app.get("/").send().await.expect(200).json();
    let list = app
        .get("/users/")
        .by(&admin)
        .send()
        .await
        .expect(200)
        .json();
    let links = [
        &welcome["links"],
        &list["links"],
        &list["items"][0]["links"],
    ];
    for link in links
        .into_iter()
        .flat_map(|links| links.as_array().unwrap())
    {
        assert!(link["href"].as_str().unwrap().starts_with(base), "{link}");
    }
    app.register("ada@example.com").await.expect(200);
    let mail = app.deliver_mail().await.remove(0);
    assert!(
        mail.text
            .contains("https://example.com/accounts/verify-email/")
    );
    let document = app.get("/openapi.json").send().await.expect(200).json();
    assert_eq!(document["servers"][0]["url"], "/accounts");
    let flow = &document["components"]["securitySchemes"]["password"]["flows"]["password"];
    assert_eq!(flow["tokenUrl"], "/accounts/login/");
    let docs = app.get("/docs").send().await.expect(200);
    assert!(docs.body.contains("\"/accounts/docs/"), "{}", docs.body);
}
