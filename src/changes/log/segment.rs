//! One segment that is being written: its file, and the archive in it.

use std::{
    collections::HashMap,
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use transload_format::{
    ArchiveId, Codec, Collection, CollectionType, Compressor, Contents, Kind, PackedBlock, Record, Subject, Writer,
};

#[cfg(test)]
use super::faults;
use super::{
    Position,
    directory::{finished_path, partial_path},
    failure::segment_failure,
    lanes::Run,
};
use crate::{
    error::{Error, ErrorKind, Result},
    replace::{put_locked, sync_folder},
};

/// An empty document: the options of a lane.
const NO_OPTIONS: [u8; 5] = [5, 0, 0, 0, 0];

/// A segment that is being written. It is locked as long as it is kept.
#[derive(Debug)]
pub(super) struct Segment {
    directory: PathBuf,
    pub(super) number: u64,
    path: PathBuf,
    archive: Writer<SegmentFile>,
    /// The ids of the lanes that it knows.
    ids: HashMap<Arc<str>, u32>,
}

impl Segment {
    /// Begins a segment that holds a checkpoint and nothing else; it has its name only once it is durable, so no segment
    /// is ever without one.
    pub(super) fn begin(directory: &Path, number: u64, position: &Position, codec: Codec) -> Result<Segment> {
        let path = partial_path(directory, number);
        let failed = |error| segment_failure(&path, error);
        let mut id = [0; 16];
        getrandom::fill(&mut id)
            .map_err(|error| Error::new(ErrorKind::Io, format!("no random bytes for the segment's id: {error}")))?;
        let mut begun = Writer::new(Vec::new(), ArchiveId(id), codec).map_err(failed)?;
        begun.record(0, 0, Record::Checkpoint(position.into())).map_err(failed)?;
        let contents = begun.contents().clone();
        #[cfg(test)]
        faults::step()
            .and_then(|()| faults::room_for(begun.get_mut().len()))
            .map_err(|error| Error::io(&path, error))?;
        let file = put_locked(&path, begun.get_mut(), false)?;
        Segment::of(directory, number, file, contents, codec)
    }

    /// Opens a segment that may be written by nobody else.
    pub(super) fn lock(path: &Path) -> Result<File> {
        let file = OpenOptions::new().read(true).write(true).open(path).map_err(|error| Error::io(path, error))?;
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => {
                Err(Error::new(ErrorKind::AlreadyExists, "is being written by another process")
                    .at(path.display().to_string())
                    .with_hint("one change log has one writer: stop the other one, or use another directory"))
            }
            // Some file systems know no locks: then two writers are not kept apart.
            Ok(()) | Err(TryLockError::Error(_)) => Ok(file),
        }
    }

    /// Goes on with a segment that holds `contents` and nothing else; the next byte written to `file` is behind them.
    pub(super) fn of(directory: &Path, number: u64, file: File, contents: Contents, codec: Codec) -> Result<Segment> {
        let path = partial_path(directory, number);
        let ids =
            (1..).zip(contents.namespaces()).map(|(id, namespace)| (Arc::from(&*namespace.collection.namespace), id));
        let ids = ids.collect();
        let archive =
            Writer::resume(SegmentFile(file), contents, codec).map_err(|error| segment_failure(&path, error))?;
        Ok(Segment { directory: directory.to_owned(), number, path, archive, ids })
    }

    /// What it holds.
    pub(super) fn contents(&self) -> &Contents {
        self.archive.contents()
    }

    /// Writes events of one lane as one block.
    pub(super) fn write(&mut self, run: Run, compressor: &mut Compressor) -> Result<()> {
        let failed = |error| segment_failure(&self.path, error);
        let namespace = match self.ids.get(&run.namespace) {
            Some(id) => *id,
            None => {
                let id = self.archive.collection(lane(&run.namespace)).map_err(failed)?;
                self.ids.insert(run.namespace, id);
                id
            }
        };
        let subject = Subject { kind: Kind::Events, namespace, part: 0 };
        let block = PackedBlock::pack(subject, run.events, compressor).map_err(|problem| {
            Error::new(ErrorKind::Internal, format!("events that were proven are none: {problem}"))
        })?;
        self.archive.block(block).map_err(failed)
    }

    /// Writes a checkpoint, and makes it durable. If that fails, it is as if it had not been written.
    pub(super) fn checkpoint(&mut self, position: &Position) -> Result<()> {
        let before = self.contents().offset();
        let written = self.archive.record(0, 0, Record::Checkpoint(position.into()));
        written.map_err(|error| segment_failure(&self.path, error))?;
        self.archive.get_mut().sync_or_cut(before).map_err(|error| Error::io(&self.path, error))
    }

    /// Makes durable what was written.
    pub(super) fn sync(&mut self) -> Result<()> {
        self.archive.get_mut().sync().map_err(|error| Error::io(&self.path, error))
    }

    /// Finishes it; it gets its name when it is durable.
    pub(super) fn finish(mut self) -> Result<()> {
        let failed = |error| segment_failure(&self.path, error);
        let before = self.contents().offset();
        for id in (1..).take(self.contents().namespaces().len()) {
            self.archive.finish_namespace(id).map_err(failed)?;
        }
        let mut file = self.archive.finish().map_err(failed)?.out;
        file.sync_or_cut(before).map_err(|error| Error::io(&self.path, error))?;
        publish(&self.directory, self.number)
    }
}

/// Gives a segment, which is finished and durable, the name of a finished one.
pub(super) fn publish(directory: &Path, number: u64) -> Result<()> {
    let (partial, finished) = (partial_path(directory, number), finished_path(directory, number));
    let fail = |error| Error::io(&partial, error);
    #[cfg(test)]
    faults::step().map_err(fail)?;
    fs::rename(&partial, &finished).map_err(fail)?;
    sync_folder(&finished).map_err(|error| Error::io(directory, error))
}

fn lane(namespace: &str) -> Collection {
    Collection {
        namespace: namespace.to_owned(),
        kind: CollectionType::Collection,
        uuid: None,
        options: NO_OPTIONS.to_vec(),
        indexes: Vec::new(),
    }
}

/// The file of a segment: the seam at which the disk can fail.
#[derive(Debug)]
struct SegmentFile(File);

impl SegmentFile {
    fn sync(&mut self) -> io::Result<()> {
        #[cfg(test)]
        faults::step()?;
        self.0.sync_data()
    }

    /// Makes durable what was written, or takes away what stands from `len` on. An operating system may tell only once
    /// that bytes did not come to the disk, and give them out as if they had: who goes on with the segment must not find
    /// there what a crash would take away.
    fn sync_or_cut(&mut self, len: u64) -> io::Result<()> {
        self.sync().inspect_err(|_| drop(self.0.set_len(len)))
    }
}

impl Write for SegmentFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        #[cfg(test)]
        let bytes = faults::fitting(bytes)?;
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
