//! Refresh tokens and sessions, many at once on two instances.

use std::{collections::BTreeSet, sync::Arc};

use sha2::{Digest as _, Sha256};
use user_management::domain::role::Role;

use super::{assert_no_deadlocks, insist, number, tally, together, two_instances};
use crate::support::{
    app::{PASSWORD, TestApp},
    request::TestResponse,
};

async fn refresh(app: &TestApp, token: &str) -> TestResponse {
    app.post("/login/")
        .form(&[("grant_type", "refresh_token"), ("refresh_token", token)])
        .send()
        .await
}

/// The only one of these tokens that is good, and the number of exchanges before it.
async fn good_one(app: &TestApp, tokens: &BTreeSet<String>) -> (String, i32) {
    let (digest, generation): (Vec<u8>, i32) =
        sqlx::query_as("select refresh_digest, refresh_generation from sessions")
            .fetch_one(&app.database.pool)
            .await
            .unwrap();
    let mut good = tokens
        .iter()
        .filter(|token| Sha256::digest(token.as_bytes()).as_slice() == digest);
    let found = good.next().expect("one of the answers has the good token");
    (found.clone(), generation)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refresh_token_is_consumed_once_however_many_present_it() {
    const ROUNDS: i32 = 1000;
    const TRIES: usize = 16;
    let instances = two_instances(&[]).await;
    let app = &instances[0];
    app.user(Role::Authenticated, "ada@example.com").await;
    // There is to be one session only.
    sqlx::query("delete from sessions")
        .execute(&app.database.pool)
        .await
        .unwrap();
    let mut token = app
        .log_in("ada@example.com")
        .await
        .expect(200)
        .text("refresh_token");
    for round in 1..=ROUNDS {
        let presented = Arc::new(token);
        let answers = together(&instances, TRIES, |app, _| {
            let token = Arc::clone(&presented);
            async move { refresh(&app, &token).await }
        })
        .await;
        // One consumes it, and the others are repetitions whose tokens replace each other.
        let tokens: BTreeSet<_> = answers
            .into_iter()
            .map(|answer| {
                assert!(answer.status.is_success(), "round {round}: {}", answer.body);
                answer.text("refresh_token")
            })
            .collect();
        assert_eq!(tokens.len(), TRIES);
        let (good, generation) = good_one(app, &tokens).await;
        assert_eq!(generation, round, "consumed once in each round");
        token = good;
    }
    assert_no_deadlocks(&instances).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_refreshes_at_once_by_an_honest_client_end_no_session() {
    let instances = two_instances(&[]).await;
    let app = &instances[0];
    app.user(Role::Authenticated, "ada@example.com").await;
    let login = app.log_in("ada@example.com").await.expect(200);
    let token = Arc::new(login.text("refresh_token"));
    let answers = together(&instances, 50, |app, _| {
        let token = Arc::clone(&token);
        async move { refresh(&app, &token).await }
    })
    .await;
    assert_eq!(tally(&answers), super::counts([("200", 50)]));
    for answer in &answers {
        let access_token = answer.text("access_token");
        app.get("/me")
            .bearer(&access_token)
            .send()
            .await
            .expect(200);
    }
    // Whichever of the answers' tokens he tries next, he isn't taken for a thief.
    let mut good = 0;
    for answer in &answers {
        let next = refresh(app, &answer.text("refresh_token")).await;
        good += usize::from(next.status.is_success());
    }
    assert_eq!(good, 1);
    app.get("/me")
        .bearer(&login.text("access_token"))
        .send()
        .await
        .expect(200);
    assert!(app.deliver_mail().await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn however_many_log_in_at_once_fifty_sessions_stay() {
    let instances = two_instances(&[("MAX_LOGIN_ATTEMPTS", "100")]).await;
    let app = &instances[0];
    let user = app.user(Role::Authenticated, "ada@example.com").await;
    for _ in 0..4 {
        let answers = together(&instances, 40, |app, _| async move {
            insist(|| {
                app.post("/login/")
                    .form(&[("username", "ada@example.com"), ("password", PASSWORD)])
                    .send()
            })
            .await
        })
        .await;
        assert_eq!(tally(&answers), super::counts([("200", 40)]));
        assert!(number(app, "select count(*) from sessions").await <= 50);
    }
    assert_eq!(number(app, "select count(*) from sessions").await, 50);
    // The oldest have gone.
    let me = app.get("/me").by(&user).send().await;
    me.expect_problem(401, "not_authenticated");
    assert_no_deadlocks(&instances).await;
}
