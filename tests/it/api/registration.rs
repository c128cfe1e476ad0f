//! `POST /register/`

use std::collections::BTreeSet;

use chrono::TimeDelta;
use serde_json::{Value, json};
use user_management::domain::role::Role;

use crate::support::{
    accounts::id_of,
    app::{PASSWORD, TestApp},
    request::{TestResponse, link_in},
};

async fn register(app: &TestApp, body: &Value) -> TestResponse {
    app.post("/register/").json(body).send().await
}

fn with_nickname(email: &str, nickname: &str) -> Value {
    json!({"email": email, "password": PASSWORD, "nickname": nickname})
}

#[tokio::test]
async fn a_new_user_verifies_his_address_and_logs_in() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let user = app.register("Ada@Example.com").await.expect(200).json();
    assert_eq!(user["email"], "Ada@example.com");
    assert_eq!(user["role"], "ANONYMOUS");
    assert_eq!(user["email_verified"], false);
    app.log_in("ada@example.com")
        .await
        .expect_problem(401, "email_not_verified");

    let mail = app.deliver_mail().await.remove(0);
    assert_eq!(mail.to.address, "Ada@example.com");
    app.get(&link_in(&mail.text)).send().await.expect(200);
    app.log_in("ADA@EXAMPLE.COM").await.expect(200);

    let user = app.read(&admin, id_of(&user)).await.expect(200).json();
    assert_eq!(user["role"], "AUTHENTICATED");
    assert_eq!(user["email_verified"], true);
}

#[tokio::test]
async fn every_invalid_field_is_named_at_once_and_nothing_is_stored() {
    let app = TestApp::start().await;
    let body = json!({
        "email": "no address", "password": "seven77", "nickname": "a b", "first_name": "a\u{0}b",
        "github_profile_url": "javascript:alert(1)",
    });
    let refused = register(&app, &body)
        .await
        .expect_problem(422, "invalid_input");
    assert_eq!(
        refused.invalid_fields(),
        [
            "body.email invalid_email",
            "body.password password_too_short",
            "body.nickname invalid_nickname",
            "body.first_name control_character",
            "body.github_profile_url invalid_url",
        ]
    );
    assert!(!refused.body.contains("seven77") && !refused.body.contains("javascript"));
    assert_eq!(app.count("users").await, 0);
    assert_eq!(app.count("jobs").await, 0);
}

#[tokio::test]
async fn the_answer_is_the_whole_user_and_nothing_more() {
    let app = TestApp::start().await;
    app.admin().await;
    let body = json!({
        "email": "ada@example.com", "password": PASSWORD, "nickname": "Countess-Ada",
        "first_name": " Ada ", "last_name": "Lovelace", "bio": "Line one\nline two",
        "profile_picture_url": "HTTPS://example.com/ada.png", "github_profile_url": null,
        // What nobody may set for himself, and what nobody knows.
        "id": "0199c5a0-6d54-7c1e-8f6a-3b1f2d4e5a6b", "email_verified": true, "is_locked": true,
        "is_professional": true, "password_hash": "x", "created_at": "2000-01-01T00:00:00Z", "unknown": [1],
    });
    let user = register(&app, &body).await.expect(200).json();
    let id = id_of(&user);
    assert_eq!(id.get_version_num(), 7);
    let href = format!("https://users.example.com/users/{id}");
    let expected = json!({
        "id": id, "nickname": "Countess-Ada", "email": "ada@example.com", "email_verified": false,
        "phone_number": null, "first_name": "Ada", "middle_name": null, "last_name": "Lovelace",
        "is_name_public": false, "bio": "Line one\nline two", "location": null, "locale": null,
        "profile_picture_url": "https://example.com/ada.png", "linkedin_profile_url": null,
        "github_profile_url": null, "role": "ANONYMOUS", "is_professional": false,
        "professional_status_updated_at": null, "is_locked": false, "deletion_due_at": null, "last_login_at": null,
        "created_at": "2026-01-02T03:04:05.000000Z", "updated_at": "2026-01-02T03:04:05.000000Z",
        "links": [
            {"rel": "self", "href": href, "method": "GET", "action": "view", "type": "application/json"},
            {"rel": "update", "href": href, "method": "PUT", "action": "update", "type": "application/json"},
            {"rel": "delete", "href": href, "method": "DELETE", "action": "delete", "type": "application/json"},
        ],
    });
    assert_eq!(user, expected);
    app.deliver_mail().await;
}

