//! Several change one role at once.

use std::sync::Arc;

use serde_json::{Value, json};
use user_management::domain::role::Role;
use uuid::Uuid;

use super::{
    assert_no_deadlocks, counts, discard_mail, number, outcome, tally, together, two_instances,
};
use crate::support::app::TestApp;

/// The roles before and after each change of a user, oldest first.
async fn history(app: &TestApp, id: Uuid) -> Vec<(String, String)> {
    sqlx::query_as("select from_role, to_role from role_changes where user_id = $1 order by id")
        .bind(id)
        .fetch_all(&app.database.pool)
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_of_one_role_follow_one_another_and_each_is_told_once() {
    let instances = two_instances(&[]).await;
    let app = &instances[0];
    let admins = Arc::new([
        app.user(Role::Admin, "a@example.com").await,
        app.user(Role::Admin, "b@example.com").await,
    ]);
    for round in 0..10 {
        let email = format!("user{round}@example.com");
        let user = app.user(Role::Authenticated, &email).await;
        let answers = together(&instances, 8, |app, number| {
            let admins = Arc::clone(&admins);
            // By the new way and the old one.
            async move {
                let role = Role::ALL[number % 4].as_str();
                let path = format!("/users/{}", user.id);
                let path = if number < 4 {
                    format!("{path}/role")
                } else {
                    path
                };
                let body = json!({"role": role});
                app.put(&path)
                    .by(&admins[number % 2])
                    .json(&body)
                    .send()
                    .await
            }
        })
        .await;
        assert_eq!(tally(&answers), counts([("200", 8)]), "round {round}");
        // Each change begins where the one before it ended.
        let mut role = "AUTHENTICATED".to_owned();
        let changes = history(app, user.id).await;
        for (from, to) in &changes {
            assert_eq!(*from, role, "round {round}: {changes:?}");
            role.clone_from(to);
        }
        assert_eq!(app.role_of(user.id).await, role);
        let told: Vec<Value> = sqlx::query_scalar(
            "select payload from outbox_messages where key = $1 order by payload -> 'change'",
        )
        .bind(user.id)
        .fetch_all(&app.database.pool)
        .await
        .unwrap();
        let told: Vec<_> = told
            .iter()
            .map(|payload| ["from", "to"].map(|name| payload[name].as_str().unwrap().to_owned()))
            .map(|[from, to]| (from, to))
            .collect();
        assert_eq!(told, changes, "round {round}");
        let mails = usize::try_from(app.jobs_of("send_mail").await).unwrap();
        assert_eq!(mails, changes.len(), "round {round}");
        discard_mail(app).await;
    }
    assert_no_deadlocks(&instances).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_administrators_who_all_take_each_others_role_one_is_left() {
    let instances = two_instances(&[]).await;
    let app = &instances[0];
    for round in 0..10 {
        let mut admins = Vec::new();
        for number in 0..4 {
            let email = format!("admin{number}@example.com");
            admins.push(app.user(Role::Admin, &email).await);
        }
        let admins = Arc::new(admins);
        // Each his own in even rounds, and that of the next one in odd ones.
        let answers = together(&instances, 4, |app, number| {
            let admins = Arc::clone(&admins);
            async move {
                let whom = &admins[(number + round % 2) % 4];
                let path = format!("/users/{}/role", whom.id);
                let body = json!({"role": "AUTHENTICATED", "reason": "Enough."});
                app.put(&path).by(&admins[number]).json(&body).send().await
            }
        })
        .await;
        let left = number(app, "select count(*) from users where role = 'ADMIN'").await;
        assert!(left >= 1, "round {round}: {:?}", tally(&answers));
        if round % 2 == 0 {
            assert_eq!(left, 1, "round {round}");
        }
        for answer in &answers {
            let expected = [
                "200",
                "401 not_authenticated",
                "403 operation_not_permitted",
                "403 last_administrator",
            ];
            assert!(expected.contains(&outcome(answer).as_str()), "{answer:?}");
        }
        let changes = number(app, "select count(*) from role_changes").await;
        assert_eq!(changes, 4 - left, "round {round}");
        discard_mail(app).await;
        sqlx::query("delete from users")
            .execute(&app.database.pool)
            .await
            .unwrap();
    }
    assert_no_deadlocks(&instances).await;
}
