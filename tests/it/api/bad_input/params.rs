//! Paths and queries.

use super::{Case, refuse_all};
use crate::support::app::TestApp;

#[tokio::test]
async fn an_id_that_is_no_uuid_is_invalid() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let id = admin.id.to_string();
    let mut cases = Vec::new();
    for bad in [
        "1",
        "me",
        "-",
        &id[..35],
        &format!("{id}0"),
        &id.replace('-', "_"),
        &id.replace('0', "g"),
        "%00",
        "%ff",
        "..%2f..%2fetc%2fpasswd",
        "'%20or%201=1",
        &"a".repeat(10_000),
    ] {
        let shown: String = bad.chars().take(50).collect();
        for (method, rest) in [
            ("GET", ""),
            ("PUT", ""),
            ("DELETE", ""),
            ("POST", "/lock"),
            ("POST", "/unlock"),
        ] {
            let request = app
                .request(method, &format!("/users/{bad}{rest}"))
                .by(&admin);
            let request = if method == "PUT" {
                request.json(&serde_json::json!({"first_name": "Ada"}))
            } else {
                request
            };
            let what = format!("{method} {shown}{rest}");
            cases.push(Case::invalid(what, request, &["path.user_id invalid_uuid"]));
        }
    }
    refuse_all(&app, cases).await;
}

#[tokio::test]
async fn a_part_of_a_list_that_cannot_be_is_invalid() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let mut cases = Vec::new();
    for value in [
        "-1",
        "",
        "abc",
        "1.5",
        "1e3",
        "0x10",
        "%2B1",
        "%20",
        "%00",
        "%ff",
        "%D9%A1",
        "2147483648",
        "99999999999999999999999999",
        "null",
        "1,2",
    ] {
        for name in ["skip", "limit"] {
            let request = app.get(&format!("/users/?{name}={value}")).by(&admin);
            let fields = [&*format!("query.{name} out_of_range")];
            cases.push(Case::invalid(format!("{name}={value}"), request, &fields));
        }
    }
    for (query, fields) in [
        ("limit=0", &["query.limit out_of_range"][..]),
        ("limit=101", &["query.limit out_of_range"]),
        ("skip=1&skip=2", &["query.skip repeated"]),
        ("more=1", &["query.more unknown_parameter"]),
        ("limit=1&limit=1", &["query.limit repeated"]),
        (
            "skip=x&limit=x",
            &["query.skip out_of_range", "query.limit out_of_range"],
        ),
    ] {
        let request = app.get(&format!("/users/?{query}")).by(&admin);
        cases.push(Case::invalid(query, request, fields));
    }
    refuse_all(&app, cases).await;
    for query in ["skip=0&limit=1", "skip=2147483647&limit=100", "skip=%30"] {
        app.get(&format!("/users/?{query}"))
            .by(&admin)
            .send()
            .await
            .expect(200);
    }
}

#[tokio::test]
async fn a_link_that_nobody_sent_is_refused_in_the_words_of_the_contract() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let id = admin.id.to_string();
    let long = "a".repeat(10_000);
    let mut cases = Vec::new();
    for (user, token) in [
        ("x", "y"),
        (&*id, "y"),
        (&id, "%00"),
        (&id, "%ff"),
        ("%ff", "%ff"),
        ("%00", "y"),
        (&id, &long),
        (&long, "y"),
        (&id, "..%2f.."),
        ("00000000-0000-0000-0000-000000000000", "y"),
    ] {
        for (path, code) in [
            ("verify-email", "invalid_verification_token"),
            ("unlock-account", "invalid_unlock_token"),
        ] {
            for method in ["GET", "POST"] {
                let request = app.request(method, &format!("/{path}/{user}/{token}"));
                let what: String = format!("{method} {path} {user} {token}")
                    .chars()
                    .take(100)
                    .collect();
                cases.push(Case::new(what, request, 400, code));
            }
        }
    }
    refuse_all(&app, cases).await;
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let app = TestApp::start().await;
    let mut cases = Vec::new();
    for path in [
        "/nothing",
        "/users/x/y/z",
        "//",
        "/register/x",
        "/docs/nothing.js",
        "/docs/%ff",
        "/docs/..%2f..%2fCargo.toml",
        "/dev/mail",
        "/metrics",
        "/%ff",
    ] {
        cases.push(Case::new(path, app.get(path), 404, "not_found"));
    }
    refuse_all(&app, cases).await;
}
