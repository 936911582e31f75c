//! Archives back into batches: from a file by its index, or from a stream front to back.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
    sync::Arc,
};

use tokio::sync::mpsc;
use transload_format::{BlockHeader, Contents, Event, Kind, Place, Reader, Record, Scanner, StoredBlock, Subject};

use super::{archive_failure, failure::archive_failure_of};
use crate::{
    batch::{Batch, Budget, Permit},
    cpu::{self, Pending},
    error::{Error, ErrorKind, Result},
};

/// Bytes that a block takes on its way from the archive to a server: stored and raw, then in a command of ours, which
/// the driver copies.
fn in_memory(raw_len: u32) -> usize {
    raw_len as usize * 3
}

/// Bytes read from a stream at a time.
const READ_BYTES: usize = 256 * 1024;
/// Blocks of a stream that wait to be taken. The memory budget bounds their bytes.
const STREAM_AHEAD: usize = 16;

/// A batch that is still being decompressed, and the namespace it belongs to.
#[derive(Debug)]
pub struct PendingBatch {
    /// Whether these are documents or events.
    pub kind: Kind,
    /// The id of its namespace in the archive.
    pub namespace: u32,
    /// The number of its block in the archive.
    pub block: u64,
    /// The documents or events in it.
    pub count: u32,
    /// Its bytes before compression.
    pub len: u32,
    documents: Pending<Vec<u8>>,
    permit: Permit,
}

impl PendingBatch {
    /// Waits for the documents.
    ///
    /// # Errors
    /// When the block is damaged.
    pub async fn wait(self) -> Result<Batch> {
        Ok(Batch { documents: self.documents.wait().await?, permit: self.permit })
    }
}

/// A finished archive in a file, which any number of tasks may read.
#[derive(Clone, Debug)]
pub struct ArchiveFile {
    name: Arc<str>,
    reader: Arc<Reader<File>>,
}

impl ArchiveFile {
    /// Opens an archive by its tail: two reads, however large it is.
    ///
    /// # Errors
    /// When it cannot be read, or is unfinished, damaged, or no archive.
    pub fn open(path: &Path) -> Result<Self> {
        let name: Arc<str> = path.display().to_string().into();
        let file = File::open(path).map_err(|error| Error::io(path, error))?;
        if file.metadata().is_ok_and(|metadata| metadata.is_dir()) {
            return Err(Error::new(ErrorKind::Usage, "is a directory, not an archive").at(&*name));
        }
        let reader = Reader::open(file).map_err(|error| archive_failure_of(&name, &first_bytes(path), error))?;
        Ok(ArchiveFile { name, reader: Arc::new(reader) })
    }

    /// Opens an archive whose blocks will be read: by its tail, and its header is proven too.
    ///
    /// # Errors
    /// As [`open`](ArchiveFile::open).
    pub fn open_whole(path: &Path) -> Result<Self> {
        let archive = ArchiveFile::open(path)?;
        archive.reader.check_header().map_err(|error| archive_failure(&archive.name, error))?;
        Ok(archive)
    }

    /// What it holds.
    pub fn contents(&self) -> &Contents {
        self.reader.contents()
    }

    /// Its name, for messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its length in bytes.
    ///
    /// # Errors
    /// When the operating system fails.
    pub fn bytes(&self) -> Result<u64> {
        std::fs::metadata(&*self.name).map(|metadata| metadata.len()).map_err(|error| Error::io(&*self.name, error))
    }

    /// Reads block `number` and proves its stored bytes, on the pool of computations' behalf: a short read of a local
    /// file, in a thread that may block.
    ///
    /// # Errors
    /// When it cannot be read or is damaged.
    pub async fn block(&self, number: usize) -> Result<StoredBlock> {
        let archive = self.clone();
        let read = move || archive.reader.block(number).map_err(|error| archive_failure(&archive.name, error));
        tokio::task::spawn_blocking(read)
            .await
            .unwrap_or_else(|panic| Err(Error::new(ErrorKind::Internal, format!("a reader died: {panic}"))))
    }

    /// Starts to decompress a block.
    pub(crate) fn unpack(&self, number: usize, block: StoredBlock) -> Pending<Vec<u8>> {
        let archive = self.clone();
        cpu::run(move || {
            let unpacked = block.unpack();
            unpacked.map_err(|problem| archive_failure(&archive.name, archive.reader.damaged(number, problem)))
        })
    }

    /// Reads block `number` as a batch, once the budget has room for it.
    ///
    /// # Errors
    /// As [`block`](ArchiveFile::block).
    pub async fn batch(&self, number: usize, budget: &Budget) -> Result<PendingBatch> {
        let entry = self.contents().blocks().get(number);
        let permit = budget.acquire(in_memory(entry.map_or(0, |entry| entry.raw_len))).await?;
        let block = self.block(number).await?;
        let (Subject { kind, namespace, .. }, header) = (block.header.subject, block.header);
        let (sequence, count, len) = (header.sequence, header.count, header.raw_len);
        Ok(PendingBatch { kind, namespace, block: sequence, count, len, documents: self.unpack(number, block), permit })
    }

