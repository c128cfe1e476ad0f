//! How long to wait after a failed run.

use std::time::Duration;

use crate::infra::random::Random;

/// The longest wait before jitter, so that with it a job waits at most an hour.
const CAP: Duration = Duration::from_secs(48 * 60);

/// The wait after the run numbered `attempts`, counted from 1: 2 to the power of it in seconds, at
/// most 48 minutes, and then a quarter more or less, so that jobs that failed together are not tried
/// together. Forty attempts last about a day.
pub fn backoff(attempts: i16, random: &dyn Random) -> Duration {
    let exponent = u32::try_from(attempts).unwrap_or(0).min(12);
    let wait = Duration::from_secs(1 << exponent).min(CAP);
    wait.mul_f64(0.75 + f64::from(random.below(5001)) / 10_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::infra::random::SeededRandom;

    #[test]
    fn the_wait_doubles_within_a_quarter_and_stays_within_an_hour() {
        let random = SeededRandom::new(3);
        for (attempts, seconds) in [(1, 2.0), (2, 4.0), (5, 32.0), (11, 2048.0), (12, 2880.0)] {
            for _ in 0..1000 {
                let wait = backoff(attempts, &random).as_secs_f64() / seconds;
                assert!((0.75..=1.25).contains(&wait), "{attempts}: {wait}");
            }
        }
        for attempts in [13, 40, i16::MAX] {
            assert!(backoff(attempts, &random) <= Duration::from_secs(3600));
        }
    }

    #[test]
    fn waits_of_the_same_attempt_differ() {
        let random = SeededRandom::new(4);
        assert_ne!(backoff(40, &random), backoff(40, &random));
    }

    #[test]
    fn forty_attempts_last_about_a_day() {
        let random = SeededRandom::new(5);
        let total: Duration = (1..40).map(|attempts| backoff(attempts, &random)).sum();
        let hours = total.as_secs_f64() / 3600.0;
        assert!((22.0..26.0).contains(&hours), "{hours}");
    }
}
