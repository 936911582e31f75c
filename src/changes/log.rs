//! The change log on disk: the events of one change stream, in a directory of their own, durable in step with the
//! position to resume the stream from.
//!
//! A log is made of segments, archives of their own: `00000001.tlz`, `00000002.tlz` … are finished, and
//! `00000003.tlz.partial` is being written. Events stand in blocks, each of one lane; checkpoints stand between them.
//! Every segment begins with a checkpoint, and every one but the first repeats the last one of the segment before it, so
//! that a log can be read from any of its segments on.
//!
//! What holds:
//! - The events before a checkpoint are on the disk before the checkpoint is written. So a checkpoint that is whole
//!   proves them: damage before it is damage, and what stands behind the last one was cut off by a crash.
//! - What stands before a checkpoint never changes any more. What stands behind the last one may: [`LogWriter::resume`]
//!   cuts it off, and the stream gives those events again. A [`LogReader`] gives out only what a checkpoint follows.
//! - Within a lane, and around a barrier, the log has the order in which events were appended. Between lanes it has none.
//!
//! All of this blocks the thread that calls it.

mod directory;
mod failure;
#[cfg(test)]
mod faults;
mod lanes;
mod mend;
mod open_segment;
mod reader;
mod segment;
#[cfg(test)]
mod tests;
mod writer;

use std::{sync::Arc, time::Duration};

use transload_format::{Checkpoint, Codec};

pub use self::{directory::prune, reader::LogReader, writer::LogWriter};

/// A place in the source's stream: everything before it is in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// The resume token, one BSON document.
    pub token: Vec<u8>,
    /// The source's cluster time: seconds in the upper half, an increment in the lower.
    pub time: u64,
}

impl From<&Checkpoint> for Position {
    fn from(checkpoint: &Checkpoint) -> Self {
        Position { token: checkpoint.token.clone(), time: checkpoint.cluster_time }
    }
}

impl From<&Position> for Checkpoint {
    fn from(position: &Position) -> Self {
        Checkpoint { token: position.token.clone(), cluster_time: position.time }
    }
}

/// How a log is written.
#[derive(Clone, Copy, Debug)]
pub struct LogOptions {
    /// A segment of so many bytes is finished at its next checkpoint. One of very many blocks is too, whatever its
    /// bytes.
    pub segment_bytes: u64,
    /// Events of a lane are written when they have so many bytes before compression. A larger event is a block alone.
    pub block_bytes: usize,
    /// How blocks are compressed.
    pub codec: Codec,
    /// How often a position that has moved without an event is written: often enough that it stays in the oplog.
    pub idle: Duration,
}

/// A position that has moved without an event is written this often, unless something waits for it.
const IDLE: Duration = Duration::from_secs(10);

impl Default for LogOptions {
    fn default() -> Self {
        LogOptions { segment_bytes: 256 << 20, block_bytes: 1 << 20, codec: Codec::default(), idle: IDLE }
    }
}

/// Where reading can go on: behind a checkpoint. The default is before the first segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogPlace {
    /// The number of the segment, from 1.
    pub segment: u64,
    /// The offset in it at which the checkpoint ends.
    pub offset: u64,
}

/// Where a block of events stands in its lane. It is the same however the log is read. The
/// default is before the first segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventPlace {
    /// The number of the segment, from 1.
    pub segment: u64,
    /// The events of this lane before the block, in this segment.
    pub ordinal: u64,
}

/// What a log gives out, in its order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// Events of one lane, in their order.
    Events {
        /// The lane: `database.collection`, or what the writer was given for events about a whole database.
        namespace: Arc<str>,
        /// Where the first of them stands.
        place: EventPlace,
        /// How many they are.
        count: u32,
        /// Whole events, raw and back to back, proven by their checksums.
        events: Vec<u8>,
    },
    /// Everything of the stream before this position stands before it.
    Checkpoint {
        /// The position.
        position: Position,
        /// Where reading can go on.
        place: LogPlace,
    },
}
