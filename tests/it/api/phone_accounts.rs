//! Accounts with a phone number, in place of an address or beside it.

mod edit;
mod hidden;

use serde_json::{Value, json};
use user_management::domain::role::Role;

use crate::support::{
    accounts::id_of,
    app::{PASSWORD, TestApp},
    request::{TestResponse, link_in},
};

const NUMBER: &str = "+14155552671";

/// Ways to write that number.
const SPELLINGS: [&str; 5] = [
    NUMBER,
    "(415) 555-2671",
    " 1-415-555-2671 ",
    "+1 415.555.2671",
    "415\u{a0}555\u{a0}2671",
];

async fn register(app: &TestApp, body: &Value) -> TestResponse {
    app.post("/register/").json(body).send().await
}

/// Registers an account without an address, with [`PASSWORD`].
async fn register_number(app: &TestApp, number: &str) -> TestResponse {
    register(app, &json!({"phone_number": number, "password": PASSWORD})).await
}

#[tokio::test]
async fn an_account_without_an_address_logs_in_at_once_and_gets_no_mail() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let user = register_number(&app, "(415) 555-2671").await.expect(200);
    let user = user.json();
    assert_eq!(user["phone_number"], NUMBER);
    assert_eq!(user["email"], json!(null));
    assert_eq!(user["email_verified"], false);
    assert_eq!(user["role"], "ANONYMOUS");
    assert_eq!(app.count("jobs").await, 0);
    assert_eq!(app.count("one_time_tokens").await, 0);
    let mut token = String::new();
    for spelling in SPELLINGS {
        token = app.log_in(spelling).await.expect(200).text("access_token");
    }
    app.get("/users/")
        .bearer(&token)
        .send()
        .await
        .expect_problem(403, "operation_not_permitted");
    // Managers see him like anybody.
    let list = app.get("/users/").by(&admin).send().await.expect(200);
    assert_eq!(list.json()["items"][1]["id"], user["id"]);
    assert_eq!(list.json()["items"][1]["phone_number"], NUMBER);
    let read = app.read(&admin, id_of(&user)).await.expect(200).json();
    assert_eq!(read["role"], "ANONYMOUS");
}

#[tokio::test]
async fn a_number_without_a_code_is_of_the_country_of_the_settings() {
    let app = TestApp::start_with(&[("PHONE_DEFAULT_REGION", "de")]).await;
    let user = register_number(&app, "030 901820").await.expect(200);
    assert_eq!(user.text("phone_number"), "+4930901820");
    for spelling in ["+49 30 901820", "030/901820", "0049 30 901820"] {
        app.log_in(spelling).await.expect(200);
    }
    app.log_in("+1 30 901820")
        .await
        .expect_problem(401, "invalid_credentials");
}

#[tokio::test]
async fn an_account_needs_an_address_or_a_number_and_a_valid_one() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let before = app.stored().await;
    for path in ["/register/", "/users/"] {
        for (names, expected) in [
            (json!({}), &["body.email missing"][..]),
            (
                json!({"email": null, "phone_number": null}),
                &["body.email missing"],
            ),
            (
                json!({"phone_number": "12"}),
                &["body.phone_number invalid_phone_number"],
            ),
            (
                json!({"phone_number": ""}),
                &["body.phone_number invalid_phone_number"],
            ),
            (
                json!({"email": "x", "phone_number": "1-800-FLOWERS"}),
                &[
                    "body.email invalid_email",
                    "body.phone_number invalid_phone_number",
                ],
            ),
            (
                json!({"email": "x", "phone_number": NUMBER}),
                &["body.email invalid_email"],
            ),
        ] {
            let mut body = names;
            body["password"] = json!(PASSWORD);
            let refused = app.post(path).by(&admin).json(&body).send().await;
            let refused = refused.expect_problem(422, "invalid_input");
            assert_eq!(refused.invalid_fields(), expected, "{body}");
        }
    }
    let refused = register(&app, &json!({"password": PASSWORD})).await.json();
    assert_eq!(
        refused["errors"][0]["msg"],
        "an e-mail address or a phone number is required"
    );
    assert_eq!(app.stored().await, before);
}