#[tokio::test]
async fn a_nickname_is_generated_where_none_is_chosen() {
    let app = TestApp::start().await;
    let mut nicknames = BTreeSet::new();
    for number in 0..5 {
        let user = app
            .register(&format!("user{number}@example.com"))
            .await
            .expect(200);
        let nickname = user.text("nickname");
        let parts: Vec<_> = nickname.split('_').collect();
        let [adjective, noun, number] = parts[..] else {
            panic!("{nickname}");
        };
        let is_word = |word: &str| word.len() > 1 && word.bytes().all(|b| b.is_ascii_lowercase());
        assert!(is_word(adjective) && is_word(noun), "{nickname}");
        assert!(number.parse::<u16>().unwrap() < 1000, "{nickname}");
        nicknames.insert(nickname);
    }
    assert_eq!(nicknames.len(), 5);
    app.deliver_mail().await;
}

#[tokio::test]
async fn a_taken_nickname_or_address_is_refused_in_any_case() {
    let app = TestApp::start().await;
    register(&app, &with_nickname("ada@bücher.example", "clever_panda"))
        .await
        .expect(200);
    app.deliver_mail().await;
    let before = app.stored().await;
    let refused = register(&app, &with_nickname("other@example.com", "Clever_PANDA")).await;
    let refused = refused.expect_problem(409, "nickname_already_exists");
    assert_eq!(refused.text("detail"), "Nickname already exists");
    for same in [
        "ada@bücher.example",
        "ADA@BÜCHER.example",
        "Ada@xn--bcher-kva.EXAMPLE ",
    ] {
        let refused = app.register(same).await;
        let refused = refused.expect_problem(400, "email_already_exists");
        assert_eq!(refused.text("detail"), "Email already exists");
    }
    assert_eq!(app.stored().await, before);
}

#[tokio::test]
async fn the_first_user_is_the_administrator_and_the_next_are_not() {
    let app = TestApp::start().await;
    let first = app.register("first@example.com").await.expect(200);
    assert_eq!(first.text("role"), "ADMIN");
    let body = json!({"email": "second@example.com", "password": PASSWORD, "role": "ADMIN"});
    let second = register(&app, &body).await.expect(200);
    assert_eq!(second.text("role"), "ANONYMOUS");
    // What is ignored may be anything.
    for (number, role) in [json!("EMPEROR"), json!(5), json!(null), json!({"a": [1]})]
        .into_iter()
        .enumerate()
    {
        let email = format!("third{number}@example.com");
        let body = json!({"email": email, "password": PASSWORD, "role": role});
        let third = register(&app, &body).await.expect(200);
        assert_eq!(third.text("role"), "ANONYMOUS");
    }
    app.deliver_mail().await;
    // Whoever registers first on an emptied list of users is not the first.
    sqlx::query("delete from users")
        .execute(&app.database.pool)
        .await
        .unwrap();
    let later = app.register("later@example.com").await.expect(200);
    assert_eq!(later.text("role"), "ANONYMOUS");
    app.deliver_mail().await;
}

#[tokio::test]
async fn a_registration_that_is_refused_leaves_the_first_place_free() {
    let app = TestApp::start().await;
    let mut taken = with_nickname("first@example.com", "taken_name");
    taken["password"] = json!("first@example.com1");
    register(&app, &taken)
        .await
        .expect_problem(422, "invalid_input");
    let first = app.register("first@example.com").await.expect(200);
    assert_eq!(first.text("role"), "ADMIN");
    app.deliver_mail().await;
}

#[tokio::test]
async fn the_first_user_is_like_all_others_where_the_settings_say_so() {
    let app = TestApp::start_with(&[("FIRST_USER_IS_ADMIN", "false")]).await;
    let first = app.register("first@example.com").await.expect(200);
    assert_eq!(first.text("role"), "ANONYMOUS");
    app.deliver_mail().await;
    // Nor does the next one become it when the setting changes.
    let other = app.second_instance(&[]);
    let next = other.register("next@example.com").await.expect(200);
    assert_eq!(next.text("role"), "ANONYMOUS");
    app.deliver_mail().await;
}

