//! `POST /login/`

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use sqlx::Row as _;
use user_management::domain::role::Role;

use crate::support::{
    app::{PASSWORD, TestApp},
    request::TestResponse,
};

fn part(token: &str, index: usize) -> Value {
    let part = token.split('.').nth(index).unwrap();
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

#[tokio::test]
async fn a_login_answers_as_oauth_says() {
    let app = TestApp::start().await;
    let user = app.user(Role::Authenticated, "ada@example.com").await;
    let form = [
        ("grant_type", "password"),
        ("username", "ada@example.com"),
        ("password", PASSWORD),
        ("scope", "everything"),
        ("client_id", "string"),
        ("client_secret", ""),
    ];
    let answer = app.post("/login/").form(&form).send().await.expect(200);
    let body = answer.json();
    let members: Vec<_> = body.as_object().unwrap().keys().collect();
    assert_eq!(
        members,
        ["access_token", "expires_in", "refresh_token", "token_type"]
    );
    assert_eq!(body["token_type"], "bearer");
    assert_eq!(body["expires_in"], 900);
    // RFC 6749, 5.1.
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.header("pragma"), "no-cache");

    let token = answer.text("access_token");
    let header = part(&token, 0);
    let kid = header["kid"].as_str().unwrap();
    assert_eq!(header, json!({"typ": "JWT", "alg": "EdDSA", "kid": kid}));
    let claims = part(&token, 1);
    assert_eq!(claims["iss"], "https://users.example.com/");
    assert_eq!(claims["aud"], "user-management");
    assert_eq!(claims["sub"], user.id.to_string());
    assert_eq!(claims["role"], "AUTHENTICATED");
    assert_eq!(claims["iat"], claims["nbf"]);
    assert_eq!(
        claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(),
        900
    );
    // A session of its own for each login.
    assert_ne!(claims["sid"], part(&user.token, 1)["sid"]);
    assert_ne!(claims["jti"], part(&user.token, 1)["jti"]);
}

/// The cookie has the token of the header, and its name the account.
#[track_caller]
fn assert_cookie(answer: &TestResponse, prefix: &str, attributes: &str) {
    let cookie = answer.header("set-cookie");
    let (name, rest) = cookie.split_once('=').unwrap();
    let account = name
        .strip_prefix(prefix)
        .unwrap_or_else(|| panic!("{cookie}"));
    assert!(
        account.len() == 12 && account.bytes().all(|b| b.is_ascii_hexdigit()),
        "{cookie}"
    );
    let token = answer.header("x-device-token");
    assert_eq!(rest, format!("{token}; {attributes}"));
}

#[tokio::test]
async fn a_browser_keeps_the_device_token_where_no_script_reads_it() {
    let app = TestApp::start().await;
    app.user(Role::Authenticated, "ada@example.com").await;
    let answer = app.log_in("ada@example.com").await.expect(200);
    let rest = "Path=/; Max-Age=31536000; HttpOnly; SameSite=Lax";
    assert_cookie(&answer, "__Host-um_device_", &format!("{rest}; Secure"));
    // Over http, in development, browsers would refuse the prefix.
    let plain = app.second_instance(&[("SERVER_BASE_URL", "http://localhost:8000")]);
    let answer = plain.log_in("ada@example.com").await.expect(200);
    assert_cookie(&answer, "um_device_", rest);
}

/// All that a client sees of a refusal, but the request's id.
fn seen(response: &TestResponse) -> (u16, Vec<(String, String)>, Value) {
    let mut body = response.json();
    body["instance"].take();
    let headers = response
        .headers
        .iter()
        .filter(|(name, _)| *name != "x-request-id");
    let headers =
        headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
    (response.status.as_u16(), headers.collect(), body)
}

#[tokio::test]
async fn a_wrong_password_is_answered_alike_whatever_the_account() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let locked = app.user(Role::Authenticated, "locked@example.com").await;
    app.lock(&admin, locked.id).await.expect(200);
    app.unverified("unverified@example.com").await;
    let unknown = app.guess("nobody@example.com").await;
    let unknown = unknown.expect_problem(401, "invalid_credentials");
    assert_eq!(unknown.text("detail"), "Incorrect email or password.");
    assert_eq!(unknown.text("error"), "invalid_grant");
    assert_eq!(unknown.header("www-authenticate"), "Bearer");
    for email in [
        "admin@example.com",
        "locked@example.com",
        "unverified@example.com",
        "nonsense",
    ] {
        assert_eq!(seen(&app.guess(email).await), seen(&unknown), "{email}");
    }
}

