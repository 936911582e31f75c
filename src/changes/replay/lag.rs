//! How far a replay is behind its source, in the source's own time.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use super::Shared;
use crate::changes::token;

/// How often the source is asked for its time.
const EVERY: Duration = Duration::from_secs(10);

/// What a log counts as that is not followed any more: it holds nobody up.
const ENDED: u64 = u64::MAX;

/// The cluster times up to which the logs are applied.
#[derive(Debug)]
pub(super) struct Lag(BTreeMap<u32, AtomicU64>);

impl Lag {
    /// Of these logs.
    pub(super) fn of(logs: impl Iterator<Item = u32>) -> Self {
        Lag(logs.map(|log| (log, AtomicU64::new(0))).collect())
    }

    /// A log is applied up to this time. Gives the time up to which all are; none as long as one has not begun.
    pub(super) fn reached(&self, log: u32, time: u64) -> Option<u64> {
        if let Some(applied) = self.0.get(&log) {
            applied.store(time, Ordering::Relaxed);
        }
        self.hindmost()
    }

    /// A log is of a stream that is not followed any more: how far it was applied says nothing of the others.
    pub(super) fn ended(&self, log: u32) -> Option<u64> {
        self.reached(log, ENDED)
    }

    /// Seconds that the hindmost log is behind the source's time; none as long as one has not begun.
    pub(super) fn seconds(&self, source: u64) -> Option<u64> {
        self.hindmost().map(|hindmost| token::seconds_behind(hindmost, source))
    }

    fn hindmost(&self) -> Option<u64> {
        let hindmost = self.0.values().map(|applied| applied.load(Ordering::Relaxed)).min()?;
        (hindmost > 0 && hindmost != ENDED).then_some(hindmost)
    }
}

/// Tells it again and again, where the source can be asked.
pub(super) async fn watch(shared: Arc<Shared>) {
    let Some(source) = shared.source.clone() else { return };
    loop {
        tokio::time::sleep(EVERY).await;
        let Ok(time) = source.operation_time().await else { continue };
        if let Some(seconds) = shared.lag.seconds(time) {
            shared.progress.lag(seconds);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hindmost_log_counts_once_all_have_begun() {
        let lag = Lag::of([1, 2].into_iter());
        lag.reached(1, 100 << 32);
        assert_eq!(lag.seconds(107 << 32), None);
        lag.reached(2, 105 << 32 | 9);
        assert_eq!(lag.seconds(107 << 32), Some(7));
        lag.reached(1, 108 << 32);
        assert_eq!(lag.seconds(107 << 32), Some(2));
    }

    #[test]
    fn a_log_that_is_not_followed_any_more_holds_nobody_up_and_stands_for_nobody() {
        let lag = Lag::of([1, 2].into_iter());
        lag.reached(1, 100 << 32);
        assert_eq!(lag.ended(2), Some(100 << 32));
        assert_eq!(lag.reached(1, 108 << 32), Some(108 << 32));
        assert_eq!(lag.ended(1), None, "nothing is followed");
    }
}
