//! Password resets of `cookie-session`.

use chrono::TimeDelta;
use serde_json::json;
use user_management::domain::role::Role;

use super::{
    cookie_session::{API, FIVE_LETTERS, log_in, log_in_with, post, register, with_cookie},
    expect, start,
};
use crate::support::{
    accounts::id_of,
    app::{PASSWORD, TestApp},
    request::{TestResponse, link_in},
};

async fn ask(app: &TestApp, name: &str) -> TestResponse {
    let request = app.post(&format!("{API}/reset_password"));
    request.form(&[("email", name)]).send().await
}

async fn reset(app: &TestApp, name: &str, token: &str, password: &str) -> TestResponse {
    let fields = [
        ("email", name),
        ("reset_token", token),
        ("new_password", password),
    ];
    let request = app.put(&format!("{API}/reset_password"));
    request.form(&fields).send().await
}

#[track_caller]
fn expect_forbidden(answer: &TestResponse) {
    expect(answer, 403, &json!({"message": "Forbidden"}));
}

#[tokio::test]
async fn a_token_in_the_answer_sets_a_password_once_and_ends_all_sessions() {
    let app = start().await;
    for name in ["bob", "bob@me.example"] {
        register(&app, name).await.expect(200);
        let session = log_in(&app, name).await;
        let asked = ask(&app, name).await;
        let token = asked.text("reset_token");
        expect(&asked, 200, &json!({"email": name, "reset_token": token}));
        let updated = reset(&app, name, &token, "t4rt1").await;
        expect(
            &updated,
            200,
            &json!({"email": name, "message": "Password updated"}),
        );
        let profile = with_cookie(&app, "GET", "/profile", &session).send().await;
        expect_forbidden(&profile);
        expect_forbidden(&reset(&app, name, &token, "again").await);
        post(&app, "/sessions", name, FIVE_LETTERS)
            .await
            .expect(401);
        post(&app, "/sessions", name, "t4rt1").await.expect(200);
    }
    // No mail told a stranger of it, and nobody has proved to be the owner of the address.
    let mails = app.deliver_mail().await;
    assert_eq!(mails.len(), 1, "the mail that verifies the address");
    app.post("/login/")
        .form(&[("username", "bob@me.example"), ("password", "t4rt1")])
        .send()
        .await
        .expect_problem(401, "email_not_verified");
}

#[tokio::test]
async fn a_token_is_good_for_half_an_hour_until_the_next_and_for_its_account_alone() {
    let app = start().await;
    for name in ["bob", "eve"] {
        register(&app, name).await.expect(200);
    }
    let first = ask(&app, "bob").await.text("reset_token");
    let second = ask(&app, "bob").await.text("reset_token");
    expect_forbidden(&reset(&app, "bob", &first, "t4rt1").await);
    expect_forbidden(&reset(&app, "eve", &second, "t4rt1").await);
    expect_forbidden(&reset(&app, "nobody", &second, "t4rt1").await);
    expect_forbidden(&reset(&app, "", &second, "t4rt1").await);
    for (name, token) in [("email", "bob"), ("reset_token", &second)] {
        let request = app.put(&format!("{API}/reset_password"));
        expect_forbidden(&request.form(&[(name, token)]).send().await);
    }
    // It is no link of a mail.
    let body = json!({"token": second, "new_password": PASSWORD});
    let native = app.put("/password-reset").json(&body).send().await;
    native.expect_problem(400, "invalid_password_reset_token");
    let empty = reset(&app, "bob", &second, "").await;
    expect(
        &empty,
        400,
        &json!({"message": "new_password must not be empty"}),
    );
    app.clock
        .advance(TimeDelta::minutes(30) - TimeDelta::seconds(1));
    reset(&app, "bob", &second, "t4rt1").await.expect(200);
    let third = ask(&app, "bob").await.text("reset_token");
    app.clock.advance(TimeDelta::minutes(30));
    expect_forbidden(&reset(&app, "bob", &third, "t4rt2").await);
}

