//! Users who act on their own accounts at the same time.

use std::sync::Arc;

use serde_json::json;
use user_management::{domain::role::Role, infra::clock::Clock as _};

use super::{
    assert_no_deadlocks, counts, discard_mail, number, outcome, tally, together, two_instances,
};
use crate::support::app::PASSWORD;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_the_last_two_administrators_who_delete_themselves_one_stays() {
    let instances = two_instances(&[]).await;
    let app = &instances[0];
    for round in 0..20 {
        let mut admins = Vec::new();
        for number in 0..2 {
            let email = format!("admin{round}.{number}@example.com");
            admins.push(app.user(Role::Admin, &email).await);
        }
        let admins = Arc::new(admins);
        let answers = together(&instances, 2, |app, number| {
            let admins = Arc::clone(&admins);
            async move { app.close(&admins[number]).await }
        })
        .await;
        let expected = counts([("202", 1), ("403 last_administrator", 1)]);
        assert_eq!(tally(&answers), expected, "round {round}");
        discard_mail(app).await;
        sqlx::query("delete from users")
            .execute(&app.database.pool)
            .await
            .unwrap();
    }
    assert_no_deadlocks(&instances).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_changes_by_the_old_password_one_is_made() {
    let instances = two_instances(&[]).await;
    let app = &instances[0];
    for round in 0..20 {
        let email = format!("user{round}@example.com");
        let user = app.user(Role::Authenticated, &email).await;
        let other = app.log_in(&email).await.expect(200).text("access_token");
        let sessions = Arc::new([user.token, other]);
        let answers = together(&instances, 2, |app, number| {
            let sessions = Arc::clone(&sessions);
            async move {
                let new = format!("Better*{number}678");
                let body = json!({"current_password": PASSWORD, "new_password": new});
                let request = app.put("/me/password").bearer(&sessions[number]);
                request.json(&body).send().await
            }
        })
        .await;
        let mut outcomes: Vec<_> = answers.iter().map(outcome).collect();
        outcomes.sort_unstable();
        assert_eq!(outcomes[0], "204", "round {round}");
        // The other one's password is the old one by now, or his session has ended already.
        let refusals = ["422 invalid_input", "401 not_authenticated"];
        let lost = outcomes
            .iter()
            .position(|outcome| refusals.contains(&&**outcome));
        assert!(lost.is_some(), "{outcomes:?}");
        let winner = answers.iter().position(|answer| answer.status == 204);
        let password = format!("Better*{}678", winner.unwrap());
        app.log_in_with(&email, &password).await.expect(200);
    }
    discard_mail(app).await;
    assert_no_deadlocks(&instances).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_that_is_restored_while_it_is_erased_is_wholly_there_or_gone() {
    let instances = two_instances(&[]).await;
    let app = &instances[0];
    let admin = Arc::new(app.admin().await);
    for round in 0..20 {
        let email = format!("user{round}@example.com");
        let user = app.user(Role::Authenticated, &email).await;
        app.close(&user).await.expect(202);
        let now = app.clock.now();
        sqlx::query("update users set deletion_due_at = $1 where deletion_due_at > $1")
            .bind(now)
            .execute(&app.database.pool)
            .await
            .unwrap();
        let answers = together(&instances, 2, |app, number| {
            let admin = Arc::clone(&admin);
            async move {
                if number == round % 2 {
                    return Some(app.restore(&admin, user.id).await);
                }
                app.app.services.maintenance.sweep(now).await.unwrap();
                None
            }
        })
        .await;
        let restored = answers.iter().flatten().next().unwrap();
        let gone = "select 1 - count(*) from users where email like 'user%'";
        match outcome(restored).as_str() {
            "200" => {
                assert_eq!(number(app, gone).await, 0, "round {round}");
                app.log_in(&email).await.expect(200);
            }
            "404 user_not_found" => assert_eq!(number(app, gone).await, 1, "round {round}"),
            other => panic!("round {round}: {other}"),
        }
        sqlx::query("delete from users where email = $1")
            .bind(&email)
            .execute(&app.database.pool)
            .await
            .unwrap();
    }
    discard_mail(app).await;
    assert_no_deadlocks(&instances).await;
}
