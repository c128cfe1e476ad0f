//! The database goes away, and comes back.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use chrono::TimeDelta;
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use user_management::domain::role::Role;

use super::{discard_mail, number, outcome, together, two_instances};
use crate::support::{
    app::{TestApp, TestUser},
    eventually::wait_until,
    request::TestResponse,
};

/// An address that nobody has had.
fn new_address() -> String {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    format!("new{}@example.com", NUMBER.fetch_add(1, Ordering::Relaxed))
}

/// One request of each kind that needs the database.
const KINDS: usize = 9;

async fn request(app: &TestApp, user: &TestUser, kind: usize) -> TestResponse {
    let email = new_address();
    match kind {
        0 => app.register(&email).await,
        1 => app.log_in(&user.email).await,
        2 => app.log_in(&email).await,
        3 => app.get("/users/").by(user).send().await,
        4 => {
            app.get(&format!("/users/{}", user.id))
                .by(user)
                .send()
                .await
        }
        5 => {
            let body = json!({"bio": email});
            app.put(&format!("/users/{}", user.id))
                .by(user)
                .json(&body)
                .send()
                .await
        }
        6 => {
            app.get(&format!("/verify-email/{}/{}", user.id, "x".repeat(43)))
                .send()
                .await
        }
        7 => {
            let body = json!({"email": email});
            app.post("/verify-email/resend").json(&body).send().await
        }
        _ => app.get("/health/ready").send().await,
    }
}

async fn assert_every_request_is_turned_away(instances: &[Arc<TestApp>], user: &Arc<TestUser>) {
    let answers = together(instances, KINDS, |app, kind| {
        let user = Arc::clone(user);
        async move { request(&app, &user, kind).await }
    })
    .await;
    for (kind, answer) in answers.into_iter().enumerate() {
        assert_eq!(
            outcome(&answer),
            "503 unavailable",
            "kind {kind}: {answer:?}"
        );
        let answer = answer.expect_problem(503, "unavailable");
        assert!(answer.header("retry-after").parse::<u32>().unwrap() >= 1);
        assert_eq!(
            answer.text("detail"),
            "The service is temporarily unavailable; try again later"
        );
    }
    instances[0].get("/health/live").send().await.expect(200);
}

/// Waits until no request is turned away: each connection that broke while it was idle may cost one.
async fn recovers(app: &TestApp, user: &TestUser) {
    wait_until("no request is turned away", async || {
        let mut turned_away = 0;
        for kind in 0..KINDS {
            let status = request(app, user, kind).await.status.as_u16();
            assert_ne!(status, 500, "kind {kind}");
            turned_away += usize::from(status == 503);
        }
        turned_away == 0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_nobody_listens_every_request_is_turned_away() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let app = TestApp::start().await;
    let admin = Arc::new(app.admin().await);
    let cut_off = app.second_instance_changed(&[], |parts| {
        parts.database = parts.database.clone().host("127.0.0.1").port(port);
    });
    assert_every_request_is_turned_away(&[Arc::new(cut_off)], &admin).await;
}

/// Ends every connection of the instances.
async fn kill_connections(app: &TestApp) -> usize {
    let killed: Vec<bool> = sqlx::query_scalar(
        "select pg_terminate_backend(pid) from pg_stat_activity \
         where datname = current_database() and application_name = 'user-management'",
    )
    .fetch_all(&app.database.pool)
    .await
    .unwrap();
    killed.len()
}

/// Lets nobody connect to the database any more, or again.
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
async fn while_the_database_takes_no_connections_every_request_is_turned_away() {
    let instances = two_instances(&[]).await;
    let app = &instances[0];
    let admin = Arc::new(app.admin().await);
    recovers(app, &admin).await;
    let users = app.count("users").await;
    allow_connections(app, false).await;
    assert!(kill_connections(app).await > 0);
    assert_every_request_is_turned_away(&instances, &admin).await;
    assert_eq!(
        app.count("users").await,
        users,
        "nothing of what was refused is stored"
    );
    allow_connections(app, true).await;
    for app in &instances {
        recovers(app, &admin).await;
    }
    discard_mail(app).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_break_under_load_lose_nothing_that_was_acknowledged() {
    const KILLS: usize = 8;
    let instances = two_instances(&[]).await;
    let app = &instances[0];
    let user = Arc::new(app.user(Role::Manager, "manager@example.com").await);
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    for app in &instances {
        app.app.start_worker(&tasks, &stop);
    }
    let (acknowledged, over) = (
        Arc::new(Mutex::new(BTreeSet::new())),
        Arc::new(AtomicBool::new(false)),
    );
    let storm = together(&instances, 8, |app, _| {
        let (acknowledged, over, user) = (
            Arc::clone(&acknowledged),
            Arc::clone(&over),
            Arc::clone(&user),
        );
        async move {
            while !over.load(Ordering::SeqCst) {
                let email = new_address();
                let answers = [
                    app.register(&email).await,
                    app.get("/users/?limit=1").by(&user).send().await,
                ];
                if answers[0].status == 200 {
                    acknowledged.lock().unwrap().insert(email);
                }
                for answer in answers {
                    if answer.status != 200 {
                        answer
                            .expect_problem(503, "unavailable")
                            .header("retry-after");
                    }
                }
            }
        }
    });
    let killer = async {
        let made = || acknowledged.lock().unwrap().len();
        for _ in 0..KILLS {
            let before = made();
            wait_until("registrations go on", async || made() >= before + 10).await;
            kill_connections(app).await;
        }
        over.store(true, Ordering::SeqCst);
    };
    tokio::join!(storm, killer);
    // It is back by itself, and whatever was acknowledged is there, its mail included.
    for app in &instances {
        recovers(app, &user).await;
    }
    let acknowledged = acknowledged.lock().unwrap().clone();
    assert!(acknowledged.len() >= KILLS * 10);
    let stored: Vec<String> = sqlx::query_scalar("select email from users")
        .fetch_all(&app.database.pool)
        .await
        .unwrap();
    let stored: BTreeSet<_> = stored.into_iter().collect();
    assert!(acknowledged.is_subset(&stored));
    let waiting = "select count(*) from jobs where kind = 'send_mail'";
    wait_until("all mail is sent", async || {
        // Where a worker lost its connection the mail waits: for its next attempt, or for the end of a
        // lease that nobody knows of.
        app.clock.advance(TimeDelta::seconds(10));
        for app in &instances {
            app.app.wake_up.jobs();
        }
        number(app, waiting).await == 0
    })
    .await;
    stop.cancel();
    tasks.close();
    tasks.wait().await;
    let sent: BTreeSet<_> = app
        .mailer
        .take()
        .into_iter()
        .map(|mail| mail.to.address)
        .collect();
    assert!(acknowledged.is_subset(&sent));
    let counted = number(app, "select sum(users)::bigint from user_counts").await;
    assert_eq!(counted, app.count("users").await);
}
