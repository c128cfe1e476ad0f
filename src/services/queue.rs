//! Work that is done after a request: jobs, enqueued in the transaction that causes them.

use std::sync::Arc;

use sqlx::PgConnection;

use crate::{
    error::Result,
    infra::{clock::Clock, wake_up::WakeUp},
    repository::jobs::{self, NewJob},
};

/// Enqueues jobs; cheap to clone.
#[derive(Clone)]
pub struct Queue {
    clock: Arc<dyn Clock>,
    wake_up: WakeUp,
}

impl Queue {
    /// A queue whose worker hears `wake_up`.
    pub fn new(clock: Arc<dyn Clock>, wake_up: WakeUp) -> Self {
        Self { clock, wake_up }
    }

    /// Enqueues a job in the caller's transaction; call [`Self::wake`] after its commit.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub async fn enqueue(&self, connection: &mut PgConnection, job: &NewJob) -> Result<()> {
        jobs::enqueue(connection, job, self.clock.database_override()).await?;
        Ok(())
    }

    /// Enqueues jobs that have no keys, in the caller's transaction; call [`Self::wake`] after its commit.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub async fn enqueue_all(&self, connection: &mut PgConnection, jobs: &[NewJob]) -> Result<()> {
        jobs::enqueue_all(connection, jobs, self.clock.database_override()).await?;
        Ok(())
    }

    /// Tells the worker that there are jobs: they start at once.
    pub fn wake(&self) {
        self.wake_up.jobs();
    }
}
