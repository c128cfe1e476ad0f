//! What every service stands on.

use std::sync::Arc;

use sqlx::PgPool;

use super::queue::Queue;
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
}
