//! `phone`, line by line of its table.

use serde_json::{Value, json};
use user_management::domain::role::Role;

use super::{expect, start};
use crate::support::{
    app::{PASSWORD, TestApp},
    request::TestResponse,
};

const API: &str = "/compat/phone";

fn person(phone: &str) -> Value {
    json!({"first_name": "Foo", "middle_name": "B", "last_name": "Bar", "password": PASSWORD, "phone": phone})
}

async fn post(app: &TestApp, path: &str, body: &Value) -> TestResponse {
    app.post(&format!("{API}{path}")).json(body).send().await
}

async fn log_in(app: &TestApp, phone: &str, password: &str) -> TestResponse {
    post(
        app,
        "/login",
        &json!({"phone": phone, "password": password}),
    )
    .await
}

/// The tokens of a login.
struct Tokens {
    jwt: String,
    session: String,
}

impl Tokens {
    #[track_caller]
    fn of(answer: &TestResponse) -> Self {
        assert_eq!(answer.status.as_u16(), 200, "{}", answer.body);
        Self {
            jwt: answer.text("jwt_token"),
            session: answer.text("session_token"),
        }
    }
}

async fn put(app: &TestApp, tokens: (&str, &str), body: &Value) -> TestResponse {
    app.put(&format!("{API}/user"))
        .header("authorization", tokens.0)
        .header("session-token", tokens.1)
        .json(body)
        .send()
        .await
}

/// Signs up and logs in; the account's `_id` and its tokens.
async fn somebody(app: &TestApp, phone: &str) -> (Value, Tokens) {
    let made = post(app, "/signup", &person(phone)).await.expect(201);
    let tokens = Tokens::of(&log_in(app, phone, PASSWORD).await);
    (made.json()["user"]["_id"].clone(), tokens)
}

#[tokio::test]
async fn an_account_has_a_number_and_three_names() {
    let app = start().await;
    let admin = app.admin().await;
    for (typed, kept) in [
        ("1234567890", "1234567890"),
        ("(415) 555-2671", "+14155552671"),
        ("+44 20 7946 0958", "+442079460958"),
    ] {
        let made = post(&app, "/signup", &person(typed)).await;
        let id = made.json()["user"]["_id"]["$oid"]
            .as_str()
            .unwrap()
            .to_owned();
        let user = json!({
            "_id": {"$oid": id}, "first_name": "Foo", "middle_name": "B", "last_name": "Bar", "phone": kept,
        });
        expect(
            &made,
            201,
            &json!({"message": "User created", "user": user}),
        );
        let native = app.read(&admin, id.parse().unwrap()).await.expect(200);
        assert_eq!(native.text("phone_number"), kept);
        assert_eq!(native.json()["email"], json!(null));
        for again in [typed, kept] {
            let taken = post(&app, "/signup", &person(again)).await;
            expect(
                &taken,
                409,
                &json!({"error": "Phone number already exists"}),
            );
            Tokens::of(&log_in(&app, again, PASSWORD).await);
        }
        app.log_in(kept).await.expect(200);
    }
    for (nothing, phone) in [(json!(null), "+14155550000"), (json!(""), "+14155550001")] {
        let mut body = person(phone);
        body["middle_name"] = nothing;
        let made = post(&app, "/signup", &body).await.expect(201);
        assert_eq!(made.json()["user"]["middle_name"], json!(null));
    }
}

