//! Where the events of one stream are kept: in a [change log](super::log) in the work directory, or in the
//! [`_cdc` collection](super::cdc) of a target. Both keep one contract.
//!
//! - What is appended comes back byte by byte. Within a lane, and around a barrier, it has the order in which it was
//!   appended; a barrier is a block alone.
//! - [`commit`](StoreWriter::commit) makes everything appended durable together with the position behind it. A reader gives
//!   out nothing that no position follows.
//! - [`resume`](Store::resume) takes away what stands behind the last position, gives that position, and never begins anew.
//! - Places only grow, are the same however often they are read, and reading goes on from any of them that was not pruned.
//!
//! All of this blocks the thread that calls it, which must be none of the runtime's.

use std::{path::PathBuf, time::Duration};

use super::{
    cdc::{Cdc, CdcReader, CdcWriter},
    log::{Item, LogOptions, LogPlace, LogReader, LogWriter, Position, prune},
};
use crate::error::Result;

/// Where the events of one stream are.
#[derive(Clone, Debug)]
pub enum Store {
    /// In this directory.
    Log(PathBuf),
    /// In a target's database.
    Cdc(Box<Cdc>),
}

impl Store {
    /// Goes on behind the last position, which it gives. What stands behind that is taken away.
    ///
    /// # Errors
    /// When there is no position, it is damaged, or the store fails.
    pub fn resume(self, options: LogOptions) -> Result<(StoreWriter, Position)> {
        match self {
            Store::Log(directory) => {
                let (writer, position) = LogWriter::resume(&directory, options)?;
                Ok((StoreWriter::Log(Box::new(writer)), position))
            }
            Store::Cdc(cdc) => {
                let (writer, position) = CdcWriter::resume(*cdc)?;
                Ok((StoreWriter::Cdc(Box::new(writer)), position))
            }
        }
    }

    /// Reads from a place on, or from the oldest position.
    ///
    /// # Errors
    /// When the place is not there any more, or the store fails.
    pub fn read(&self, from: Option<LogPlace>) -> Result<StoreReader> {
        Ok(match (self, from) {
            (Store::Log(directory), Some(place)) => StoreReader::Log(Box::new(LogReader::open_at(directory, place)?)),
            (Store::Log(directory), None) => StoreReader::Log(Box::new(LogReader::open(directory)?)),
            (Store::Cdc(cdc), Some(place)) => StoreReader::Cdc(Box::new(CdcReader::open_at(*cdc.clone(), place)?)),
            (Store::Cdc(cdc), None) => StoreReader::Cdc(Box::new(CdcReader::open(*cdc.clone())?)),
        })
    }

    /// Deletes what stands before a place, as far as the store can part it.
    ///
    /// # Errors
    /// When the store fails.
    pub fn prune(&self, place: LogPlace) -> Result<()> {
        match self {
            Store::Log(directory) => prune(directory, place).map(drop),
            Store::Cdc(cdc) => cdc.prune(place),
        }
    }

    /// How long a reader that waits for more may pause before it looks again: a file is at hand, a server is asked.
    pub fn longest_pause(&self) -> Duration {
        Duration::from_millis(match self {
            Store::Log(_) => 50,
            Store::Cdc(_) => 500,
        })
    }

    /// Where it is, for messages.
    pub fn place(&self) -> String {
        match self {
            Store::Log(directory) => directory.display().to_string(),
            Store::Cdc(cdc) => cdc.place(),
        }
    }
}

/// Writes a store. After an error, drop it and resume.
#[derive(Debug)]
pub enum StoreWriter {
    /// Into a directory.
    Log(Box<LogWriter>),
    /// Into a target.
    Cdc(Box<CdcWriter>),
}

impl StoreWriter {
    /// Appends one raw event to a lane.
    ///
    /// # Errors
    /// When it cannot be kept, or the store fails.
    pub fn append(&mut self, lane: &str, event: &[u8], barrier: bool) -> Result<()> {
        match self {
            StoreWriter::Log(writer) => writer.append(lane, event, barrier),
            StoreWriter::Cdc(writer) => writer.append(lane, event, barrier),
        }
    }

    /// Makes everything appended durable, together with the position behind it.
    ///
    /// # Errors
    /// When the store fails.
    pub fn commit(&mut self, position: &Position) -> Result<()> {
        match self {
            StoreWriter::Log(writer) => writer.commit(position),
            StoreWriter::Cdc(writer) => writer.commit(position),
        }
    }

    /// Bytes held in memory.
    pub fn held(&self) -> usize {
        match self {
            StoreWriter::Log(writer) => writer.held(),
            StoreWriter::Cdc(writer) => writer.held(),
        }
    }

    /// Writes what is held, to free memory.
    ///
    /// # Errors
    /// When the store fails.
    pub fn flush(&mut self) -> Result<()> {
        match self {
            StoreWriter::Log(writer) => writer.flush(),
            StoreWriter::Cdc(writer) => writer.flush(),
        }
    }
}

/// Reads a store, while it may still be written.
pub enum StoreReader {
    /// From a directory.
    Log(Box<LogReader>),
    /// From a target.
    Cdc(Box<CdcReader>),
}

impl StoreReader {
    /// The next item; nothing when no position is ahead yet: ask again later.
    ///
    /// # Errors
    /// When something is damaged or missing, or the store fails.
    #[allow(clippy::should_implement_trait, reason = "an iterator would end where this one waits")]
    pub fn next(&mut self) -> Result<Option<Item>> {
        match self {
            StoreReader::Log(reader) => reader.next(),
            StoreReader::Cdc(reader) => reader.next(),
        }
    }

    /// Makes durable what was read so far.
    ///
    /// # Errors
    /// When the store fails.
    pub fn sync(&self) -> Result<()> {
        match self {
            StoreReader::Log(reader) => reader.sync(),
            // It is read as a majority has it.
            StoreReader::Cdc(_) => Ok(()),
        }
    }
}
