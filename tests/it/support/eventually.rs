//! Waits for conditions, in place of sleeping for a time that is long enough today.

use std::time::{Duration, Instant};

/// How long a condition may take to become true.
const LIMIT: Duration = Duration::from_secs(30);
/// How often it is looked at.
const PAUSE: Duration = Duration::from_millis(10);

/// Waits until `condition` gives something, and panics with `what` after 30 s.
pub async fn eventually<T>(what: &str, condition: impl AsyncFnMut() -> Option<T>) -> T {
    eventually_within(LIMIT, what, condition).await
}

/// Waits until `condition` gives something, and panics with `what` after `limit`.
pub async fn eventually_within<T>(
    limit: Duration,
    what: &str,
    mut condition: impl AsyncFnMut() -> Option<T>,
) -> T {
    let begun = Instant::now();
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(begun.elapsed() < limit, "never: {what}");
        tokio::time::sleep(PAUSE).await;
    }
}

/// Waits until `condition` holds, and panics with `what` after 30 s.
pub async fn wait_until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    eventually(what, async || condition().await.then_some(())).await;
}
