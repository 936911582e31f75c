//! Listens to a verb that is measured: passes on what the user wants to see, and keeps how far it was at each moment.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use super::Sample;
use crate::progress::Progress;

/// How often it is looked how far a run is.
const EVERY: Duration = Duration::from_millis(100);

/// A listener to one run.
#[derive(Debug)]
pub(super) struct Listener {
    outer: Arc<dyn Progress>,
    /// Whether warnings are passed on: those of the first run will do.
    warns: bool,
    counts: AtomicBool,
    bytes: AtomicU64,
}

impl Listener {
    pub(super) fn new(outer: Arc<dyn Progress>, warns: bool) -> Arc<Self> {
        Arc::new(Listener { outer, warns, counts: AtomicBool::new(false), bytes: AtomicU64::new(0) })
    }

    fn sample(&self, begun: Instant) -> Sample {
        Sample { seconds: begun.elapsed().as_secs_f64(), bytes: self.bytes.load(Ordering::Relaxed) }
    }

    /// Does the work, and keeps how far it was now and then.
    pub(super) async fn follow<T>(&self, work: impl Future<Output = T>) -> (T, Vec<Sample>) {
        let begun = Instant::now();
        let (mut work, mut samples) = (std::pin::pin!(work), Vec::new());
        let mut ticks = tokio::time::interval(EVERY);
        loop {
            tokio::select! {
                done = &mut work => {
                    samples.push(self.sample(begun));
                    return (done, samples);
                }
                _ = ticks.tick() => samples.push(self.sample(begun)),
            }
        }
    }
}

impl Progress for Listener {
    fn stage(&self, name: &str, _: Option<u64>, _: Option<u64>) {
        // A check of an archive reads bytes, too; they are not on their way yet.
        self.counts.store(["dumping", "restoring"].contains(&name), Ordering::Relaxed);
    }

    fn advance(&self, documents: u64, bytes: u64) {
        if self.counts.load(Ordering::Relaxed) {
            self.bytes.fetch_add(bytes, Ordering::Relaxed);
            self.outer.advance(documents, bytes);
        }
    }

    fn warn(&self, message: &str) {
        if self.warns {
            self.outer.warn(message);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Silent;

    #[tokio::test]
    async fn what_is_on_its_way_is_sampled_and_a_check_is_not() {
        let listener = Listener::new(Arc::new(Silent), true);
        let work = async {
            listener.stage("checking the archive", None, None);
            listener.advance(0, 1000);
            listener.stage("restoring", None, None);
            listener.advance(1, 40);
            tokio::time::sleep(EVERY * 2).await;
            listener.advance(1, 2);
            "done"
        };
        let (done, samples) = listener.follow(work).await;
        assert_eq!(done, "done");
        assert!(samples.len() >= 3, "{samples:?}");
        assert!(samples.windows(2).all(|pair| pair[0].seconds <= pair[1].seconds && pair[0].bytes <= pair[1].bytes));
        assert_eq!(samples.last().unwrap().bytes, 42);
    }
}
