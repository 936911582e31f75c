//! Replies of a stream into a log, with checkpoints that never part the events of one cluster time.
//!
//! All events of a transaction have one cluster time, and a reply may end in the middle of them. So the last events that
//! have one time are held back until another time, a token beyond, or a pause shows that no more of them come: then the place
//! behind them is a boundary, and a boundary may be committed as long as nothing stands behind it in the log. A
//! transaction too large to be held is appended as it comes, and has no boundary until its end.

use std::{
    collections::HashMap,
    ops::Range,
    time::{Duration, Instant},
};

use super::filter::Filter;
use crate::{
    changes::{Event, StoreWriter, log::Position},
    error::Result,
};

/// Bytes of events of one cluster time that are held back.
const HELD_BACK: usize = 4 << 20;
/// Bytes that the log may hold in memory, over all its lanes.
const HELD_BY_LOG: usize = 32 << 20;

/// Where events are recorded: what a [`StoreWriter`] promises.
pub(super) trait Log {
    fn append(&mut self, lane: &str, event: &[u8], barrier: bool) -> Result<()>;
    /// Makes everything appended durable together with the position behind it.
    fn commit(&mut self, position: &Position) -> Result<()>;
    fn held(&self) -> usize;
    fn flush(&mut self) -> Result<()>;
}

impl Log for StoreWriter {
    fn append(&mut self, lane: &str, event: &[u8], barrier: bool) -> Result<()> {
        StoreWriter::append(self, lane, event, barrier)
    }

    fn commit(&mut self, position: &Position) -> Result<()> {
        StoreWriter::commit(self, position)
    }

    fn held(&self) -> usize {
        StoreWriter::held(self)
    }

    fn flush(&mut self) -> Result<()> {
        StoreWriter::flush(self)
    }
}

/// When a log is synced.
#[derive(Clone, Copy, Debug)]
pub(super) struct SyncOptions {
    /// So long after the last time, if there are events.
    pub(super) interval: Duration,
    /// After so many bytes of events.
    pub(super) bytes: usize,
    /// So long after the last time, if the position has moved without an event.
    pub(super) idle: Duration,
}

/// Events of one lane that were recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct LaneCount {
    pub(super) events: u64,
    pub(super) bytes: u64,
}

#[derive(Debug, Default)]
struct Lane {
    committed: LaneCount,
    appended: LaneCount,
}

/// Records one stream.
#[derive(Debug)]
pub(super) struct Recorder<L> {
    log: L,
    filter: Filter,
    sync: SyncOptions,
    committed: Position,
    committed_at: Instant,
    /// The position behind everything that was appended, unless it stands within one cluster time.
    boundary: Option<Position>,
    /// Bytes appended behind the last commit.
    appended: usize,
    group: Group,
    lanes: HashMap<String, Lane>,
}

/// The last events, all of one cluster time.
#[derive(Debug, Default)]
struct Group {
    time: u64,
    /// The token of the last of them; empty before the first.
    token: Vec<u8>,
    events: Vec<Held>,
    bytes: Vec<u8>,
    names: String,
    /// Whether some of them are in the log already.
    is_begun: bool,
}

#[derive(Debug)]
struct Held {
    bytes: Range<usize>,
    name: Range<usize>,
    barrier: bool,
}

impl<L: Log> Recorder<L> {
    /// Records into `log`, whose last checkpoint is at `position`.
    pub(super) fn new(log: L, position: Position, filter: Filter, sync: SyncOptions) -> Self {
        Recorder {
            log,
            filter,
            sync,
            boundary: None,
            committed: position,
            committed_at: Instant::now(),
            appended: 0,
            group: Group::default(),
            lanes: HashMap::new(),
        }
    }

    /// Takes what came of the stream; `behind` is the position behind it, and `is_whole` says that no more events of its
    /// time come. Gives back the number of events recorded.
    ///
    /// # Errors
    /// What the log says; then the recorder is of no more use, and the log to be resumed.
    pub(super) fn take(&mut self, events: &[&[u8]], behind: &Position, is_whole: bool) -> Result<u64> {
        let mut taken = 0;
        for raw in events {
            let event = Event::parse(raw)?;
            if !self.group.token.is_empty() && event.time != self.group.time {
                self.end_group()?;
                if self.appended >= self.sync.bytes {
                    self.commit()?;
                }
            }
            taken += u64::from(self.group.push(&event, &self.filter));
            if self.group.bytes.len() > HELD_BACK {
                self.begin_group()?;
            }
        }
        // A token that is not the last event's is beyond all events of its time.
        if is_whole || behind.token != self.group.token {
            self.end_group()?;
            self.boundary = Some(behind.clone());
        }
        self.tick()?;
        Ok(taken)
    }

