//! The older APIs, one file an adapter, called through the real router.

mod cookie_session;
mod mflix;
mod phone;
mod reset;

use serde_json::{Value, json};
use user_management::config::{Config, Source};

use crate::support::{app::TestApp, request::TestResponse};

const ALL: &str = "cookie-session,mflix,phone";

/// The service with all older APIs.
async fn start() -> TestApp {
    TestApp::start_with(&[("COMPAT_APIS", ALL)]).await
}

/// Fails unless an answer has this status and exactly this JSON.
#[track_caller]
fn expect(answer: &TestResponse, status: u16, body: &Value) {
    assert_eq!(answer.status.as_u16(), status, "{}", answer.body);
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(&answer.json(), body);
}

/// Every endpoint of the older APIs.
const ENDPOINTS: &[(&str, &str)] = &[
    ("GET", "/compat/cookie-session"),
    ("POST", "/compat/cookie-session/users"),
    ("POST", "/compat/cookie-session/sessions"),
    ("DELETE", "/compat/cookie-session/sessions"),
    ("GET", "/compat/cookie-session/profile"),
    ("POST", "/compat/cookie-session/reset_password"),
    ("PUT", "/compat/cookie-session/reset_password"),
    ("POST", "/compat/mflix/api/v1/user/register"),
    ("POST", "/compat/mflix/api/v1/user/login"),
    ("PUT", "/compat/mflix/api/v1/user/update-preferences"),
    ("POST", "/compat/mflix/api/v1/user/logout"),
    ("DELETE", "/compat/mflix/api/v1/user/delete"),
    ("GET", "/compat/mflix/api/v1/user/admin"),
    ("POST", "/compat/phone/signup"),
    ("POST", "/compat/phone/login"),
    ("PUT", "/compat/phone/user"),
];

#[tokio::test]
async fn an_older_api_is_there_only_where_it_is_switched_on() {
    let off = TestApp::start().await;
    let mflix = off.second_instance(&[("COMPAT_APIS", "mflix, mflix")]);
    for (method, path) in ENDPOINTS {
        for path in [(*path).to_owned(), format!("{path}/")] {
            let request = off.request(method, &path).json(&json!({}));
            request.send().await.expect_problem(404, "not_found");
            let answer = mflix.request(method, &path).json(&json!({})).send().await;
            let is_there = answer.status.as_u16() != 404;
            assert_eq!(is_there, path.starts_with("/compat/mflix/"), "{path}");
        }
    }
}

#[tokio::test]
async fn the_native_api_and_its_document_stay_as_they_are() {
    let app = start().await;
    let document = app.get("/openapi.json").send().await.expect(200);
    assert!(!document.body.contains("compat"));
    let body = json!({"email": "ada@example.com", "password": "five5"});
    let weak = app.post("/register/").json(&body).send().await.expect(422);
    assert_eq!(weak.invalid_fields(), ["body.password password_too_short"]);
    app.unverified("ada@example.com").await;
    app.log_in("ada@example.com")
        .await
        .expect_problem(401, "email_not_verified");
}

#[test]
fn a_setting_switches_them_on_and_tells_of_their_habits() {
    let read = |settings: &[(&str, &str)]| {
        let pairs = settings.iter();
        let source: Source = pairs
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        Config::read(&source)
    };
    let off = read(&[]).unwrap();
    assert!(off.compat_apis.is_empty() && off.warnings.is_empty());
    let on = read(&[("COMPAT_APIS", ALL)]).unwrap();
    assert_eq!(on.compat_apis.len(), 3);
    for api in ALL.split(',') {
        let told = on.warnings.iter().filter(|text| {
            text.contains("COMPAT_APIS") && text.contains(&format!("`{api}` keeps older, weaker"))
        });
        assert_eq!(told.count(), 1, "{api}");
    }
    let unknown = read(&[("COMPAT_APIS", "mflix,netflix")]).unwrap_err();
    assert!(unknown.to_string().contains("COMPAT_APIS"), "{unknown}");
    let hidden = [("COMPAT_APIS", "phone"), ("HIDE_ACCOUNT_EXISTENCE", "true")];
    let hidden = read(&hidden).unwrap_err();
    assert!(hidden.to_string().contains("can't be combined"), "{hidden}");
}

