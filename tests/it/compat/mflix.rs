//! `mflix`, line by line of its table.

use serde_json::{Value, json};
use user_management::domain::role::Role;

use super::{expect, start};
use crate::support::{
    app::{PASSWORD, TestApp},
    request::TestResponse,
};

const API: &str = "/compat/mflix/api/v1/user";

async fn post(app: &TestApp, path: &str, body: &Value) -> TestResponse {
    app.post(&format!("{API}{path}")).json(body).send().await
}

async fn register(app: &TestApp, email: &str) -> TestResponse {
    let body = json!({"name": "foobar", "email": email, "password": PASSWORD});
    post(app, "/register", &body).await
}

async fn log_in(app: &TestApp, email: &str) -> TestResponse {
    let body = json!({"email": email, "password": PASSWORD});
    post(app, "/login", &body).await
}

async fn put_preferences(app: &TestApp, token: &str, body: &Value) -> TestResponse {
    app.put(&format!("{API}/update-preferences"))
        .bearer(token)
        .json(body)
        .send()
        .await
}

#[tokio::test]
async fn registering_logs_in() {
    let app = start().await;
    let made = register(&app, "foo@example.com").await;
    let token = made.text("auth_token");
    let info = json!({"email": "foo@example.com", "name": "foobar", "preferences": {}});
    expect(&made, 201, &json!({"auth_token": token, "info": info}));
    assert_eq!(app.count("sessions").await, 1);
    let me = app.get("/me").bearer(&token).send().await.expect(200);
    assert_eq!(me.text("first_name"), "foobar");
    let again = register(&app, "Foo@Example.com").await;
    let exists = "A user with the given email already exists.";
    expect(&again, 400, &json!({"error": {"email": exists}}));
    app.deliver_mail().await;
}

#[tokio::test]
async fn guesses_on_an_address_before_it_was_registered_don_t_keep_its_owner_from_registering() {
    let app = start().await;
    app.lock_out("foo@example.com").await;
    register(&app, "foo@example.com").await.expect(201);
    app.deliver_mail().await;
}

#[tokio::test]
async fn what_is_missing_mistyped_or_too_short_is_named() {
    let app = start().await;
    let good = json!({"name": "foobar", "email": "foo@example.com", "password": PASSWORD});
    for field in ["name", "email", "password"] {
        for (value, text) in [
            (json!(null), "is required"),
            (json!(1), "must be a string"),
            (json!(["x"]), "must be a string"),
        ] {
            let mut body = good.clone();
            body[field] = value;
            let refused = post(&app, "/register", &body).await;
            expect(&refused, 400, &json!({"error": format!("{field} {text}")}));
            if field != "name" {
                let refused = post(&app, "/login", &body).await;
                expect(&refused, 400, &json!({"error": format!("{field} {text}")}));
            }
        }
    }
    let short = "Your password must be at least 8 characters.";
    let nameless = "You must specify a name of at least 3 characters.";
    let common = "Your password is one of the commonest passwords.";
    let own =
        "Your password must not contain the account's e-mail address, phone number or nickname.";
    for (name, password, error) in [
        ("foobar", "1234567", json!({"password": short})),
        ("foo", PASSWORD, json!({"name": nameless})),
        ("  a   ", PASSWORD, json!({"name": nameless})),
        ("", "", json!({"name": nameless, "password": short})),
        ("foobar", "password1", json!({"password": common})),
        ("foobar", "xfoo@example.com", json!({"password": own})),
        (
            "a\nbcd",
            PASSWORD,
            json!({"name": "Your name must not contain control characters."}),
        ),
        (
            &"x".repeat(101),
            PASSWORD,
            json!({"name": "Your name must have at most 100 characters."}),
        ),
    ] {
        let body = json!({"name": name, "email": "foo@example.com", "password": password});
        let refused = post(&app, "/register", &body).await;
        expect(&refused, 411, &json!({"status": "fail", "error": error}));
    }
    let body = json!({"name": "foobar", "email": "foobar", "password": PASSWORD});
    let refused = post(&app, "/register", &body).await;
    let text = "email must be a valid e-mail address";
    expect(&refused, 400, &json!({"error": text}));
    assert_eq!(app.count("users").await, 0);
    let four = json!({"name": "fooo", "email": "foo@example.com", "password": "exactly8"});
    post(&app, "/register", &four).await.expect(201);
    app.deliver_mail().await;
}

