//! `PUT /users/{user_id}/role` and `GET /users/{user_id}/role-changes`

use chrono::TimeDelta;
use serde_json::{Value, json};
use user_management::domain::role::Role;
use uuid::Uuid;

use crate::support::{
    app::{TestApp, TestUser},
    eventually::wait_until,
    request::TestResponse,
};

async fn set(app: &TestApp, actor: &TestUser, id: Uuid, body: &Value) -> TestResponse {
    let path = format!("/users/{id}/role");
    app.put(&path).by(actor).json(body).send().await
}

async fn history(app: &TestApp, actor: &TestUser, id: Uuid, query: &str) -> Value {
    let path = format!("/users/{id}/role-changes{query}");
    app.get(&path).by(actor).send().await.expect(200).json()
}

/// The messages that others would consume: topic, key and payload.
async fn messages(app: &TestApp) -> Vec<(String, Uuid, Value)> {
    sqlx::query_as(
        "select topic, key, payload from outbox_messages where published_at is null order by id",
    )
    .fetch_all(&app.database.pool)
    .await
    .unwrap()
}

#[tokio::test]
async fn a_new_role_works_at_once_everywhere_and_is_told() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let ada = app.user(Role::Authenticated, "ada@example.com").await;
    let other = app.second_instance(&[]);
    for instance in [&app, &other] {
        let answer = instance.get("/users/").by(&ada).send().await;
        answer.expect_problem(403, "operation_not_permitted");
    }
    app.clock.advance(TimeDelta::seconds(1));
    let body = json!({"role": "MANAGER", "reason": " Runs the [office](https://evil.example).\n"});
    let changed = set(&app, &admin, ada.id, &body).await.expect(200).json();
    assert_eq!(changed["role"], "MANAGER");
    assert_eq!(changed["updated_at"], "2026-01-02T03:04:06.000000Z");
    assert_eq!(app.read(&admin, ada.id).await.json(), changed);

    let answer = app.get("/users/").by(&ada).send().await;
    answer.expect_problem(401, "not_authenticated");
    wait_until("the other instance hears of it", async || {
        other.get("/users/").by(&ada).send().await.status == 401
    })
    .await;
    let again = app.log_in("ada@example.com").await.expect(200);
    let token = again.text("access_token");
    app.get("/users/").bearer(&token).send().await.expect(200);

    let mail = app.mail_to("ada@example.com").await;
    for told in ["MANAGER", "AUTHENTICATED", "Runs the [office]"] {
        assert!(mail.contains(told), "{told}: {mail}");
    }

    let told = messages(&app).await;
    assert_eq!(told.len(), 1);
    let (topic, key, payload) = &told[0];
    assert_eq!((topic.as_str(), *key), ("user.role_changed", ada.id));
    assert!(payload["change"].is_i64());
    let expected = json!({
        "user_id": ada.id, "change": payload["change"], "from": "AUTHENTICATED", "to": "MANAGER",
        "changed_by": admin.id, "changed_at": "2026-01-02T03:04:06Z",
    });
    assert_eq!(*payload, expected);
}

#[tokio::test]
async fn what_became_of_a_role_is_listed_newest_first_with_who_changed_it() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let manager = app.user(Role::Manager, "manager@example.com").await;
    let ada = app.user(Role::Authenticated, "ada@example.com").await;
    let none = history(&app, &manager, ada.id, "").await;
    assert_eq!((&none["items"], &none["total"]), (&json!([]), &json!(0)));

    set(
        &app,
        &manager,
        ada.id,
        &json!({"role": "ANONYMOUS", "reason": "Left."}),
    )
    .await
    .expect(200);
    app.clock.advance(TimeDelta::seconds(1));
    // The older way leaves the same behind, but for a reason.
    app.change(&admin, ada.id, &json!({"role": "ADMIN", "bio": "x"}))
        .await
        .expect(200);
    assert_eq!(app.deliver_mail().await.len(), 2);
    assert_eq!(messages(&app).await.len(), 2);

    let nickname = |user: &Value| user["nickname"].clone();
    let admins = nickname(&app.read(&admin, admin.id).await.json());
    let managers = nickname(&app.read(&admin, manager.id).await.json());
    let expected = [
        json!({
            "from": "ANONYMOUS", "to": "ADMIN", "reason": null,
            "changed_by": {"id": admin.id, "nickname": admins},
            "changed_at": "2026-01-02T03:04:06.000000Z",
        }),
        json!({
            "from": "AUTHENTICATED", "to": "ANONYMOUS", "reason": "Left.",
            "changed_by": {"id": manager.id, "nickname": managers},
            "changed_at": "2026-01-02T03:04:05.000000Z",
        }),
    ];
    // Any manager may read it, also of those above him.
    let whole = history(&app, &manager, ada.id, "").await;
    assert_eq!(whole["items"], json!(expected));
    assert_eq!((&whole["total"], &whole["page"]), (&json!(2), &json!(1)));
    let second = history(&app, &admin, ada.id, "?skip=1&limit=1").await;
    assert_eq!(second["items"], json!([expected[1]]));
    assert_eq!(second["total"], 2);
    let path = format!(
        "https://users.example.com/users/{}/role-changes?skip=",
        ada.id
    );
    for (link, rel, skip) in [
        (0, "self", 1),
        (1, "first", 0),
        (2, "last", 1),
        (3, "prev", 0),
    ] {
        assert_eq!(second["links"][link]["rel"], rel);
        let href = format!("{path}{skip}&limit=1");
        assert_eq!(second["links"][link]["href"], href);
    }

    // Who is gone is still told by his id.
    app.delete(&format!("/users/{}", manager.id))
        .by(&admin)
        .send()
        .await
        .expect(204);
    let left = history(&app, &admin, ada.id, "?skip=1").await;
    assert_eq!(
        left["items"][0]["changed_by"],
        json!({"id": manager.id, "nickname": null})
    );
    // What was done to somebody goes with him.
    app.delete(&format!("/users/{}", ada.id))
        .by(&admin)
        .send()
        .await
        .expect(204);
    assert_eq!(app.count("role_changes").await, 0);
    assert_eq!(messages(&app).await.len(), 2);
}

