//! Waking the worker: who enqueued a job says so after his commit.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::sync::Notify;

/// Tells workers that there may be jobs to do. Cheap to clone; clones share one state.
///
/// It is a hint that makes work start at once: a worker finds jobs without it, by polling.
///
/// # Concurrency
///
/// Many calls while nobody looks are one call.
#[derive(Debug, Clone, Default)]
pub struct WakeUp(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// Workers of this process that take jobs.
    workers: AtomicUsize,
    here: Notify,
    elsewhere: Notify,
}

impl WakeUp {
    /// A handle that no worker has attached to yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Call this after the commit of a transaction that enqueued jobs. Never blocks.
    ///
    /// The worker of this process starts at once. Where none runs, workers elsewhere are told, by
    /// the task `worker::announce`.
    pub fn jobs(&self) {
        if self.0.workers.load(Ordering::Acquire) > 0 {
            self.0.here.notify_one();
        } else {
            self.0.elsewhere.notify_one();
        }
    }

    /// From now on, until the guard is dropped, a worker of this process answers calls.
    #[must_use]
    pub fn attach(&self) -> Attached {
        self.0.workers.fetch_add(1, Ordering::AcqRel);
        Attached(self.clone())
    }

    /// Waits for a call meant for a worker of this process.
    pub async fn called_here(&self) {
        self.0.here.notified().await;
    }

    /// Waits for a call meant for workers of other processes.
    pub async fn called_elsewhere(&self) {
        self.0.elsewhere.notified().await;
    }
}

/// A worker of this process is taking jobs as long as this lives.
#[derive(Debug)]
pub struct Attached(WakeUp);

impl Drop for Attached {
    fn drop(&mut self) {
        let inner = &self.0.0;
        // a call that the worker has not taken yet would be lost with it: pass it on
        if inner.workers.fetch_sub(1, Ordering::AcqRel) == 1 {
            inner.elsewhere.notify_one();
        }
    }
}
