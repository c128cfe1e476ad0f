//! The worker, on PostgreSQL.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use futures::future::BoxFuture;
use serde_json::json;
use sqlx::{PgPool, postgres::PgPoolOptions};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use user_management::{
    infra::{
        clock::{Clock, SystemClock},
        random::SeededRandom,
        wake_up::WakeUp,
    },
    repository::jobs::{self, ClaimedJob, JobKind, NewJob},
    worker::{JobHandler, Outcome, Worker, WorkerSettings},
};

mod failing;
mod idle;
mod leases;
mod outages;
mod recurring;
mod running;
mod stopping;

use crate::support::{database::TestDatabase, eventually::eventually};

const KIND: JobKind = JobKind {
    name: "test",
    max_attempts: 3,
};
/// Too long for a test: what happens in one with this poll happens for another reason.
const NEVER: Duration = Duration::from_secs(3600);

fn settings() -> WorkerSettings {
    WorkerSettings {
        poll: NEVER,
        ..WorkerSettings::default()
    }
}

/// A handler that is a closure, with a time limit of an hour unless another is given.
struct Scripted<F> {
    limit: Duration,
    script: F,
}

fn scripted<F, R>(script: F) -> Scripted<F>
where
    F: Fn(ClaimedJob) -> R + Send + Sync + 'static,
    R: Future<Output = Outcome> + Send + 'static,
{
    Scripted {
        limit: NEVER,
        script,
    }
}

impl<F, R> JobHandler for Scripted<F>
where
    F: Fn(ClaimedJob) -> R + Send + Sync + 'static,
    R: Future<Output = Outcome> + Send + 'static,
{
    fn kind(&self) -> JobKind {
        KIND
    }

    fn time_limit(&self) -> Duration {
        self.limit
    }

    fn run<'a>(&'a self, job: &'a ClaimedJob) -> BoxFuture<'a, Outcome> {
        Box::pin((self.script)(job.clone()))
    }
}

/// How often something happened.
#[derive(Clone, Default)]
struct Counter(Arc<AtomicU32>);

impl Counter {
    fn add(&self) -> u32 {
        self.0.fetch_add(1, Ordering::SeqCst) + 1
    }

    fn get(&self) -> u32 {
        self.0.load(Ordering::SeqCst)
    }

    async fn reaches(&self, times: u32) {
        eventually(&format!("{times} times"), async || {
            (self.get() >= times).then_some(())
        })
        .await;
    }
}

/// Counts when it is dropped: a future that holds it has ended or was cancelled.
struct Dropped(Counter);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.add();
    }
}

/// A handler that counts its runs, then waits for ever.
fn endless(begun: &Counter, dropped: &Counter) -> impl JobHandler + use<> {
    let (begun, dropped) = (begun.clone(), dropped.clone());
    scripted(move |_job| {
        let (begun, guard) = (begun.clone(), Dropped(dropped.clone()));
        async move {
            let _guard = guard;
            begun.add();
            std::future::pending().await
        }
    })
}

/// A worker that runs in this test's runtime, as a process of its own would.
struct Running {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    fn start(worker: Worker) -> Self {
        let stop = CancellationToken::new();
        let task = tokio::spawn(worker.run(stop.clone()));
        Self { stop, task }
    }

    async fn stop(mut self) {
        self.stop.cancel();
        (&mut self.task).await.unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn worker_on(pool: &PgPool, clock: impl Clock, wake: &WakeUp, settings: WorkerSettings) -> Worker {
    let random = Arc::new(SeededRandom::new(1));
    Worker::new(
        pool.clone(),
        Arc::new(clock),
        random,
        wake.clone(),
        settings,
    )
}

/// A worker with a pool of its own, as in a process of its own.
fn instance(db: &TestDatabase, settings: WorkerSettings) -> Worker {
    let pool = PgPoolOptions::new()
        .max_connections(8)
        .connect_lazy_with(db.connect_options());
    worker_on(&pool, SystemClock, &WakeUp::new(), settings)
}

async fn put(pool: &PgPool, job: NewJob, now: Option<DateTime<Utc>>) -> i64 {
    let mut conn = pool.acquire().await.unwrap();
    jobs::enqueue(&mut conn, &job, now).await.unwrap().unwrap()
}

fn job() -> NewJob {
    NewJob::new(KIND, json!({}))
}

/// A row of the table, as far as tests look at it.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
struct Row {
    run_at: DateTime<Utc>,
    claims: i32,
    attempts: i16,
    leased_by: Option<String>,
    last_error: Option<String>,
    dead_at: Option<DateTime<Utc>>,
}

async fn row(pool: &PgPool, id: i64) -> Option<Row> {
    sqlx::query_as(
        "select run_at, claims, attempts, leased_by, last_error, dead_at from jobs where id = $1",
    )
    .bind(id)
    .fetch_optional(pool)
    .await
    .unwrap()
}

/// Waits until the run of a job has ended, and gives its row.
async fn given_back(pool: &PgPool, id: i64, claims: i32) -> Row {
    eventually("the run has ended", async || {
        row(pool, id)
            .await
            .filter(|row| row.claims == claims && row.leased_by.is_none())
    })
    .await
}

async fn all_done(pool: &PgPool) {
    eventually("all jobs are done", async || {
        sqlx::query_scalar::<_, bool>("select not exists (select from jobs)")
            .fetch_one(pool)
            .await
            .unwrap()
            .then_some(())
    })
    .await;
}

fn noon() -> DateTime<Utc> {
    "2026-11-21T12:00:00Z".parse().unwrap()
}

fn after(seconds: i64) -> DateTime<Utc> {
    noon() + TimeDelta::seconds(seconds)
}