#[tokio::test]
async fn a_taken_number_is_refused_however_it_is_written_and_after_a_taken_address() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let whole = json!({
        "email": "ada@example.com", "phone_number": NUMBER, "nickname": "countess", "password": PASSWORD,
    });
    register(&app, &whole).await.expect(200);
    app.deliver_mail().await;
    let before = app.stored().await;
    for path in ["/register/", "/users/"] {
        for spelling in SPELLINGS {
            let body = json!({"phone_number": spelling, "password": PASSWORD});
            let refused = app.post(path).by(&admin).json(&body).send().await;
            let refused = refused.expect_problem(409, "phone_number_already_exists");
            assert_eq!(refused.text("detail"), "Phone number already exists");
        }
        // With all three, with two, and with one.
        for (email, phone_number, status, code) in [
            ("ADA@example.com", NUMBER, 400, "email_already_exists"),
            (
                "eve@example.com",
                NUMBER,
                409,
                "phone_number_already_exists",
            ),
            (
                "eve@example.com",
                "+14155552672",
                409,
                "nickname_already_exists",
            ),
        ] {
            let mut body = whole.clone();
            body["email"] = json!(email);
            body["phone_number"] = json!(phone_number);
            let refused = app.post(path).by(&admin).json(&body).send().await;
            refused.expect_problem(status, code);
        }
        let mut body = whole.clone();
        body["nickname"] = json!(null);
        let refused = app.post(path).by(&admin).json(&body).send().await;
        refused.expect_problem(400, "email_already_exists");
    }
    assert_eq!(app.stored().await, before);
}

#[tokio::test]
async fn who_has_both_verifies_his_address_and_logs_in_by_either() {
    let app = TestApp::start().await;
    app.admin().await;
    let body = json!({"email": "ada@example.com", "phone_number": NUMBER, "password": PASSWORD});
    register(&app, &body).await.expect(200);
    let mail = app.deliver_mail().await.remove(0);
    for name in ["ada@example.com", NUMBER] {
        app.log_in(name)
            .await
            .expect_problem(401, "email_not_verified");
    }
    app.get(&link_in(&mail.text)).send().await.expect(200);
    for name in ["ada@example.com", NUMBER] {
        app.log_in(name).await.expect(200);
    }
}

#[tokio::test]
async fn the_first_user_may_have_a_number_only() {
    let app = TestApp::start().await;
    let first = register_number(&app, NUMBER).await.expect(200);
    assert_eq!(first.text("role"), "ADMIN");
    let token = app.log_in(NUMBER).await.expect(200).text("access_token");
    let list = app.get("/users/").bearer(&token).send().await.expect(200);
    assert_eq!(list.json()["total"], 1);
    let second = register_number(&app, "+14155552672").await.expect(200);
    assert_eq!(second.text("role"), "ANONYMOUS");
    // His first address needs no verification, since there is no other administrator.
    let path = format!("/users/{}", first.text("id"));
    let change = json!({"email": "tpyo@example.com"});
    let changed = app.put(&path).bearer(&token).json(&change).send().await;
    assert_eq!(changed.expect(200).json()["email_verified"], true);
    app.deliver_mail().await;
    for name in ["tpyo@example.com", NUMBER] {
        app.log_in(name).await.expect(200);
    }
}

#[tokio::test]
async fn all_ways_to_write_a_number_are_one_name() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let user = register_number(&app, NUMBER).await.expect(200).json();
    for spelling in SPELLINGS {
        app.guess(spelling)
            .await
            .expect_problem(401, "invalid_credentials");
    }
    for spelling in SPELLINGS {
        app.log_in(spelling)
            .await
            .expect_problem(400, "account_locked");
    }
    // There is nowhere to tell him.
    assert_eq!(app.deliver_mail().await, []);
    app.unlock(&admin, id_of(&user)).await.expect(200);
    app.log_in(NUMBER).await.expect(200);
    // The same for a number that nobody has.
    app.lock_out("(415) 555-2679").await;
    app.log_in("+1 415 555 2679")
        .await
        .expect_problem(400, "account_locked");
    app.run_jobs().await;
}

#[tokio::test]
async fn who_has_no_address_is_locked_and_unlocked_without_mails() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let user = register_number(&app, NUMBER).await.expect(200).json();
    app.lock(&admin, id_of(&user)).await.expect(200);
    app.log_in(NUMBER)
        .await
        .expect_problem(400, "account_locked");
    app.unlock(&admin, id_of(&user)).await.expect(200);
    app.log_in(NUMBER).await.expect(200);
    assert_eq!(app.count("jobs").await, 0);
}

#[tokio::test]
async fn the_own_number_is_no_password() {
    let app = TestApp::start().await;
    app.user(Role::Admin, "admin@example.com").await;
    for password in ["call (415) 555-2671", "x14155552671", "4155552671!"] {
        let body = json!({"phone_number": NUMBER, "password": password});
        let refused = register(&app, &body).await;
        let refused = refused.expect_problem(422, "invalid_input");
        assert_eq!(
            refused.invalid_fields(),
            ["body.password password_contains_identifier"]
        );
    }
    let body = json!({"phone_number": NUMBER, "password": "my old one 4155552672"});
    register(&app, &body).await.expect(200);
}
