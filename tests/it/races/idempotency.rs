//! One key, one account, one answer.

use std::sync::Arc;

use chrono::TimeDelta;
use serde_json::json;

use super::{
    assert_no_deadlocks, counts, discard_mail, insist, number, outcome, tally, together,
    two_instances,
};
use crate::support::{
    app::{PASSWORD, TestApp, TestUser},
    eventually::wait_until,
    request::TestResponse,
};

/// Registers, or adds as somebody, with the key `key`.
async fn make(app: &TestApp, by: Option<&TestUser>, key: &str, email: &str) -> TestResponse {
    let body = json!({"email": email, "password": PASSWORD});
    let request = match by {
        Some(actor) => app.post("/users/").by(actor),
        None => app.post("/register/"),
    };
    let request = request.header("idempotency-key", key).json(&body);
    request.send().await
}

fn is_replay(answer: &TestResponse) -> bool {
    answer.headers.contains_key("idempotency-replayed")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_with_one_key_make_one_account_and_are_answered_alike() {
    for by_admin in [false, true] {
        let instances = two_instances(&[]).await;
        let app = &instances[0];
        let actor = match by_admin {
            true => Some(app.admin().await),
            false => None,
        };
        let actor = Arc::new(actor);
        let others = app.count("users").await;
        for round in 1..=10 {
            let key = Arc::new(format!("key {round}"));
            let email = format!("user{round}@example.com");
            let answers = together(&instances, 16, |app, _| {
                let (key, email, actor) = (Arc::clone(&key), email.clone(), Arc::clone(&actor));
                async move { insist(|| make(&app, (*actor).as_ref(), &key, &email)).await }
            })
            .await;
            let (made, waiting): (Vec<_>, Vec<_>) = answers
                .iter()
                .partition(|answer| answer.status.is_success());
            let first: Vec<_> = made.iter().filter(|answer| !is_replay(answer)).collect();
            assert_eq!(first.len(), 1, "round {round}: {:?}", tally(&answers));
            for answer in &made {
                assert_eq!(answer.json(), first[0].json());
                assert_eq!(
                    answer.headers.get("location"),
                    first[0].headers.get("location")
                );
            }
            for answer in &waiting {
                assert_eq!(outcome(answer), "409 idempotency_key_in_use");
                assert_eq!(answer.header("retry-after"), "1");
            }
            let users = app.count("users").await;
            assert_eq!(users, others + round, "round {round}");
            assert_eq!(app.jobs_of("send_mail").await, round);
            let later = make(&instances[1], (*actor).as_ref(), &key, &email).await;
            assert!(is_replay(&later));
            assert_eq!(later.json(), first[0].json());
        }
        discard_mail(app).await;
        assert_no_deadlocks(&instances).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_different_bodies_with_one_key_one_is_taken() {
    let instances = two_instances(&[]).await;
    let app = &instances[0];
    for round in 1..=10 {
        let answers = together(&instances, 16, |app, number| async move {
            let email = format!("user{number}.of{round}@example.com");
            let key = format!("key {round}");
            insist(|| make(&app, None, &key, &email)).await
        })
        .await;
        let expected = counts([("200", 1), ("409 idempotency_key_reused", 15)]);
        assert_eq!(tally(&answers), expected, "round {round}");
        assert_eq!(app.count("users").await, round);
    }
    discard_mail(app).await;
    assert_no_deadlocks(&instances).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_accounts_are_hidden_one_key_makes_one_account_or_tells_its_owner_once() {
    let instances = two_instances(&[("HIDE_ACCOUNT_EXISTENCE", "true")]).await;
    let app = &instances[0];
    for (key, email) in [("new", "new@example.com"), ("known", "new@example.com")] {
        let answers = together(&instances, 16, |app, _| async move {
            insist(|| make(&app, None, key, email)).await
        })
        .await;
        let made = answers.iter().filter(|answer| answer.status == 202);
        assert_eq!(made.filter(|answer| !is_replay(answer)).count(), 1);
        for answer in answers.iter().filter(|answer| answer.status != 202) {
            assert_eq!(outcome(answer), "409 idempotency_key_in_use");
        }
    }
    assert_eq!(app.count("users").await, 1);
    assert_eq!(app.jobs_of("notify_account_exists").await, 1);
    discard_mail(app).await;
    assert_no_deadlocks(&instances).await;
}

/// Waits until so many statements wait for a lock.
async fn wait_for_locks(app: &TestApp, count: i64) {
    let waiting = "select count(*) from pg_stat_activity where datname = current_database() \
                   and wait_event_type = 'Lock'";
    let what = format!("{count} statements wait");
    wait_until(&what, async || number(app, waiting).await == count).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_was_taken_for_dead_makes_no_second_account_and_its_client_finds_the_first()
{
    // In each order of the two.
    for round in 0..6 {
        let instances = two_instances(&[]).await;
        let app = &instances[0];
        let send = |instance: usize| {
            let app = Arc::clone(&instances[instance]);
            tokio::spawn(async move { make(&app, None, "key", "ada@example.com").await })
        };
        // Nobody can insert a user for now.
        let mut lock = app.database.pool.begin().await.unwrap();
        sqlx::query("lock table users in share mode")
            .execute(&mut *lock)
            .await
            .unwrap();
        let slow = send(round % 2);
        wait_for_locks(app, 1).await;
        let early = send((round + 1) % 2).await.unwrap();
        early.expect_problem(409, "idempotency_key_in_use");
        app.clock.advance(TimeDelta::seconds(30));
        let second = send((round + 1) % 2);
        wait_for_locks(app, 2).await;
        lock.rollback().await.unwrap();
        let (slow, second) = (slow.await.unwrap(), second.await.unwrap());
        assert_eq!(outcome(&slow), "409 idempotency_key_in_use");
        assert_eq!(outcome(&second), "200");
        assert!(!is_replay(&second));
        assert_eq!(app.count("users").await, 1);
        assert_eq!(app.jobs_of("send_mail").await, 1);
        let again = make(app, None, "key", "ada@example.com").await;
        assert!(is_replay(&again));
        assert_eq!(again.json(), second.json());
        discard_mail(app).await;
        assert_no_deadlocks(&instances).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_is_being_committed_is_waited_for() {
    let instances = two_instances(&[]).await;
    let app = &instances[0];
    let made = make(app, None, "key", "ada@example.com").await;
    // As if the transaction with the answer were not committed yet.
    let mut other = app.database.pool.begin().await.unwrap();
    sqlx::query("update idempotency_keys set expires_at = expires_at + interval '1 second'")
        .execute(&mut *other)
        .await
        .unwrap();
    let second = Arc::clone(&instances[1]);
    let waiting = tokio::spawn(async move { make(&second, None, "key", "ada@example.com").await });
    wait_for_locks(app, 1).await;
    other.commit().await.unwrap();
    let answer = waiting.await.unwrap();
    assert!(is_replay(&answer));
    assert_eq!(answer.json(), made.json());
    discard_mail(app).await;
}

/// Sends a request again and again, as a good client does, while time goes on.
async fn until_answered(app: &TestApp, key: &str, email: &str) -> TestResponse {
    for _ in 0..1000 {
        let answer = make(app, None, key, email).await;
        match &*outcome(&answer) {
            "200" => return answer,
            "503 unavailable" => {}
            "409 idempotency_key_in_use" => {
                app.clock.advance(TimeDelta::seconds(1));
            }
            other => panic!("{other}"),
        }
    }
    panic!("the request is never answered");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_break_under_load_make_no_second_account() {
    const KEYS: usize = 40;
    let instances = two_instances(&[]).await;
    let app = &instances[0];
    let clients = together(&instances, KEYS, |app, number| async move {
        let (key, email) = (format!("key {number}"), format!("user{number}@example.com"));
        until_answered(&app, &key, &email).await
    });
    let killer = async {
        let kill = "select count(pg_terminate_backend(pid)) from pg_stat_activity \
                    where datname = current_database() and application_name = 'user-management'";
        for enough in (4..KEYS as i64).step_by(6) {
            wait_until("accounts are made", async || {
                app.count("users").await >= enough
            })
            .await;
            number(app, kill).await;
        }
    };
    let (answers, ()) = tokio::join!(clients, killer);
    assert_eq!(app.count("users").await, i64::try_from(KEYS).unwrap());
    for (number, answer) in answers.iter().enumerate() {
        let (key, email) = (format!("key {number}"), format!("user{number}@example.com"));
        let again = insist(|| make(app, None, &key, &email)).await;
        assert!(is_replay(&again), "{}", again.body);
        assert_eq!(again.json(), answer.json());
    }
    assert_eq!(app.jobs_of("send_mail").await, i64::try_from(KEYS).unwrap());
    discard_mail(app).await;
}
