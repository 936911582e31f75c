//! Holds a reader to a number of bytes a second.

use std::{sync::Mutex, time::Duration};

use tokio::time::Instant;

/// How far a reader may run ahead after a pause.
const BURST: Duration = Duration::from_millis(250);

/// So many bytes a second, over all who ask.
#[derive(Debug)]
pub(crate) struct RateLimit {
    bytes_a_second: u64,
    /// When everything that was taken so far has been paid for.
    free_at: Mutex<Instant>,
}

impl RateLimit {
    /// A limit of so many bytes a second; of one at least.
    pub(crate) fn new(bytes_a_second: u64) -> Self {
        RateLimit { bytes_a_second: bytes_a_second.max(1), free_at: Mutex::new(Instant::now()) }
    }

    /// Waits until `bytes` may be read.
    pub(crate) async fn take(&self, bytes: u64) {
        let until = {
            let mut free_at = self.free_at.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let from = (*free_at).max(Instant::now() - BURST);
            *free_at = from + self.cost(bytes);
            *free_at
        };
        tokio::time::sleep_until(until).await;
    }

    fn cost(&self, bytes: u64) -> Duration {
        let nanoseconds = u128::from(bytes) * 1_000_000_000 / u128::from(self.bytes_a_second);
        Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn many_readers_together_are_held_to_the_rate() {
        let (limit, begun) = (RateLimit::new(10_000_000), Instant::now());
        for _ in 0..30 {
            futures_util::join!(limit.take(50_000), limit.take(50_000));
        }
        // A pause lets a reader run ahead, but no further than its burst.
        assert!(begun.elapsed() >= Duration::from_millis(40), "{:?} for 3 MB", begun.elapsed());
        assert!(begun.elapsed() >= Duration::from_millis(300) - BURST);
    }
}