    /// Commits, if it is time.
    ///
    /// # Errors
    /// As [`take`](Self::take).
    pub(super) fn tick(&mut self) -> Result<()> {
        let after = if self.appended > 0 { self.sync.interval } else { self.sync.idle };
        if self.appended >= self.sync.bytes || self.committed_at.elapsed() >= after {
            self.commit()?;
        }
        if self.log.held() > HELD_BY_LOG {
            self.log.flush()?;
        }
        Ok(())
    }

    /// When [`tick`](Self::tick) is to be called, if nothing comes before.
    pub(super) fn next_tick(&self) -> Duration {
        if self.boundary.is_none() {
            return self.sync.idle;
        }
        let after = if self.appended > 0 { self.sync.interval } else { self.sync.idle };
        after.saturating_sub(self.committed_at.elapsed()).max(Duration::from_millis(1))
    }

    /// Commits what is complete. What is not, the stream gives again.
    ///
    /// # Errors
    /// As [`take`](Self::take).
    pub(super) fn finish(&mut self) -> Result<()> {
        self.commit()
    }

    /// The last position that is durable.
    pub(super) fn committed(&self) -> &Position {
        &self.committed
    }

    /// The events that are durable, by their lanes.
    pub(super) fn counts(&self) -> impl Iterator<Item = (&str, LaneCount)> {
        self.lanes.iter().map(|(name, lane)| (name.as_str(), lane.committed))
    }

    /// Appends the rest of the last events: no more of them come.
    fn end_group(&mut self) -> Result<()> {
        if self.group.token.is_empty() {
            return Ok(());
        }
        self.append_group()?;
        let token = std::mem::take(&mut self.group.token);
        self.boundary = Some(Position { token, time: self.group.time });
        self.group.is_begun = false;
        Ok(())
    }

    /// Appends the last events, although more of them come.
    fn begin_group(&mut self) -> Result<()> {
        // There will be no other place for a long time.
        if !self.group.is_begun && self.appended > 0 {
            self.commit()?;
        }
        self.append_group()?;
        self.group.is_begun = true;
        if self.log.held() > HELD_BY_LOG {
            self.log.flush()?;
        }
        Ok(())
    }

    fn append_group(&mut self) -> Result<()> {
        let group = &mut self.group;
        for held in group.events.drain(..) {
            let (Some(event), Some(name)) = (group.bytes.get(held.bytes), group.names.get(held.name)) else { continue };
            self.log.append(name, event, held.barrier)?;
            self.boundary = None;
            self.appended += event.len();
            if !self.lanes.contains_key(name) {
                self.lanes.insert(name.to_owned(), Lane::default());
            }
            if let Some(lane) = self.lanes.get_mut(name) {
                lane.appended.events += 1;
                lane.appended.bytes += event.len() as u64;
            }
        }
        group.bytes.clear();
        group.names.clear();
        Ok(())
    }

    fn commit(&mut self) -> Result<()> {
        let Some(boundary) = self.boundary.take() else { return Ok(()) };
        if boundary != self.committed {
            self.log.commit(&boundary)?;
            self.committed = boundary;
        }
        self.committed_at = Instant::now();
        self.appended = 0;
        for lane in self.lanes.values_mut() {
            lane.committed.events += lane.appended.events;
            lane.committed.bytes += lane.appended.bytes;
            lane.appended = LaneCount::default();
        }
        Ok(())
    }
}

impl Group {
    /// Puts an event behind the others, if it is recorded. It counts for the time and the token in any case.
    fn push(&mut self, event: &Event<'_>, filter: &Filter) -> bool {
        self.time = event.time;
        self.token.clear();
        self.token.extend_from_slice(event.token);
        if !filter.takes(event) {
            return false;
        }
        let (bytes, name) = (self.bytes.len(), self.names.len());
        self.bytes.extend_from_slice(event.raw);
        filter.lane(event, &mut self.names);
        self.events.push(Held {
            bytes: bytes..self.bytes.len(),
            name: name..self.names.len(),
            barrier: !event.operation.is_of_a_document(),
        });
        true
    }
}

#[cfg(test)]
mod tests;
