//! Holds a command to a number of bytes or documents a second, over all of its workers together.

use std::{sync::Mutex, time::Duration};

use tokio::time::Instant;

/// How far the workers may run ahead after a pause.
const BURST: Duration = Duration::from_millis(250);
/// All of them ask for no more at once than what they may have in one second, through this.
const STEPS_A_SECOND: u64 = 10;

/// How much is moved in a second, at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rate {
    /// So many bytes of documents.
    Bytes(u64),
    /// So many documents.
    Documents(u64),
}

/// How many documents, and of how many bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Amount {
    pub(crate) documents: u64,
    pub(crate) bytes: u64,
}

impl Amount {
    /// More than anybody has.
    pub(crate) const ANY: Amount = Amount { documents: u64::MAX, bytes: u64::MAX };

    /// No more than either.
    pub(crate) fn min(self, other: Amount) -> Amount {
        Amount { documents: self.documents.min(other.documents), bytes: self.bytes.min(other.bytes) }
    }
}

/// A rate that is held.
#[derive(Debug)]
pub(crate) struct RateLimit {
    rate: Rate,
    step: Amount,
    /// When everything that was taken so far has been paid for; none before anything was.
    free_at: Mutex<Option<Instant>>,
}

impl RateLimit {
    /// A limit for so many workers. It begins with what is taken first: no burst comes before it.
    pub(crate) fn new(rate: Rate, workers: usize) -> Self {
        let workers = u64::try_from(workers).unwrap_or(u64::MAX).max(1);
        let part = |rate: u64| (rate / STEPS_A_SECOND / workers).max(1);
        let step = match rate {
            Rate::Bytes(rate) => Amount { bytes: part(rate), ..Amount::ANY },
            Rate::Documents(rate) => Amount { documents: part(rate), ..Amount::ANY },
        };
        RateLimit { rate, step, free_at: Mutex::default() }
    }

    /// What a worker should take at a time, so that the rate holds from one second to the next and not in the long run
    /// only. A document that is larger is taken as it is.
    pub(crate) fn step(&self) -> Amount {
        self.step
    }

    /// Waits until so much may be moved.
    pub(crate) async fn take(&self, amount: Amount) {
        let until = {
            let mut free_at = self.free_at.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let now = Instant::now();
            let from = free_at.map_or(now, |free_at| free_at.max(now - BURST));
            *free_at.insert(from + self.cost(amount))
        };
        tokio::time::sleep_until(until).await;
    }

    fn cost(&self, amount: Amount) -> Duration {
        let (taken, a_second) = match self.rate {
            Rate::Bytes(rate) => (amount.bytes, rate),
            Rate::Documents(rate) => (amount.documents, rate),
        };
        let nanoseconds = u128::from(taken) * 1_000_000_000 / u128::from(a_second.max(1));
        Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn many_readers_together_are_held_to_the_rate() {
        let of = |documents, bytes| Amount { documents, bytes };
        for (rate, amount) in [(Rate::Bytes(10_000_000), of(0, 50_000)), (Rate::Documents(2_000), of(10, 1 << 40))] {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let (limit, begun) = (RateLimit::new(rate, 2), Instant::now());
            for _ in 0..30 {
                futures_util::join!(limit.take(amount), limit.take(amount));
            }
            assert!(begun.elapsed() >= Duration::from_millis(299), "{:?} at {rate:?}", begun.elapsed());
        }
    }

    #[tokio::test]
    async fn after_a_pause_no_more_than_a_burst_is_made_up_for() {
        let limit = RateLimit::new(Rate::Documents(1_000), 1);
        limit.take(Amount { documents: 1, bytes: 0 }).await;
        tokio::time::sleep(BURST * 2).await;
        let begun = Instant::now();
        limit.take(Amount { documents: 450, bytes: 0 }).await;
        assert!(begun.elapsed() >= Duration::from_millis(199), "{:?}", begun.elapsed());
    }

    #[test]
    fn the_steps_of_all_workers_are_a_tenth_of_a_second() {
        assert_eq!(RateLimit::new(Rate::Bytes(8_000_000), 4).step(), Amount { bytes: 200_000, ..Amount::ANY });
        assert_eq!(RateLimit::new(Rate::Documents(5), 64).step(), Amount { documents: 1, ..Amount::ANY });
    }
}