#[tokio::test]
async fn a_login_takes_an_unverified_address_and_ends_the_older_session() {
    let app = start().await;
    let first = register(&app, "foo@example.com").await.text("auth_token");
    let second = log_in(&app, "FOO@example.com").await;
    let token = second.text("auth_token");
    let info = json!({
        "email": "foo@example.com", "name": "foobar", "preferences": {}, "isAdmin": false,
    });
    expect(&second, 201, &json!({"auth_token": token, "info": info}));
    app.get("/me").bearer(&first).send().await.expect(401);
    app.get("/me").bearer(&token).send().await.expect(200);
    assert_eq!(app.count("sessions").await, 1);

    let refused = json!({"error": {"password": "Make sure your password is correct."}});
    for (email, password) in [
        ("foo@example.com", "wrong password"),
        ("nobody@example.com", PASSWORD),
        ("nobody", PASSWORD),
    ] {
        let body = json!({"email": email, "password": password});
        expect(&post(&app, "/login", &body).await, 401, &refused);
    }
    app.lock_out("other@example.com").await;
    let locked = log_in(&app, "other@example.com").await;
    expect(&locked, 401, &refused);
    assert_eq!(locked.header("retry-after"), "30");
    app.deliver_mail().await;
}

#[tokio::test]
async fn an_account_of_the_native_api_shows_its_names() {
    let app = start().await;
    let user = app.user(Role::Authenticated, "ada@example.com").await;
    let nickname = app.get("/me").by(&user).send().await.text("nickname");
    let shown = log_in(&app, "ada@example.com").await.expect(201);
    assert_eq!(shown.json()["info"]["name"], nickname);
    let token = shown.text("auth_token");
    let names = json!({"first_name": "Ada", "middle_name": "B.", "last_name": "Lovelace"});
    let changed = app.patch("/me").bearer(&token).json(&names).send().await;
    changed.expect(200);
    let shown = log_in(&app, "ada@example.com").await.expect(201);
    assert_eq!(shown.json()["info"]["name"], "Ada Lovelace");
}

#[tokio::test]
async fn preferences_are_kept() {
    let app = start().await;
    let token = register(&app, "foo@example.com").await.text("auth_token");
    let preferences =
        json!({"favorite_cast": ["Meg Ryan", "Tom Hanks"], "nested": {"deep": [1, null]}});
    let body = json!({"preferences": preferences});
    let stored = put_preferences(&app, &token, &body).await;
    let info = json!({"email": "foo@example.com", "name": "foobar", "preferences": preferences});
    expect(&stored, 201, &json!({"auth_token": token, "info": info}));
    let shown = log_in(&app, "foo@example.com").await;
    assert_eq!(shown.json()["info"]["preferences"], preferences);
    let refused = put_preferences(&app, &token, &body).await;
    assert_eq!(
        refused.expect(401).text("error"),
        "Could not validate credentials"
    );
    let unnamed = app.put(&format!("{API}/update-preferences")).json(&body);
    unnamed.send().await.expect(401);
    let token = shown.text("auth_token");
    for (body, text) in [
        (json!({}), "is required"),
        (json!({"preferences": null}), "must be an object"),
        (json!({"preferences": ["x"]}), "must be an object"),
        (
            json!({"preferences": {"x": "x".repeat(17_000)}}),
            "must have at most 16 KiB",
        ),
    ] {
        let refused = put_preferences(&app, &token, &body).await;
        expect(
            &refused,
            400,
            &json!({"error": format!("preferences {text}")}),
        );
    }
    let empty = put_preferences(&app, &token, &json!({"preferences": {}})).await;
    assert_eq!(empty.expect(201).json()["info"]["preferences"], json!({}));
    app.deliver_mail().await;
}

#[tokio::test]
async fn logging_out_ends_the_token() {
    let app = start().await;
    let token = register(&app, "foo@example.com").await.text("auth_token");
    let log_out = || app.post(&format!("{API}/logout")).bearer(&token).send();
    expect(&log_out().await, 201, &json!({"status": "logged out"}));
    let again = log_out().await.expect(401);
    assert_eq!(again.text("error"), "Could not validate credentials");
    assert_eq!(again.header("www-authenticate"), "Bearer");
    app.get("/me").bearer(&token).send().await.expect(401);
    assert_eq!(app.count("sessions").await, 0);
    app.deliver_mail().await;
}

