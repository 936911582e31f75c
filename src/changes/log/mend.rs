//! Finds where an interrupted log can be gone on with: behind its last whole checkpoint, and nowhere else.
//!
//! Everything before it must be in order. What is wrong behind it is what a crash leaves; it is cut off.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::Path,
};

use transload_format::{Contents, Error as FormatError, Event, Reader, Record, Scanner, Walker};

use super::{
    LogOptions, Position,
    directory::{Segments, finished_path, partial_path},
    failure::{damaged, segment_failure},
    segment::{Segment, publish},
};
use crate::error::{Error, ErrorKind, Result};

/// Bytes read at a time.
const READ_BYTES: usize = 256 * 1024;

/// Opens the log in `directory` for going on with it at its last checkpoint.
pub(super) fn mend(directory: &Path, options: &LogOptions) -> Result<(Segment, Position)> {
    let segments = Segments::list(directory)?;
    segments.check(directory)?;
    let Some((number, is_finished)) = segments.last() else {
        return Err(Error::new(ErrorKind::NotFound, "holds no change log")
            .at(directory.display().to_string())
            .with_hint("a capture that goes on needs the directory that it began with"));
    };
    let position = if is_finished {
        last_of_finished(&finished_path(directory, number))?
    } else {
        match mend_unfinished(directory, number, options)? {
            Mended::Open(segment, position) => return Ok((*segment, position)),
            Mended::Finished(position) => position,
        }
    };
    let segment = Segment::begin(directory, number.saturating_add(1), &position, options.codec)?;
    Ok((segment, position))
}

enum Mended {
    Open(Box<Segment>, Position),
    Finished(Position),
}

fn last_of_finished(path: &Path) -> Result<Position> {
    let file = File::open(path).map_err(|error| Error::io(path, error))?;
    let reader = Reader::open(file).map_err(|error| segment_failure(path, error))?;
    reader.contents().checkpoint().map(Position::from).ok_or_else(|| no_checkpoint(path))
}

fn mend_unfinished(directory: &Path, number: u64, options: &LogOptions) -> Result<Mended> {
    let path = partial_path(directory, number);
    let fail = |error| Error::io(&path, error);
    let mut file = Segment::lock(&path)?;
    let scanned = scan(&mut file, &path, u64::MAX)?;
    let (position, end) = match (scanned.checkpoint, scanned.outcome) {
        (_, Outcome::Wrong(error @ (FormatError::NewerVersion(_) | FormatError::NotAnArchive))) => {
            return Err(segment_failure(&path, error));
        }
        (None, Outcome::Wrong(error)) => return Err(segment_failure(&path, error)),
        (None, _) => return Err(no_checkpoint(&path)),
        (Some((position, _)), Outcome::Finished) => {
            // The rename was all that was missing; what it names must be durable.
            file.sync_all().map_err(fail)?;
            publish(directory, number)?;
            return Ok(Mended::Finished(position));
        }
        (Some((position, end)), Outcome::Ends) => (position, end),
        (Some((position, end)), Outcome::Wrong(error)) => {
            let offset = scanned.contents.as_ref().map_or(0, Contents::offset);
            let walker = Walker::new(&file).map_err(|error| segment_failure(&path, error))?;
            // A checkpoint is written when everything before it is durable: no crash leaves one behind damage.
            if walker.search_checkpoint(offset).map_err(|error| segment_failure(&path, error))?.is_some() {
                return Err(segment_failure(&path, error));
            }
            (position, end)
        }
    };
    let contents = match scanned.contents {
        Some(contents) if contents.offset() == end => contents,
        _ => scan(&mut file, &path, end)?.contents.ok_or_else(|| no_checkpoint(&path))?,
    };
    file.set_len(end).and_then(|()| file.sync_all()).map_err(fail)?;
    file.seek(SeekFrom::Start(end)).map_err(fail)?;
    let segment = Segment::of(directory, number, file, contents, options.codec)?;
    Ok(Mended::Open(Box::new(segment), position))
}

struct Scanned {
    contents: Option<Contents>,
    /// The last checkpoint, and where it ends.
    checkpoint: Option<(Position, u64)>,
    outcome: Outcome,
}

enum Outcome {
    Finished,
    Ends,
    Wrong(FormatError),
}

/// Scans the first `len` bytes of a segment.
fn scan(file: &mut File, path: &Path, len: u64) -> Result<Scanned> {
    let fail = |error| Error::io(path, error);
    file.seek(SeekFrom::Start(0)).map_err(fail)?;
    let mut input = file.take(len);
    let (mut scanner, mut buffer) = (Scanner::new(), vec![0; READ_BYTES]);
    let (mut checkpoint, mut outcome) = (None, Outcome::Ends);
    'file: loop {
        let read = input.read(&mut buffer).map_err(fail)?;
        if read == 0 {
            break;
        }
        scanner.push(buffer.get(..read).unwrap_or_default());
        loop {
            match scanner.next() {
                Ok(None) => break,
                Ok(Some(Event::Record(header, Record::Checkpoint(found)))) if header.subject.namespace == 0 => {
                    let end = scanner.contents().map_or(0, Contents::offset);
                    checkpoint = Some((Position::from(&found), end));
                }
                Ok(Some(Event::Finished)) => outcome = Outcome::Finished,
                Ok(Some(_)) => {}
                Err(error) => {
                    outcome = Outcome::Wrong(error);
                    break 'file;
                }
            }
        }
    }
    Ok(Scanned { contents: scanner.contents().cloned(), checkpoint, outcome })
}

fn no_checkpoint(path: &Path) -> Error {
    damaged(path, "holds no position to resume the stream from")
}
