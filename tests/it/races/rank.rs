//! Rights are those that somebody has at the moment of the change, and one administrator always remains.

use std::sync::Arc;

use serde_json::json;
use user_management::{
    domain::{
        actor::Actor,
        id::{RequestId, SessionId, UserId},
        role::Role,
    },
    error::ErrorCode,
    infra::clock::Clock as _,
    services::Ctx,
};
use uuid::Uuid;

use super::{
    assert_no_deadlocks, counts, discard_mail, number, outcome, tally, together, two_instances,
};
use crate::support::{
    app::{TestApp, TestUser},
    request::TestResponse,
};

const USABLE: &str = "select count(*) from users where role = 'ADMIN' and locked_at is null \
                      and email_verified_at is not null";

/// What one administrator can do to another, or to himself.
#[derive(Debug, Clone, Copy)]
enum Blow {
    Demote,
    Lock,
    Delete,
}

const BLOWS: [Blow; 3] = [Blow::Demote, Blow::Lock, Blow::Delete];

async fn strike(app: &TestApp, by: &TestUser, whom: &TestUser, blow: Blow) -> TestResponse {
    let path = format!("/users/{}", whom.id);
    match blow {
        Blow::Demote => {
            app.put(&path)
                .by(by)
                .json(&json!({"role": "MANAGER"}))
                .send()
                .await
        }
        Blow::Lock => app.post(&format!("{path}/lock")).by(by).send().await,
        Blow::Delete => app.delete(&path).by(by).send().await,
    }
}

fn succeeded(answers: &[TestResponse]) -> usize {
    answers
        .iter()
        .filter(|answer| answer.status.is_success())
        .count()
}

/// Why a blow may fail: the one who strikes is no administrator any more, or the last one, or he whom it
/// shall hit is gone.
fn assert_refusals_make_sense(answers: &[TestResponse]) {
    const REFUSALS: [&str; 4] = [
        "401 not_authenticated",
        "403 operation_not_permitted",
        "403 last_administrator",
        "404 user_not_found",
    ];
    for answer in answers.iter().filter(|answer| !answer.status.is_success()) {
        assert!(REFUSALS.contains(&outcome(answer).as_str()), "{answer:?}");
    }
}

