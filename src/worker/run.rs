//! The loop that claims jobs and starts them.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::Notify,
    task::{JoinError, JoinSet},
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::{
    JobHandler, Shared, Worker,
    execute::{STATEMENT, execute},
    leases::{self, Leases},
    listen::listen,
    outage::Outage,
    schedule::Schedule,
};
use crate::{
    infra::wake_up::WakeUp,
    repository::jobs::{self, ClaimedJob, JobKind},
};

/// The time between two tries when the database does not answer.
const PAUSE: Duration = Duration::from_secs(1);
/// How long giving jobs back may take when the process stops.
const RETURNING: Duration = Duration::from_secs(3);

impl Worker {
    /// Adds a handler, in place of an earlier one of the same kind.
    #[must_use]
    pub fn handle(mut self, handler: impl JobHandler) -> Self {
        self.shared
            .handlers
            .insert(handler.kind().name, Arc::new(handler));
        self
    }

    /// Has a job of this kind enqueued for each multiple of `every` (at least a second) since 1970,
    /// once among all workers.
    #[must_use]
    pub fn every(mut self, kind: JobKind, every: Duration) -> Self {
        self.shared
            .schedules
            .insert(kind.name, Schedule { kind, every });
        self
    }

    /// Runs jobs until `stop`; then claims no more, lets those that run go on for the drain time, and
    /// gives back those that have not ended by then. Whoever drops this future cancels the runs; their
    /// jobs run again when their leases end.
    pub async fn run(self, stop: CancellationToken) {
        let shared = Arc::new(self.shared);
        let leases = Arc::new(Leases::default());
        let stir = Notify::new();
        let drained = CancellationToken::new();
        info!(
            worker = shared.name,
            slots = shared.settings.slots,
            "the worker runs jobs"
        );
        let jobs = async {
            let attached = self.wake.attach();
            let mut claiming = Claiming {
                shared: &shared,
                leases: &leases,
                running: JoinSet::new(),
                cut: CancellationToken::new(),
                outage: Outage::new("claiming jobs"),
                scheduled: false,
            };
            claiming.until(&stop, &self.wake, &stir).await;
            drop(attached);
            claiming.drain().await;
            drained.cancel();
        };
        let heartbeat = leases::keep(
            &leases,
            &shared.pool,
            shared.clock.as_ref(),
            shared.settings.lease,
            &drained,
        );
        tokio::join!(jobs, heartbeat, listen(&shared.pool, &stir, &stop));
        info!(worker = shared.name, "the worker has stopped");
    }
}

struct Claiming<'a> {
    shared: &'a Arc<Shared>,
    leases: &'a Arc<Leases>,
    /// Each gives whether there may be a job of the same key behind it.
    running: JoinSet<bool>,
    cut: CancellationToken,
    outage: Outage,
    /// Whether a job waits for the next slot of each schedule.
    scheduled: bool,
}

impl Claiming<'_> {
    async fn until(&mut self, stop: &CancellationToken, wake: &WakeUp, stir: &Notify) {
        let settings = self.shared.settings;
        // whether there may be jobs that are due
        let mut look = true;
        let mut poll = Instant::now();
        loop {
            let free = settings.slots.saturating_sub(self.running.len());
            if look && free > 0 {
                let claimed = Instant::now();
                poll = claimed + settings.poll;
                match self.claim(free).await {
                    Ok(jobs) => {
                        self.outage.over();
                        look = jobs.len() == free;
                        for job in jobs {
                            self.start(job, claimed);
                        }
                    }
                    Err(error) => {
                        self.outage.failed(&error);
                        tokio::select! {
                            () = stop.cancelled() => return,
                            () = tokio::time::sleep(PAUSE) => continue,
                        }
                    }
                }
            }
            // A claim is never cancelled: it may have got jobs that nobody would run.
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                Some(ended) = self.running.join_next(), if !self.running.is_empty() => {
                    look |= reap(ended);
                    // claim for all slots that are free by now, not for one after the other
                    while let Some(ended) = self.running.try_join_next() {
                        look |= reap(ended);
                    }
                }
                () = wake.called_here() => look = true,
                () = stir.notified() => look = true,
                () = tokio::time::sleep_until(poll), if !look => look = true,
            }
        }
    }

    async fn claim(&mut self, limit: usize) -> sqlx::Result<Vec<ClaimedJob>> {
        let Shared {
            pool,
            clock,
            settings,
            name,
            schedules,
            ..
        } = self.shared.as_ref();
        let statements = async {
            if !self.scheduled {
                for schedule in schedules.values() {
                    schedule
                        .enqueue_next(pool, None, clock.database_override())
                        .await?;
                }
                self.scheduled = true;
            }
            let mut conn = pool.acquire().await?;
            let now = clock.database_override();
            jobs::claim(&mut conn, limit, name, settings.lease, now).await
        };
        tokio::time::timeout(STATEMENT, statements)
            .await
            .unwrap_or(Err(sqlx::Error::PoolTimedOut))
    }

    fn start(&mut self, job: ClaimedJob, claimed: Instant) {
        let (shared, leases) = (Arc::clone(self.shared), Arc::clone(self.leases));
        let cut = self.cut.clone();
        self.running.spawn(async move {
            let serial = job.serial;
            execute(&shared, &leases, job, claimed, &cut).await;
            serial
        });
    }

    async fn drain(&mut self) {
        let drain = self.shared.settings.drain;
        if tokio::time::timeout(drain, self.all()).await.is_ok() {
            return;
        }
        self.cut.cancel();
        if tokio::time::timeout(RETURNING, self.all()).await.is_err() {
            warn!(
                jobs = self.running.len(),
                "jobs could not be given back: they run again when their leases end"
            );
            self.running.shutdown().await;
        }
    }

    async fn all(&mut self) {
        while let Some(ended) = self.running.join_next().await {
            reap(ended);
        }
    }
}

/// Whether there may be a job behind the one that ended. Handlers' panics are caught where they
/// run; one that comes here is a fault of the worker, and the job runs again when its lease ends.
fn reap(ended: Result<bool, JoinError>) -> bool {
    ended.unwrap_or_else(|error| {
        error!(
            error = &error as &dyn std::error::Error,
            "a run of a job broke down"
        );
        true
    })
}
