//! The time: injected, so that a test decides what it is.

use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};

/// Where the time comes from. One operation reads it once.
pub trait Clock: Send + Sync + 'static {
    /// The time now, in UTC, in whole microseconds as PostgreSQL keeps it.
    fn now(&self) -> DateTime<Utc>;

    /// The time that statements use in place of the database's own clock: `None` but in tests.
    ///
    /// What several instances compare with each other (leases, lockouts) goes by the database's
    /// clock, so that instances whose clocks differ agree: such a statement binds this value as
    /// `coalesce($n, clock_timestamp())`.
    fn database_override(&self) -> Option<DateTime<Utc>> {
        None
    }
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> DateTime<Utc> {
        Utc::now().trunc_subsecs(6)
    }
}

/// A clock that stands still until it is moved.
///
/// # Concurrency
///
/// Clones share one time.
#[derive(Debug, Clone)]
pub struct ManualClock(Arc<Mutex<DateTime<Utc>>>);

impl ManualClock {
    /// A clock that stands at `now`.
    #[must_use]
    pub fn new(now: DateTime<Utc>) -> Self {
        Self(Arc::new(Mutex::new(now.trunc_subsecs(6))))
    }

    /// Moves the clock by `by`, which may be negative.
    pub fn advance(&self, by: TimeDelta) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) += by;
    }
}

impl Clock for ManualClock {
    fn now(&self) -> DateTime<Utc> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn database_override(&self) -> Option<DateTime<Utc>> {
        Some(self.now())
    }
}