async fn forget_users(app: &TestApp) {
    discard_mail(app).await;
    sqlx::query("delete from users")
        .execute(&app.database.pool)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_administrators_who_strike_each_other_one_is_left() {
    let instances = two_instances(&[]).await;
    let app = &instances[0];
    for round in 0..54 {
        let users = Arc::new([
            app.user(Role::Admin, "a@example.com").await,
            app.user(Role::Admin, "b@example.com").await,
        ]);
        let blows = [BLOWS[round % 3], BLOWS[round / 3 % 3]];
        let answers = together(&instances, 2, |app, number| {
            let users = Arc::clone(&users);
            async move { strike(&app, &users[number], &users[1 - number], blows[number]).await }
        })
        .await;
        assert_refusals_make_sense(&answers);
        assert_eq!(
            succeeded(&answers),
            1,
            "round {round}: {blows:?} {answers:?}"
        );
        assert_eq!(number(app, USABLE).await, 1, "round {round}: {blows:?}");
        forget_users(app).await;
    }
    assert_no_deadlocks(&instances).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_administrators_who_all_resign_at_once_one_is_left() {
    let instances = two_instances(&[]).await;
    let app = &instances[0];
    for round in 0..10 {
        let mut users = Vec::new();
        for number in 0..4 {
            users.push(
                app.user(Role::Admin, &format!("user{number}@example.com"))
                    .await,
            );
        }
        let users = Arc::new(users);
        let answers = together(&instances, 4, |app, number| {
            let users = Arc::clone(&users);
            let blow = BLOWS[(round + number) % 3];
            async move { strike(&app, &users[number], &users[number], blow).await }
        })
        .await;
        let refused: Vec<_> = answers
            .iter()
            .map(outcome)
            .filter(|outcome| !outcome.starts_with('2'))
            .collect();
        assert_eq!(refused, ["403 last_administrator"], "round {round}");
        assert_eq!(number(app, USABLE).await, 1, "round {round}");
        forget_users(app).await;
    }
    assert_no_deadlocks(&instances).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_administrators_who_all_strike_each_other_one_is_left() {
    let instances = two_instances(&[]).await;
    let app = &instances[0];
    for round in 0..10 {
        let mut users = Vec::new();
        for number in 0..4 {
            users.push(
                app.user(Role::Admin, &format!("user{number}@example.com"))
                    .await,
            );
        }
        let users = Arc::new(users);
        // Each strikes each other.
        let answers = together(&instances, 12, |app, number| {
            let users = Arc::clone(&users);
            async move {
                let by = number / 3;
                let whom = (by + 1 + number % 3) % 4;
                strike(&app, &users[by], &users[whom], BLOWS[(round + number) % 3]).await
            }
        })
        .await;
        assert_refusals_make_sense(&answers);
        let usable = number(app, USABLE).await;
        assert!(usable >= 1, "round {round}: {:?}", tally(&answers));
        forget_users(app).await;
    }
    assert_no_deadlocks(&instances).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_manager_who_is_demoted_edits_before_that_or_not_at_all() {
    let instances = two_instances(&[]).await;
    let app = &instances[0];
    let admin = Arc::new(app.admin().await);
    let user = app.user(Role::Authenticated, "user@example.com").await;
    for round in 0..30 {
        let manager = app
            .user(Role::Manager, &format!("manager{round}@example.com"))
            .await;
        let (manager, path) = (Arc::new(manager), format!("/users/{}", user.id));
        let answers = together(&instances, 9, |app, number| {
            let (admin, manager, path) = (Arc::clone(&admin), Arc::clone(&manager), path.clone());
            async move {
                if number == round % 9 {
                    // Later in some rounds than in others.
                    for _ in 0..round * 3 {
                        tokio::task::yield_now().await;
                    }
                    let path = format!("/users/{}", manager.id);
                    let body = json!({"role": "AUTHENTICATED"});
                    return app.put(&path).by(&admin).json(&body).send().await;
                }
                let body = json!({"bio": format!("{round} {number}")});
                app.put(&path).by(&manager).json(&body).send().await
            }
        })
        .await;
        assert_eq!(outcome(&answers[round % 9]), "200");
        for answer in &answers {
            let expected = [
                "200",
                "401 not_authenticated",
                "403 operation_not_permitted",
            ];
            assert!(expected.contains(&outcome(answer).as_str()), "{answer:?}");
        }
        // A request of his that got past the check of his token before the demotion comes too late.
        let stale = Ctx {
            actor: Actor::User {
                id: UserId(manager.id),
                role: Role::Manager,
                session: SessionId(Uuid::nil()),
            },
            ..Ctx::system(RequestId(Uuid::nil()), app.clock.now())
        };
        let users = &app.app.services.users;
        let late = users.lock(&stale, UserId(user.id), None).await.unwrap_err();
        assert_eq!(late.code(), ErrorCode::OperationNotPermitted);
    }
    discard_mail(app).await;
    assert_no_deadlocks(&instances).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_makes_an_account_with_a_right_that_was_taken_away_meanwhile() {
    let instances = two_instances(&[]).await;
    let app = &instances[0];
    let admin = Arc::new(app.admin().await);
    for round in 0..10 {
        let manager = Arc::new(
            app.user(Role::Manager, &format!("manager{round}@example.com"))
                .await,
        );
        let answers = together(&instances, 8, |app, number| {
            let (admin, manager) = (Arc::clone(&admin), Arc::clone(&manager));
            async move {
                if number == 7 {
                    return strike(&app, &admin, &manager, Blow::Lock).await;
                }
                let body = json!({
                    "email": format!("new{round}-{number}@example.com"),
                    "password": "Secure*1234",
                    "role": "AUTHENTICATED",
                });
                app.post("/users/").by(&manager).json(&body).send().await
            }
        })
        .await;
        let mut tally = tally(&answers);
        let made = tally.remove("201").unwrap_or(0);
        assert_eq!(tally.remove("200"), Some(1));
        tally.remove("401 not_authenticated");
        tally.remove("403 operation_not_permitted");
        assert_eq!(tally, counts([]));
        let stored: i64 =
            sqlx::query_scalar("select count(*) from users where email like 'new' || $1 || '-%'")
                .bind(round.to_string())
                .fetch_one(&app.database.pool)
                .await
                .unwrap();
        assert_eq!(stored, i64::try_from(made).unwrap());
    }
    discard_mail(app).await;
    assert_no_deadlocks(&instances).await;
}