#[tokio::test]
async fn what_no_table_names_is_told_in_the_member_of_the_adapter() {
    let limits = [
        ("COMPAT_APIS", ALL),
        ("RATE_LIMITS", "on"),
        ("RATE_LIMIT_LOGIN", "1/m"),
        ("RATE_LIMIT_REGISTER", "1/m"),
    ];
    let app = TestApp::start_with(&limits).await;
    let text = |answer: &TestResponse, member: &str| {
        let body = answer.json();
        assert_eq!(body.as_object().unwrap().len(), 1, "{body}");
        assert_eq!(answer.header("content-type"), "application/json");
        body[member].as_str().unwrap().to_owned()
    };
    for (method, path) in ENDPOINTS {
        // Who may call it is looked at first, and some have no body.
        if *method != "POST" || path.ends_with("/logout") {
            continue;
        }
        let is_form = path.contains("cookie-session");
        let (member, kind) = match is_form {
            true => ("message", "application/x-www-form-urlencoded"),
            false => ("error", "application/json"),
        };
        let malformed = if is_form { "email=%ff" } else { "{\"email\"" };
        let post = || app.post(path);
        let answer = post().raw(kind, malformed).send().await.expect(400);
        assert_eq!(text(&answer, member), "The request body is malformed");
        let answer = post().raw("text/plain", "x").send().await.expect(415);
        assert_eq!(text(&answer, member), "Unsupported media type");
        let large = "x".repeat(70_000);
        let answer = post().raw(kind, large).send().await.expect(413);
        assert_eq!(text(&answer, member), "The request body is too large");
        let answer = app.request("PATCH", path).send().await.expect(405);
        assert_eq!(text(&answer, member), "Method Not Allowed");
        if !is_form {
            let answer = post().json(&json!(["a", "list"])).send().await;
            text(&answer.expect(400), member);
        }
    }
    for (method, path, member) in [
        ("login", "/compat/mflix/api/v1/user/login", "error"),
        ("login", "/compat/cookie-session/sessions", "message"),
        ("register", "/compat/cookie-session/users", "message"),
        ("register", "/compat/mflix/api/v1/user/register", "error"),
    ] {
        // The limits are of the services: what one adapter has used up, the others lack.
        if path.contains("cookie") == (method == "register") {
            let form = [("email", "ada@example.com"), ("password", "Secure*1234")];
            match method {
                "login" => app.log_in("ada@example.com").await,
                _ => app.post(path).form(&form).send().await,
            };
        }
        let body =
            json!({"name": "Ada Lovelace", "email": "eva@example.com", "password": "Secure*1234"});
        let request = app.post(path);
        let request = match member {
            "error" => request.json(&body),
            _ => request.form(&[("email", "eva@example.com"), ("password", "Secure*1234")]),
        };
        let answer = request.send().await.expect(429);
        assert_eq!(
            text(&answer, member),
            "Too many requests; try again later",
            "{path}"
        );
        assert!(answer.headers.contains_key("retry-after"));
        assert!(answer.headers.contains_key("x-request-id"));
    }
    app.deliver_mail().await;
}

#[tokio::test]
async fn a_page_may_send_the_header_of_an_older_api_where_that_is_on() {
    let origin = ("CORS_ALLOWED_ORIGINS", "https://app.example.com");
    let app = TestApp::start_with(&[origin, ("COMPAT_APIS", "phone")]).await;
    let off = app.second_instance(&[origin]);
    for (app, is_allowed) in [(&app, true), (&off, false)] {
        let preflight = app
            .request("OPTIONS", "/compat/phone/user")
            .header("origin", "https://app.example.com")
            .header("access-control-request-method", "PUT")
            .send()
            .await;
        let headers = preflight.header("access-control-allow-headers");
        assert_eq!(headers.contains("session-token"), is_allowed, "{headers}");
    }
}
