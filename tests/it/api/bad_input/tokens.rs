//! Access tokens.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::TimeDelta;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use user_management::{domain::role::Role, infra::clock::Clock as _};
use uuid::Uuid;

use super::{Case, refuse_all};
use crate::support::app::{SECRET_KEY, TestApp, TestUser};

/// The service with tokens that a test can sign.
async fn start() -> TestApp {
    TestApp::start_with(&[("JWT_ALGORITHM", "HS256")]).await
}

/// The claims of an access token.
fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

/// Signs claims as the service does.
fn sign(claims: &Value) -> String {
    sign_as(Algorithm::HS256, SECRET_KEY, claims)
}

fn sign_as(algorithm: Algorithm, key: &str, claims: &Value) -> String {
    let key = EncodingKey::from_secret(key.as_bytes());
    jsonwebtoken::encode(&Header::new(algorithm), claims, &key).unwrap()
}

fn unsigned(header: &Value, claims: &Value, signature: &str) -> String {
    let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.{signature}", part(header), part(claims))
}

/// Every token is refused, and none is repeated.
async fn refuse_tokens(app: &TestApp, tokens: Vec<(String, String)>) {
    let mut cases = Vec::new();
    for (what, token) in tokens {
        let case = Case::new(
            what,
            app.get("/users/").bearer(&token),
            401,
            "not_authenticated",
        );
        cases.push(if token.len() > 3 {
            case.secret(&token)
        } else {
            case
        });
    }
    refuse_all(app, cases).await;
}

async fn expect_admitted(app: &TestApp, token: &str) {
    app.get("/users/").bearer(token).send().await.expect(200);
}

#[tokio::test]
async fn a_token_that_we_did_not_sign_is_refused() {
    let app = start().await;
    let admin = app.admin().await;
    let good = claims(&admin.token);
    expect_admitted(&app, &sign(&good)).await;
    let signature = admin.token.rsplit('.').next().unwrap();
    let other_key = format!("{SECRET_KEY}!");
    let tokens = [
        ("another key", sign_as(Algorithm::HS256, &other_key, &good)),
        ("no key", sign_as(Algorithm::HS256, "", &good)),
        (
            "HS384 and our key",
            sign_as(Algorithm::HS384, SECRET_KEY, &good),
        ),
        (
            "HS512 and our key",
            sign_as(Algorithm::HS512, SECRET_KEY, &good),
        ),
        (
            "no algorithm",
            unsigned(&json!({"alg": "none", "typ": "JWT"}), &good, ""),
        ),
        ("NONE", unsigned(&json!({"alg": "NONE"}), &good, "")),
        (
            "no algorithm and our signature",
            unsigned(&json!({"alg": "none"}), &good, signature),
        ),
        (
            "no member alg",
            unsigned(&json!({"typ": "JWT"}), &good, signature),
        ),
        (
            "RS256",
            unsigned(&json!({"alg": "RS256"}), &good, signature),
        ),
        (
            "HS256 and no signature",
            unsigned(&json!({"alg": "HS256"}), &good, ""),
        ),
        (
            "a key of its own",
            unsigned(
                &json!({"alg": "HS256", "jwk": {"kty": "oct", "k": ""}}),
                &good,
                signature,
            ),
        ),
        ("other claims under our signature", {
            let mut claims = good.clone();
            claims["role"] = json!("ADMIN ");
            unsigned(&json!({"alg": "HS256", "typ": "JWT"}), &claims, signature)
        }),
        (
            "a part of the signature",
            admin.token[..admin.token.len() - 1].to_owned(),
        ),
        ("more than the signature", format!("{}A", admin.token)),
        ("a fourth part", format!("{}.x", admin.token)),
    ];
    let tokens = tokens.map(|(what, token)| (what.to_owned(), token));
    refuse_tokens(&app, tokens.into()).await;
}

#[tokio::test]
async fn what_is_no_token_is_refused() {
    let app = start().await;
    app.admin().await;
    let long = "a".repeat(10 * 1024);
    let tokens = [
        "",
        "x",
        ".",
        "..",
        "...",
        "a.b.c",
        "e30.e30.e30",
        "null",
        "undefined",
        "\u{ff}\u{fe}",
        "Bearer x",
        "' or 1=1 --",
        &long,
        &format!("{long}.{long}.{long}"),
    ];
    let tokens = tokens.map(|token| (token.chars().take(30).collect(), token.to_owned()));
    refuse_tokens(&app, tokens.into()).await;
    for authorization in ["", "Bearer", "Basic YTpi", "bearer", "Token x", "Bearer\tx"] {
        let request = app.get("/users/").header("authorization", authorization);
        let response = request
            .send()
            .await
            .expect_problem(401, "not_authenticated");
        assert_eq!(response.header("www-authenticate"), "Bearer");
    }
}

