//! Runs durable jobs: claims them from the table `jobs`, hands them to their handlers and writes
//! down how that ended.
//!
//! # How to add a job
//!
//! 1. Name its [`JobKind`](crate::repository::jobs::JobKind) in a constant.
//! 2. The service [enqueues](crate::repository::jobs::enqueue) it in the transaction that causes
//!    it, and calls [`WakeUp::jobs`] after the commit.
//! 3. Write a [`JobHandler`] and give it to the worker in the composition root:
//!
//! ```text
//! let worker = Worker::new(pool, clock, random, wake, WorkerSettings::default())
//!     .handle(SendMail::new(mailer))
//!     .handle(JobsUpkeep::new(pool, clock))
//!     .every(jobs_upkeep::KIND, Duration::from_secs(3600));
//! tokio::spawn(worker.run(stop));
//! ```
//!
//! # What a handler can rely on, and what not
//!
//! * A job is run **at least once**: after a crash, a lost lease or a lost connection it is run
//!   again. Make the effect idempotent (a mail has a fixed `Message-ID`), or, where the effect is in
//!   our database, finish the job in the same transaction: [`finish_in`].
//! * The handler's future is dropped at its next `await` when the time limit is over, when the lease
//!   is lost, and when the process stops and the drain is over. It must not block its thread.
//! * An error text is stored and logged: no addresses, tokens or payloads in it. A panic counts as a
//!   failed run; its message is not stored.
//!
//! # How a run ends
//!
//! | | counts as an attempt | then |
//! | --- | --- | --- |
//! | [`Outcome::Done`], [`Outcome::Finished`] | | the row is deleted |
//! | [`Outcome::Backoff`], panic, time limit | yes | again after 2ⁿ s ± 25 %, at most 1 h; dead after the last attempt |
//! | [`Outcome::RetryAt`] | yes | again at that time; dead after the last attempt |
//! | [`Outcome::Permanent`] | yes | dead |
//! | the process dies, or loses the database until the lease ends | yes | again when the lease has ended; dead when claimed after the last attempt, so that a job that kills its process stops doing so |
//! | the process stops | no, for it is not the job's fault | again now |
//! | no handler of the kind | no | again after a minute: a newer worker may know it |
//!
//! # Tasks
//!
//! One worker is a loop that claims (`run`), a task for each running job (`execute`), one that
//! keeps the leases on a connection of its own (`leases`) and one that listens for calls from other
//! processes (`listen`). Idle, it makes one query each two seconds. Every statement may fail for
//! as long as the database is away: each task goes on trying, and each logs once that it was lost and
//! once that it is back.
//!
//! Time limits and leases within the process go by the runtime's monotonic clock; times in the
//! database by the database's clock, so that workers whose clocks differ agree.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use sqlx::PgPool;

use crate::infra::{clock::Clock, random::Random, wake_up::WakeUp};

mod announce;
mod backoff;
mod execute;
mod handler;
pub mod handlers;
pub mod jobs_upkeep;
mod leases;
mod listen;
mod outage;
mod run;
mod schedule;

pub use announce::announce;
use outage::Outage;
use schedule::Schedule;

pub use handler::{FinishError, Finished, JobHandler, Outcome, finish_in};

/// How a worker works.
#[derive(Debug, Clone, Copy)]
pub struct WorkerSettings {
    /// How many jobs run at a time.
    pub slots: usize,
    /// How long a claim lasts without a heartbeat: so late a job is run again after a crash.
    pub lease: Duration,
    /// How often to look for jobs when nobody calls.
    pub poll: Duration,
    /// How long running jobs may go on after the stop.
    pub drain: Duration,
}

impl Default for WorkerSettings {
    /// 8 slots, a lease of 30 s, a look each 2 s, and a drain of 10 s.
    fn default() -> Self {
        Self {
            slots: 8,
            lease: Duration::from_secs(30),
            poll: Duration::from_secs(2),
            drain: Duration::from_secs(10),
        }
    }
}

/// Runs jobs until it is stopped: see the module's documentation.
pub struct Worker {
    shared: Shared,
    wake: WakeUp,
}

/// What the tasks of one worker share.
struct Shared {
    pool: PgPool,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    settings: WorkerSettings,
    /// Stands in `leased_by`, for operators.
    name: String,
    handlers: HashMap<&'static str, Arc<dyn JobHandler>>,
    schedules: HashMap<&'static str, Schedule>,
    settling: Mutex<Outage>,
}

impl Shared {
    /// The state of the tasks that write down how jobs ended: one log line for all.
    fn settling(&self) -> MutexGuard<'_, Outage> {
        self.settling.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker")
            .field("name", &self.shared.name)
            .field("settings", &self.shared.settings)
            .finish_non_exhaustive()
    }
}

impl Worker {
    /// A worker without handlers. Heartbeats and listening use two connections beside the pool's.
    #[must_use]
    pub fn new(
        pool: PgPool,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        wake: WakeUp,
        settings: WorkerSettings,
    ) -> Self {
        let name = format!("worker-{}", random.uuid_v7(clock.now()));
        Self {
            shared: Shared {
                pool,
                clock,
                random,
                settings,
                name,
                handlers: HashMap::new(),
                schedules: HashMap::new(),
                settling: Mutex::new(Outage::new("writing down how jobs ended")),
            },
            wake,
        }
    }
}
