//! Writes a change log: events into the blocks of their lanes, and checkpoints that make them count.

use std::{
    fs, io, mem,
    path::{Path, PathBuf},
};

use transload_format::Compressor;

use super::{
    LogOptions, Position,
    directory::{Segments, partial_path},
    lanes::{self, Lanes, Run},
    mend::mend,
    segment::Segment,
};
use crate::{
    error::{Error, ErrorKind, Result},
    replace::sync_folder,
};

/// A segment of so many blocks is finished at its next checkpoint: what is kept in memory of a segment grows with them.
const SEGMENT_BLOCKS: u64 = 64 * 1024;

/// Writes a log. There is one writer of a log at a time: its segment is locked.
///
/// After an error of [`append`](LogWriter::append), [`flush`](LogWriter::flush) or [`commit`](LogWriter::commit) other
/// than of kind [`Server`](ErrorKind::Server), which refuses what it was given and changes nothing, the writer does
/// nothing any more. Drop it, make room if the disk is full, and [`resume`](LogWriter::resume) the log: all that was
/// committed is there, and the position that it gives says from where the stream must give the rest again.
#[derive(Debug)]
pub struct LogWriter {
    directory: PathBuf,
    options: LogOptions,
    compressor: Compressor,
    lanes: Lanes,
    /// That of the last checkpoint.
    position: Position,
    /// Whether there are events behind the last checkpoint, held or written.
    has_events: bool,
    /// Whether anything was written that is not durable.
    is_dirty: bool,
    /// None after an error.
    segment: Option<Segment>,
}

impl LogWriter {
    /// Begins a new log at `position`, in a directory that is made if it is not there. Its first segment with that
    /// checkpoint is durable when this returns.
    ///
    /// # Errors
    /// When the directory holds segments, or the operating system fails.
    pub fn create(directory: &Path, position: &Position, options: LogOptions) -> Result<LogWriter> {
        lanes::document("a resume token", &position.token)?;
        match fs::create_dir(directory) {
            Ok(()) => sync_folder(directory).map_err(|error| Error::io(directory, error))?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(Error::io(directory, error)),
        }
        if let Some((number, _)) = Segments::list(directory)?.last() {
            return Err(Error::new(
                ErrorKind::AlreadyExists,
                format!("holds a change log already, of {number} segments"),
            )
            .at(directory.display().to_string())
            .with_hint("go on with that one, or name another directory"));
        }
        let segment = Segment::begin(directory, 1, position, options.codec)?;
        Ok(LogWriter::of(directory, position.clone(), segment, options))
    }

    /// Goes on with a log. What stands behind its last checkpoint is cut off. Gives the position of that checkpoint, from
    /// which the stream must be resumed.
    ///
    /// # Errors
    /// When there is no log, none with a checkpoint, a segment is missing, what stands before the last checkpoint is
    /// damaged, another process writes the log, or the operating system fails. It never begins anew.
    pub fn resume(directory: &Path, options: LogOptions) -> Result<(LogWriter, Position)> {
        let (segment, position) = mend(directory, &options)?;
        Ok((LogWriter::of(directory, position.clone(), segment, options), position))
    }

    fn of(directory: &Path, position: Position, segment: Segment, options: LogOptions) -> LogWriter {
        LogWriter {
            directory: directory.to_owned(),
            options,
            compressor: Compressor::new(options.codec),
            lanes: Lanes::default(),
            position,
            has_events: false,
            is_dirty: false,
            segment: Some(segment),
        }
    }