#[tokio::test]
async fn only_an_administrator_is_one() {
    let app = start().await;
    app.user(Role::Admin, "admin@example.com").await;
    app.user(Role::Manager, "manager@example.com").await;
    for (email, is_admin) in [("admin@example.com", true), ("manager@example.com", false)] {
        let shown = log_in(&app, email).await;
        assert_eq!(shown.json()["info"]["isAdmin"], is_admin);
        let admin = app.get(&format!("{API}/admin"));
        let answer = admin.bearer(&shown.text("auth_token")).send().await;
        match is_admin {
            true => expect(&answer, 202, &json!({"status": "success"})),
            false => expect(&answer, 401, &json!({"status": "fail"})),
        }
    }
    let nobody = app.get(&format!("{API}/admin")).send().await;
    expect(&nobody, 401, &json!({"status": "fail"}));
    app.post(&format!("{API}/make-admin"))
        .send()
        .await
        .expect(404);
}

#[tokio::test]
async fn an_account_is_deleted_at_once_by_its_password() {
    let app = start().await;
    let token = register(&app, "foo@example.com").await.text("auth_token");
    put_preferences(&app, &token, &json!({"preferences": {"x": 1}}))
        .await
        .expect(201);
    let delete = async |token: &str, body: &Value| {
        let request = app.delete(&format!("{API}/delete")).bearer(token);
        request.json(body).send().await
    };
    let right = json!({"password": PASSWORD});
    let wrong = json!({"error": {"password": "Make sure your password is correct."}});
    let refused = delete(&token, &json!({"password": "wrong password"})).await;
    expect(&refused, 401, &wrong);
    let refused = delete(&token, &json!({})).await;
    expect(&refused, 400, &json!({"error": "password is required"}));
    let refused = delete("nonsense", &right).await.expect(401);
    assert_eq!(refused.text("error"), "Could not validate credentials");
    assert_eq!(app.count("users").await, 1);

    expect(
        &delete(&token, &right).await,
        201,
        &json!({"status": "deleted"}),
    );
    for table in ["users", "sessions", "user_preferences"] {
        assert_eq!(app.count(table).await, 0, "{table}");
    }
    app.get("/me").bearer(&token).send().await.expect(401);
    log_in(&app, "foo@example.com").await.expect(401);
    // The address is free again.
    register(&app, "foo@example.com").await.expect(201);
    app.deliver_mail().await;
}

#[tokio::test]
async fn guesses_at_a_deletion_are_counted_and_the_last_administrator_stays() {
    let app = start().await;
    let admin = app.admin().await;
    let delete = async |password: &str| {
        let request = app.delete(&format!("{API}/delete")).by(&admin);
        request.json(&json!({"password": password})).send().await
    };
    let last = delete(PASSWORD).await;
    let text = "Operation not permitted: this is the last administrator";
    expect(&last, 403, &json!({"error": text}));
    for _ in 0..5 {
        delete("wrong password").await.expect(401);
    }
    let locked = delete(PASSWORD).await.expect(401);
    assert_eq!(locked.header("retry-after"), "30");
    assert_eq!(app.count("users").await, 1);
}

#[tokio::test]
async fn preferences_of_any_depth_are_taken_or_refused_and_never_stand_in_the_way() {
    let app = start().await;
    let made = register(&app, "ada@example.com").await;
    let token = made.text("auth_token");
    let nested = |levels| (1..levels).fold(json!({}), |inner, _| json!({ "a": inner }));
    // What a reader of JSON may take for text to be read again.
    let hidden = format!("{}{}", "[".repeat(100), "]".repeat(100));
    let hidden = json!({"x": {"$serde_json::private::RawValue": hidden}});
    for (preferences, status) in [(nested(32), 201), (nested(33), 400), (hidden, 400)] {
        let body = json!({ "preferences": preferences });
        put_preferences(&app, &token, &body).await.expect(status);
        let export = app.get("/me/export").bearer(&token).send().await;
        export.expect(200);
    }
    log_in(&app, "ada@example.com").await.expect(201);
    app.deliver_mail().await;
}

#[tokio::test]
async fn an_address_that_nobody_verified_hears_nothing_of_passwords() {
    let app = start().await;
    let made = register(&app, "ada@example.com").await;
    let token = made.text("auth_token");
    app.deliver_mail().await;
    let body = json!({"current_password": PASSWORD, "new_password": "Better*5678"});
    let change = app.put("/me/password").bearer(&token).json(&body);
    change.send().await.expect(204);
    assert_eq!(app.deliver_mail().await.len(), 0);
}

#[tokio::test]
async fn logins_that_end_each_others_sessions_all_succeed() {
    let app = start().await;
    register(&app, "ada@example.com").await.expect(201);
    for _ in 0..10 {
        let logins = (0..4).map(|_| log_in(&app, "ada@example.com"));
        for answer in futures::future::join_all(logins).await {
            answer.expect(201);
        }
    }
    assert_eq!(app.count("sessions").await, 1);
    app.deliver_mail().await;
}
