//! Sessions by cookie and by token, as their owners and managers see them.

use serde_json::{Value, json};
use user_management::domain::role::Role;
use uuid::Uuid;

use crate::support::{
    app::{PASSWORD, TestApp},
    request::{TestRequest, TestResponse},
};

const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0";

async fn log_in(app: &TestApp, email: &str) -> TestResponse {
    app.post("/sessions")
        .header("user-agent", FIREFOX)
        .json(&json!({"username": email, "password": PASSWORD}))
        .send()
        .await
}

async fn list(request: TestRequest<'_>) -> Vec<Value> {
    let list = request.send().await.expect(200).json();
    let items = list["items"].as_array().unwrap().clone();
    assert_eq!(
        (&list["total"], &list["size"]),
        (&json!(items.len()), &json!(items.len()))
    );
    items
}

#[tokio::test]
async fn a_cookie_is_another_way_into_the_same_routes() {
    let app = TestApp::start().await;
    let user = app.user(Role::Manager, "ada@example.com").await;
    let session = log_in(&app, "ada@example.com").await.expect(201);
    let id = session.text("id");
    assert_eq!(
        session.header("location"),
        format!("https://users.example.com/sessions/{id}")
    );
    assert_eq!(session.json()["device"], "Firefox on Linux");
    let set: Vec<_> = session.headers.get_all("set-cookie").iter().collect();
    let set = set
        .iter()
        .map(|cookie| cookie.to_str().unwrap())
        .find(|cookie| cookie.starts_with("__Host-um_session="))
        .unwrap();
    let (secret, attributes) = set.split_once(';').unwrap();
    assert_eq!(secret.len(), "__Host-um_session=".len() + 43);
    assert_eq!(
        attributes,
        " Path=/; Max-Age=7776000; HttpOnly; SameSite=Lax; Secure"
    );
    assert!(!session.body.contains(&secret["__Host-um_session=".len()..]));
    let me = app.get("/me").cookies_of(&session).send().await.expect(200);
    assert_eq!(me.text("id"), user.id.to_string());
    app.get("/users/")
        .cookies_of(&session)
        .send()
        .await
        .expect(200);

    let cookies = session.cookies();
    let ended = app
        .delete("/sessions/current")
        .cookies_of(&session)
        .send()
        .await;
    let ended = ended.expect(204);
    assert!(
        ended
            .header("set-cookie")
            .starts_with("__Host-um_session=; Path=/; Max-Age=0;")
    );
    for _ in 0..2 {
        app.get("/me")
            .header("cookie", &cookies)
            .send()
            .await
            .expect_problem(401, "not_authenticated");
    }
    // The session of the token is another one.
    app.get("/me").by(&user).send().await.expect(200);
}

#[tokio::test]
async fn a_form_logs_in_too_and_whoever_may_not_is_refused() {
    let app = TestApp::start().await;
    app.user(Role::Authenticated, "ada@example.com").await;
    let form = |password| [("email", "ada@example.com"), ("password", password)];
    app.post("/sessions")
        .form(&form(PASSWORD))
        .send()
        .await
        .expect(201);
    app.post("/sessions")
        .form(&form("wrong password"))
        .send()
        .await
        .expect_problem(401, "invalid_credentials");
    let missing = app.post("/sessions").json(&json!({})).send().await;
    assert_eq!(
        missing.expect(422).invalid_fields(),
        ["body.username missing", "body.password missing"]
    );
    app.post("/sessions")
        .raw("text/plain", "username=x")
        .send()
        .await
        .expect_problem(415, "unsupported_media_type");
    // A foreign page must not log its visitors in as somebody else.
    for (name, value) in [
        ("origin", "https://evil.example"),
        ("origin", "null"),
        ("sec-fetch-site", "cross-site"),
    ] {
        app.post("/sessions")
            .header(name, value)
            .form(&form(PASSWORD))
            .send()
            .await
            .expect_problem(403, "cross_site_request");
    }
    assert_eq!(app.count("sessions").await, 2);
    app.unverified("new@example.com").await;
    log_in(&app, "new@example.com")
        .await
        .expect_problem(401, "email_not_verified");
}

