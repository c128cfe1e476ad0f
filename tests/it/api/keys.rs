//! `GET /.well-known/jwks.json`, and tokens that are signed with key pairs.

use base64::{
    Engine as _,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use chrono::TimeDelta;
use jsonwebtoken::{Algorithm, EncodingKey};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use user_management::{
    domain::{role::Role, signing_key::KeyAlgorithm},
    infra::{clock::Clock as _, key_pair::KeyPair},
};

use crate::support::{
    app::{SECRET_KEY, TestApp},
    eventually::eventually,
    keys::{kid, made_up_kid, part, sign, verify_elsewhere},
};

const EMAIL: &str = "manager@example.com";

async fn expect(app: &TestApp, token: &str, what: &str, status: u16) {
    let answer = app.get("/users/?limit=1").bearer(token).send().await;
    assert_eq!(answer.status.as_u16(), status, "{what}");
    if status == 401 {
        answer.expect_problem(401, "not_authenticated");
    }
}

fn kids(published: &Value) -> Vec<&str> {
    let keys = published["keys"].as_array().unwrap();
    keys.iter()
        .map(|key| key["kid"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn others_verify_our_tokens_by_the_published_keys_alone() {
    for (algorithm, members) in [
        ("EdDSA", &["alg", "crv", "kid", "kty", "use", "x"][..]),
        ("ES256", &["alg", "crv", "kid", "kty", "use", "x", "y"]),
    ] {
        let app = TestApp::start_with(&[("JWT_ALGORITHM", algorithm)]).await;
        let user = app.user(Role::Manager, EMAIL).await;
        assert_eq!(part(&user.token, 0)["alg"], algorithm);
        let published = app.published_keys().await;
        let names: Vec<_> = published["keys"][0].as_object().unwrap().keys().collect();
        assert_eq!(names, members);
        let claims = verify_elsewhere(&user.token, &published).unwrap();
        assert_eq!(claims["sub"], user.id.to_string());
        expect(&app, &user.token, algorithm, 200).await;
    }
}

#[tokio::test]
async fn no_cache_on_the_way_keeps_the_keys() {
    let app = TestApp::start().await;
    for path in ["/.well-known/jwks.json", "/.well-known/jwks.json/"] {
        let answer = app.get(path).send().await.expect(200);
        assert_eq!(answer.header("cache-control"), "public, no-cache");
        assert_eq!(answer.header("content-type"), "application/json");
    }
}

#[tokio::test]
async fn a_secret_is_no_key_to_publish() {
    let app = TestApp::start_with(&[("JWT_ALGORITHM", "HS256")]).await;
    let user = app.user(Role::Manager, EMAIL).await;
    assert_eq!(part(&user.token, 0), json!({"typ": "JWT", "alg": "HS256"}));
    assert_eq!(app.published_keys().await, json!({"keys": []}));
    assert_eq!(app.count("signing_keys").await, 0);
}

#[tokio::test]
async fn only_the_named_key_by_its_own_algorithm_signs() {
    for (name, other) in [("EdDSA", "ES256"), ("ES256", "EdDSA")] {
        let app = TestApp::start_with(&[("JWT_ALGORITHM", name)]).await;
        let user = app.user(Role::Manager, EMAIL).await;
        let (ours, claims) = (kid(&user.token), part(&user.token, 1));
        let published = app.published_keys().await;
        let hmac = |bytes: &[u8]| EncodingKey::from_secret(bytes);
        let x = published["keys"][0]["x"].as_str().unwrap();
        let point = BASE64_URL_SAFE_NO_PAD.decode(x).unwrap();
        let pair = |algorithm: &str| {
            let known = KeyAlgorithm::from_name(algorithm).unwrap();
            let private = KeyPair::generate(known).unwrap().private;
            match known {
                KeyAlgorithm::EdDsa => EncodingKey::from_ed_der(private.expose_secret()),
                KeyAlgorithm::Es256 => EncodingKey::from_ec_der(private.expose_secret()),
            }
        };
        let algorithm = |name: &str| name.parse::<Algorithm>().unwrap();
        let hs256 = Algorithm::HS256;
        let jwk = published["keys"][0].to_string();
        let signature = user.token.rsplit('.').next().unwrap();
        let unsigned = |header: Value, signature: &str| {
            let part = |value: &Value| {
                let text = value.to_string();
                BASE64_URL_SAFE_NO_PAD.encode(text)
            };
            format!("{}.{}.{signature}", part(&header), part(&claims))
        };
        app.rotate_keys().await;
        let newest = kid(&app.token(EMAIL).await);
        expect(&app, &app.forge(&ours, &claims).await, "our own", 200).await;
        for (what, token) in [
            (
                "the public key as secret",
                sign(hs256, Some(&ours), &hmac(&point), &claims),
            ),
            (
                "its text as secret",
                sign(hs256, Some(&ours), &hmac(x.as_bytes()), &claims),
            ),
            (
                "its JWK as secret",
                sign(hs256, Some(&ours), &hmac(jwk.as_bytes()), &claims),
            ),
            (
                "the secret",
                sign(hs256, Some(&ours), &hmac(SECRET_KEY.as_bytes()), &claims),
            ),
            (
                "the secret without kid",
                sign(hs256, None, &hmac(SECRET_KEY.as_bytes()), &claims),
            ),
            (
                "another key",
                sign(algorithm(name), Some(&ours), &pair(name), &claims),
            ),
            ("no kid", sign(algorithm(name), None, &pair(name), &claims)),
            (
                "the other algorithm",
                sign(algorithm(other), Some(&ours), &pair(other), &claims),
            ),
            ("none", unsigned(json!({"alg": "none", "kid": ours}), "")),
            (
                "none, signed",
                unsigned(json!({"alg": "none", "kid": ours}), signature),
            ),
            (
                "no signature",
                unsigned(json!({"alg": name, "kid": ours}), ""),
            ),
            ("our key, no kid", unsigned(json!({"alg": name}), signature)),
            (
                "kid of another key",
                unsigned(json!({"alg": name, "kid": newest}), signature),
            ),
            (
                "kid is no text",
                unsigned(json!({"alg": name, "kid": [ours]}), signature),
            ),
            (
                "kid is no name",
                unsigned(json!({"alg": name, "kid": "../../dev/null"}), signature),
            ),
            (
                "unknown kid",
                unsigned(
                    json!({"alg": name, "kid": made_up_kid(1).as_str()}),
                    signature,
                ),
            ),
            (
                "a key of its own",
                unsigned(json!({"alg": name, "jwk": published["keys"][0]}), signature),
            ),
        ] {
            expect(&app, &token, &format!("{name}: {what}"), 401).await;
        }
    }
}

#[tokio::test]
async fn a_retired_key_counts_until_its_last_token_has_expired_and_no_longer() {
    let app = TestApp::start().await;
    let user = app.user(Role::Manager, EMAIL).await;
    let old = kid(&user.token);
    let new = app.rotate_keys().await;
    expect(&app, &user.token, "the token of before", 200).await;
    assert_eq!(kid(&app.token(EMAIL).await), new);
    assert_eq!(kids(&app.published_keys().await), [&*new, &*old]);

    let mut claims = part(&user.token, 1);
    claims["exp"] = json!((app.clock.now() + TimeDelta::days(365)).timestamp());
    let forged = app.forge(&old, &claims).await;
    let longest = TimeDelta::minutes(15) + TimeDelta::minutes(1);
    app.clock.advance(longest - TimeDelta::microseconds(1));
    expect(&app, &forged, "before the end", 200).await;
    expect(&app, &user.token, "it has expired", 401).await;
    app.clock.advance(TimeDelta::microseconds(1));
    expect(&app, &forged, "after the end", 401).await;
    assert_eq!(kids(&app.published_keys().await), [&*new]);
    let other = app.second_instance(&[]);
    expect(&other, &forged, "after the end, elsewhere", 401).await;
    expect(&other, &app.token(EMAIL).await, "of the new key", 200).await;
}

#[tokio::test]
async fn of_several_key_files_the_first_signs_and_all_verify() {
    for (name, algorithm) in [
        ("EdDSA", KeyAlgorithm::EdDsa),
        ("ES256", KeyAlgorithm::Es256),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str| {
            let pair = KeyPair::generate(algorithm).unwrap();
            let base64 = BASE64_STANDARD.encode(pair.private.expose_secret());
            let pem = format!("-----BEGIN PRIVATE KEY-----\n{base64}\n-----END PRIVATE KEY-----\n");
            let path = directory.path().join(name);
            std::fs::write(&path, pem).unwrap();
            (
                pair.id().as_str().to_owned(),
                path.to_str().unwrap().to_owned(),
            )
        };
        let ((old, old_file), (new, new_file)) = (file("old.pem"), file("new.pem"));
        let settings = |files| [("JWT_ALGORITHM", name), ("JWT_PRIVATE_KEY_FILES", files)];
        let app = TestApp::start_with(&settings(&old_file)).await;
        let user = app.user(Role::Manager, EMAIL).await;
        assert_eq!(kid(&user.token), old);
        let both = app.second_instance(&settings(&format!("{new_file}, {old_file}")));
        let token = both.token(EMAIL).await;
        assert_eq!(kid(&token), new);
        let published = both.published_keys().await;
        assert_eq!(kids(&published), [&*new, &*old]);
        for token in [&user.token, &token] {
            expect(&both, token, name, 200).await;
            assert!(verify_elsewhere(token, &published).is_some());
        }
        // It hasn't been restarted with the new file yet.
        expect(&app, &token, "a file that isn't known", 401).await;
        assert_eq!(app.count("signing_keys").await, 0);
    }
}

#[tokio::test]
async fn another_algorithm_has_a_key_of_its_own_and_ends_the_tokens_of_before() {
    let app = TestApp::start().await;
    let user = app.user(Role::Manager, EMAIL).await;
    let changed = app.second_instance(&[("JWT_ALGORITHM", "ES256")]);
    let token = changed.token(EMAIL).await;
    assert_eq!(app.count("signing_keys").await, 2);
    for (app, good, bad) in [(&app, &user.token, &token), (&changed, &token, &user.token)] {
        expect(app, good, "its own", 200).await;
        expect(app, bad, "the other's", 401).await;
        assert_eq!(kids(&app.published_keys().await), [kid(good)]);
    }
    // A rotation retires both, and whoever still needs the other makes another one.
    let new = changed.rotate_keys().await;
    assert_eq!(kid(&changed.token(EMAIL).await), new);
    let other = eventually("the other has heard of it", async || {
        let other = kid(&app.token(EMAIL).await);
        (other != kid(&user.token)).then_some(other)
    })
    .await;
    assert_ne!(other, new);
    assert_eq!(app.count("signing_keys").await, 4);
}
