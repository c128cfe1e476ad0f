//! The keys in the database, where notifications don't arrive and where secrets differ.

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use user_management::{
    domain::{role::Role, signing_key::KeyAlgorithm},
    infra::{clock::Clock as _, key_pair::KeyPair, random::SeededRandom, sealer::Sealer},
    repository::signing_keys::{self, StoredKey},
};

use crate::support::{
    app::{SECRET_KEY, TestApp},
    keys::{kid, part, sign},
};

const EMAIL: &str = "manager@example.com";

async fn is_let_in(app: &TestApp, token: &str) -> bool {
    let answer = app.get("/users/?limit=1").bearer(token).send().await;
    if answer.status == 200 {
        return true;
    }
    answer.expect_problem(401, "not_authenticated");
    false
}

/// Retires the key that signs, and brings in a new one that is sealed under `secret`, as nobody hears
/// of it.
async fn replace_silently(app: &TestApp, secret: &str) -> KeyPair {
    let pair = KeyPair::generate(KeyAlgorithm::EdDsa).unwrap();
    let (id, random) = (pair.id(), SeededRandom::new(7));
    let sealer = Sealer::new(secret.as_bytes(), "signing keys");
    let private = pair.private.expose_secret();
    let key = StoredKey {
        sealed_private_key: sealer.seal(&random, id.as_str().as_bytes(), private),
        id,
        algorithm: KeyAlgorithm::EdDsa,
        created_at: app.clock.now(),
        retired_at: None,
    };
    sqlx::query("update signing_keys set retired_at = $1 where retired_at is null")
        .bind(app.clock.now())
        .execute(&app.database.pool)
        .await
        .unwrap();
    let mut connection = app.database.pool.acquire().await.unwrap();
    assert!(signing_keys::insert(&mut connection, &key).await.unwrap());
    pair
}

#[tokio::test]
async fn an_instance_that_does_not_hear_of_a_rotation_notices_it_by_the_token_or_in_time() {
    let app = TestApp::start().await;
    let user = app.user(Role::Manager, EMAIL).await;
    let old = kid(&user.token);
    let new = replace_silently(&app, SECRET_KEY).await.id();
    // It may sign by the key of before for ten seconds.
    app.clock
        .advance(TimeDelta::seconds(10) - TimeDelta::microseconds(1));
    assert_eq!(kid(&app.token(EMAIL).await), old);
    app.clock.advance(TimeDelta::microseconds(1));
    let token = app.token(EMAIL).await;
    assert_eq!(kid(&token), new.as_str());

    let newest = replace_silently(&app, SECRET_KEY).await.id();
    let by_thief = app.forge(newest.as_str(), &part(&token, 1)).await;
    assert!(is_let_in(&app, &by_thief).await, "its name isn't known yet");
    assert_eq!(kid(&app.token(EMAIL).await), newest.as_str());
}

#[tokio::test]
async fn an_instance_that_hears_nothing_and_signs_nothing_refuses_a_retired_key_in_time() {
    let app = TestApp::start().await;
    let user = app.user(Role::Manager, EMAIL).await;
    let mut claims = part(&user.token, 1);
    claims["exp"] = json!((app.clock.now() + TimeDelta::days(365)).timestamp());
    let forged = app.forge(&kid(&user.token), &claims).await;
    assert!(is_let_in(&app, &forged).await);
    replace_silently(&app, SECRET_KEY).await;
    app.clock.advance(TimeDelta::minutes(16));
    assert!(!is_let_in(&app, &forged).await);
}

async fn valid_until(app: &TestApp, token: &str) -> Option<DateTime<Utc>> {
    let keys = &app.app.services.signing_keys;
    let mut validation = keys.validation();
    validation.set_audience(&["user-management"]);
    validation.validate_exp = false;
    let verified = keys.verify::<Value>(token, &validation).await.unwrap();
    verified.unwrap().valid_until
}

#[tokio::test]
async fn whoever_keeps_a_verified_token_is_told_for_how_long() {
    let app = TestApp::start().await;
    let user = app.user(Role::Manager, EMAIL).await;
    let (start, window) = (app.clock.now(), TimeDelta::minutes(16));
    assert_eq!(valid_until(&app, &user.token).await, Some(start + window));
    // It could have been retired since.
    app.clock.advance(TimeDelta::seconds(9));
    assert_eq!(valid_until(&app, &user.token).await, Some(start + window));
    app.clock.advance(TimeDelta::seconds(1));
    let retired = app.clock.now();
    assert_eq!(valid_until(&app, &user.token).await, Some(retired + window));
    app.rotate_keys().await;
    app.clock.advance(TimeDelta::minutes(2));
    assert_eq!(valid_until(&app, &user.token).await, Some(retired + window));

    let by_secret = TestApp::start_with(&[("JWT_ALGORITHM", "HS256")]).await;
    let user = by_secret.user(Role::Manager, EMAIL).await;
    assert_eq!(valid_until(&by_secret, &user.token).await, None);
}

#[tokio::test]
async fn the_database_alone_gives_no_key_and_takes_none() {
    let app = TestApp::start().await;
    let user = app.user(Role::Manager, EMAIL).await;
    let keys: Vec<Vec<u8>> = sqlx::query_scalar("select sealed_private_key from signing_keys")
        .fetch_all(&app.database.pool)
        .await
        .unwrap();
    assert!(KeyPair::from_pkcs8(KeyAlgorithm::EdDsa, &keys[0]).is_err());

    // Somebody who may write to it brings in a key of his own.
    let pair = replace_silently(&app, "a secret of somebody else, long enough").await;
    let key = jsonwebtoken::EncodingKey::from_ed_der(pair.private.expose_secret());
    let algorithm = jsonwebtoken::Algorithm::EdDSA;
    let (id, claims) = (pair.id(), part(&user.token, 1));
    let forged = sign(algorithm, Some(id.as_str()), &key, &claims);
    assert!(!is_let_in(&app, &forged).await);
    assert!(is_let_in(&app, &user.token).await, "the key of before");
}

#[tokio::test]
async fn after_a_change_of_the_secret_a_rotation_makes_a_key_that_opens() {
    let app = TestApp::start().await;
    let user = app.user(Role::Manager, EMAIL).await;
    let changed = app.second_instance_changed(&[], |parts| {
        parts.secret_key = "another secret than before, long enough".to_owned().into();
    });
    let error = changed.app.services.signing_keys.prepare().await;
    let said = error.unwrap_err().to_string();
    assert!(
        said.contains("JWT_SECRET_KEY") && said.contains("keys rotate"),
        "{said}"
    );
    assert!(!is_let_in(&changed, &user.token).await);
    changed
        .log_in(EMAIL)
        .await
        .expect_problem(500, "internal_error");
    let new = changed.rotate_keys().await;
    let token = changed.token(EMAIL).await;
    assert_eq!(kid(&token), new);
    assert!(is_let_in(&changed, &token).await);
}

#[tokio::test]
async fn keys_that_were_retired_a_week_ago_are_cleared_away() {
    let app = TestApp::start().await;
    app.user(Role::Manager, EMAIL).await;
    let new = app.rotate_keys().await;
    let sweep = async || {
        let maintenance = &app.app.services.maintenance;
        maintenance.sweep(app.clock.now()).await.unwrap();
        app.count("signing_keys").await
    };
    app.clock.advance(TimeDelta::days(7));
    assert_eq!(sweep().await, 2);
    app.clock.advance(TimeDelta::microseconds(1));
    assert_eq!(sweep().await, 1);
    assert_eq!(kid(&app.token(EMAIL).await), new);
}