#[tokio::test]
async fn a_change_by_cookie_must_come_from_the_same_origin() {
    let settings = [("CORS_ALLOWED_ORIGINS", "https://app.example.com")];
    let app = TestApp::start_with(&settings).await;
    app.user(Role::Authenticated, "ada@example.com").await;
    let session = log_in(&app, "ada@example.com").await.expect(201);
    let cookies = session.cookies();
    let change = |headers: &[(&str, &str)]| {
        let request = app.patch("/me").header("cookie", &cookies);
        headers
            .iter()
            .fold(request, |request, (name, value)| {
                request.header(name, value)
            })
            .json(&json!({"bio": "changed"}))
    };
    for foreign in [
        &[][..],
        &[("origin", "https://evil.example")],
        &[("origin", "null")],
        &[("origin", "")],
        &[("origin", "http://users.example.com")],
        &[("origin", "https://users.example.com.evil.example")],
        &[
            ("origin", "https://evil.example"),
            ("sec-fetch-site", "same-origin"),
            ("host", "users.example.com"),
        ],
        &[("sec-fetch-site", "same-site")],
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "none")],
    ] {
        let answer = change(foreign).send().await;
        answer.expect_problem(403, "cross_site_request");
    }
    for own in [
        &[("origin", "https://users.example.com")][..],
        &[
            ("origin", "https://app.example.com"),
            ("sec-fetch-site", "same-site"),
        ],
        &[("sec-fetch-site", "same-origin")],
        &[
            ("origin", "http://localhost:8000"),
            ("sec-fetch-site", "same-origin"),
            ("host", "localhost:8000"),
        ],
    ] {
        change(own).send().await.expect(200);
    }
    // Reading needs no proof, and neither does a token.
    app.get("/me")
        .header("cookie", &cookies)
        .send()
        .await
        .expect(200);
}

#[tokio::test]
async fn one_sees_and_ends_ones_own_sessions() {
    let app = TestApp::start().await;
    let ada = app.user(Role::Authenticated, "ada@example.com").await;
    let bob = app.user(Role::Authenticated, "bob@example.com").await;
    let cookie = log_in(&app, "ada@example.com").await.expect(201);
    let listed = list(app.get("/sessions").cookies_of(&cookie)).await;
    assert_eq!(listed.len(), 2);
    let expected = json!({
        "id": cookie.text("id"), "kind": "cookie", "device": "Firefox on Linux", "user_agent": FIREFOX,
        "address": "192.0.2.1", "created_at": "2026-01-02T03:04:05.000000Z",
        "last_seen_at": "2026-01-02T03:04:05.000000Z", "expires_at": "2026-01-03T03:04:05.000000Z",
        "current": true,
        "links": [{"rel": "delete", "href": format!("https://users.example.com/sessions/{}", cookie.text("id")),
                   "method": "DELETE", "action": "delete", "type": "application/json"}],
    });
    let current = listed.iter().find(|session| session["current"] == true);
    assert_eq!(current, Some(&expected));
    let other = listed
        .iter()
        .find(|session| session["kind"] == "token")
        .unwrap();
    assert_eq!(
        (&other["current"], &other["device"]),
        (&json!(false), &json!("Unknown device"))
    );

    let path = format!("/sessions/{}", other["id"].as_str().unwrap());
    app.delete(&path)
        .by(&bob)
        .send()
        .await
        .expect_problem(404, "session_not_found");
    app.delete(&path)
        .cookies_of(&cookie)
        .send()
        .await
        .expect(204);
    app.delete(&path)
        .cookies_of(&cookie)
        .send()
        .await
        .expect_problem(404, "session_not_found");
    app.get("/me")
        .by(&ada)
        .send()
        .await
        .expect_problem(401, "not_authenticated");
    let malformed = app.delete("/sessions/x").by(&bob).send().await.expect(422);
    assert_eq!(malformed.invalid_fields(), ["path.session_id invalid_uuid"]);

    for _ in 0..3 {
        log_in(&app, "ada@example.com").await.expect(201);
    }
    app.delete("/sessions")
        .cookies_of(&cookie)
        .send()
        .await
        .expect(204);
    let left = list(app.get("/sessions").cookies_of(&cookie)).await;
    assert_eq!(left.len(), 1);
    assert_eq!(left[0]["id"], cookie.text("id"));
    app.get("/me").by(&bob).send().await.expect(200);
}

