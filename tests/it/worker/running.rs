//! Jobs run: once, in order, at once.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::json;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use user_management::{
    infra::{clock::SystemClock, wake_up::WakeUp},
    repository::jobs::{self, ClaimedJob, JobKind, NewJob},
    worker::{FinishError, Finished, Outcome, WorkerSettings, announce, finish_in},
};

use super::{
    Counter, KIND, NEVER, Running, all_done, given_back, instance, job, put, row, scripted,
    settings, worker_on,
};
use crate::support::{database::TestDatabase, eventually::eventually};

#[tokio::test]
async fn four_workers_run_two_thousand_jobs_once_each() {
    let db = TestDatabase::create().await;
    let ran: Arc<Mutex<HashMap<i64, u32>>> = Arc::default();
    let mut tx = db.pool.begin().await.unwrap();
    for _ in 0..2000 {
        jobs::enqueue(&mut tx, &job(), None).await.unwrap();
    }
    tx.commit().await.unwrap();

    let mut workers = Vec::new();
    for _ in 0..4 {
        let ran = Arc::clone(&ran);
        let handler = scripted(move |job: ClaimedJob| {
            let ran = Arc::clone(&ran);
            async move {
                *ran.lock().unwrap().entry(job.lease.id).or_default() += 1;
                Outcome::Done
            }
        });
        workers.push(Running::start(instance(&db, settings()).handle(handler)));
    }
    all_done(&db.pool).await;
    for worker in workers {
        worker.stop().await;
    }
    let ran = ran.lock().unwrap();
    assert_eq!(ran.len(), 2000);
    assert!(ran.values().all(|times| *times == 1));
}

/// What ran of each key, and whether something of it runs now.
type Journal = Arc<Mutex<HashMap<String, (Vec<i64>, bool)>>>;

#[tokio::test]
async fn four_workers_keep_the_order_of_each_key_while_four_writers_add_to_it() {
    let db = TestDatabase::create().await;
    let journal = Journal::default();
    let mut workers = Vec::new();
    for _ in 0..4 {
        let journal = Arc::clone(&journal);
        let handler = scripted(move |job: ClaimedJob| {
            let journal = Arc::clone(&journal);
            let key = job.payload["key"].as_str().unwrap().to_owned();
            async move {
                {
                    let mut journal = journal.lock().unwrap();
                    let (ran, running) = journal.entry(key.clone()).or_default();
                    assert!(!std::mem::replace(running, true), "two of {key} at once");
                    ran.push(job.lease.id);
                }
                tokio::task::yield_now().await;
                journal.lock().unwrap().get_mut(&key).unwrap().1 = false;
                Outcome::Done
            }
        });
        let settings = WorkerSettings {
            poll: Duration::from_millis(20),
            ..settings()
        };
        workers.push(Running::start(instance(&db, settings).handle(handler)));
    }
    let writers = (0..4).map(|writer| {
        let pool = db.pool.clone();
        tokio::spawn(async move {
            for round in 0..60 {
                // few keys, so that writers meet each other and the workers at a key's ends
                let key = format!("key {}", (writer + round) % 5);
                let serial = NewJob {
                    serial_key: Some(key.clone()),
                    ..NewJob::new(KIND, json!({ "key": key }))
                };
                let mut tx = pool.begin().await.unwrap();
                jobs::enqueue(&mut tx, &serial, None).await.unwrap();
                jobs::enqueue(&mut tx, &serial, None).await.unwrap();
                tx.commit().await.unwrap();
            }
        })
    });
    for writer in futures::future::join_all(writers).await {
        writer.unwrap();
    }
    all_done(&db.pool).await;
    for worker in workers {
        worker.stop().await;
    }
    let journal = journal.lock().unwrap();
    assert_eq!(
        journal.values().map(|(ran, _)| ran.len()).sum::<usize>(),
        480
    );
    for (ran, _) in journal.values() {
        assert!(ran.is_sorted(), "{ran:?}");
    }
}

fn counting(runs: &Counter) -> impl user_management::worker::JobHandler + use<> {
    let runs = runs.clone();
    scripted(move |_job| {
        runs.add();
        std::future::ready(Outcome::Done)
    })
}

