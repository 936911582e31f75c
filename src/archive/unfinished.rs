//! An archive that is being written, or whose dump was interrupted: what it holds so far, and its bytes as they come.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, Read},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use transload_format::{Contents, Documents, Event, Record, Scanner, StoredBlock};

use super::{archive_failure, partial_name, synced::forget};
use crate::error::{Error, Result};

/// Bytes read at a time.
const READ_BYTES: usize = 1024 * 1024;
/// How often it is looked whether there is more.
const LOOK: Duration = Duration::from_millis(5);

/// What an interrupted dump has left.
#[derive(Debug)]
pub(crate) struct Unfinished {
    /// Everything up to the first byte that cannot be believed, as where a kill has torn the last block.
    pub(crate) contents: Contents,
    /// The last document of each part that is not finished and has any, by namespace and part.
    pub(crate) last: HashMap<(u32, u32), Vec<u8>>,
}

impl Unfinished {
    /// What is left of the archive that was to be called `path`; none if there is nothing to go on with.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) fn read(path: &Path) -> Result<Option<Self>> {
        let partial = partial_name(path);
        let fail = |error| Error::io(&partial, error);
        let mut file = match File::open(&partial) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(fail(error)),
        };
        forget_what_is_in_memory(&file).map_err(fail)?;
        let (mut scanner, mut buffer) = (Scanner::new(), vec![0; READ_BYTES]);
        let mut blocks: HashMap<(u32, u32), StoredBlock> = HashMap::new();
        'reading: loop {
            loop {
                let event = match scanner.next() {
                    Ok(Some(event)) => event,
                    Ok(None) => break,
                    // What can be believed ends here: a kill, or a crash of the machine, has left the rest.
                    Err(_) => break 'reading,
                };
                match event {
                    Event::Block(block) => {
                        blocks.insert((block.header.subject.namespace, block.header.subject.part), block);
                    }
                    Event::Record(header, Record::PartFinished(_)) => {
                        blocks.remove(&(header.subject.namespace, header.subject.part));
                    }
                    _ => {}
                }
            }
            match file.read(&mut buffer) {
                Ok(0) => break 'reading,
                Ok(read) => scanner.push(buffer.get(..read).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(fail(error)),
            }
        }
        let Some(contents) = scanner.contents().cloned() else { return Ok(None) };
        let mut last = HashMap::new();
        for (part, block) in blocks {
            let name = partial.display().to_string();
            let (sequence, offset) = (block.header.sequence, block.offset);
            let place = transload_format::Place::Block { sequence, offset, namespace: None };
            let documents = block.unpack().map_err(|problem| {
                archive_failure(&name, transload_format::Error::Damaged { place: place.clone(), problem })
            })?;
            if let Some(Ok(document)) = Documents::new(&documents).last() {
                last.insert(part, document.to_vec());
            }
        }
        Ok(Some(Unfinished { contents, last }))
    }
}

/// Has a file read from the disk. After a failed write to it, which the system has told to the process that was writing, it keeps
/// in memory what should stand there, and takes it for written.
fn forget_what_is_in_memory(file: &File) -> io::Result<()> {
    file.sync_all()?;
    forget(file, None)
}

/// Whether an archive is still written, for who reads it meanwhile. It is, as long as nothing else is said.
#[derive(Clone, Debug, Default)]
pub(crate) struct Growth(Arc<AtomicU8>);

/// It is finished: what is there is all.
const FINISHED: u8 = 1;
/// It will not be finished.
const GIVEN_UP: u8 = 2;

impl Growth {
    /// It is finished.
    pub(crate) fn finish(&self) {
        self.0.store(FINISHED, Ordering::Release);
    }

    /// Gives up when it is dropped: a reader that nobody listens to any more must not wait for ever.
    pub(crate) fn given_up_when_dropped(&self) -> GivenUp {
        GivenUp(self.clone())
    }

    /// Nothing more is written, and it is not finished.
    pub(crate) fn give_up(&self) {
        self.0.store(GIVEN_UP, Ordering::Release);
    }
}

/// An archive that nobody writes once this is dropped.
#[derive(Debug)]
pub(crate) struct GivenUp(Growth);

impl Drop for GivenUp {
    fn drop(&mut self) {
        self.0.give_up();
    }
}

/// Reads an archive as it grows. At its end it waits for more, as long as there is somebody who writes.
#[derive(Debug)]
pub(crate) struct GrowingFile {
    file: File,
    growth: Growth,
    /// How far it was read.
    position: u64,
    /// How far it is on the disk: what comes out of here must not be lost with the machine, or what was made of it would
    /// be of something that is not there.
    synced: u64,
}

impl GrowingFile {
    /// The archive that is to be called `path`, or is already.
    ///
    /// # Errors
    /// When there is neither.
    pub(crate) fn open(path: &Path, growth: Growth) -> Result<Self> {
        let partial = partial_name(path);
        let file = File::open(&partial).or_else(|_| File::open(path)).map_err(|error| Error::io(path, error))?;
        Ok(GrowingFile { file, growth, position: 0, synced: 0 })
    }
}

impl Read for GrowingFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            // Before the read: what was written until then is there.
            let state = self.growth.0.load(Ordering::Acquire);
            match self.file.read(buffer)? {
                0 if state == FINISHED => return Ok(0),
                0 if state == GIVEN_UP => {
                    return Err(io::Error::other("it is no longer written, and not finished"));
                }
                0 => std::thread::sleep(LOOK),
                read => {
                    self.position += read as u64;
                    if self.position > self.synced {
                        let len = self.file.metadata()?.len();
                        self.file.sync_data()?;
                        self.synced = len;
                    }
                    return Ok(read);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_reader_waits_for_what_is_not_written_yet() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("copy.tlz");
        let mut file = File::create(partial_name(&path)).unwrap();
        let growth = Growth::default();
        let mut reader = GrowingFile::open(&path, growth.clone()).unwrap();
        let read = std::thread::spawn(move || {
            let mut all = Vec::new();
            reader.read_to_end(&mut all).map(|_| all)
        });
        for part in [&b"one "[..], b"two"] {
            std::thread::sleep(Duration::from_millis(20));
            file.write_all(part).unwrap();
        }
        growth.finish();
        assert_eq!(read.join().unwrap().unwrap(), b"one two");
        let growth = Growth::default();
        growth.give_up();
        let mut given_up = GrowingFile::open(&path, growth).unwrap();
        assert!(given_up.read_to_end(&mut Vec::new()).is_err());
    }
}
