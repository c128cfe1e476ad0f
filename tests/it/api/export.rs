//! What a user learns of what is kept of him.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use user_management::domain::role::Role;

use crate::support::app::{PASSWORD, TestApp};

/// Whether a text stands anywhere in a value.
fn holds(value: &Value, text: &str) -> bool {
    value.to_string().contains(text)
}

#[tokio::test]
async fn everything_that_is_kept_of_a_user_is_in_his_export_and_nothing_of_others() {
    let app = TestApp::start().await;
    let ada = app.user(Role::Authenticated, "ada@example.com").await;
    let bob = app.user(Role::Authenticated, "bob@example.com").await;
    app.patch("/me")
        .by(&ada)
        .json(&json!({"first_name": "Ada", "bio": "Writes."}))
        .send()
        .await
        .expect(200);
    app.post("/sessions")
        .header("user-agent", "a browser of Ada's")
        .json(&json!({"username": "ada@example.com", "password": PASSWORD}))
        .send()
        .await
        .expect(201);
    app.guess("ada@example.com").await.expect(401);
    app.guess("bob@example.com").await.expect(401);
    for email in ["ada@example.com", "bob@example.com"] {
        let body = json!({"email": email});
        app.post("/password-reset")
            .json(&body)
            .send()
            .await
            .expect(202);
    }
    app.post("/me/email")
        .by(&ada)
        .json(&json!({"email": "new@example.com"}))
        .send()
        .await
        .expect(202);
    app.deliver_mail().await;

    let answer = app.get("/me/export").by(&ada).send().await.expect(200);
    assert_eq!(
        answer.header("content-disposition"),
        "attachment; filename=\"account.json\""
    );
    let export = answer.json();
    assert_eq!(export["exported_at"], "2026-01-02T03:04:05.000000Z");
    let data = &export["data"];
    assert_eq!(data["users"]["id"], json!(ada.id));
    assert_eq!(
        (&data["users"]["bio"], &data["users"]["email"]),
        (&json!("Writes."), &json!("ada@example.com"))
    );
    let count = |table: &str| data[table].as_array().unwrap().len();
    assert_eq!(count("sessions"), 2);
    assert!(holds(&data["sessions"], "a browser of Ada's"));
    assert_eq!(data["one_time_tokens"][0]["purpose"], "password_reset");
    assert_eq!(data["email_changes"][0]["new_email"], "new@example.com");
    assert_eq!(count("login_throttle"), 1);
    assert_eq!(count("notices"), 2);
    for (what, text) in [
        ("another user", &*bob.id.to_string()),
        ("another address", "bob@example.com"),
        ("a hash", "$argon2"),
        ("a digest", "\\\\x"),
    ] {
        assert!(!holds(data, text), "{what}: {data}");
    }
}

#[tokio::test]
async fn no_table_that_names_users_is_left_out() {
    let app = TestApp::start().await;
    let ada = app.user(Role::Authenticated, "ada@example.com").await;
    let export = app
        .get("/me/export")
        .by(&ada)
        .send()
        .await
        .expect(200)
        .json();
    let exported: BTreeSet<_> = export["data"]
        .as_object()
        .unwrap()
        .keys()
        .cloned()
        .collect();
    let named: Vec<String> = sqlx::query_scalar(
        "select conrelid::regclass::text from pg_constraint \
         where contype = 'f' and confrelid = 'users'::regclass",
    )
    .fetch_all(&app.database.pool)
    .await
    .unwrap();
    assert!(named.len() >= 4, "{named:?}");
    let missing: Vec<_> = named
        .iter()
        .filter(|table| !exported.contains(*table))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}