#[tokio::test]
async fn each_claim_is_required_and_of_its_type() {
    let app = start().await;
    let admin = app.admin().await;
    let good = claims(&admin.token);
    let names: Vec<_> = good.as_object().unwrap().keys().cloned().collect();
    assert_eq!(
        names,
        [
            "aud", "exp", "iat", "iss", "jti", "nbf", "role", "sid", "sub"
        ]
    );
    let mut tokens = Vec::new();
    for name in &names {
        let mut claims = good.clone();
        claims.as_object_mut().unwrap().remove(name);
        tokens.push((format!("no {name}"), sign(&claims)));
        for wrong in [
            json!(null),
            json!(true),
            json!([good[name]]),
            json!({}),
            json!(""),
        ] {
            // An empty role is as good a hint as any: it is not believed.
            if name == "role" && wrong == "" {
                continue;
            }
            let mut claims = good.clone();
            claims[name] = wrong.clone();
            tokens.push((format!("{name} {wrong}"), sign(&claims)));
        }
    }
    for (name, value) in [
        ("iss", json!("https://users.example.com")),
        ("iss", json!("https://evil.example.com/")),
        ("aud", json!("another-service")),
        ("sub", json!("0")),
        ("sub", json!(Uuid::nil())),
        ("sid", json!("admin")),
        ("sid", json!(Uuid::nil())),
        ("exp", json!(-1)),
        ("exp", json!("9999999999")),
        ("exp", json!(1e300)),
        ("nbf", json!(i64::MAX)),
        ("iat", json!(i64::MAX)),
        ("iat", json!(u64::MAX)),
    ] {
        let mut claims = good.clone();
        claims[name] = value.clone();
        tokens.push((format!("{name} {value}"), sign(&claims)));
    }
    for claims in [json!(null), json!([]), json!("x"), json!({})] {
        tokens.push((format!("claims {claims}"), sign(&claims)));
    }
    refuse_tokens(&app, tokens).await;
}

#[tokio::test]
async fn a_token_is_good_from_its_beginning_to_its_end() {
    let app = start().await;
    let admin = app.admin().await;
    let now = app.clock.now().timestamp();
    let with = |name: &str, value: i64| {
        let mut claims = claims(&admin.token);
        claims[name] = json!(value);
        sign(&claims)
    };
    // Five seconds for clocks that differ.
    expect_admitted(&app, &with("nbf", now + 5)).await;
    expect_admitted(&app, &with("iat", now + 5)).await;
    let tokens = vec![
        ("expired now".to_owned(), with("exp", now)),
        ("expired".to_owned(), with("exp", now - 1)),
        ("not yet good".to_owned(), with("nbf", now + 6)),
        ("issued in the future".to_owned(), with("iat", now + 6)),
    ];
    refuse_tokens(&app, tokens).await;

    app.clock
        .advance(TimeDelta::minutes(15) - TimeDelta::seconds(1));
    expect_admitted(&app, &admin.token).await;
    app.clock.advance(TimeDelta::seconds(1));
    refuse_tokens(&app, vec![("after 15 minutes".to_owned(), admin.token)]).await;
}

#[tokio::test]
async fn a_token_ends_with_its_session_whatever_it_says_itself() {
    let app = start().await;
    let admin = app.admin().await;
    let manager = app.user(Role::Manager, "manager@example.com").await;
    let deleted = app.user(Role::Manager, "deleted@example.com").await;
    let locked = app.user(Role::Manager, "locked@example.com").await;
    let path = |user: &TestUser, rest: &str| format!("/users/{}{rest}", user.id);
    app.delete(&path(&deleted, ""))
        .by(&admin)
        .send()
        .await
        .expect(204);
    app.post(&path(&locked, "/lock"))
        .by(&admin)
        .send()
        .await
        .expect(200);
    app.deliver_mail().await;

    let mut of_another = claims(&manager.token);
    of_another["sid"] = claims(&admin.token)["sid"].clone();
    let mut long_lived = claims(&manager.token);
    long_lived["exp"] = json!(app.clock.now().timestamp() + 100 * 24 * 60 * 60);
    let long_lived = sign(&long_lived);
    expect_admitted(&app, &long_lived).await;
    let tokens = vec![
        ("a session of another user".to_owned(), sign(&of_another)),
        ("a deleted user".to_owned(), deleted.token),
        ("a locked user".to_owned(), locked.token),
    ];
    refuse_tokens(&app, tokens).await;
    app.clock.advance(TimeDelta::days(1));
    refuse_tokens(&app, vec![("an expired session".to_owned(), long_lived)]).await;
}

#[tokio::test]
async fn the_role_in_a_token_is_only_a_hint() {
    let app = start().await;
    let user = app.user(Role::Authenticated, "user@example.com").await;
    let mut claims = claims(&user.token);
    claims["role"] = json!("ADMIN");
    app.get("/users/")
        .bearer(&sign(&claims))
        .send()
        .await
        .expect_problem(403, "operation_not_permitted");
}
