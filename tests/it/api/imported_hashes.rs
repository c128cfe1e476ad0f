//! Logging in with a hash that other software made.

use user_management::domain::role::Role;

use crate::support::app::{PASSWORD, TestApp};

/// Made by other software: format, password, hash.
const VECTORS: &str = include_str!("../data/password_hashes.csv");

const ADDRESS: &str = "ada@example.com";

async fn hash_of(app: &TestApp) -> String {
    sqlx::query_scalar("select password_hash from users")
        .fetch_one(&app.database.pool)
        .await
        .unwrap()
}

async fn set_hash(app: &TestApp, hash: &str) {
    sqlx::query("update users set password_hash = $1")
        .bind(hash)
        .execute(&app.database.pool)
        .await
        .unwrap();
}

async fn every_hash_of(password: &str) {
    let app = TestApp::start().await;
    app.user(Role::Authenticated, ADDRESS).await;
    let rows = VECTORS.lines().filter_map(|line| {
        let (format, rest) = line.split_once(',').unwrap();
        let (of, hash) = rest.split_once(',').unwrap();
        (of == password).then_some((format, hash.trim_matches('"')))
    });
    let mut count = 0;
    for (format, hash) in rows {
        set_hash(&app, hash).await;
        app.log_in_with(ADDRESS, &format!("{password}!"))
            .await
            .expect_problem(401, "invalid_credentials");
        assert_eq!(hash_of(&app).await, hash, "{format}");
        let answer = app.log_in_with(ADDRESS, password).await;
        assert_eq!(answer.status, 200, "{format}");
        let renewed = hash_of(&app).await;
        assert!(
            renewed.starts_with("$argon2id$v=19$m=8,t=1,p=1$"),
            "{format}"
        );
        app.log_in_with(ADDRESS, password).await.expect(200);
        assert_eq!(hash_of(&app).await, renewed, "{format}");
        count += 1;
    }
    assert_eq!(count, 19);
}

#[tokio::test]
async fn every_form_logs_in_and_is_replaced_by_ours() {
    every_hash_of(PASSWORD).await;
}

#[tokio::test]
async fn every_form_logs_in_with_a_password_beyond_ascii() {
    every_hash_of("pässwörd ☃ with spaces").await;
}

#[tokio::test]
async fn a_hash_of_no_known_form_is_nobodys() {
    let app = TestApp::start().await;
    let ada = app.user(Role::Authenticated, ADDRESS).await;
    for hash in [
        "not-a-hash",
        "",
        "$2b$31$dCbeprZWBccQjPijz/aMBeBxvSkN1byfkKGgO9mu4ZR0ji0zdGdBq",
    ] {
        set_hash(&app, hash).await;
        app.log_in(ADDRESS)
            .await
            .expect_problem(401, "invalid_credentials");
        assert_eq!(hash_of(&app).await, hash);
    }
    // Nor does he prove anything by it who is logged in.
    app.close(&ada).await.expect_problem(422, "invalid_input");
}