    /// Appends one raw event to the lane of `namespace`, which for an event about a whole database is `DB.$cmd`. It is held
    /// in memory until its block is full, or [`flush`](LogWriter::flush) or [`commit`](LogWriter::commit) write it.
    ///
    /// A `barrier` stands in a block alone, behind everything appended before it and before everything appended after it,
    /// of all lanes.
    ///
    /// # Errors
    /// Of kind [`Server`](ErrorKind::Server) when it is not one document, is too large, or is of no namespace; otherwise
    /// when the operating system fails.
    pub fn append(&mut self, namespace: &str, event: &[u8], barrier: bool) -> Result<()> {
        lanes::check(namespace, event)?;
        if self.segment.is_none() {
            return Err(failed_before());
        }
        self.has_events = true;
        if barrier {
            self.flush()?;
            let run = Run { namespace: self.lanes.name(namespace), events: event.to_vec() };
            return self.write(|segment, compressor, _| segment.write(run, compressor));
        }
        match self.lanes.hold(namespace, event, self.options.block_bytes) {
            Some(full) => self.write(|segment, compressor, _| segment.write(full, compressor)),
            None => Ok(()),
        }
    }

    /// Says that everything appended so far stands before `position` in the stream, and that nothing else does. When it
    /// returns, those events and the position are durable. A large segment is finished then, and a new one begun.
    ///
    /// # Errors
    /// When the token is not a document, or the operating system fails; a full disk is of kind
    /// [`NoSpace`](ErrorKind::NoSpace).
    pub fn commit(&mut self, position: &Position) -> Result<()> {
        lanes::document("a resume token", &position.token)?;
        if !self.has_events && *position == self.position && self.segment.is_some() {
            return Ok(());
        }
        self.flush()?;
        // A checkpoint that is whole must prove what stands before it: so that comes to the disk first.
        let is_dirty = mem::replace(&mut self.is_dirty, false);
        self.write(|segment, _, _| {
            if is_dirty {
                segment.sync()?;
            }
            segment.checkpoint(position)
        })?;
        self.is_dirty = false;
        self.has_events = false;
        self.position = position.clone();
        self.rotate()
    }

    /// Bytes of events held in memory.
    pub fn held(&self) -> usize {
        self.lanes.held()
    }

    /// Writes the events that are held, without a checkpoint, to free memory: a transaction may be larger than it. They
    /// count only once a [`commit`](LogWriter::commit) follows.
    ///
    /// # Errors
    /// When the operating system fails.
    pub fn flush(&mut self) -> Result<()> {
        if self.lanes.held() == 0 && self.segment.is_some() {
            return Ok(());
        }
        self.write(|segment, compressor, lanes| lanes.take().try_for_each(|run| segment.write(run, compressor)))
    }

    /// Does something with the segment, which is given up if that fails: how much of it was written is not known then.
    fn write(&mut self, work: impl FnOnce(&mut Segment, &mut Compressor, &mut Lanes) -> Result<()>) -> Result<()> {
        let mut segment = self.segment.take().ok_or_else(failed_before)?;
        self.is_dirty = true;
        work(&mut segment, &mut self.compressor, &mut self.lanes)?;
        self.segment = Some(segment);
        Ok(())
    }

    /// Goes on in a new segment if this one is large. It ends with a checkpoint, and so begins the next one.
    fn rotate(&mut self) -> Result<()> {
        let is_large = self.segment.as_ref().is_some_and(|segment| {
            let contents = segment.contents();
            contents.offset() >= self.options.segment_bytes || contents.sequence() >= SEGMENT_BLOCKS
        });
        if !is_large {
            return Ok(());
        }
        let segment = self.segment.take().ok_or_else(failed_before)?;
        let next = segment.number.saturating_add(1);
        segment.finish()?;
        self.lanes.forget();
        self.segment = Some(Segment::begin(&self.directory, next, &self.position, self.options.codec)?);
        Ok(())
    }

    /// The file that is being written, for messages.
    pub fn path(&self) -> PathBuf {
        self.segment
            .as_ref()
            .map_or_else(|| self.directory.clone(), |segment| partial_path(&self.directory, segment.number))
    }
}

fn failed_before() -> Error {
    Error::new(ErrorKind::Internal, "the change log could not be written before, and was not resumed since")
}
