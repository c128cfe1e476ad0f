//! Logs an outage of the database twice: when it begins and when it is over.

use tokio::time::Instant;
use tracing::{info, warn};

/// Whether one task can reach the database just now.
pub struct Outage {
    /// What the task does, for the log.
    task: &'static str,
    since: Option<Instant>,
}

impl Outage {
    /// The database is thought to be there.
    pub fn new(task: &'static str) -> Self {
        Self { task, since: None }
    }

    /// A statement failed.
    pub fn failed(&mut self, error: &sqlx::Error) {
        if self.since.is_none() {
            self.since = Some(Instant::now());
            warn!(
                task = self.task,
                error = error as &dyn std::error::Error,
                "the database cannot be reached; going on to try"
            );
        }
    }

    /// A statement succeeded.
    pub fn over(&mut self) {
        if let Some(since) = self.since.take() {
            info!(
                task = self.task,
                seconds = since.elapsed().as_secs(),
                "the database is back"
            );
        }
    }
}
