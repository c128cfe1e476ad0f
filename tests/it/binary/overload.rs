//! More logins than the machine can hash passwords for.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use reqwest::Method;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::support::{
    binary::{Program, Server},
    database::TestDatabase,
    eventually::wait_until,
};

const CLIENTS: usize = 200;
/// How many logins are turned away at least: each client's account would be locked if that counted.
const TURNED_AWAY: usize = 3 * CLIENTS;
/// How many other requests are answered meanwhile.
const READS: usize = 20;

/// How often which status came so far.
type Statuses = Arc<Mutex<BTreeMap<u16, usize>>>;

/// Logs in again and again.
async fn log_in_without_pause(
    server: Arc<Server>,
    client: usize,
    statuses: Statuses,
    end: CancellationToken,
) {
    let email = format!("user{client}@example.com");
    while !end.is_cancelled() {
        let answer = server.log_in(&email).await;
        let status = answer.status().as_u16();
        if status == 503 {
            assert!(answer.headers().contains_key("retry-after"));
        }
        *statuses.lock().unwrap().entry(status).or_default() += 1;
    }
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

    let (end, statuses) = (CancellationToken::new(), Statuses::default());
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let (statuses, end) = (Arc::clone(&statuses), end.clone());
        clients.spawn(log_in_without_pause(
            Arc::clone(&server),
            client,
            statuses,
            end,
        ));
    }
    let (mut reads, mut reads_in_vain) = (0, 0);
    wait_until("the storm has raged for a while", async || {
        assert_eq!(server.get("/health/live").await.status(), 200);
        let read = server.request(Method::GET, "/users/?limit=10");
        let read = read.bearer_auth(&token).send().await.unwrap();
        match read.status().as_u16() {
            200 => reads += 1,
            // Where the machine has much else to do, the database may be late too.
            503 => reads_in_vain += 1,
            status => panic!("{status}"),
        }
        let turned_away = statuses.lock().unwrap().get(&503).copied();
        turned_away >= Some(TURNED_AWAY) && reads >= READS
    })
    .await;
    assert!(reads_in_vain < reads);
    end.cancel();
    while let Some(client) = clients.join_next().await {
        client.unwrap();
    }
    // No 400: a login that was turned away doesn't count as an attempt.
    let kinds: Vec<_> = statuses.lock().unwrap().keys().copied().collect();
    assert_eq!(kinds, [200, 503]);
    let charged: i64 = sqlx::query_scalar("select count(*) from login_throttle where charged > 0")
        .fetch_one(&database.pool)
        .await
        .unwrap();
    assert_eq!(charged, 0);
    Arc::into_inner(server).unwrap().stop().await;
}
