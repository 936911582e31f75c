//! Whose turn it is to read: of many workers, as many as there are to be cursors.

use std::{
    convert::Infallible,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use tokio::sync::watch;

use super::cursors::{Cursors, Seen, Tuner};

/// How long it takes at least until it is clear what a number of cursors brings.
const LOOK: Duration = Duration::from_secs(1);
/// How many replies of each of them that takes.
const REPLIES_OF_A_LOOK: usize = 3;

/// The turns of workers, which are numbered from 0, and what those that have one bring.
#[derive(Debug)]
pub(super) struct Turns {
    cursors: Cursors,
    /// How many workers have their turn.
    count: watch::Sender<usize>,
    /// How many had it at once, at most.
    most: AtomicUsize,
    /// Replies since somebody looked.
    replies: AtomicUsize,
    /// Their bytes.
    bytes: AtomicU64,
    /// How long they took, of all cursors together.
    nanoseconds: AtomicU64,
}

impl Turns {
    pub(super) fn new(cursors: Cursors) -> Self {
        let first = cursors.first();
        Turns {
            cursors,
            count: watch::Sender::new(first),
            most: AtomicUsize::new(first),
            replies: AtomicUsize::new(0),
            bytes: AtomicU64::new(0),
            nanoseconds: AtomicU64::new(0),
        }
    }

    /// Waits until it is the turn of a worker, or there is nothing left to wait for, which [`over`](Self::over) makes known.
    pub(super) async fn wait(&self, worker: usize, is_over: impl Fn() -> bool) {
        // The sender is in hand, so there is always an end of the wait to come.
        let _ = self.count.subscribe().wait_for(|count| worker < *count || is_over()).await;
    }

    /// Has those that wait look whether there is anything left to wait for. Whatever they look into must not be locked.
    pub(super) fn over(&self) {
        self.count.send_modify(|_| ());
    }

    /// Another reply has come, which took so long.
    pub(super) fn brought(&self, took: Duration, bytes: usize) {
        self.replies.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        self.nanoseconds.fetch_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// How many had their turn at once, at most.
    pub(super) fn most(&self) -> usize {
        self.most.load(Ordering::Relaxed)
    }

    /// Gives as many workers their turn as the source is fastest with, if nobody has said how many.
    pub(super) async fn tune(&self) -> Infallible {
        if self.cursors != Cursors::Adapting {
            return std::future::pending().await;
        }
        let mut tuner = Tuner::new(self.cursors);
        let (mut now, mut since) = (self.cursors.first(), Instant::now());
        loop {
            tokio::time::sleep(LOOK / 4).await;
            let passed = since.elapsed();
            if passed < LOOK || self.replies.load(Ordering::Relaxed) < REPLIES_OF_A_LOOK * now {
                continue;
            }
            now = tuner.look(self.seen(passed));
            since = Instant::now();
            self.most.fetch_max(now, Ordering::Relaxed);
            self.count.send_replace(now);
        }
    }

    /// What was brought in the time that has passed; it is counted anew from now on.
    fn seen(&self, passed: Duration) -> Seen {
        let bytes = self.bytes.swap(0, Ordering::Relaxed);
        let replies = u64::try_from(self.replies.swap(0, Ordering::Relaxed)).unwrap_or(u64::MAX);
        let nanoseconds = self.nanoseconds.swap(0, Ordering::Relaxed);
        Seen { rate: bytes as f64 / passed.as_secs_f64(), reply: Duration::from_nanos(nanoseconds / replies.max(1)) }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, atomic::AtomicBool};

    use super::*;

    #[tokio::test]
    async fn a_worker_waits_for_its_turn_or_the_end() {
        let (turns, is_over) = (Arc::new(Turns::new(Cursors::Fixed(1))), Arc::new(AtomicBool::new(false)));
        turns.wait(0, || false).await;
        let waiting = tokio::spawn({
            let (turns, is_over) = (Arc::clone(&turns), Arc::clone(&is_over));
            async move { turns.wait(1, || is_over.load(Ordering::Relaxed)).await }
        });
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(!waiting.is_finished());
        is_over.store(true, Ordering::Relaxed);
        turns.over();
        waiting.await.unwrap();
    }

    #[tokio::test]
    async fn what_is_brought_is_counted_once() {
        let turns = Turns::new(Cursors::Adapting);
        turns.brought(Duration::from_millis(30), 1000);
        turns.brought(Duration::from_millis(10), 3000);
        let seen = turns.seen(Duration::from_secs(2));
        assert_eq!((seen.rate, seen.reply), (2000.0, Duration::from_millis(20)));
        assert_eq!(turns.seen(Duration::from_secs(1)).rate, 0.0);
    }
}
