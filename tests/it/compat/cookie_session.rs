//! `cookie-session`, line by line of its table.

use serde_json::json;
use user_management::domain::role::Role;

use super::{expect, start};
use crate::support::{
    accounts::id_of,
    app::TestApp,
    request::{TestRequest, TestResponse},
};

pub(super) const API: &str = "/compat/cookie-session";

const BOB: &str = "bob@me.example";
pub(super) const FIVE_LETTERS: &str = "MyPwd";

pub(super) async fn post(app: &TestApp, path: &str, email: &str, password: &str) -> TestResponse {
    app.post(&format!("{API}{path}"))
        .form(&[("email", email), ("password", password)])
        .send()
        .await
}

pub(super) async fn register(app: &TestApp, email: &str) -> TestResponse {
    post(app, "/users", email, FIVE_LETTERS).await
}

pub(super) async fn log_in(app: &TestApp, email: &str) -> String {
    log_in_with(app, email, FIVE_LETTERS).await
}

pub(super) async fn log_in_with(app: &TestApp, email: &str, password: &str) -> String {
    let answer = post(app, "/sessions", email, password).await;
    session_id(&answer.expect(200))
}

/// The value of the cookie that an answer sets.
#[track_caller]
fn session_id(answer: &TestResponse) -> String {
    let cookies = answer.cookies();
    let mut cookies = cookies.split("; ");
    let value = cookies.find_map(|cookie| cookie.strip_prefix("session_id="));
    value.expect("no cookie session_id").to_owned()
}

pub(super) fn with_cookie<'a>(
    app: &'a TestApp,
    method: &str,
    path: &str,
    value: &str,
) -> TestRequest<'a> {
    let cookie = format!("session_id={value}");
    app.request(method, &format!("{API}{path}"))
        .header("cookie", &cookie)
}

#[tokio::test]
async fn an_old_client_registers_logs_in_sees_its_profile_and_logs_out() {
    let app = start().await;
    for path in ["", "/"] {
        let home = app.get(&format!("{API}{path}")).send().await;
        expect(&home, 200, &json!({"message": "Bienvenue"}));
    }
    let made = register(&app, BOB).await;
    expect(
        &made,
        200,
        &json!({"email": BOB, "message": "user created"}),
    );
    let again = register(&app, BOB).await;
    expect(&again, 400, &json!({"message": "email already registered"}));
    let upper = register(&app, "BOB@me.example").await;
    expect(&upper, 400, &json!({"message": "email already registered"}));

    let wrong = post(&app, "/sessions", BOB, "wrong").await;
    expect(&wrong, 401, &json!({"message": "Unauthorized"}));
    let nobody = post(&app, "/sessions", "nobody", "wrong").await;
    expect(&nobody, 401, &json!({"message": "Unauthorized"}));
    let nothing = app.post(&format!("{API}/sessions")).form(&[]).send().await;
    expect(&nothing, 401, &json!({"message": "Unauthorized"}));

    let session = post(&app, "/sessions", BOB, FIVE_LETTERS).await;
    expect(
        &session,
        200,
        &json!({"email": BOB, "message": "logged in"}),
    );
    let set = session.headers.get_all("set-cookie").iter();
    let set: Vec<_> = set.map(|cookie| cookie.to_str().unwrap()).collect();
    let set = set.iter().find(|set| set.starts_with("session_id="));
    let (_, attributes) = set.unwrap().split_once(';').unwrap();
    assert_eq!(attributes, " Path=/; HttpOnly; SameSite=Lax; Secure");
    let id = session_id(&session);

    let profile = with_cookie(&app, "GET", "/profile", &id).send().await;
    expect(&profile, 200, &json!({"email": BOB}));
    for bad in ["", "nope", &"x".repeat(43)] {
        let profile = with_cookie(&app, "GET", "/profile", bad).send().await;
        expect(&profile, 403, &json!({"message": "Forbidden"}));
        let ended = with_cookie(&app, "DELETE", "/sessions", bad).send().await;
        expect(&ended, 403, &json!({"message": "Forbidden"}));
    }
    let profile = app.get(&format!("{API}/profile")).send().await;
    expect(&profile, 403, &json!({"message": "Forbidden"}));

    let ended = with_cookie(&app, "DELETE", "/sessions", &id).send().await;
    assert_eq!(ended.header("location"), "/compat/cookie-session/");
    assert!(
        ended
            .expect(302)
            .header("set-cookie")
            .starts_with("session_id=; Path=/; Max-Age=0;")
    );
    for (method, path) in [("GET", "/profile"), ("DELETE", "/sessions")] {
        let ended = with_cookie(&app, method, path, &id).send().await;
        expect(&ended, 403, &json!({"message": "Forbidden"}));
    }
    app.deliver_mail().await;
}

