//! `GET /users/export`

use serde_json::{Value, json};
use user_management::{domain::role::Role, infra::csv};

use crate::support::{
    app::{TestApp, TestUser},
    eventually::wait_until,
    request::TestResponse,
};

async fn export(app: &TestApp, admin: &TestUser, query: &str) -> TestResponse {
    let path = format!("/users/export?{query}");
    app.get(&path).by(admin).send().await.expect(200)
}

fn objects(export: &TestResponse) -> Vec<Value> {
    let lines = export.body.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The cells of a table, its head first, as they were before they were made harmless.
fn rows(export: &TestResponse) -> Vec<Vec<String>> {
    let reader = ::csv::ReaderBuilder::new()
        .has_headers(false)
        .from_reader(export.body.as_bytes());
    let records = reader.into_records().map(Result::unwrap);
    records
        .map(|record| {
            record
                .iter()
                .map(|cell| csv::unharmed(cell).to_owned())
                .collect()
        })
        .collect()
}

/// Users whose texts are awkward in files.
async fn awkward(app: &TestApp) -> TestUser {
    let admin = app.admin().await;
    for (number, text) in [
        "=1+1",
        "+49",
        "-x",
        "@y",
        "'=z",
        "''",
        "\"quoted\", and",
        "two\nlines",
        "🦊, Ünï",
        "Ada",
    ]
    .into_iter()
    .enumerate()
    {
        let user = app
            .user(Role::Authenticated, &format!("u{number}@example.com"))
            .await;
        let change = json!({"bio": text, "phone_number": format!("+1 415 555 26{number:02}")});
        app.change(&admin, user.id, &change).await.expect(200);
    }
    admin
}

#[tokio::test]
async fn both_forms_tell_the_same_of_everybody_in_the_order_of_ids() {
    let app = TestApp::start().await;
    let admin = awkward(&app).await;
    let lines = export(&app, &admin, "").await;
    assert_eq!(lines.header("content-type"), "application/x-ndjson");
    let table = export(&app, &admin, "format=csv").await;
    assert_eq!(table.header("content-type"), "text/csv; charset=utf-8");
    assert_eq!(
        table.header("content-disposition"),
        "attachment; filename=\"users.csv\""
    );
    assert_eq!(table.header("cache-control"), "no-store");
    let (objects, rows) = (objects(&lines), rows(&table));
    assert_eq!((objects.len(), rows.len()), (11, 12));
    for (object, row) in objects.iter().zip(&rows[1..]) {
        for (name, cell) in rows[0].iter().zip(row) {
            let written = match &object[name] {
                Value::Null => String::new(),
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            assert_eq!(*cell, written, "{name}");
        }
        assert_eq!(object.as_object().unwrap().len(), row.len());
        assert!(object.get("password_hash").is_none());
    }
    let ids: Vec<_> = objects
        .iter()
        .map(|user| user["id"].as_str().unwrap())
        .collect();
    assert!(ids.is_sorted());
    let of = |email: &str| objects.iter().find(|user| user["email"] == email).unwrap();
    assert_eq!(of("u0@example.com")["bio"], "=1+1");
    assert!(table.body.contains(",'=1+1,") && table.body.contains(",'+14155552600,"));
    assert!(!table.body.contains(",=1+1,"));
    let admin = of("admin@example.com");
    assert_eq!(admin["created_at"], "2026-01-02T03:04:05.000000Z");
    assert_eq!(admin["role"], "ADMIN");
}

#[tokio::test]
async fn the_filters_are_those_of_the_list_and_the_format_may_be_accepted() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    app.user(Role::Manager, "manager@example.com").await;
    app.user(Role::Authenticated, "ada@example.com").await;
    for (query, found) in [
        ("role=MANAGER,ADMIN", 2),
        ("email=ada*&status=verified", 1),
        ("q=manager", 1),
        ("inactive_for=1d", 0),
    ] {
        assert_eq!(
            objects(&export(&app, &admin, query).await).len(),
            found,
            "{query}"
        );
    }
    let nobody = export(&app, &admin, "q=nobody&format=csv").await;
    assert_eq!(rows(&nobody).len(), 1, "the head stands alone");
    let request = app.get("/users/export").by(&admin);
    let accepted = request.header("accept", "text/html, text/csv;q=0.5");
    let accepted = accepted.send().await.expect(200);
    assert_eq!(accepted.header("content-type"), "text/csv; charset=utf-8");
    for (query, invalid) in [
        ("limit=5", "query.limit unknown_parameter"),
        (
            "password_hashes=true",
            "query.password_hashes unknown_parameter",
        ),
        ("format=xlsx", "query.format unknown_value"),
        ("status=gone", "query.status unknown_value"),
    ] {
        let path = format!("/users/export?{query}");
        let refused = app.get(&path).by(&admin).send().await.expect(422);
        assert_eq!(refused.invalid_fields(), [invalid]);
        assert!(app.audited(&refused).await.is_empty());
    }
}

#[tokio::test]
async fn who_took_whom_away_stands_in_the_audit_log() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let manager = app.user(Role::Manager, "manager@example.com").await;
    let taken = export(&app, &admin, "role=MANAGER&format=csv").await;
    let rows = app.audited(&taken).await;
    let told: Vec<_> = rows
        .iter()
        .map(|row| (&row["action"], &row["after"]))
        .collect();
    let filter = json!({"filter": {"role": "MANAGER"}});
    let ended = json!({"users": 1, "is_complete": true});
    assert_eq!(
        told,
        [
            (&json!("users_exported"), &filter),
            (&json!("export_ended"), &ended)
        ]
    );
    assert!(rows.iter().all(|row| row["actor_id"] == json!(admin.id)));
    let refused = app.get("/users/export").by(&manager).send().await;
    let refused = refused.expect_problem(403, "operation_not_permitted");
    let row = app.audited_once(&refused).await;
    assert_eq!(row["action"], "users_exported");
    assert_eq!(row["outcome"], "refused");
}

#[tokio::test]
async fn an_export_that_nobody_takes_is_told_as_one_that_broke_off() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let head = app.request("HEAD", "/users/export").by(&admin);
    let head = head.send().await.expect(200);
    wait_until("its end is written", async || {
        let rows = app.audited(&head).await;
        rows.len() == 2 && rows[1]["after"] == json!({"users": 0, "is_complete": false})
    })
    .await;
}
