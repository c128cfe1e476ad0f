//! The database goes away and comes back.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use sqlx::{Connection as _, PgConnection, PgPool};
use user_management::{
    repository::jobs::{self, ClaimedJob},
    worker::{Outcome, WorkerSettings},
};

use super::{Counter, Running, instance, job, put, scripted, settings};
use crate::support::{database::TestDatabase, eventually::eventually};

/// Ends all connections to the test's database but this one.
async fn cut_connections(conn: &mut PgConnection) {
    sqlx::query(
        "select pg_terminate_backend(pid) from pg_stat_activity
        where datname = current_database() and pid <> pg_backend_pid()",
    )
    .execute(conn)
    .await
    .unwrap();
}

async fn left(conn: &mut PgConnection) -> i64 {
    sqlx::query_scalar("select count(*) from jobs")
        .fetch_one(conn)
        .await
        .unwrap()
}

async fn put_many(pool: &PgPool, number: u32) {
    let mut tx = pool.begin().await.unwrap();
    for _ in 0..number {
        jobs::enqueue(&mut tx, &job(), None).await.unwrap();
    }
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn no_job_is_lost_when_connections_are_cut_again_and_again() {
    const JOBS: u32 = 600;
    let db = TestDatabase::create().await;
    let mut conn = PgConnection::connect_with(&db.connect_options())
        .await
        .unwrap();
    put_many(&db.pool, JOBS).await;
    let ran: Arc<Mutex<HashMap<i64, u32>>> = Arc::default();
    let mut workers = Vec::new();
    for _ in 0..2 {
        let ran = Arc::clone(&ran);
        let handler = scripted(move |job: ClaimedJob| {
            *ran.lock().unwrap().entry(job.lease.id).or_default() += 1;
            std::future::ready(Outcome::Done)
        });
        // short leases, for claims whose answer was cut off
        let settings = WorkerSettings {
            lease: Duration::from_secs(2),
            poll: Duration::from_millis(50),
            ..settings()
        };
        workers.push(Running::start(instance(&db, settings).handle(handler)));
    }
    // each cut strikes in the midst of the work: some jobs are done, others not
    let mut before = i64::from(JOBS);
    for _ in 0..5 {
        before = eventually("jobs go on", async || {
            let left = left(&mut conn).await;
            (left < before).then_some(left)
        })
        .await;
        assert!(before > 0, "all was done before the cut");
        cut_connections(&mut conn).await;
    }
    eventually("all jobs are done", async || {
        (left(&mut conn).await == 0).then_some(())
    })
    .await;
    assert_eq!(ran.lock().unwrap().len(), JOBS as usize);

    // and the workers are as good as new
    put_many(&db.pool, 10).await;
    eventually("later jobs are done", async || {
        (left(&mut conn).await == 0).then_some(())
    })
    .await;
    for worker in workers {
        worker.stop().await;
    }
}

#[tokio::test]
async fn a_run_that_ends_while_the_database_refuses_connections_is_written_down_later() {
    let db = TestDatabase::create().await;
    let name = db.connect_options().get_database().unwrap().to_owned();
    put(&db.pool, job(), None).await;
    let mut maintenance = PgConnection::connect_with(&db.connect_options().database("postgres"))
        .await
        .unwrap();
    let (begun, gate) = (Counter::default(), Arc::new(tokio::sync::Semaphore::new(0)));
    let script = (begun.clone(), Arc::clone(&gate));
    let handler = scripted(move |_job| {
        let (begun, gate) = script.clone();
        async move {
            begun.add();
            gate.acquire().await.unwrap().forget();
            Outcome::Done
        }
    });
    let ended = Counter::default();
    let worker = Running::start(instance(&db, settings()).handle(handler));
    begun.reaches(1).await;
    for allowed in [false, true] {
        let sql = format!(r#"alter database "{name}" allow_connections {allowed}"#);
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql))
            .execute(&mut maintenance)
            .await
            .unwrap();
        if allowed {
            break;
        }
        sqlx::query("select pg_terminate_backend(pid) from pg_stat_activity where datname = $1")
            .bind(&name)
            .execute(&mut maintenance)
            .await
            .unwrap();
        gate.add_permits(1);
        eventually("the run has ended", async || {
            (gate.available_permits() == 0).then(|| ended.add())
        })
        .await;
    }
    super::all_done(&db.pool).await;
    assert_eq!(begun.get(), 1);
    worker.stop().await;
}