/// All of an answer that a client sees, but the request's id.
fn seen(response: &TestResponse) -> (u16, Vec<(String, String)>, Value) {
    let headers = response
        .headers
        .iter()
        .filter(|(name, _)| *name != "x-request-id");
    let headers =
        headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
    (response.status.as_u16(), headers.collect(), response.json())
}

#[tokio::test]
async fn where_accounts_are_hidden_every_registration_is_answered_alike() {
    let app = TestApp::start_with(&[("HIDE_ACCOUNT_EXISTENCE", "true")]).await;
    app.user(Role::Authenticated, "ada@example.com").await;
    let unknown = app.register("new@example.com").await.expect(202);
    let known = app.register("ada@example.com").await.expect(202);
    let unverified = app.register("NEW@example.com").await.expect(202);
    assert_eq!(seen(&unknown), seen(&known));
    assert_eq!(seen(&unknown), seen(&unverified));
    assert_eq!(unknown.json(), json!({"message": "Check your mail"}));
    assert_eq!(app.count("users").await, 2);

    let mails = app.deliver_mail().await;
    let told: BTreeSet<_> = mails
        .iter()
        .map(|mail| {
            (
                mail.to.address.as_str(),
                mail.text.contains("/verify-email/"),
            )
        })
        .collect();
    // Whoever registered got his link; the owner was told that somebody tried again.
    assert_eq!(
        told,
        [("ada@example.com", false), ("new@example.com", true)].into()
    );
    assert_eq!(mails.len(), 2);
}

#[tokio::test]
async fn where_accounts_are_hidden_who_lost_his_link_gets_another_by_registering_again() {
    let app = TestApp::start_with(&[("HIDE_ACCOUNT_EXISTENCE", "true")]).await;
    app.admin().await;
    let mut links = Vec::new();
    for _ in 0..2 {
        app.clock.advance(TimeDelta::minutes(2));
        app.register("new@example.com").await.expect(202);
        links.extend(
            app.deliver_mail()
                .await
                .iter()
                .map(|mail| link_in(&mail.text)),
        );
    }
    assert_eq!(links.len(), 2);
    app.get(&links[0]).send().await.expect(400);
    app.get(&links[1]).send().await.expect(200);
    app.log_in("new@example.com").await.expect(200);
}

#[tokio::test]
async fn where_accounts_are_hidden_an_owner_is_told_once_an_hour_at_most() {
    let app = TestApp::start_with(&[("HIDE_ACCOUNT_EXISTENCE", "true")]).await;
    app.user(Role::Authenticated, "ada@example.com").await;
    let mut told = Vec::new();
    for minutes in [0, 59, 1] {
        app.clock.advance(TimeDelta::minutes(minutes));
        for _ in 0..2 {
            app.register("ada@example.com").await.expect(202);
        }
        told.push(app.deliver_mail().await.len());
    }
    assert_eq!(told, [1, 0, 1]);
}

#[tokio::test]
async fn where_accounts_are_hidden_a_chosen_nickname_does_not_tell_either() {
    let app = TestApp::start_with(&[("HIDE_ACCOUNT_EXISTENCE", "true")]).await;
    let admin = app.admin().await;
    // The same wish twice: were it granted, the second answer would tell that the first made an account.
    for email in ["ada@example.com", "ada@example.com", "eve@example.com"] {
        let body = with_nickname(email, "clever_panda");
        register(&app, &body).await.expect(202);
    }
    let users = app
        .get("/users/")
        .by(&admin)
        .send()
        .await
        .expect(200)
        .json();
    assert_eq!(users["total"], 3);
    assert!(!users.to_string().contains("clever_panda"));
    app.deliver_mail().await;
}

#[tokio::test]
async fn who_registers_a_second_time_hears_of_his_address_and_not_of_his_nickname() {
    let app = TestApp::start().await;
    let body = json!({"email": "ada@example.com", "password": PASSWORD, "nickname": "ada"});
    register(&app, &body).await.expect(200);
    register(&app, &body)
        .await
        .expect_problem(400, "email_already_exists");
    let other = json!({"email": "eve@example.com", "password": PASSWORD, "nickname": "ADA"});
    register(&app, &other)
        .await
        .expect_problem(409, "nickname_already_exists");
    app.deliver_mail().await;
}