#[tokio::test]
async fn the_role_that_he_has_already_changes_nothing() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let ada = app.user(Role::Authenticated, "ada@example.com").await;
    let before = app.read(&admin, ada.id).await.json();
    let stored = app.stored().await;
    app.clock.advance(TimeDelta::seconds(1));
    let body = json!({"role": "AUTHENTICATED", "reason": "Again."});
    let after = set(&app, &admin, ada.id, &body).await.expect(200).json();
    assert_eq!(after, before);
    assert_eq!(app.stored().await, stored);
    assert!(app.is_logged_in(&ada.token).await);
}

#[tokio::test]
async fn what_is_refused_leaves_nothing() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let manager = app.user(Role::Manager, "manager@example.com").await;
    let peer = app.user(Role::Manager, "peer@example.com").await;
    let ada = app.user(Role::Authenticated, "ada@example.com").await;
    let stored = app.stored().await;
    for (actor, id, role, status, code) in [
        (&manager, ada.id, "MANAGER", 403, "operation_not_permitted"),
        (&manager, ada.id, "ADMIN", 403, "operation_not_permitted"),
        (
            &manager,
            peer.id,
            "ANONYMOUS",
            403,
            "operation_not_permitted",
        ),
        (
            &manager,
            manager.id,
            "ADMIN",
            403,
            "operation_not_permitted",
        ),
        (
            &manager,
            admin.id,
            "MANAGER",
            403,
            "operation_not_permitted",
        ),
        (&ada, ada.id, "ADMIN", 403, "operation_not_permitted"),
        (&admin, admin.id, "MANAGER", 403, "last_administrator"),
        (&admin, Uuid::nil(), "MANAGER", 404, "user_not_found"),
    ] {
        set(&app, actor, id, &json!({"role": role}))
            .await
            .expect_problem(status, code);
    }
    for (body, fields) in [
        (json!({}), "body.role missing"),
        (json!({"role": null}), "body.role invalid_type"),
        (json!({"role": "KING"}), "body.role unknown_role"),
        (
            json!({"role": "MANAGER", "reason": " "}),
            "body.reason empty",
        ),
        (
            json!({"role": "MANAGER", "reason": "x".repeat(501)}),
            "body.reason too_long",
        ),
        (
            json!({"role": "MANAGER", "reason": "a\u{0}b"}),
            "body.reason control_character",
        ),
    ] {
        let answer = set(&app, &admin, ada.id, &body).await;
        let answer = answer.expect_problem(422, "invalid_input");
        assert_eq!(answer.invalid_fields(), [fields], "{body}");
    }
    let answer = app
        .get(&format!("/users/{}/role-changes", Uuid::nil()))
        .by(&manager)
        .send()
        .await;
    answer.expect_problem(404, "user_not_found");
    assert_eq!(app.stored().await, stored);
    assert!(app.is_logged_in(&ada.token).await);
}

#[tokio::test]
async fn a_verified_address_is_no_change_of_a_role_by_somebody() {
    let app = TestApp::start().await;
    app.admin().await;
    let ada = app.unverified("ada@example.com").await;
    app.get(&ada.link).send().await.expect(200);
    assert_eq!(app.role_of(ada.id).await, "AUTHENTICATED");
    assert_eq!(app.count("role_changes").await, 0);
    assert_eq!(app.count("outbox_messages").await, 0);
}

#[tokio::test]
async fn who_has_no_address_gets_no_mail() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let ada = app.user(Role::Authenticated, "ada@example.com").await;
    sqlx::query("update users set email = null, email_verified_at = null, phone_number = '+14155552671' where id = $1")
        .bind(ada.id)
        .execute(&app.database.pool)
        .await
        .unwrap();
    set(
        &app,
        &admin,
        ada.id,
        &json!({"role": "MANAGER", "reason": null}),
    )
    .await
    .expect(200);
    assert_eq!(app.count("role_changes").await, 1);
    assert_eq!(app.count("jobs").await, 0);
}

#[tokio::test]
async fn the_user_reads_what_was_done_to_him_but_not_who_did_it() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let ada = app.user(Role::Authenticated, "ada@example.com").await;
    set(
        &app,
        &admin,
        ada.id,
        &json!({"role": "MANAGER", "reason": "Runs the office."}),
    )
    .await
    .expect(200);
    app.deliver_mail().await;
    let token = app.log_in("ada@example.com").await.text("access_token");
    let export = app.get("/me/export").bearer(&token).send().await;
    let data = &export.expect(200).json()["data"];
    assert_eq!(data["role_changes"][0]["reason"], "Runs the office.");
    assert_eq!(data["outbox_messages"][0]["payload"]["to"], "MANAGER");
    assert!(!data.to_string().contains(&admin.id.to_string()), "{data}");
}
