//! Looks after the streams of a capture: how far they are behind their source, and whether they stand still.
//!
//! A stream tells what a majority of the members has. When too few of them are up, or they are far behind, writes go on and
//! the stream waits, without an error and without an end: that must be said.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio_util::sync::CancellationToken;

use super::Shared;
use crate::changes::token;

/// How often it looks.
const EVERY: Duration = Duration::from_secs(5);
/// How long a stream may stand behind a write of the source before it is said. A healthy set is a second behind.
const PATIENCE: Duration = Duration::from_secs(30);

/// What it remembers of a stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sight {
    /// Where the stream was when it moved last.
    time: u64,
    /// A write of the source that the stream has had since then to come up with, and when that was seen.
    behind: Option<(u64, Instant)>,
    said: bool,
}

impl Sight {
    pub(super) fn new(time: u64) -> Self {
        Sight { time, behind: None, said: false }
    }

    /// Looks at a stream that is at `time` while the source is at `source`. Gives back for how long it has been standing,
    /// once, when that is too long.
    pub(super) fn look(&mut self, time: u64, source: u64, now: Instant) -> Option<Duration> {
        if time != self.time {
            *self = Sight::new(time);
        }
        if source <= time {
            self.behind = None;
            return None;
        }
        let (_, since) = *self.behind.get_or_insert((source, now));
        let standing = now.duration_since(since);
        if standing < PATIENCE || self.said {
            return None;
        }
        self.said = true;
        Some(standing)
    }
}

/// Looks after the streams until `stop`.
pub(super) async fn watch(shared: Arc<Shared>, stop: CancellationToken) {
    let mut sights: Vec<Sight> = shared.places.iter().map(|_| Sight::new(0)).collect();
    loop {
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = stop.cancelled() => return,
        }
        // The streams themselves notice when there is no server.
        let Ok(source) = shared.server.operation_time().await else { continue };
        shared.progress.lag(shared.lag(source));
        for (index, sight) in sights.iter_mut().enumerate() {
            let Some((time, watch)) = shared.place(index) else { continue };
            if let Some(standing) = sight.look(time, source, Instant::now()) {
                shared.progress.warn(&format!(
                    "the stream of {watch} has been standing at {} for {} s, while the source is at {}: it tells only what a \
                     majority of the members has, so a member that is down or far behind holds it up",
                    token::written(time),
                    standing.as_secs(),
                    token::written(source),
                ));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_that_stands_behind_a_write_is_told_once() {
        let begun = Instant::now();
        let at = |seconds| begun + Duration::from_secs(seconds);
        let mut sight = Sight::new(5);
        assert_eq!(sight.look(5, 5, at(0)), None);
        assert_eq!(sight.look(5, 5, at(100)), None, "nothing is written");
        assert_eq!(sight.look(5, 6, at(100)), None);
        assert_eq!(sight.look(5, 9, at(129)), None);
        assert_eq!(sight.look(5, 9, at(130)), Some(Duration::from_secs(30)));
        assert_eq!(sight.look(5, 9, at(200)), None, "told already");
        assert_eq!(sight.look(8, 9, at(201)), None, "it moves");
        assert_eq!(sight.look(8, 9, at(231)), Some(Duration::from_secs(30)));
    }
}