#[tokio::test]
async fn managers_see_and_end_the_sessions_of_those_below_them() {
    let app = TestApp::start().await;
    let manager = app.user(Role::Manager, "manager@example.com").await;
    let admin = app.admin().await;
    let ada = app.user(Role::Authenticated, "ada@example.com").await;
    let path = |id: Uuid| format!("/users/{id}/sessions");
    let listed = list(app.get(&path(ada.id)).by(&manager)).await;
    assert_eq!(listed.len(), 1);
    assert_eq!(
        (&listed[0]["current"], &listed[0]["links"]),
        (&json!(false), &json!([]))
    );
    for request in [
        app.get(&path(admin.id)),
        app.delete(&path(admin.id)),
        app.get(&path(manager.id)),
    ] {
        let refused = request.by(&manager).send().await;
        refused.expect_problem(403, "operation_not_permitted");
    }
    app.delete(&path(ada.id))
        .by(&manager)
        .send()
        .await
        .expect(204);
    app.get("/me")
        .by(&ada)
        .send()
        .await
        .expect_problem(401, "not_authenticated");
    app.get(&path(Uuid::nil()))
        .by(&admin)
        .send()
        .await
        .expect_problem(404, "user_not_found");
    app.delete(&path(manager.id))
        .by(&admin)
        .send()
        .await
        .expect(204);
    app.get("/me")
        .by(&manager)
        .send()
        .await
        .expect_problem(401, "not_authenticated");
}

#[tokio::test]
async fn strange_cookies_are_none() {
    let app = TestApp::start().await;
    app.user(Role::Authenticated, "ada@example.com").await;
    let session = log_in(&app, "ada@example.com").await.expect(201);
    let cookies = session.cookies();
    let secret = cookies
        .split("; ")
        .find_map(|cookie| cookie.strip_prefix("__Host-um_session="))
        .unwrap();
    let upper = secret.to_uppercase();
    for cookie in [
        "",
        ";",
        "=",
        "__Host-um_session",
        "__Host-um_session=",
        "um_session=x",
        "session_id=x",
        &format!("um_session={secret}"),
        &format!("__Host-um_session2={secret}"),
        &format!("__Host-um_session={secret}A"),
        &format!("__Host-um_session={upper}"),
        &format!("a={}", "x".repeat(8000)),
        &format!("__Host-um_session={}", "x".repeat(8000)),
    ] {
        app.get("/me")
            .header("cookie", cookie)
            .send()
            .await
            .expect_problem(401, "not_authenticated");
    }
    for cookie in [
        format!("a=1; __Host-um_session={secret}; b=2"),
        format!("big={}; __Host-um_session={secret}", "x".repeat(8000)),
    ] {
        app.get("/me")
            .header("cookie", &cookie)
            .send()
            .await
            .expect(200);
    }
    app.get("/me")
        .header("cookie", &cookies)
        .header("authorization", "Basic c3RhZ2luZzpzZWNyZXQ=")
        .send()
        .await
        .expect(200);
    // A token that is there and not good isn't passed over.
    app.get("/me")
        .header("cookie", &cookies)
        .bearer("x")
        .send()
        .await
        .expect(401);
}

#[tokio::test]
async fn use_is_noted_to_the_minute_and_keeps_a_session_by_cookie_alive() {
    use chrono::TimeDelta;
    let app = TestApp::start().await;
    let ada = app.user(Role::Authenticated, "ada@example.com").await;
    let cookie = log_in(&app, "ada@example.com").await.expect(201);
    for hours in 1..=30 {
        app.clock.advance(TimeDelta::hours(1));
        let me = app.get("/me").cookies_of(&cookie).send().await;
        me.expect(200);
        app.app.services.sessions.write_seen().await.unwrap();
        let listed = list(app.get("/sessions").cookies_of(&cookie)).await;
        assert_eq!(
            listed.len(),
            if hours < 24 { 2 } else { 1 },
            "after {hours} hours"
        );
    }
    app.get("/me")
        .by(&ada)
        .send()
        .await
        .expect_problem(401, "not_authenticated");
    app.clock.advance(TimeDelta::hours(24));
    app.get("/me")
        .cookies_of(&cookie)
        .send()
        .await
        .expect_problem(401, "not_authenticated");
}
