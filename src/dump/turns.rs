//! Whose turn it is to read: of many workers, as many as there are to be cursors.

use std::{
    convert::Infallible,
    sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use tokio::sync::watch;

use super::cursors::{Cursors, Seen, Tuner};

/// How often it is looked whether something can be said.
const TICK: Duration = Duration::from_millis(250);
/// How long it takes at least until it is clear what a number of cursors brings, and how many replies of each.
const LOOK: (Duration, usize) = (Duration::from_secs(1), 8);
/// The same where replies are slow.
const LONG_LOOK: (Duration, usize) = (Duration::from_secs(10), 1);
/// What a reply is worth besides its bytes: as much work as so many. Small collections are all replies.
const WORTH_OF_A_REPLY: u64 = 64 * 1024;

/// The turns of workers, which are numbered from 0, and what those that have one bring.
#[derive(Debug)]
pub(super) struct Turns {
    cursors: Cursors,
    /// How many workers have their turn.
    count: watch::Sender<usize>,
    /// Which of the workers read, whether it is still their turn or not.
    reading: Vec<AtomicBool>,
    /// How many read at once, at most.
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
        Turns {
            cursors,
            count: watch::Sender::new(cursors.first()),
            reading: (0..cursors.most()).map(|_| AtomicBool::new(false)).collect(),
            most: AtomicUsize::new(0),
            replies: AtomicUsize::new(0),
            bytes: AtomicU64::new(0),
            nanoseconds: AtomicU64::new(0),
        }
    }

    /// How many workers have their turn.
    pub(super) fn count(&self) -> usize {
        *self.count.borrow()
    }

    /// Waits until it is the turn of a worker, or there is nothing left to wait for, which [`over`](Self::over) makes known.
    pub(super) async fn wait(&self, worker: usize, is_over: impl Fn() -> bool) {
        if worker >= self.count() {
            self.reads(worker, false);
        }
        // The sender is in hand, so there is always an end of the wait to come.
        let _ = self.count.subscribe().wait_for(|count| worker < *count || is_over()).await;
    }

    /// Has those that wait look whether there is anything left to wait for. Whatever they look into must not be locked.
    pub(super) fn over(&self) {
        self.count.send_modify(|_| ());
    }

    /// A worker reads from now on, or does not.
    pub(super) fn reads(&self, worker: usize, reads: bool) {
        if let Some(reading) = self.reading.get(worker) {
            reading.store(reads, Ordering::Relaxed);
        }
        self.most.fetch_max(self.reading(), Ordering::Relaxed);
    }

    fn reading(&self) -> usize {
        self.reading.iter().filter(|reading| reading.load(Ordering::Relaxed)).count()
    }

    /// Another reply has come, which took so long.
    pub(super) fn brought(&self, took: Duration, bytes: usize) {
        self.replies.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        self.nanoseconds.fetch_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// How many read at once, at most.
    pub(super) fn most(&self) -> usize {
        self.most.load(Ordering::Relaxed)
    }

    /// Gives as many workers their turn as the source is fastest with, if nobody has said how many. `disturbances` changes when
    /// something else has held them up: what was brought meanwhile says nothing.
    pub(super) async fn tune(&self, disturbances: impl Fn() -> u64) -> Infallible {
        if self.cursors != Cursors::Adapting {
            return std::future::pending().await;
        }
        let mut tuner = Tuner::new();
        let (mut since, mut before) = (Instant::now(), disturbances());
        loop {
            tokio::time::sleep(TICK).await;
            let (passed, now) = (since.elapsed(), disturbances());
            // Who has lost its turn reads its part to the end, and who has got it must begin.
            if now != before || self.reading() != self.count() {
                self.seen(passed);
                (since, before) = (Instant::now(), now);
                continue;
            }
            let is_clear = |(least, replies): (Duration, usize)| {
                passed >= least && self.replies.load(Ordering::Relaxed) >= replies * self.count()
            };
            if is_clear(LOOK) || is_clear(LONG_LOOK) {
                self.count.send_replace(tuner.look(self.seen(passed)));
                since = Instant::now();
            }
        }
    }

    /// What was brought in the time that has passed; it is counted anew from now on.
    fn seen(&self, passed: Duration) -> Seen {
        let bytes = self.bytes.swap(0, Ordering::Relaxed);
        let replies = self.replies.swap(0, Ordering::Relaxed) as u64;
        let nanoseconds = self.nanoseconds.swap(0, Ordering::Relaxed);
        Seen {
            rate: (bytes + replies * WORTH_OF_A_REPLY) as f64 / passed.as_secs_f64(),
            reply: Duration::from_nanos(nanoseconds / replies.max(1)),
        }
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

    /// Workers that bring replies until they are stopped, each as fast as it can, and together so many in a tick at most.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn workers_get_their_turn_as_long_as_that_helps_and_those_that_read_are_counted() {
        let turns = Arc::new(Turns::new(Cursors::Adapting));
        let work = |worker: usize| {
            let turns = Arc::clone(&turns);
            async move {
                loop {
                    turns.wait(worker, || false).await;
                    turns.reads(worker, true);
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    turns.brought(Duration::from_millis(20), 1_000_000);
                }
            }
        };
        let workers: Vec<_> = (0..Cursors::Adapting.most()).map(|worker| tokio::spawn(work(worker))).collect();
        let more = async {
            while turns.count() < 9 {
                tokio::time::sleep(TICK).await;
            }
        };
        let tuned = tokio::time::timeout(Duration::from_secs(60), async {
            tokio::select! {
                never = turns.tune(|| 0) => match never {},
                () = more => {}
            }
        });
        tuned.await.unwrap();
        assert!((6..=9).contains(&turns.most()), "{}", turns.most());
        workers.iter().for_each(tokio::task::JoinHandle::abort);
    }

    #[tokio::test]
    async fn nothing_is_tried_while_something_else_holds_them_up() {
        let turns = Turns::new(Cursors::Adapting);
        (0..4).for_each(|worker| turns.reads(worker, true));
        let disturbances = AtomicU64::new(0);
        let work = async {
            for _ in 0..16 {
                (0..100).for_each(|_| turns.brought(Duration::from_millis(1), 1_000_000));
                tokio::time::sleep(TICK).await;
            }
        };
        tokio::select! {
            never = turns.tune(|| disturbances.fetch_add(1, Ordering::Relaxed)) => match never {},
            () = work => {}
        }
        assert_eq!(turns.count(), 4);
    }

    #[tokio::test]
    async fn what_is_brought_is_counted_once() {
        let turns = Turns::new(Cursors::Adapting);
        turns.brought(Duration::from_millis(30), 1000);
        turns.brought(Duration::from_millis(10), 3000);
        let seen = turns.seen(Duration::from_secs(2));
        let rate = (4000 + 2 * WORTH_OF_A_REPLY) as f64 / 2.0;
        assert_eq!((seen.rate, seen.reply), (rate, Duration::from_millis(20)));
        assert_eq!(turns.seen(Duration::from_secs(1)).rate, 0.0);
    }
}
