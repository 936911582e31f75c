//! Where the time of a dump goes, measured only when somebody asks.
//!
//! A [`Timing`] is handed down through the pipeline. One that measures nothing, which is what ordinary dumps have, costs no
//! clock and no counter: its watches are empty.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// What a cursor, a thread of the pool or the writer does with its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Stage {
    /// A cursor waits for the server's next documents; what the driver does about them is in it.
    Server,
    /// A cursor copies documents into a block.
    Copy,
    /// A cursor waits for room: what comes behind it does not keep up.
    Held,
    /// A cursor waits until others have taken their replies: there are more of them than replies have room in memory.
    Memory,
    /// The pool compresses.
    Compress,
    /// The pool counts documents, and sums up bytes.
    Checksum,
    /// The writer writes, and syncs.
    Write,
}

impl Stage {
    const COUNT: usize = 7;
}

/// Sums of the time of each stage, of all who are at it together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Timing(Option<Arc<[AtomicU64; Stage::COUNT]>>);

impl Timing {
    /// One that measures.
    pub(crate) fn measuring() -> Self {
        Timing(Some(Arc::default()))
    }

    /// A watch that begins now.
    pub(crate) fn watch(&self) -> Watch {
        Watch { timing: self.clone(), since: self.0.as_ref().map(|_| Instant::now()) }
    }

    /// The time of a stage so far.
    pub(crate) fn time(&self, stage: Stage) -> Duration {
        let nanoseconds = self.0.as_ref().and_then(|sums| sums.get(stage as usize));
        Duration::from_nanos(nanoseconds.map_or(0, |sum| sum.load(Ordering::Relaxed)))
    }
}

/// The watch of one who is at one thing after the other.
#[derive(Debug)]
pub(crate) struct Watch {
    timing: Timing,
    since: Option<Instant>,
}

impl Watch {
    /// What has passed since the last lap was of this stage.
    pub(crate) fn lap(&mut self, stage: Stage) {
        let (Some(sums), Some(since)) = (&self.timing.0, self.since) else { return };
        let now = Instant::now();
        if let Some(sum) = sums.get(stage as usize) {
            let passed = u64::try_from(now.duration_since(since).as_nanos()).unwrap_or(u64::MAX);
            sum.fetch_add(passed, Ordering::Relaxed);
        }
        self.since = Some(now);
    }

    /// What has passed since the last lap was of none.
    pub(crate) fn restart(&mut self) {
        self.since = self.since.map(|_| Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use std::thread::sleep;

    use super::*;

    #[test]
    fn each_lap_goes_to_its_stage_and_idle_time_to_none() {
        let timing = Timing::measuring();
        let mut watch = timing.watch();
        sleep(Duration::from_millis(5));
        watch.lap(Stage::Copy);
        sleep(Duration::from_millis(30));
        watch.restart();
        watch.lap(Stage::Write);
        assert!(timing.time(Stage::Copy) >= Duration::from_millis(5));
        assert!(timing.time(Stage::Write) < Duration::from_millis(20));
        assert_eq!(timing.time(Stage::Server), Duration::ZERO);
    }

    #[test]
    fn one_that_measures_nothing_has_no_clock() {
        let timing = Timing::default();
        let mut watch = timing.watch();
        watch.lap(Stage::Copy);
        watch.restart();
        assert!(watch.since.is_none());
        assert_eq!(timing.time(Stage::Copy), Duration::ZERO);
    }
}
