//! A session that was ended is over: at once on the instance that ended it, within a second on others.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use axum::http::StatusCode;
use chrono::TimeDelta;
use futures::future::try_join_all;
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, PgPool};
use user_management::{
    domain::{
        id::UserId,
        role::Role,
        token::{OneTimeToken, Purpose},
    },
    infra::clock::Clock as _,
    repository::one_time_tokens,
};

use super::{discard_mail, together, two_instances};
use crate::support::{
    app::{PASSWORD, TestApp, TestUser},
    eventually::wait_until,
};

/// How long a session that was ended elsewhere may count.
const LONGEST: Duration = Duration::from_secs(1);

async fn is_let_in(app: &TestApp, token: &str) -> bool {
    let answer = app.get("/users/?limit=1").bearer(token).send().await;
    match answer.status {
        StatusCode::OK => true,
        _ => {
            answer.expect_problem(401, "not_authenticated");
            false
        }
    }
}

/// Ends the sessions of a user, each time in another way.
async fn end_sessions(app: &TestApp, admin: &TestUser, user: &TestUser, way: usize) {
    let path = format!("/users/{}", user.id);
    match way % 6 {
        0 => app
            .post(&format!("{path}/lock"))
            .by(admin)
            .send()
            .await
            .expect(200),
        1 => app.delete(&path).by(admin).send().await.expect(204),
        2 => {
            let body = json!({"role": "ADMIN"});
            app.put(&path)
                .by(admin)
                .json(&body)
                .send()
                .await
                .expect(200)
        }
        3 => {
            let token = OneTimeToken::new([7; 32]);
            let (now, purpose) = (app.clock.now(), Purpose::PasswordReset);
            let end = now + TimeDelta::minutes(1);
            let mut connection = app.database.pool.acquire().await.unwrap();
            one_time_tokens::replace(&mut connection, UserId(user.id), purpose, &token, now, end)
                .await
                .unwrap();
            let body = json!({"token": token.expose(), "new_password": "Better*5678"});
            app.put("/password-reset")
                .json(&body)
                .send()
                .await
                .expect(200)
        }
        4 => app.close(user).await.expect(202),
        _ => {
            // In another session of his.
            let login = app.log_in(&user.email).await.expect(200);
            let body = json!({"current_password": PASSWORD, "new_password": "Better*5678"});
            app.put("/me/password")
                .bearer(&login.text("access_token"))
                .json(&body)
                .send()
                .await
                .expect(204)
        }
    };
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ended_session_is_refused_here_at_once_and_elsewhere_within_a_second() {
    let instances = two_instances(&[]).await;
    let [here, elsewhere] = &instances;
    let admin = here.admin().await;
    let mut delays = Vec::new();
    for round in 0..12 {
        let user = here
            .user(Role::Manager, &format!("user{round}@example.com"))
            .await;
        for app in &instances {
            assert!(is_let_in(app, &user.token).await);
        }
        end_sessions(here, &admin, &user, round).await;
        let ended = Instant::now();
        assert!(!is_let_in(here, &user.token).await, "round {round}");
        loop {
            let begun = ended.elapsed();
            if !is_let_in(elsewhere, &user.token).await {
                delays.push(begun);
                break;
            }
            assert!(begun < LONGEST, "round {round}: let in after {begun:?}");
        }
    }
    // They are told: the end of what is kept is only there for when that fails.
    assert!(delays.iter().min() < Some(&(LONGEST / 2)), "{delays:?}");
    discard_mail(here).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_in_use_is_refused_from_the_moment_that_the_lock_was_answered() {
    const USERS_OF_TOKEN: usize = 8;
    let instances = two_instances(&[]).await;
    let app = &instances[0];
    let admin = Arc::new(app.admin().await);
    for round in 0..12 {
        let user = app
            .user(Role::Manager, &format!("user{round}@example.com"))
            .await;
        let (user, ended) = (Arc::new(user), Arc::new(AtomicBool::new(false)));
        let let_in = Arc::new(AtomicUsize::new(0));
        let here = [Arc::clone(app)];
        together(&here, USERS_OF_TOKEN + 1, |app, number| {
            let (admin, user) = (Arc::clone(&admin), Arc::clone(&user));
            let (ended, let_in) = (Arc::clone(&ended), Arc::clone(&let_in));
            async move {
                if number == USERS_OF_TOKEN {
                    while let_in.load(Ordering::SeqCst) < 2 * USERS_OF_TOKEN {
                        tokio::task::yield_now().await;
                    }
                    end_sessions(&app, &admin, &user, round).await;
                    ended.store(true, Ordering::SeqCst);
                    return;
                }
                loop {
                    let late = ended.load(Ordering::SeqCst);
                    if is_let_in(&app, &user.token).await {
                        assert!(!late, "let in after the end");
                        let_in.fetch_add(1, Ordering::SeqCst);
                    } else if late {
                        return;
                    }
                }
            }
        })
        .await;
    }
    discard_mail(app).await;
}

/// Ends a session as nobody hears of it, and says whether its token still works here: whether it
/// was kept.
async fn keeps_sessions(app: &TestApp, email: &str) -> bool {
    let token = app.log_in(email).await.expect(200).text("access_token");
    assert!(is_let_in(app, &token).await);
    sqlx::query("delete from sessions where user_id = (select id from users where email = $1)")
        .bind(email)
        .execute(&app.database.pool)
        .await
        .unwrap();
    is_let_in(app, &token).await
}

/// Opens as many connections as the pool may have.
async fn fill(pool: &PgPool) {
    let count = pool.options().get_max_connections();
    try_join_all((0..count).map(|_| pool.acquire()))
        .await
        .unwrap();
}

/// Lets nobody connect to the database any more, or again; connections that are open stay.
async fn allow_connections(app: &TestApp, allowed: bool) {
    let options = app.database.connect_options();
    let name = options.get_database().unwrap().to_owned();
    let mut connection = PgConnection::connect_with(&options.database("postgres"))
        .await
        .unwrap();
    let statement = format!(r#"alter database "{name}" allow_connections {allowed}"#);
    sqlx::query(AssertSqlSafe(statement))
        .execute(&mut connection)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_that_hears_nothing_keeps_nothing_until_it_hears_again() {
    const EMAIL: &str = "user@example.com";
    let [app, other] = two_instances(&[("DATABASE_MAX_CONNECTIONS", "2")]).await;
    let admin = other.admin().await;
    let id = app.user(Role::Manager, EMAIL).await.id;
    wait_until("sessions are kept", async || {
        keeps_sessions(&app, EMAIL).await
    })
    .await;

    // All connections that there may be are open; only those that listen are to be lost.
    for pool in [&app.app.pool, &other.app.pool, &app.database.pool] {
        fill(pool).await;
    }
    allow_connections(&app, false).await;
    let killed: Vec<bool> = sqlx::query_scalar(
        "select pg_terminate_backend(pid) from pg_stat_activity \
         where datname = current_database() and query ilike 'listen %'",
    )
    .fetch_all(&app.database.pool)
    .await
    .unwrap();
    assert_eq!(killed, [true, true], "one of each instance");
    wait_until("the loss is noticed", async || {
        !keeps_sessions(&app, EMAIL).await
    })
    .await;
    for _ in 0..5 {
        assert!(!keeps_sessions(&app, EMAIL).await);
    }
    // So what another instance ends is over here at once.
    let token = app.log_in(EMAIL).await.expect(200).text("access_token");
    assert!(is_let_in(&app, &token).await);
    let lock = format!("/users/{id}/lock");
    other.post(&lock).by(&admin).send().await.expect(200);
    assert!(!is_let_in(&app, &token).await);
    let unlock = format!("/users/{id}/unlock");
    other.post(&unlock).by(&admin).send().await.expect(200);

    allow_connections(&app, true).await;
    wait_until("sessions are kept again", async || {
        keeps_sessions(&app, EMAIL).await
    })
    .await;
    discard_mail(&app).await;
}