#[tokio::test]
async fn what_is_missing_or_wrong_is_named() {
    let app = start().await;
    for (field, value, text) in [
        ("first_name", json!(null), "is required"),
        ("last_name", json!(null), "is required"),
        (
            "last_name",
            json!(""),
            "must not be empty; leave it out or send null to have none",
        ),
        ("middle_name", json!(1), "must be a string"),
        (
            "middle_name",
            json!("a\u{0}b"),
            "must not contain control characters",
        ),
        ("password", json!(null), "is required"),
        (
            "password",
            json!("short"),
            "must have at least 8 characters",
        ),
        (
            "password",
            json!("password1"),
            "is one of the commonest passwords",
        ),
        (
            "password",
            json!("x4155552671"),
            "must not contain the account's e-mail address, phone number or nickname",
        ),
        ("phone", json!(null), "is required"),
        ("phone", json!(1_234_567_890), "must be a string"),
        ("phone", json!("123456789"), "must be a valid phone number"),
        ("phone", json!("bob"), "must be a valid phone number"),
    ] {
        let mut body = person("(415) 555-2671");
        body[field] = value;
        let refused = post(&app, "/signup", &body).await;
        expect(&refused, 400, &json!({"error": format!("{field} {text}")}));
    }
    let several = post(&app, "/signup", &json!({})).await;
    let text =
        "first_name is required; last_name is required; phone is required; password is required";
    expect(&several, 400, &json!({"error": text}));
    let missing = post(&app, "/login", &json!({"phone": "1234567890"})).await;
    expect(&missing, 400, &json!({"error": "password is required"}));
    assert_eq!(app.count("users").await, 0);
}

#[tokio::test]
async fn a_login_is_refused_alike_for_unknown_wrong_and_locked() {
    let app = start().await;
    somebody(&app, "1234567890").await;
    let refused = json!({"error": "Incorrect phone number or password."});
    for (phone, password) in [
        ("1234567890", "wrong password"),
        ("2345678901", PASSWORD),
        ("nobody", PASSWORD),
    ] {
        expect(&log_in(&app, phone, password).await, 401, &refused);
    }
    for _ in 0..4 {
        app.guess("1234567890").await.expect(401);
    }
    let locked = log_in(&app, "1234567890", PASSWORD).await;
    expect(&locked, 401, &refused);
    assert_eq!(locked.header("retry-after"), "30");
}

#[tokio::test]
async fn an_unverified_address_is_not_passed_over_here() {
    let app = start().await;
    let body =
        json!({"email": "ada@example.com", "phone_number": "+14155552671", "password": PASSWORD});
    app.post("/register/").json(&body).send().await.expect(200);
    log_in(&app, "+14155552671", PASSWORD).await.expect(401);
    app.deliver_mail().await;
}

#[tokio::test]
async fn an_account_is_changed_by_both_tokens_of_one_session() {
    let app = start().await;
    let (id, tokens) = somebody(&app, "1234567890").await;
    let (other_id, other) = somebody(&app, "2345678901").await;
    // Sessions beside each other stay.
    let second = Tokens::of(&log_in(&app, "1234567890", PASSWORD).await);
    let both = (&*tokens.jwt, &*tokens.session);

    let body =
        json!({"_id": id, "first_name": "Baz", "middle_name": null, "phone": "+44 20 7946 0958"});
    let changed = put(&app, both, &body).await;
    let user = json!({
        "_id": id, "first_name": "Baz", "middle_name": null, "last_name": "Bar", "phone": "+442079460958",
    });
    expect(
        &changed,
        200,
        &json!({"message": "User updated", "user": user}),
    );
    log_in(&app, "1234567890", PASSWORD).await.expect(401);
    log_in(&app, "+442079460958", PASSWORD).await.expect(200);

    let body = json!({"_id": id, "first_name": "Foo"});
    let bearer = format!("Bearer {}", tokens.jwt);
    for bad in [
        ("", &*tokens.session),
        (&tokens.jwt, ""),
        (&tokens.session, &tokens.jwt),
        (&tokens.jwt, &second.session),
        (&second.jwt, &tokens.session),
        (&tokens.jwt, &other.session),
        (&bearer, &tokens.session),
    ] {
        let refused = put(&app, bad, &body).await;
        expect(
            &refused,
            401,
            &json!({"error": "Could not validate credentials"}),
        );
    }
    let bare = app.put(&format!("{API}/user")).json(&body).send().await;
    bare.expect(401);
    let others = put(&app, both, &json!({"_id": other_id, "first_name": "Foo"})).await;
    expect(&others, 403, &json!({"error": "Operation not permitted"}));

    for (body, text) in [
        (json!({"first_name": "Foo"}), "_id is required"),
        (
            json!({"_id": id["$oid"], "first_name": "Foo"}),
            "_id must be an object with the id in $oid",
        ),
        (
            json!({"_id": {"$oid": "foo"}}),
            "_id must be an object with the id in $oid",
        ),
        (json!({"_id": id}), "must change at least one field"),
        (
            json!({"_id": id, "nickname": "foo", "role": "ADMIN"}),
            "must change at least one field",
        ),
        (
            json!({"_id": id, "first_name": null}),
            "first_name is required",
        ),
        (json!({"_id": id, "phone": 1}), "phone must be a string"),
        (
            json!({"_id": id, "phone": "1"}),
            "phone must be a valid phone number",
        ),
    ] {
        let refused = put(&app, both, &body).await;
        expect(&refused, 400, &json!({"error": text}));
    }
    let taken = put(&app, both, &json!({"_id": id, "phone": "2345678901"})).await;
    expect(
        &taken,
        409,
        &json!({"error": "Phone number already exists"}),
    );

    let jwt = &tokens.jwt;
    app.delete("/sessions/current")
        .bearer(jwt)
        .send()
        .await
        .expect(204);
    put(&app, both, &body).await.expect(401);
    put(&app, (&second.jwt, &second.session), &body)
        .await
        .expect(200);
}