#[tokio::test]
async fn an_account_has_one_session_also_among_those_of_the_native_api() {
    let app = start().await;
    register(&app, BOB).await.expect(200);
    let first = log_in(&app, BOB).await;
    let second = log_in(&app, BOB).await;
    let profile = with_cookie(&app, "GET", "/profile", &first).send().await;
    profile.expect(403);
    let profile = with_cookie(&app, "GET", "/profile", &second).send().await;
    profile.expect(200);
    assert_eq!(app.count("sessions").await, 1);
    // It is a session like any other.
    let native = app
        .get("/me")
        .header("cookie", &format!("__Host-um_session={second}"))
        .send()
        .await
        .expect(200);
    assert_eq!(native.text("email"), BOB);
    app.deliver_mail().await;
}

#[tokio::test]
async fn what_is_no_address_is_a_name_as_it_stands() {
    let app = start().await;
    let admin = app.admin().await;
    for name in ["bob", "Bob", "bob@localhost", "4155552671"] {
        let made = register(&app, name).await;
        expect(
            &made,
            200,
            &json!({"email": name, "message": "user created"}),
        );
        let again = register(&app, name).await;
        expect(&again, 400, &json!({"message": "email already registered"}));
        let id = log_in(&app, name).await;
        let profile = with_cookie(&app, "GET", "/profile", &id).send().await;
        expect(&profile, 200, &json!({"email": name}));
        // The native API knows no such name, and shows none.
        let native = app
            .post("/login/")
            .form(&[("username", name), ("password", FIVE_LETTERS)])
            .send()
            .await;
        native.expect_problem(401, "invalid_credentials");
    }
    let users = app.get("/users/").by(&admin).send().await.expect(200);
    let users = users.json();
    let users = users["items"].as_array().unwrap();
    assert_eq!(users.len(), 5);
    let others = users.iter().filter(|user| id_of(user) != admin.id);
    for user in others {
        assert_eq!(
            (&user["email"], &user["phone_number"], &user["role"]),
            (&json!(null), &json!(null), &json!("ANONYMOUS"))
        );
        let id = id_of(user);
        // It stays an account that can be changed.
        let change = json!({"first_name": "Bob"});
        app.change(&admin, id, &change).await.expect(200);
        app.lock(&admin, id).await.expect(200);
        app.unlock(&admin, id).await.expect(200);
    }
    assert!(app.deliver_mail().await.is_empty());
    for bad in ["", "a\nb", &"x".repeat(255)] {
        let refused = register(&app, bad).await.expect(400);
        assert!(refused.text("message").starts_with("email "));
        post(&app, "/sessions", bad, FIVE_LETTERS).await.expect(401);
    }
}

#[tokio::test]
async fn only_an_empty_password_is_refused() {
    let app = start().await;
    let refused = post(&app, "/users", "bob", "").await;
    expect(
        &refused,
        400,
        &json!({"message": "password must not be empty"}),
    );
    let missing = app
        .post(&format!("{API}/users"))
        .form(&[("email", "bob")])
        .send()
        .await;
    expect(&missing, 400, &json!({"message": "password is required"}));
    for (number, password) in ["x", "password", "user2"].iter().enumerate() {
        let name = format!("user{number}");
        post(&app, "/users", &name, password).await.expect(200);
        post(&app, "/sessions", &name, password).await.expect(200);
    }
}

