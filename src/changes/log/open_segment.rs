//! One segment that is read, from its begin or from a place in it, while it may still grow.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use transload_format::{BlockHeader, Cursor, Error as FormatError, Kind, Place, Problem, Record, Walker};

use super::{
    EventPlace, Item, LogPlace, Position,
    directory::{finished_path, partial_path},
    failure::{damaged, segment_failure},
};
use crate::error::{Error, Result};

/// A lane of a segment.
#[derive(Debug)]
struct Lane {
    namespace: Arc<str>,
    /// Its events so far.
    events: u64,
}

/// The segment that is read.
#[derive(Debug)]
pub(super) struct OpenSegment {
    pub(super) number: u64,
    path: PathBuf,
    walker: Walker<File>,
    cursor: Cursor,
    /// The lanes; that with id `n` stands at `n - 1`.
    lanes: Vec<Lane>,
    /// The end of the last checkpoint that is known.
    trusted: u64,
    /// Whether all of it has been read, or is known to be final.
    pub(super) is_finished: bool,
    /// The last checkpoint that was passed, in this segment or in the one before it.
    pub(super) position: Option<Position>,
    /// The length of the file at which nothing whole was found behind what a crash left in it.
    torn_at: Option<u64>,
}

impl OpenSegment {
    /// Opens a segment; nothing if it is not there.
    pub(super) fn open(directory: &Path, number: u64) -> Result<Option<OpenSegment>> {
        let (finished, partial) = (finished_path(directory, number), partial_path(directory, number));
        // It may get its name after the first look.
        for (path, is_finished) in [(&finished, true), (&partial, false), (&finished, true)] {
            match File::open(path) {
                Ok(file) => {
                    let walker = Walker::new(file).map_err(|error| segment_failure(path, error))?;
                    return Ok(Some(OpenSegment {
                        number,
                        path: path.clone(),
                        walker,
                        cursor: Cursor::START,
                        lanes: Vec::new(),
                        trusted: 0,
                        is_finished,
                        position: None,
                        torn_at: None,
                    }));
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(Error::io(path, error)),
            }
        }
        Ok(None)
    }

    /// The next item before the last checkpoint that is known.
    pub(super) fn next(&mut self) -> Result<Option<Item>> {
        while self.cursor.offset < self.trusted {
            let header = self.header()?;
            let item = match header.subject.kind {
                Kind::Events => Some(self.events(&header)?),
                Kind::Record => self.record(&header)?,
                Kind::Documents => return Err(self.no_log()),
            };
            self.cursor = self.cursor.after(&header);
            if let Some(item) = item {
                return Ok(Some(item));
            }
        }
        Ok(None)
    }

    /// Moves on to a place in this segment, over headers alone.
    pub(super) fn advance(&mut self, place: LogPlace) -> Result<()> {
        let mut is_behind_checkpoint = false;
        while self.cursor.offset < place.offset {
            let header = self.header()?;
            match header.subject.kind {
                Kind::Events => self.count(&header)?.1.events += u64::from(header.count),
                Kind::Record => drop(self.record(&header)?),
                Kind::Documents => return Err(self.no_log()),
            }
            is_behind_checkpoint = header.is_checkpoint();
            self.cursor = self.cursor.after(&header);
        }
        if self.cursor.offset != place.offset || !is_behind_checkpoint {
            return Err(damaged(
                &self.path,
                format!("no checkpoint ends at offset {}, where reading is to go on", place.offset),
            ));
        }
        Ok(())
    }

    /// The header at the cursor, which must be there.
    fn header(&self) -> Result<BlockHeader> {
        let header = self.walker.header_at(self.cursor).map_err(|error| segment_failure(&self.path, error))?;
        let ends =
            || damaged(&self.path, format!("ends in the block at offset {}, which was there", self.cursor.offset));
        header.ok_or_else(ends)
    }

    fn events(&mut self, header: &BlockHeader) -> Result<Item> {
        let events = self.walker.documents(self.cursor, header).map_err(|error| segment_failure(&self.path, error))?;
        let (segment, lane) = self.count(header)?;
        let place = EventPlace { segment, ordinal: lane.events };
        lane.events += u64::from(header.count);
        Ok(Item::Events { namespace: Arc::clone(&lane.namespace), place, count: header.count, events })
    }

    /// The number of this segment, and the lane of a block.
    fn count(&mut self, header: &BlockHeader) -> Result<(u64, &mut Lane)> {
        let index = header.subject.namespace.checked_sub(1).and_then(|index| usize::try_from(index).ok());
        let unknown = damaged(&self.path, format!("block {}: its lane was not announced", header.sequence));
        let lane = index.and_then(|index| self.lanes.get_mut(index)).ok_or(unknown)?;
        Ok((self.number, lane))
    }

    fn record(&mut self, header: &BlockHeader) -> Result<Option<Item>> {
        let record = self.walker.record(self.cursor, header).map_err(|error| segment_failure(&self.path, error))?;
        match record {
            Record::Collection(collection) => {
                if usize::try_from(header.subject.namespace).ok() != Some(self.lanes.len() + 1) {
                    return Err(damaged(&self.path, format!("block {}: its lane has a wrong id", header.sequence)));
                }
                self.lanes.push(Lane { namespace: collection.namespace.into(), events: 0 });
                Ok(None)
            }
            Record::Checkpoint(checkpoint) if header.subject.namespace == 0 => {
                let position = Position::from(&checkpoint);
                if header.sequence == 0 && self.position.as_ref().is_some_and(|last| *last != position) {
                    let message = "does not begin with the checkpoint that the segment before it ends with";
                    return Err(damaged(&self.path, message));
                }
                self.position = Some(position.clone());
                let place = LogPlace { segment: self.number, offset: self.cursor.after(header).offset };
                Ok(Some(Item::Checkpoint { position, place }))
            }
            Record::Origin(_) | Record::Unknown { .. } => Ok(None),
            _ => Err(self.no_log()),
        }
    }

    /// Looks for the next checkpoint, header by header; whether there is one. With `is_finished` everything up to the
    /// footer must be in order if there is none.
    pub(super) fn look_ahead(&mut self, is_finished: bool) -> Result<bool> {
        let mut problem = match self.next_checkpoint(is_finished) {
            Ok(found) => return Ok(self.trust(found)),
            Err(problem) => problem,
        };
        let fail = |error| segment_failure(&self.path, error);
        if !is_finished {
            // What a crash left behind the last checkpoint may be anything, until the log is resumed. If there is a
            // checkpoint behind it, it is damage; unless just now the log was resumed, and this cut away: so look twice.
            let len = self.walker.source().metadata().map_err(|error| Error::io(&self.path, error))?.len();
            if self.torn_at == Some(len) {
                return Ok(false);
            }
            match self.walker.search_checkpoint(self.cursor.offset) {
                Ok(None) => {
                    self.torn_at = Some(len);
                    return Ok(false);
                }
                Ok(Some(_)) => {}
                Err(FormatError::Io(error)) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
                Err(error) => return Err(fail(error)),
            }
            problem = match self.next_checkpoint(is_finished) {
                Ok(found) => return Ok(self.trust(found)),
                Err(problem) => problem,
            };
        }
        Err(fail(problem))
    }

    /// Makes durable what was read.
    pub(super) fn sync(&self) -> Result<()> {
        self.walker.source().sync_data().map_err(|error| Error::io(&self.path, error))
    }

    fn trust(&mut self, found: Option<u64>) -> bool {
        self.trusted = found.unwrap_or(self.trusted);
        found.is_some()
    }

    /// Where the next checkpoint ends.
    fn next_checkpoint(&self, is_finished: bool) -> Result<Option<u64>, FormatError> {
        let mut cursor = self.cursor;
        loop {
            let Some(header) = self.walker.header_at(cursor)? else {
                let Cursor { offset, sequence } = cursor;
                let unfinished = FormatError::Unfinished { blocks: sequence, documents: 0, offset };
                return if is_finished { Err(unfinished) } else { Ok(None) };
            };
            let at = cursor;
            cursor = cursor.after(&header);
            if header.is_checkpoint() {
                // Its header may be there without its bytes, after a crash.
                self.walker.record(at, &header)?;
                return Ok(Some(cursor.offset));
            }
            if header.is_footer() {
                let (offset, problem) = (cursor.offset, Problem::TrailingBytes);
                let is_last = self.walker.source().metadata()?.len() == offset;
                return if is_last {
                    Ok(None)
                } else {
                    Err(FormatError::Damaged { place: Place::Tail(offset), problem })
                };
            }
        }
    }

    fn no_log(&self) -> Error {
        damaged(&self.path, format!("the block at offset {} has no place in a change log", self.cursor.offset))
    }
}
