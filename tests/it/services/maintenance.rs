//! What has expired is cleared away.

use chrono::TimeDelta;
use serde_json::json;
use user_management::{domain::role::Role, infra::clock::Clock as _};

use crate::support::app::{PASSWORD, TestApp};

/// The tables with rows that expire.
const TABLES: [&str; 6] = [
    "sessions",
    "one_time_tokens",
    "login_throttle",
    "email_changes",
    "idempotency_keys",
    "outbox_messages",
];

/// A live session, a link, a failed login, a wish for another address, a key and a message that was
/// consumed.
async fn make_rows(app: &TestApp, email: &str) {
    let user = app.user(Role::Authenticated, email).await;
    let wish = format!("wish-{email}");
    app.ask_for(&user, &wish).await.expect(202);
    let fields = [("username", email), ("password", "Secure*0000")];
    app.post("/login/").form(&fields).send().await.expect(401);
    let new = json!({"email": format!("new-{email}"), "password": PASSWORD});
    let request = app.post("/register/").header("idempotency-key", email);
    request.json(&new).send().await.expect(200);
    sqlx::query(
        "insert into outbox_messages (id, topic, key, payload, created_at, published_at) \
         values (gen_random_uuid(), 'user.role_changed', $1, '{}', $2, $2)",
    )
    .bind(user.id)
    .bind(app.clock.now())
    .execute(&app.database.pool)
    .await
    .unwrap();
    app.deliver_mail().await;
}

#[tokio::test]
async fn a_worker_clears_away_what_has_expired_by_itself_and_leaves_what_is_live() {
    let app = TestApp::start().await;
    make_rows(&app, "old@example.com").await;
    app.clock.advance(TimeDelta::days(8));
    // Its mails are sent by a worker, which finds that it is time to sweep.
    make_rows(&app, "young@example.com").await;
    for table in TABLES {
        assert_eq!(app.count(table).await, 1, "{table}");
    }
    app.log_in("young@example.com").await.expect(200);
}

#[tokio::test]
async fn rows_that_others_have_locked_are_left_for_the_next_time() {
    let app = TestApp::start().await;
    make_rows(&app, "old@example.com").await;
    app.clock.advance(TimeDelta::days(8));
    // To wait for somebody who may wait for the next row is how deadlocks come about.
    let mut other = app.database.pool.begin().await.unwrap();
    for table in TABLES {
        let query = sqlx::AssertSqlSafe(format!("select from {table} for update"));
        sqlx::query(query).execute(&mut *other).await.unwrap();
    }
    let maintenance = &app.app.services.maintenance;
    maintenance.sweep(app.clock.now()).await.unwrap();
    other.commit().await.unwrap();
    for table in TABLES {
        assert_eq!(app.count(table).await, 1, "{table}");
    }
    maintenance.sweep(app.clock.now()).await.unwrap();
    for table in TABLES {
        assert_eq!(app.count(table).await, 0, "{table}");
    }
}
