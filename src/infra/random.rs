//! Randomness: injected, so that a test can repeat a run.

use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, Utc};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use uuid::Uuid;

/// Where random bytes come from.
pub trait Random: Send + Sync + 'static {
    /// Fills `bytes` with random bytes fit for keys and tokens.
    fn fill(&self, bytes: &mut [u8]);
}

impl dyn Random {
    /// An array of `N` random bytes.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.fill(&mut bytes);
        bytes
    }

    /// A UUID of version 7 (RFC 9562): the time in milliseconds, then random bits.
    pub fn uuid_v7(&self, now: DateTime<Utc>) -> Uuid {
        let millis = u64::try_from(now.timestamp_millis()).unwrap_or(0);
        uuid::Builder::from_unix_timestamp_millis(millis, &self.bytes()).into_uuid()
    }

    /// A number from 0 to `bound - 1`, all equally likely but for a bias below 2⁻³².
    pub fn below(&self, bound: u32) -> u32 {
        let wide = u128::from(u64::from_le_bytes(self.bytes()));
        u32::try_from((wide * u128::from(bound)) >> 64).unwrap_or(0)
    }
}

/// The operating system's randomness, by the thread's generator that it seeds.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&self, bytes: &mut [u8]) {
        rand::rng().fill_bytes(bytes);
    }
}

/// The same sequence for the same seed: for tests only.
#[derive(Debug)]
pub struct SeededRandom(Mutex<StdRng>);

impl SeededRandom {
    /// A generator that starts from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new(StdRng::seed_from_u64(seed)))
    }
}

impl Random for SeededRandom {
    fn fill(&self, bytes: &mut [u8]) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .fill_bytes(bytes);
    }
}
