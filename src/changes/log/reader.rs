//! Reads a change log, while another process may still write it.
//!
//! A reader holds one block at a time. Where the next checkpoint is, it finds by the headers of the blocks; only what
//! stands before it is given out.

use std::path::{Path, PathBuf};

use super::{
    Item, LogPlace, Position,
    directory::{Segments, missing, partial_path},
    open_segment::OpenSegment,
};
use crate::error::{Error, ErrorKind, Result};

/// Reads a log. Any number of readers may do so.
#[derive(Debug)]
pub struct LogReader {
    directory: PathBuf,
    open: OpenSegment,
}

impl LogReader {
    /// Opens a log at its oldest segment.
    ///
    /// # Errors
    /// When there is none, or it cannot be read.
    pub fn open(directory: &Path) -> Result<LogReader> {
        let Some(number) = Segments::list(directory)?.first() else {
            return Err(Error::new(ErrorKind::NotFound, "holds no change log").at(directory.display().to_string()));
        };
        let open = OpenSegment::open(directory, number)?.ok_or_else(|| missing(directory, number))?;
        Ok(LogReader { directory: directory.to_owned(), open })
    }

    /// Goes on at a place that was given with a [checkpoint](Item::Checkpoint) before. Events have the same places as if
    /// the log were read from its begin. Of what stands before it in its segment only headers and lanes are read.
    ///
    /// # Errors
    /// When the segment is no longer there, or no checkpoint ends at that place.
    pub fn open_at(directory: &Path, place: LogPlace) -> Result<LogReader> {
        let open = OpenSegment::open(directory, place.segment)?;
        let mut open = open.ok_or_else(|| missing(directory, place.segment))?;
        open.advance(place)?;
        Ok(LogReader { directory: directory.to_owned(), open })
    }

    /// The next item; nothing when there is no checkpoint ahead yet: ask again later. A segment begins with the checkpoint
    /// that the one before it ended with.
    ///
    /// # Errors
    /// When the log is damaged, a segment is missing, or the operating system fails. The error repeats itself as long as
    /// its cause is there.
    #[allow(clippy::should_implement_trait, reason = "an iterator would end where this one waits")]
    pub fn next(&mut self) -> Result<Option<Item>> {
        loop {
            if let Some(item) = self.open.next()? {
                return Ok(Some(item));
            }
            // Asked in this order, a segment that is finished meanwhile is read to its end. It has lost the name of an
            // unfinished one then, even if it was deleted since.
            let is_finished = self.open.is_finished || !self.has_unfinished_name()?;
            if self.open.look_ahead(is_finished)? {
                continue;
            }
            if !is_finished {
                return Ok(None);
            }
            self.open.is_finished = true;
            if !self.open_next()? {
                return Ok(None);
            }
        }
    }

    fn has_unfinished_name(&self) -> Result<bool> {
        let path = partial_path(&self.directory, self.open.number);
        path.try_exists().map_err(|error| Error::io(&path, error))
    }

    /// Goes on to the next segment, if there is one.
    fn open_next(&mut self) -> Result<bool> {
        let number = self.open.number.saturating_add(1);
        let mut next = OpenSegment::open(&self.directory, number)?;
        if next.is_none() && Segments::list(&self.directory)?.has_later(number) {
            // Unless it came into being between the two looks.
            next = OpenSegment::open(&self.directory, number)?;
            if next.is_none() {
                return Err(missing(&self.directory, number));
            }
        }
        let Some(mut next) = next else { return Ok(false) };
        next.position = self.open.position.take();
        self.open = next;
        Ok(true)
    }

    /// The position of the last checkpoint that was given out, or that stands at the place that was opened. Who stored a
    /// position beside a place can tell by it whether this is still the same log.
    pub fn position(&self) -> Option<&Position> {
        self.open.position.as_ref()
    }

    /// Makes durable what was read so far. Without it a crash of the machine may take the last checkpoints from the log,
    /// but not the position behind them that somebody has stored.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn sync(&self) -> Result<()> {
        // Segments before this one were durable when they were finished.
        self.open.sync()
    }
}
