//! What every service stands on.

use std::sync::Arc;

use sqlx::PgPool;
use tokio_util::task::TaskTracker;

use super::{audit::Audit, queue::Queue};
use crate::infra::{clock::Clock, random::Random};

/// What every service stands on; cheap to clone.
#[derive(Clone)]
pub struct Platform {
    /// The database.
    pub pool: PgPool,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub random: Arc<dyn Random>,
    /// Work for later.
    pub queue: Queue,
    /// Tells what is done.
    pub audit: Audit,
    /// What goes on when the client who asked for it has gone, and is waited for at the end.
    pub detached: TaskTracker,
}
