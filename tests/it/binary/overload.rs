//! More logins than the machine can hash passwords for.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use reqwest::Method;
use tokio::task::JoinSet;

use crate::support::{
    binary::{Program, Server},
    database::TestDatabase,
};

const CLIENTS: usize = 200;
const STORM: Duration = Duration::from_secs(4);

/// Logs in again and again; answers how often which status came.
async fn log_in_without_pause(server: Arc<Server>, client: usize, end: Instant) -> Vec<u16> {
    let email = format!("user{client}@example.com");
    let mut statuses = Vec::new();
    while Instant::now() < end {
        let answer = server.log_in(&email).await;
        let status = answer.status().as_u16();
        if status == 503 {
            assert!(answer.headers().contains_key("retry-after"));
        }
        statuses.push(status);
    }
    statuses
}

#[tokio::test]
async fn a_storm_of_logins_is_turned_away_in_part_and_slows_nobody_else_down() {
    let database = TestDatabase::create().await;
    let program = Program::on(&database).set("MAX_LOGIN_ATTEMPTS", "2");
    let server = Arc::new(program.serve().await);
    let token = server.new_user("admin@example.com").await;
    let copies = "insert into users (id, nickname, email, email_verified_at, password_hash, role, created_at, updated_at)
        select gen_random_uuid(), 'user_' || n, 'user' || n || '@example.com', now(), password_hash, 'AUTHENTICATED', now(), now()
        from users, generate_series(0, 199) as n";
    let copied = sqlx::query(copies).execute(&database.pool).await.unwrap();
    assert_eq!(copied.rows_affected(), CLIENTS as u64);

    let end = Instant::now() + STORM;
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        clients.spawn(log_in_without_pause(Arc::clone(&server), client, end));
    }
    let mut others = 0;
    while Instant::now() < end {
        assert_eq!(server.get("/health/live").await.status(), 200);
        let read = server.request(Method::GET, "/users/?limit=10");
        let read = read.bearer_auth(&token).send().await.unwrap();
        assert_eq!(read.status(), 200);
        others += 1;
    }
    let mut statuses = BTreeMap::<u16, usize>::new();
    while let Some(client) = clients.join_next().await {
        for status in client.unwrap() {
            *statuses.entry(status).or_default() += 1;
        }
    }
    // No 400: a login that was turned away doesn't count as an attempt.
    assert_eq!(statuses.keys().copied().collect::<Vec<_>>(), [200, 503]);
    // How many there were in that time is the machine's affair.
    assert!(others > 0, "nobody else was served: {statuses:?}");
    let charged: i64 = sqlx::query_scalar("select count(*) from login_throttle where charged > 0")
        .fetch_one(&database.pool)
        .await
        .unwrap();
    assert_eq!(charged, 0);
    Arc::into_inner(server).unwrap().stop().await;
}