    /// Proves block `number`, its stored bytes and its raw ones, once the budget has room for it. Gives the bytes that
    /// it takes in the file.
    ///
    /// # Errors
    /// As [`block`](ArchiveFile::block).
    pub(crate) async fn prove(&self, number: usize, budget: &Budget) -> Result<u64> {
        let entry = self.contents().blocks().get(number);
        let _permit = budget.acquire(entry.map_or(0, |entry| in_memory(entry.raw_len))).await?;
        let block = self.block(number).await?;
        let len = block.total_len();
        self.unpack(number, block).wait().await?;
        Ok(len)
    }
}

/// What a file begins with, as far as it can be read.
fn first_bytes(path: &Path) -> Vec<u8> {
    let mut first = Vec::new();
    if let Ok(file) = File::open(path) {
        // Only a hint is made of it; the error is known already.
        let _ = file.take(8).read_to_end(&mut first);
    }
    first
}

/// What comes out of a stream.
#[derive(Debug)]
pub enum Streamed {
    /// The archive announced its namespaces, or one more; batches follow.
    Announced(Box<Contents>),
    /// Documents of one of them.
    Batch(PendingBatch),
    /// No more of a namespace comes.
    NamespaceFinished {
        /// Its id.
        namespace: u32,
        /// How many blocks came.
        blocks: u64,
    },
    /// The footer was reached, and everything agrees.
    Finished(Box<Contents>),
}

/// Reads an archive front to back out of `input`, in a thread of its own. An error comes last; what came before it
/// is whole.
pub fn stream(name: &str, input: impl Read + Send + 'static, budget: Budget) -> mpsc::Receiver<Result<Streamed>> {
    let (sender, receiver) = mpsc::channel(STREAM_AHEAD);
    let name: Arc<str> = name.into();
    let runtime = tokio::runtime::Handle::current();
    tokio::task::spawn_blocking(move || {
        let mut streaming = Streaming { name, budget, runtime, sender, announced: false };
        if let Err(error) = streaming.run(input) {
            // Nobody listens any more when the verb has been stopped.
            let _ = streaming.sender.blocking_send(Err(error));
        }
    });
    receiver
}

struct Streaming {
    name: Arc<str>,
    budget: Budget,
    runtime: tokio::runtime::Handle,
    sender: mpsc::Sender<Result<Streamed>>,
    announced: bool,
}

impl Streaming {
    fn run(&mut self, mut input: impl Read) -> Result<()> {
        let mut scanner = Scanner::new();
        let mut buffer = vec![0; READ_BYTES];
        let mut first = Vec::new();
        loop {
            while let Some(event) = scanner.next().map_err(|error| archive_failure_of(&self.name, &first, error))? {
                self.event(event, &scanner)?;
            }
            let read = loop {
                match input.read(&mut buffer) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    read => break read.map_err(|error| Error::io(&*self.name, error))?,
                }
            };
            if read == 0 {
                break;
            }
            let bytes = buffer.get(..read).unwrap_or_default();
            if first.is_empty() {
                first = bytes.iter().copied().take(8).collect();
            }
            scanner.push(bytes);
        }
        let contents = scanner.end().map_err(|error| archive_failure_of(&self.name, &first, error))?;
        if !self.announced {
            self.send(Streamed::Announced(Box::new(contents.clone())))?;
        }
        self.send(Streamed::Finished(Box::new(contents)))
    }

    fn event(&mut self, event: Event, scanner: &Scanner) -> Result<()> {
        match event {
            Event::Record(_, Record::Collection(_)) if self.announced => {
                self.announced = false;
                self.announce(scanner)
            }
            Event::Record(_, Record::PartBegun(_)) => self.announce(scanner),
            Event::Record(header, Record::NamespaceFinished(finished)) => {
                self.announce(scanner)?;
                let (namespace, blocks) = (header.subject.namespace, finished.totals.blocks);
                self.send(Streamed::NamespaceFinished { namespace, blocks })
            }
            Event::Block(block) => {
                self.announce(scanner)?;
                self.batch(block)
            }
            _ => Ok(()),
        }
    }

    fn announce(&mut self, scanner: &Scanner) -> Result<()> {
        match scanner.contents() {
            Some(contents) if !self.announced => {
                self.announced = true;
                self.send(Streamed::Announced(Box::new(contents.clone())))
            }
            _ => Ok(()),
        }
    }

    fn batch(&self, block: StoredBlock) -> Result<()> {
        let (header, offset) = (block.header, block.offset);
        let permit = self.runtime.block_on(self.budget.acquire(in_memory(header.raw_len)))?;
        let name = Arc::clone(&self.name);
        let documents = cpu::run(move || {
            let place = Place::Block { sequence: header.sequence, offset, namespace: None };
            let damaged = |problem| transload_format::Error::Damaged { place, problem };
            block.unpack().map_err(|problem| archive_failure(&name, damaged(problem)))
        });
        let BlockHeader { subject, sequence, count, raw_len: len, .. } = header;
        let Subject { kind, namespace, .. } = subject;
        self.send(Streamed::Batch(PendingBatch { kind, namespace, block: sequence, count, len, documents, permit }))
    }

    fn send(&self, streamed: Streamed) -> Result<()> {
        self.sender.blocking_send(Ok(streamed)).map_err(|_| Error::interrupted())
    }
}
