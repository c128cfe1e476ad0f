//! What an idle worker costs.

use std::sync::Arc;

use sqlx::{Connection as _, PgConnection, postgres::PgPoolOptions};
use user_management::{
    infra::{clock::SystemClock, wake_up::WakeUp},
    worker::{
        Outcome, WorkerSettings,
        jobs_upkeep::{self, JobsUpkeep},
    },
};

use super::{NEVER, Running, scripted, worker_on};
use crate::support::{database::TestDatabase, eventually::eventually};

#[tokio::test]
async fn an_idle_worker_makes_at_most_one_query_a_second() {
    let db = TestDatabase::create().await;
    // Counted by the server, from another database, so that looking is not counted: each statement
    // outside a transaction is one. A backend reports after a statement, at most once a second.
    let name = db.connect_options().get_database().unwrap().to_owned();
    let options = db.connect_options().database("postgres");
    db.pool.close().await;
    let mut conn = PgConnection::connect_with(&options).await.unwrap();
    let mut count = async || {
        sqlx::query_as::<_, (i64, f64)>(
            "select xact_commit + xact_rollback, extract(epoch from clock_timestamp())::float8
            from pg_stat_database where datname = $1",
        )
        .bind(&name)
        .fetch_one(&mut conn)
        .await
        .unwrap()
    };
    // One connection, which reports at each poll what it did until then.
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .connect_lazy_with(db.connect_options());
    let worker = worker_on(
        &pool,
        SystemClock,
        &WakeUp::new(),
        WorkerSettings::default(),
    )
    .handle(JobsUpkeep::new(pool.clone(), Arc::new(SystemClock)))
    .every(jobs_upkeep::KIND, NEVER)
    .handle(scripted(|_job| std::future::ready(Outcome::Done)));
    let before = count().await;
    let worker = Running::start(worker);
    let first = eventually("the start has been counted", async || {
        let now = count().await;
        (now.1 > before.1 + 5.0).then_some(now)
    })
    .await;
    // On a busy machine what the start did is counted late: then look once more.
    let mut first = first;
    let mut rates = Vec::new();
    for _ in 0..3 {
        let last = eventually("ten seconds go by", async || {
            let now = count().await;
            (now.1 > first.1 + 10.0).then_some(now)
        })
        .await;
        assert!(last.0 > first.0, "it polls, and the count shows it");
        rates.push((last.0 - first.0) as f64 / (last.1 - first.1));
        first = last;
        if rates.last().is_some_and(|rate| *rate <= 1.0) {
            break;
        }
    }
    assert!(
        rates.last().is_some_and(|rate| *rate <= 1.0),
        "queries a second: {rates:?}"
    );
    worker.stop().await;
}