#[tokio::test]
async fn an_address_that_was_registered_here_is_a_native_one() {
    let app = start().await;
    app.register("ada@example.com").await.expect(200);
    let taken = register(&app, "Ada@Example.com").await;
    expect(&taken, 400, &json!({"message": "email already registered"}));
    register(&app, BOB).await.expect(200);
    app.register(BOB)
        .await
        .expect_problem(400, "email_already_exists");
    // A mail verifies it; until then only this API takes it at a login.
    let mails = app.deliver_mail().await;
    assert!(mails.iter().any(|mail| mail.to.address == BOB));
    log_in(&app, BOB).await;
    app.post("/login/")
        .form(&[("username", BOB), ("password", FIVE_LETTERS)])
        .send()
        .await
        .expect_problem(401, "email_not_verified");
}

#[tokio::test]
async fn the_first_account_becomes_no_administrator_here() {
    let app = start().await;
    register(&app, BOB).await.expect(200);
    app.register("ada@example.com").await.expect(200);
    let roles: Vec<String> = sqlx::query_scalar("select role from users order by id")
        .fetch_all(&app.database.pool)
        .await
        .unwrap();
    assert_eq!(roles, ["ANONYMOUS", "ANONYMOUS"]);
    app.deliver_mail().await;
}

#[tokio::test]
async fn guesses_count_together_with_those_of_the_native_api() {
    let app = start().await;
    app.user(Role::Authenticated, "ada@example.com").await;
    for _ in 0..3 {
        app.guess("ada@example.com").await.expect(401);
    }
    for _ in 0..2 {
        let wrong = post(&app, "/sessions", "Ada@example.com", "wrong").await;
        wrong.expect(401);
    }
    let locked = post(&app, "/sessions", "ada@example.com", "Secure*1234").await;
    expect(&locked, 401, &json!({"message": "Unauthorized"}));
    assert_eq!(locked.header("retry-after"), "30");
    app.log_in("ada@example.com")
        .await
        .expect_problem(400, "account_locked");
    app.deliver_mail().await;
}

#[tokio::test]
async fn nobody_forgives_guesses_on_another_by_having_his_number_for_a_name() {
    let app = start().await;
    let body = json!({"phone_number": "+14155552671", "password": "Secure*1234"});
    app.post("/register/").json(&body).send().await.expect(200);
    register(&app, "+14155552671").await.expect(200);
    for _ in 0..4 {
        app.guess("+14155552671").await.expect(401);
    }
    log_in(&app, "+14155552671").await;
    app.guess("+14155552671").await.expect(401);
    app.guess("+14155552671")
        .await
        .expect_problem(400, "account_locked");
}

#[tokio::test]
async fn a_foreign_page_neither_logs_in_nor_out() {
    let app = start().await;
    register(&app, "bob").await.expect(200);
    let id = log_in(&app, "bob").await;
    for (name, value) in [
        ("origin", "https://evil.example"),
        ("sec-fetch-site", "cross-site"),
    ] {
        let logging_in = app
            .post(&format!("{API}/sessions"))
            .header(name, value)
            .form(&[("email", "bob"), ("password", FIVE_LETTERS)]);
        assert!(
            !logging_in
                .send()
                .await
                .expect(403)
                .text("message")
                .is_empty()
        );
        let ended = with_cookie(&app, "DELETE", "/sessions", &id).header(name, value);
        ended.send().await.expect(403);
    }
    let profile = with_cookie(&app, "GET", "/profile", &id).send().await;
    profile.expect(200);
    let own =
        with_cookie(&app, "DELETE", "/sessions", &id).header("origin", "https://users.example.com");
    own.send().await.expect(302);
}
