//! The worker stops.

use std::{sync::Arc, time::Duration};

use tokio::sync::Semaphore;
use user_management::{
    infra::{clock::SystemClock, wake_up::WakeUp},
    worker::{Outcome, WorkerSettings},
};

use super::{
    Counter, Running, all_done, endless, given_back, instance, job, put, row, scripted, settings,
    worker_on,
};
use crate::support::{database::TestDatabase, eventually::eventually};

#[tokio::test]
async fn a_stop_lets_running_jobs_end_and_claims_no_more() {
    let db = TestDatabase::create().await;
    let first = put(&db.pool, job(), None).await;
    let (begun, gate) = (Counter::default(), Arc::new(Semaphore::new(0)));
    let script = (begun.clone(), Arc::clone(&gate));
    let handler = scripted(move |_job| {
        let (begun, gate) = script.clone();
        async move {
            begun.add();
            gate.acquire().await.unwrap().forget();
            Outcome::Done
        }
    });
    let wake = WakeUp::new();
    let worker = worker_on(&db.pool, SystemClock, &wake, settings()).handle(handler);
    let worker = Running::start(worker);
    begun.reaches(1).await;
    worker.stop.cancel();
    // calls go to other processes as soon as this worker claims no more
    let called = eventually("calls go elsewhere", async || {
        wake.jobs();
        let called = wake.called_elsewhere();
        tokio::time::timeout(Duration::from_millis(10), called)
            .await
            .ok()
    });
    called.await;
    let second = put(&db.pool, job(), None).await;
    gate.add_permits(2);
    worker.stop().await;
    assert_eq!(row(&db.pool, first).await, None);
    assert_eq!(row(&db.pool, second).await.unwrap().claims, 0);
}

#[tokio::test]
async fn what_has_not_ended_after_the_drain_is_given_back_uncharged_and_run_by_another() {
    let db = TestDatabase::create().await;
    let id = put(&db.pool, job(), None).await;
    let (begun, dropped) = (Counter::default(), Counter::default());
    let settings = WorkerSettings {
        drain: Duration::from_millis(50),
        ..settings()
    };
    let worker = Running::start(instance(&db, settings).handle(endless(&begun, &dropped)));
    begun.reaches(1).await;
    worker.stop().await;
    assert_eq!(dropped.get(), 1);
    let row = given_back(&db.pool, id, 1).await;
    assert_eq!((row.attempts, row.last_error), (0, None));
    assert!(row.run_at <= chrono::Utc::now());

    let other = instance(&db, settings).handle(scripted(|_job| std::future::ready(Outcome::Done)));
    let other = Running::start(other);
    all_done(&db.pool).await;
    other.stop().await;
}

#[tokio::test]
async fn a_stop_leaves_no_connection_of_the_workers_own() {
    let db = TestDatabase::create().await;
    put(&db.pool, job(), None).await;
    let begun = Counter::default();
    let settings = WorkerSettings {
        lease: Duration::from_millis(300),
        drain: Duration::from_millis(50),
        ..settings()
    };
    let worker = worker_on(&db.pool, SystemClock, &WakeUp::new(), settings)
        .handle(endless(&begun, &Counter::default()));
    let worker = Running::start(worker);
    let connections = async || {
        sqlx::query_scalar::<_, i64>(
            "select count(*) from pg_stat_activity where datname = current_database()",
        )
        .fetch_one(&db.pool)
        .await
        .unwrap()
    };
    eventually("heartbeats and listening have theirs", async || {
        (connections().await == i64::from(db.pool.size()) + 2).then_some(())
    })
    .await;
    worker.stop().await;
    eventually("they are closed", async || {
        (connections().await == i64::from(db.pool.size())).then_some(())
    })
    .await;
}