#[tokio::test]
async fn numbers_without_a_country_are_of_the_country_of_the_settings() {
    let app =
        TestApp::start_with(&[("COMPAT_APIS", "phone"), ("PHONE_DEFAULT_REGION", "DE")]).await;
    app.user(Role::Admin, "admin@example.com").await;
    let made = post(&app, "/signup", &person("030 901820"))
        .await
        .expect(201);
    assert_eq!(made.json()["user"]["phone"], "+4930901820");
}

#[tokio::test]
async fn a_new_password_needs_no_former_one_and_ends_the_other_sessions() {
    let app = start().await;
    let (id, tokens) = somebody(&app, "4155552671").await;
    let other = Tokens::of(&log_in(&app, "4155552671", PASSWORD).await);
    let both = (&*tokens.jwt, &*tokens.session);
    for (password, text) in [
        ("short", "must have at least 8 characters"),
        (
            "x2345678901",
            "must not contain the account's e-mail address, phone number or nickname",
        ),
    ] {
        let body = json!({"_id": id, "phone": "2345678901", "password": password});
        let refused = put(&app, both, &body).await;
        expect(&refused, 400, &json!({"error": format!("password {text}")}));
    }
    let body = json!({"_id": id, "last_name": "Baz", "password": "Another*1234"});
    let changed = put(&app, both, &body).await.expect(200);
    assert_eq!(changed.json()["user"]["last_name"], "Baz");
    assert_eq!(changed.json()["user"]["phone"], "+14155552671");
    put(&app, (&other.jwt, &other.session), &body)
        .await
        .expect(401);
    log_in(&app, "4155552671", PASSWORD).await.expect(401);
    log_in(&app, "4155552671", "Another*1234").await.expect(200);
    // By itself too.
    let body = json!({"_id": id, "password": PASSWORD});
    put(&app, both, &body).await.expect(200);
    log_in(&app, "4155552671", PASSWORD).await.expect(200);
    app.deliver_mail().await;
}

#[tokio::test]
async fn a_new_password_counts_against_the_limit_as_a_login_does() {
    let limits = [
        ("COMPAT_APIS", "phone"),
        ("RATE_LIMITS", "on"),
        ("RATE_LIMIT_LOGIN", "2/h"),
    ];
    let app = TestApp::start_with(&limits).await;
    let (id, tokens) = somebody(&app, "1234567890").await;
    let change = async |password: &str| {
        let body = json!({"_id": id, "password": password});
        put(&app, (&tokens.jwt, &tokens.session), &body).await
    };
    change("Better*5678").await.expect(200);
    change("Other*91011").await.expect(429);
}
