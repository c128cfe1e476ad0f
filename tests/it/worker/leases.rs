//! Leases: kept, lost, fenced.

use std::{sync::Arc, time::Duration};

use chrono::TimeDelta;
use sqlx::{Connection as _, PgConnection, postgres::PgPoolOptions};
use tokio::sync::Semaphore;
use user_management::{
    infra::{
        clock::{ManualClock, SystemClock},
        wake_up::WakeUp,
    },
    repository::jobs::{self, ClaimedJob, Lease},
    worker::{Outcome, WorkerSettings},
};

use super::{
    Counter, NEVER, Running, after, all_done, endless, instance, job, noon, put, row, scripted,
    settings, worker_on,
};
use crate::support::{database::TestDatabase, eventually::eventually};

/// A lease that ends within a test, and yet not because the machine is busy.
fn short() -> WorkerSettings {
    WorkerSettings {
        lease: Duration::from_secs(3),
        poll: Duration::from_millis(50),
        ..settings()
    }
}

/// Waits until the lease of the job, which has begun, ends a lease later than it did first.
async fn renewed_for_long(db: &TestDatabase, id: i64) {
    let mut conn = PgConnection::connect_with(&db.connect_options())
        .await
        .unwrap();
    let first = chrono::Utc::now() + TimeDelta::seconds(3);
    eventually("the lease was renewed again and again", async || {
        sqlx::query_scalar::<_, bool>("select run_at > $2 from jobs where id = $1")
            .bind(id)
            .bind(first + TimeDelta::seconds(3))
            .fetch_one(&mut conn)
            .await
            .unwrap()
            .then_some(())
    })
    .await;
}

#[tokio::test]
async fn heartbeats_keep_a_long_job_although_its_handler_uses_up_the_pool() {
    let db = TestDatabase::create().await;
    let id = put(&db.pool, job(), None).await;
    let (runs, gate) = (Counter::default(), Arc::new(Semaphore::new(0)));
    let mut workers = Vec::new();
    for _ in 0..2 {
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .connect_lazy_with(db.connect_options());
        let (runs, gate, its_pool) = (runs.clone(), Arc::clone(&gate), pool.clone());
        let handler = scripted(move |_job| {
            let (runs, gate, pool) = (runs.clone(), Arc::clone(&gate), its_pool.clone());
            async move {
                let _all_of_the_pool = pool.acquire().await.unwrap();
                runs.add();
                gate.acquire().await.unwrap().forget();
                Outcome::Done
            }
        });
        let worker = worker_on(&pool, SystemClock, &WakeUp::new(), short());
        workers.push(Running::start(worker.handle(handler)));
    }
    runs.reaches(1).await;
    renewed_for_long(&db, id).await;
    assert_eq!(row(&db.pool, id).await.unwrap().claims, 1);
    gate.add_permits(1);
    all_done(&db.pool).await;
    assert_eq!(runs.get(), 1);
    for worker in workers {
        worker.stop().await;
    }
}

#[tokio::test]
async fn a_run_whose_lease_is_lost_is_cancelled_and_the_worker_goes_on() {
    let db = TestDatabase::create().await;
    let clock = ManualClock::new(noon());
    let id = put(&db.pool, job(), Some(noon())).await;
    let (begun, dropped) = (Counter::default(), Counter::default());
    let worker = worker_on(&db.pool, clock.clone(), &WakeUp::new(), short());
    let worker = Running::start(worker.handle(endless(&begun, &dropped)));
    begun.reaches(1).await;

    let mut conn = db.pool.acquire().await.unwrap();
    let now = Some(after(60));
    let theirs = jobs::claim(&mut conn, 1, "successor", NEVER, now)
        .await
        .unwrap();
    assert_eq!(theirs[0].lease, Lease { id, claims: 2 });
    dropped.reaches(1).await;
    let row = row(&db.pool, id).await.unwrap();
    assert_eq!(
        (row.claims, row.leased_by.as_deref()),
        (2, Some("successor"))
    );

    put(&db.pool, job(), Some(noon())).await;
    begun.reaches(2).await;
    drop(worker);
}

#[tokio::test]
async fn a_worker_that_was_paused_does_not_end_the_run_of_its_successor() {
    for done in [true, false] {
        let db = TestDatabase::create().await;
        let id = put(&db.pool, job(), Some(noon())).await;
        let (begun, gate) = (Counter::default(), Arc::new(Semaphore::new(0)));
        let ended = Counter::default();
        let script = (begun.clone(), Arc::clone(&gate), ended.clone());
        let handler = scripted(move |_job: ClaimedJob| {
            let (begun, gate, ended) = script.clone();
            async move {
                begun.add();
                gate.acquire().await.unwrap().forget();
                ended.add();
                if done {
                    Outcome::Done
                } else {
                    Outcome::Permanent {
                        error: "e".to_owned(),
                    }
                }
            }
        });
        // its lease is so long that it does not notice in time
        let clock = ManualClock::new(noon());
        let worker = worker_on(&db.pool, clock, &WakeUp::new(), settings()).handle(handler);
        let worker = Running::start(worker);
        begun.reaches(1).await;
        let mut conn = db.pool.acquire().await.unwrap();
        let now = Some(after(31));
        jobs::claim(&mut conn, 1, "successor", NEVER, now)
            .await
            .unwrap();
        let before = row(&db.pool, id).await;
        gate.add_permits(1);
        ended.reaches(1).await;
        worker.stop().await;
        assert_eq!(row(&db.pool, id).await, before);
    }
}

#[tokio::test]
async fn a_run_is_cancelled_when_the_database_is_out_of_reach_until_the_lease_ends() {
    let db = TestDatabase::create().await;
    put(&db.pool, job(), None).await;
    let (begun, dropped) = (Counter::default(), Counter::default());
    let first = Running::start(instance(&db, short()).handle(endless(&begun, &dropped)));
    begun.reaches(1).await;
    // every statement about jobs hangs
    let mut lock = db.pool.begin().await.unwrap();
    sqlx::query("lock table jobs in access exclusive mode")
        .execute(&mut *lock)
        .await
        .unwrap();
    dropped.reaches(1).await;
    lock.rollback().await.unwrap();
    begun.reaches(2).await;
    drop(first);
}
