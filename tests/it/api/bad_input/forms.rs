//! The form of `POST /login/`, and media types.

use serde_json::json;

use super::{Case, refuse_all};
use crate::support::app::{PASSWORD, TestApp};

const FORM: &str = "application/x-www-form-urlencoded";

#[tokio::test]
async fn a_form_that_lacks_something_or_has_it_twice_is_invalid() {
    let app = TestApp::start().await;
    let mut cases = Vec::new();
    for (form, fields) in [
        ("", &["body.username missing", "body.password missing"][..]),
        ("username=a%40example.com", &["body.password missing"]),
        ("password=s3cret", &["body.username missing"]),
        (
            "username=a&username=b&password=s3cret",
            &["body.username duplicate"],
        ),
        (
            "username=a&password=s3cret&password=s3cret2",
            &["body.password duplicate"],
        ),
        (
            "grant_type=client_credentials&username=a&password=s3cret",
            &["body.grant_type unsupported_grant_type"],
        ),
        (
            "grant_type=Password&username=a&password=s3cret",
            &["body.grant_type unsupported_grant_type"],
        ),
    ] {
        let request = app.post("/login/").raw(FORM, form);
        cases.push(Case::invalid(form, request, fields).secret("s3cret"));
    }
    for (what, form) in [
        (
            "bytes that are no UTF-8",
            b"username=\xff&password=s3cret".as_slice(),
        ),
        (
            "escaped bytes that are no UTF-8",
            b"username=a&password=s3cret%ff",
        ),
        ("such a name", b"%c3%28=1&username=a&password=s3cret"),
    ] {
        let request = app.post("/login/").raw(FORM, form);
        cases.push(Case::new(what, request, 400, "malformed_body").secret("s3cret"));
    }
    refuse_all(&app, cases).await;
}

#[tokio::test]
async fn every_refusal_of_a_login_says_so_in_the_words_of_oauth() {
    let app = TestApp::start().await;
    for (request, error) in [
        (
            app.post("/login/").raw(FORM, "username=a"),
            "invalid_request",
        ),
        (
            app.post("/login/").raw(FORM, "username=%ff&password=x"),
            "invalid_request",
        ),
        (app.post("/login/").json(&json!({})), "invalid_request"),
        (
            app.post("/login/").raw(FORM, "x".repeat(70_000)),
            "invalid_request",
        ),
        (
            app.post("/login/").raw(FORM, "username=a&password=x"),
            "invalid_grant",
        ),
    ] {
        let response = request.send().await;
        assert_eq!(response.text("error"), error, "{}", response.body);
    }
}

#[tokio::test]
async fn names_and_passwords_that_no_account_can_have_are_wrong_as_any_other() {
    let app = TestApp::start().await;
    let long = "x".repeat(30_000);
    let mut cases = Vec::new();
    for (name, password) in [
        ("", ""),
        ("\0", "\0"),
        ("a\0b@example.com", PASSWORD),
        ("\u{1b}[31m@example.com", PASSWORD),
        ("a%zz@example.com", PASSWORD),
        ("'; drop table users; --", PASSWORD),
        ("\u{10ffff}\u{feff}", "\u{10ffff}\u{feff}"),
        (&*long, PASSWORD),
        ("a@example.com", &*long),
    ] {
        let shown: String = name.chars().take(40).collect();
        let request = app
            .post("/login/")
            .form(&[("username", name), ("password", password)]);
        let case = Case::new(format!("{shown:?}"), request, 401, "invalid_credentials");
        cases.push(if password.len() > 1 {
            case.secret(password)
        } else {
            case
        });
    }
    refuse_all(&app, cases).await;
}

#[tokio::test]
async fn a_name_that_the_database_cannot_hold_is_locked_out_like_any_other() {
    let app = TestApp::start().await;
    let log_in = async || {
        let form = [("username", "a\0b"), ("password", PASSWORD)];
        app.post("/login/").form(&form).send().await
    };
    for _ in 0..5 {
        log_in().await.expect_problem(401, "invalid_credentials");
    }
    log_in().await.expect_problem(400, "account_locked");
    app.run_jobs().await;
    assert_eq!(app.jobs_of("notify_lockout").await, 0);
}

#[tokio::test]
async fn a_body_of_another_media_type_is_not_read() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let user = format!("/users/{}", admin.id);
    let json =
        json!({"email": "new@example.com", "password": PASSWORD, "first_name": "A"}).to_string();
    let mut cases = Vec::new();
    for (method, path) in [
        ("POST", "/register/"),
        ("POST", "/users/"),
        ("PUT", &*user),
        ("POST", "/verify-email/resend"),
    ] {
        for kind in [
            "text/plain",
            FORM,
            "multipart/form-data; boundary=x",
            "application/xml",
            "json",
            "",
        ] {
            let request = app.request(method, path).by(&admin).raw(kind, json.clone());
            let what = format!("{kind} to {path}");
            cases.push(Case::new(what, request, 415, "unsupported_media_type"));
        }
    }
    for kind in ["application/json", "text/plain", "multipart/form-data"] {
        let request = app.post("/login/").raw(kind, "username=a&password=b");
        cases.push(Case::new(kind, request, 415, "unsupported_media_type"));
    }
    refuse_all(&app, cases).await;
    for (at, kind) in [
        "Application/JSON",
        "application/json; charset=utf-8",
        "application/merge-patch+json",
    ]
    .into_iter()
    .enumerate()
    {
        let name = json!({"first_name": format!("Ada {at}")}).to_string();
        app.put(&user)
            .by(&admin)
            .raw(kind, name)
            .send()
            .await
            .expect(200);
    }
}
