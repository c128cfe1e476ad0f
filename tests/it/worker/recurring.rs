//! Jobs that recur, and the queue's own upkeep.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use sqlx::PgPool;
use user_management::{
    infra::{clock::ManualClock, wake_up::WakeUp},
    repository::jobs::{self, JobKind, NewJob, SealedSecret},
    worker::{
        JobHandler, Outcome,
        jobs_upkeep::{self, JobsUpkeep},
    },
};

use super::{Counter, KIND, NEVER, Running, after, noon, put, scripted, settings, worker_on};
use crate::support::{database::TestDatabase, eventually::eventually};

async fn waiting(pool: &PgPool, kind: JobKind) -> Vec<DateTime<Utc>> {
    sqlx::query_scalar("select run_at from jobs where kind = $1 and leased_by is null order by id")
        .bind(kind.name)
        .fetch_all(pool)
        .await
        .unwrap()
}

/// Waits until the only job of the kind is one that waits for `slot`.
async fn waits_for(pool: &PgPool, kind: JobKind, slot: DateTime<Utc>) {
    eventually(
        "the next slot's job waits, and no other is there",
        async || {
            let all: Vec<(DateTime<Utc>, bool)> =
                sqlx::query_as("select run_at, leased_by is null from jobs where kind = $1")
                    .bind(kind.name)
                    .fetch_all(pool)
                    .await
                    .unwrap();
            (all == [(slot, true)]).then_some(())
        },
    )
    .await;
}

struct Instances {
    clock: ManualClock,
    wakes: Vec<WakeUp>,
    workers: Vec<Running>,
}

/// Two workers that have a job run each hour, at noon and a half.
fn two(pool: &PgPool, handler: impl Fn() -> Box<dyn JobHandler>) -> Instances {
    let clock = ManualClock::new(after(1800));
    let wakes = vec![WakeUp::new(), WakeUp::new()];
    let start = |wake| {
        let worker = worker_on(pool, clock.clone(), wake, settings());
        Running::start(worker.handle(Boxed(handler())).every(KIND, NEVER))
    };
    let workers = wakes.iter().map(start).collect();
    Instances {
        clock,
        wakes,
        workers,
    }
}

struct Boxed(Box<dyn JobHandler>);

impl JobHandler for Boxed {
    fn kind(&self) -> JobKind {
        self.0.kind()
    }

    fn time_limit(&self) -> Duration {
        self.0.time_limit()
    }

    fn run<'a>(&'a self, job: &'a jobs::ClaimedJob) -> futures::future::BoxFuture<'a, Outcome> {
        self.0.run(job)
    }
}

impl Instances {
    fn advance(&self, seconds: i64) {
        self.clock.advance(TimeDelta::seconds(seconds));
        for wake in &self.wakes {
            wake.jobs();
        }
    }

    async fn stop(self) {
        for worker in self.workers {
            worker.stop().await;
        }
    }
}

#[tokio::test]
async fn two_workers_run_a_recurring_job_once_a_slot() {
    let db = TestDatabase::create().await;
    let runs = Counter::default();
    let counted = runs.clone();
    let instances = two(&db.pool, move || {
        let runs = counted.clone();
        Box::new(scripted(move |_job| {
            runs.add();
            std::future::ready(Outcome::Done)
        }))
    });
    for slot in 1..=5 {
        waits_for(&db.pool, KIND, after(3600 * slot)).await;
        assert_eq!(i64::from(runs.get()), slot - 1);
        instances.advance(3600);
    }
    waits_for(&db.pool, KIND, after(6 * 3600)).await;
    // nobody worked for a day: that is made up for once
    instances.advance(86_400);
    waits_for(&db.pool, KIND, after(30 * 3600)).await;
    assert_eq!(runs.get(), 6);
    instances.stop().await;
}

#[tokio::test]
async fn a_recurring_job_that_fails_is_not_overtaken_and_does_not_pile_up() {
    let db = TestDatabase::create().await;
    let runs = Counter::default();
    let counted = runs.clone();
    let instances = two(&db.pool, move || {
        let runs = counted.clone();
        Box::new(scripted(move |_job| {
            std::future::ready(if runs.add() < 3 {
                Outcome::RetryAt {
                    at: after(3 * 3600),
                    error: "not now".to_owned(),
                }
            } else {
                Outcome::Done
            })
        }))
    });
    waits_for(&db.pool, KIND, after(3600)).await;
    instances.advance(1800);
    let (retried, next) = (after(3 * 3600), after(2 * 3600));
    eventually("it failed", async || {
        (waiting(&db.pool, KIND).await == [retried, next]).then_some(())
    })
    .await;
    instances.advance(2 * 3600);
    // the first of the two runs in vain again, then well, and after it the one of the missed slot
    runs.reaches(2).await;
    instances.advance(0);
    runs.reaches(4).await;
    waits_for(&db.pool, KIND, after(4 * 3600)).await;
    instances.stop().await;
}

#[tokio::test]
async fn upkeep_wipes_expired_secrets_and_deletes_what_has_been_dead_for_a_month() {
    let db = TestDatabase::create().await;
    let (clock, wake) = (ManualClock::new(noon()), WakeUp::new());
    let month = TimeDelta::days(30).num_seconds();
    let mut conn = db.pool.acquire().await.unwrap();
    let mut dead = Vec::new();
    for seconds in [0, 7200] {
        let job = NewJob {
            secret: Some(SealedSecret {
                bytes: vec![1],
                expires_at: after(month * 2),
            }),
            ..NewJob::new(KIND, json!({}))
        };
        dead.push(put(&db.pool, job, Some(noon())).await);
        let now = Some(noon());
        let claimed = jobs::claim(&mut conn, 1, "w", NEVER, now).await.unwrap();
        let died = Some(after(seconds));
        assert!(
            jobs::bury(&mut conn, claimed[0].lease, "e", died)
                .await
                .unwrap()
        );
    }
    sqlx::query("update jobs set secret_expires_at = $1 where id = $2")
        .bind(after(month))
        .bind(dead[1])
        .execute(&mut *conn)
        .await
        .unwrap();

    let upkeep = JobsUpkeep::new(db.pool.clone(), Arc::new(clock.clone()));
    let worker = worker_on(&db.pool, clock.clone(), &wake, settings())
        .handle(upkeep)
        .every(jobs_upkeep::KIND, Duration::from_secs(3600));
    let worker = Running::start(worker);
    waits_for(&db.pool, jobs_upkeep::KIND, after(3600)).await;
    clock.advance(TimeDelta::seconds(month + 3600));
    wake.jobs();
    waits_for(&db.pool, jobs_upkeep::KIND, after(month + 7200)).await;
    let left = jobs::list_dead(&mut conn, 10).await.unwrap();
    assert_eq!(left.iter().map(|job| job.id).collect::<Vec<_>>(), [dead[1]]);
    assert!(left[0].secret_wiped);
    worker.stop().await;
}
