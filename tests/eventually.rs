//! Waits that have an end.

use std::time::{Duration, Instant};

/// How long anything may take on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Looks until something is so; when it never is, the test fails with `what` was wanted.
pub(crate) async fn eventually(what: &str, is_so: impl AsyncFn() -> bool) {
    let begun = Instant::now();
    while !is_so().await {
        assert!(begun.elapsed() < PATIENCE, "it is never so that {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