#[tokio::test]
async fn neither_a_verified_account_nor_rights_are_had_by_it() {
    let app = start().await;
    expect_forbidden(&ask(&app, "nobody@example.com").await);
    expect_forbidden(&ask(&app, "").await);
    let missing = app.post(&format!("{API}/reset_password")).form(&[]);
    expect_forbidden(&missing.send().await);
    let admin = app.admin().await;
    app.user(Role::Authenticated, "ada@example.com").await;
    for email in ["admin@example.com", "ada@example.com"] {
        expect_forbidden(&ask(&app, email).await);
    }
    // Nor by having asked before he had rights, or proved that the account is his.
    let manager = app.register("manager@example.com").await.expect(200);
    let token = ask(&app, "manager@example.com").await.text("reset_token");
    let change = json!({"role": "MANAGER"});
    app.change(&admin, id_of(&manager.json()), &change)
        .await
        .expect(200);
    expect_forbidden(&reset(&app, "manager@example.com", &token, "t4rt1").await);
    app.deliver_mail().await;
    let bob = app.unverified("bob@example.com").await;
    let token = ask(&app, "bob@example.com").await.text("reset_token");
    app.get(&bob.link).send().await.expect(200);
    expect_forbidden(&reset(&app, "bob@example.com", &token, "t4rt1").await);
    app.log_in("bob@example.com").await.expect(200);
}

#[tokio::test]
async fn nobody_verifies_an_address_for_whoever_reset_the_password_by_it() {
    let app = start().await;
    app.admin().await;
    let bob = app.unverified("bob@example.com").await;
    let token = ask(&app, "bob@example.com").await.text("reset_token");
    reset(&app, "bob@example.com", &token, "stranger")
        .await
        .expect(200);
    let session = log_in_with(&app, "bob@example.com", "stranger").await;
    app.get(&bob.link).send().await.expect(200);
    let profile = with_cookie(&app, "GET", "/profile", &session).send().await;
    expect_forbidden(&profile);
    post(&app, "/sessions", "bob@example.com", "stranger")
        .await
        .expect(401);
    let link = link_in(&app.mail_to("bob@example.com").await);
    let body = json!({"token": link.rsplit('/').next(), "new_password": "Better*5678"});
    app.put("/password-reset")
        .json(&body)
        .send()
        .await
        .expect(200);
    let login = app.log_in_with("bob@example.com", "Better*5678").await;
    login.expect(200);
    app.deliver_mail().await;
}

#[tokio::test]
async fn an_account_with_a_phone_number_is_reset_by_nobody_else() {
    let app = start().await;
    let admin = app.admin().await;
    let body = json!({"phone_number": "+14155552671", "password": PASSWORD});
    let made = app.post("/register/").json(&body).send().await.expect(200);
    let change = json!({"email": "bob@example.com"});
    app.change(&admin, id_of(&made.json()), &change)
        .await
        .expect(200);
    expect_forbidden(&ask(&app, "bob@example.com").await);
    app.deliver_mail().await;
}

#[tokio::test]
async fn a_lockout_ends_but_not_a_lock() {
    let app = start().await;
    let admin = app.admin().await;
    register(&app, "bob").await.expect(200);
    let wrong = async || post(&app, "/sessions", "bob", "wrong").await;
    for _ in 0..6 {
        wrong().await.expect(401);
    }
    post(&app, "/sessions", "bob", FIVE_LETTERS)
        .await
        .expect(401);
    let token = ask(&app, "bob").await.text("reset_token");
    reset(&app, "bob", &token, "t4rt1").await.expect(200);
    post(&app, "/sessions", "bob", "t4rt1").await.expect(200);
    let users = app.get("/users/").by(&admin).send().await.json();
    let users = users["items"].as_array().unwrap();
    let bob = users.iter().find(|user| user["email"].is_null()).unwrap();
    app.lock(&admin, id_of(bob)).await.expect(200);
    let token = ask(&app, "bob").await.text("reset_token");
    reset(&app, "bob", &token, "t4rt2").await.expect(200);
    post(&app, "/sessions", "bob", "t4rt2").await.expect(401);
}