#[tokio::test]
async fn the_state_of_an_account_is_told_to_whoever_has_its_password() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let locked = app.user(Role::Authenticated, "locked@example.com").await;
    app.lock(&admin, locked.id).await.expect(200);
    app.unverified("unverified@example.com").await;

    let refused = app.log_in("unverified@example.com").await;
    let refused = refused.expect_problem(401, "email_not_verified");
    assert_eq!(refused.text("detail"), "Email not verified.");
    assert_eq!(refused.text("error"), "invalid_grant");

    let refused = app.log_in("locked@example.com").await;
    let refused = refused.expect_problem(400, "account_locked");
    assert_eq!(
        refused.text("detail"),
        "Account locked due to too many failed login attempts."
    );
    // It lasts until somebody lifts it.
    assert!(refused.headers.get("retry-after").is_none());
    assert_eq!(app.count("sessions").await, 1, "only the administrator's");
    // Neither counts as a failed guess.
    for _ in 0..10 {
        app.log_in("unverified@example.com")
            .await
            .expect_problem(401, "email_not_verified");
    }
}

#[tokio::test]
async fn where_accounts_are_hidden_an_unverified_one_is_as_good_as_none() {
    let app = TestApp::start_with(&[("HIDE_ACCOUNT_EXISTENCE", "true")]).await;
    app.register("ada@example.com").await.expect(202);
    app.deliver_mail().await;
    let unverified = app.log_in("ada@example.com").await;
    let unknown = app.log_in("nobody@example.com").await;
    assert_eq!(seen(&unverified), seen(&unknown));
    unknown.expect_problem(401, "invalid_credentials");
}

#[tokio::test]
async fn a_login_is_remembered_with_its_client() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let user = app.user(Role::Authenticated, "ada@example.com").await;
    let before = app.read(&admin, user.id).await.json();
    app.clock.advance(chrono::TimeDelta::milliseconds(1500));
    let agent = "x".repeat(600);
    app.post("/login/")
        .form(&[("username", "ada@example.com"), ("password", PASSWORD)])
        .header("user-agent", &agent)
        .from([203, 0, 113, 9])
        .send()
        .await
        .expect(200);
    let after = app.read(&admin, user.id).await.json();
    assert_eq!(after["last_login_at"], "2026-01-02T03:04:06.500000Z");
    assert_eq!(after["updated_at"], before["updated_at"]);
    let session = sqlx::query(
        "select user_agent, client_address, expires_at - created_at = interval '1 day' as a_day \
         from sessions where user_id = $1 order by created_at desc limit 1",
    )
    .bind(user.id)
    .fetch_one(&app.database.pool)
    .await
    .unwrap();
    assert_eq!(session.get::<String, _>("user_agent").len(), 512);
    assert_eq!(session.get::<String, _>("client_address"), "203.0.113.9");
    assert!(session.get::<bool, _>("a_day"));
}

#[tokio::test]
async fn a_password_is_the_same_in_every_way_to_type_it() {
    let app = TestApp::start().await;
    let body = json!({"email": "ada@example.com", "password": "Pa\u{301}sswo\u{308}rd ﬁne"});
    app.post("/register/").json(&body).send().await.expect(200);
    let mail = app.deliver_mail().await.remove(0);
    app.get(&crate::support::request::link_in(&mail.text))
        .send()
        .await
        .expect(200);
    for (typed, status) in [
        ("Pa\u{301}sswo\u{308}rd ﬁne", 200),
        ("P\u{e1}ssw\u{f6}rd fine", 200),
        ("Passw\u{f6}rd fine", 401),
        ("P\u{e1}ssw\u{f6}rd fine ", 401),
        ("p\u{e1}ssw\u{f6}rd fine", 401),
    ] {
        let form = [("username", "ada@example.com"), ("password", typed)];
        app.post("/login/").form(&form).send().await.expect(status);
    }
}

#[tokio::test]
async fn tokens_live_as_long_as_the_settings_say_and_no_longer_than_the_session() {
    for (settings, seconds, algorithm) in [
        (&[("ACCESS_TOKEN_EXPIRE_MINUTES", "2")][..], 120, "EdDSA"),
        (&[("REFRESH_TOKEN_EXPIRE_MINUTES", "3")], 180, "EdDSA"),
        (&[("JWT_ALGORITHM", "HS256")], 900, "HS256"),
        (&[("JWT_ALGORITHM", "HS512")], 900, "HS512"),
        (&[("JWT_ALGORITHM", "ES256")], 900, "ES256"),
    ] {
        let app = TestApp::start_with(settings).await;
        app.user(Role::Authenticated, "ada@example.com").await;
        let answer = app.log_in("ada@example.com").await.expect(200);
        assert_eq!(answer.json()["expires_in"], seconds, "{settings:?}");
        let header = part(&answer.text("access_token"), 0);
        assert_eq!(header["alg"], algorithm);
    }
}