/// Waits until a worker has looked and found nothing to do.
async fn idle(pool: &PgPool) {
    eventually("a worker listens", async || {
        sqlx::query_scalar::<_, bool>(
            "select exists (select from pg_stat_activity
            where datname = current_database() and query ilike 'listen%' and state = 'idle')",
        )
        .fetch_one(pool)
        .await
        .unwrap()
        .then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_call_after_the_commit_starts_the_job_in_the_same_process() {
    let db = TestDatabase::create().await;
    let (wake, runs) = (WakeUp::new(), Counter::default());
    let worker = worker_on(&db.pool, SystemClock, &wake, settings()).handle(counting(&runs));
    let worker = Running::start(worker);
    idle(&db.pool).await;
    for times in 1..=3 {
        put(&db.pool, job(), None).await;
        wake.jobs();
        runs.reaches(times).await;
    }
    worker.stop().await;
}

#[tokio::test]
async fn a_call_in_a_process_without_a_worker_is_heard_by_others() {
    let db = TestDatabase::create().await;
    let (here, runs) = (WakeUp::new(), Counter::default());
    let elsewhere = Running::start(instance(&db, settings()).handle(counting(&runs)));
    let stop = CancellationToken::new();
    let announcing = tokio::spawn(announce(db.pool.clone(), here.clone(), stop.clone()));
    idle(&db.pool).await;
    for times in 1..=3 {
        put(&db.pool, job(), None).await;
        here.jobs();
        runs.reaches(times).await;
    }
    stop.cancel();
    announcing.await.unwrap();
    elsewhere.stop().await;
}

#[tokio::test]
async fn a_job_that_nobody_calls_for_is_found_by_polling() {
    let db = TestDatabase::create().await;
    let runs = Counter::default();
    let poll = Duration::from_millis(50);
    let worker = instance(&db, WorkerSettings { poll, ..settings() });
    let worker = Running::start(worker.handle(counting(&runs)));
    idle(&db.pool).await;
    put(&db.pool, job(), None).await;
    runs.reaches(1).await;
    worker.stop().await;
}

#[tokio::test]
async fn the_next_of_a_key_and_jobs_beyond_the_free_slots_do_not_wait_for_a_poll() {
    let db = TestDatabase::create().await;
    let runs = Counter::default();
    for number in 0..20 {
        let serial = NewJob {
            serial_key: (number % 2 == 0).then(|| "key".to_owned()),
            ..job()
        };
        put(&db.pool, serial, None).await;
    }
    let two = WorkerSettings {
        slots: 2,
        ..settings()
    };
    let worker = Running::start(instance(&db, two).handle(counting(&runs)));
    all_done(&db.pool).await;
    assert_eq!(runs.get(), 20);
    worker.stop().await;
}

#[tokio::test]
async fn a_worker_runs_as_many_jobs_at_a_time_as_it_has_slots() {
    let db = TestDatabase::create().await;
    for _ in 0..5 {
        put(&db.pool, job(), None).await;
    }
    let barrier = Arc::new(tokio::sync::Barrier::new(3));
    let running = Counter::default();
    let (gate, seen) = (Arc::clone(&barrier), running.clone());
    let handler = scripted(move |_job| {
        let gate = Arc::clone(&gate);
        seen.add();
        async move {
            gate.wait().await;
            Outcome::Done
        }
    });
    let two = WorkerSettings {
        slots: 2,
        ..settings()
    };
    let worker = Running::start(instance(&db, two).handle(handler));
    running.reaches(2).await;
    let mut conn = db.pool.acquire().await.unwrap();
    let counts = jobs::counts(&mut conn, None).await.unwrap();
    assert_eq!((counts.running, counts.waiting), (2, 3));
    barrier.wait().await;
    running.reaches(4).await;
    barrier.wait().await;
    running.reaches(5).await;
    drop(worker);
}

/// Adds to a table and finishes the job in one transaction, after `meanwhile`.
async fn effect(
    pool: &PgPool,
    job: &ClaimedJob,
    meanwhile: impl Future<Output = ()>,
) -> Result<Finished, FinishError> {
    let mut tx = pool.begin().await?;
    sqlx::query("insert into effects (job) values ($1)")
        .bind(job.lease.id)
        .execute(&mut *tx)
        .await?;
    meanwhile.await;
    let finished = finish_in(&mut tx, job).await?;
    tx.commit().await?;
    Ok(finished)
}

#[tokio::test]
async fn an_effect_in_the_database_and_the_end_of_the_job_are_one() {
    let db = TestDatabase::create().await;
    sqlx::query("create table effects (job bigint)")
        .execute(&db.pool)
        .await
        .unwrap();
    let id = put(&db.pool, job(), None).await;
    let pool = db.pool.clone();
    // the first run loses the job to another worker, before its end
    let handler = scripted(move |job: ClaimedJob| {
        let pool = pool.clone();
        async move {
            let thief = async {
                if job.attempts == 1 {
                    let mut conn = pool.acquire().await.unwrap();
                    let later = chrono::Utc::now() + chrono::TimeDelta::seconds(60);
                    jobs::claim(&mut conn, 1, "thief", NEVER, Some(later))
                        .await
                        .unwrap();
                }
            };
            match effect(&pool, &job, thief).await {
                Ok(finished) => Outcome::Finished(finished),
                Err(error) => Outcome::Backoff {
                    error: error.to_string(),
                },
            }
        }
    });
    let wake = WakeUp::new();
    let worker = worker_on(&db.pool, SystemClock, &wake, settings()).handle(handler);
    let worker = Running::start(worker);
    eventually("the job is stolen", async || {
        row(&db.pool, id).await.filter(|row| row.claims == 2)
    })
    .await;
    let mut conn = db.pool.acquire().await.unwrap();
    let theirs = jobs::Lease { id, claims: 2 };
    let returned = jobs::release(&mut conn, theirs, Duration::ZERO, None).await;
    assert!(returned.unwrap());
    sqlx::query("update jobs set attempts = 1")
        .execute(&mut *conn)
        .await
        .unwrap();
    wake.jobs();
    all_done(&db.pool).await;
    let effects: Vec<i64> = sqlx::query_scalar("select job from effects")
        .fetch_all(&db.pool)
        .await
        .unwrap();
    assert_eq!(effects, [id]);
    worker.stop().await;
}

#[tokio::test]
async fn a_kind_that_nobody_here_knows_is_left_to_others() {
    let db = TestDatabase::create().await;
    let unknown = JobKind {
        name: "of a newer version",
        max_attempts: 1,
    };
    let id = put(&db.pool, NewJob::new(unknown, json!({})), None).await;
    let worker = Running::start(instance(&db, settings()));
    let row = given_back(&db.pool, id, 1).await;
    assert_eq!((row.attempts, row.dead_at), (0, None));
    assert!(row.run_at > chrono::Utc::now() + chrono::TimeDelta::seconds(30));
    worker.stop().await;
}
