//! Batches into an archive: compressed on many threads, written by one, in the order they were handed over.
//!
//! A hand-over is a place in a bounded queue, taken in order, for a block that is still being compressed; so the
//! writer keeps the order of each part, and who reads faster than it writes waits.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use tokio::{
    sync::{Mutex, mpsc},
    task::JoinHandle,
};
use transload_format::{
    ArchiveId, Checkpoint, Codec, Collection, Compressor, Contents, Kind, Origin, PackedBlock, PartBegun, Record, Step,
    Subject, Writer,
};

use super::{Destination, Output, archive_failure, partial_name};
use crate::{
    batch::{Batch, Permit},
    cpu::{self, Pending},
    document::EMPTY,
    error::{Error, ErrorKind, Result},
    timing::{Stage, Timing, Watch},
};

/// Hand-overs that wait for the writer. The memory budget bounds their bytes.
const QUEUE: usize = 64;

/// Takes batches, and writes them as an archive.
#[derive(Clone, Debug)]
pub struct Sink {
    queue: mpsc::Sender<Item>,
    codec: Codec,
    /// The number of parts begun, of each namespace. Held while a part's record is handed over, so that the records
    /// come in the order of their numbers.
    parts: Arc<Vec<(Mutex<()>, AtomicU32)>>,
    timing: Timing,
}

enum Item {
    Block(Pending<PackedBlock>, Permit),
    PartBegun(u32, u32, PartBegun),
    PartFinished(u32, u32, u64),
    NamespaceFinished(u32),
    Finish,
}

/// An archive that is finished, durable, and has its name.
#[derive(Debug)]
pub struct Written {
    /// What the archive holds.
    pub contents: Contents,
    /// Bytes of it.
    pub bytes: u64,
}

/// An archive that was not finished.
#[derive(Debug)]
pub struct Cut {
    /// Documents in its whole blocks.
    pub documents: u64,
    /// Bytes of them, and of what stands between them.
    pub bytes: u64,
    /// Whether nothing is missing but the name: all of it is on the disk.
    pub is_whole: bool,
    /// Why it could not be written on; none if nothing more came.
    pub failure: Option<Error>,
}

impl Cut {
    fn at(documents: u64, bytes: u64, failure: Option<Error>) -> Self {
        Cut { documents, bytes, is_whole: false, failure }
    }
}

impl Sink {
    /// Begins an archive of these collections, as they were listed after the cluster time `since` (0 if unknown); their
    /// ids are 1, 2, 3 … in this order. The handle gives what was written once the sink and all its clones are dropped.
    ///
    /// # Errors
    /// When the destination cannot be opened.
    pub fn begin(
        destination: &Destination,
        codec: Codec,
        origin: Origin,
        since: u64,
        collections: Vec<Collection>,
    ) -> Result<(Self, JoinHandle<Result<Written, Cut>>)> {
        Sink::begin_as(new_id()?, destination, codec, origin, since, collections, Timing::default())
    }

    /// The same of an archive with this id, whose making is measured.
    ///
    /// # Errors
    /// As [`begin`](Sink::begin).
    pub(crate) fn begin_as(
        id: ArchiveId,
        destination: &Destination,
        codec: Codec,
        origin: Origin,
        since: u64,
        collections: Vec<Collection>,
        timing: Timing,
    ) -> Result<(Self, JoinHandle<Result<Written, Cut>>)> {
        let name = destination.unfinished_name();
        let parts = collections.iter().map(|_| 0).collect();
        let output = destination.open()?;
        let (sink, items) = Sink::new(codec, parts, timing.clone());
        let handle = tokio::task::spawn_blocking(move || {
            let failed = |error| Cut::at(0, 0, Some(archive_failure(&name, error)));
            let mut writer = Writer::new(output, id, codec).map_err(failed)?;
            let announced =
                announce(&mut writer, origin, since, collections).map_err(|error| archive_failure(&name, error));
            run(writer, announced, items, &name, &timing)
        });
        Ok((sink, handle))
    }

    /// Goes on with an archive that was not finished, of which a reader has found `contents`; it will be called `path`.
    ///
    /// # Errors
    /// When the file cannot be opened, or may not be written on.
    pub(crate) fn go_on(
        path: &Path,
        codec: Codec,
        contents: Contents,
    ) -> Result<(Self, JoinHandle<Result<Written, Cut>>)> {
        let name = partial_name(path).display().to_string();
        let parts = contents.namespaces().iter().map(|namespace| namespace.parts.len()).collect();
        let output = Output::reopen(path, contents.offset())?;
        let writer = Writer::resume(output, contents, codec).map_err(|error| archive_failure(&name, error))?;
        let timing = Timing::default();
        let (sink, items) = Sink::new(codec, parts, timing.clone());
        let handle = tokio::task::spawn_blocking(move || run(writer, Ok(()), items, &name, &timing));
        Ok((sink, handle))
    }

    /// `parts` is how many each namespace has already.
    fn new(codec: Codec, parts: Vec<usize>, timing: Timing) -> (Self, mpsc::Receiver<Item>) {
        let (queue, items) = mpsc::channel(QUEUE);
        let count = |parts| AtomicU32::new(u32::try_from(parts).unwrap_or(u32::MAX));
        let parts = parts.into_iter().map(|parts| (Mutex::new(()), count(parts))).collect();
        (Sink { queue, codec, parts: Arc::new(parts), timing }, items)
    }

    /// A watch for who hands over, if this archive's making is measured.
    pub(crate) fn watch(&self) -> Watch {
        self.timing.watch()
    }

    /// Begins a part of a namespace, and gives its number.
    ///
    /// # Errors
    /// When the writer has stopped; its handle says why.
    pub async fn begin_part(&self, namespace: u32, begun: PartBegun) -> Result<u32> {
        let index = namespace.checked_sub(1).and_then(|index| usize::try_from(index).ok()).unwrap_or(usize::MAX);
        let (order, count) = self.parts.get(index).ok_or_else(stopped)?;
        let _in_order = order.lock().await;
        let number = count.load(Ordering::Relaxed) + 1;
        count.store(number, Ordering::Relaxed);
        self.hand_over(Item::PartBegun(namespace, number, begun)).await?;
        Ok(number)
    }

    /// Hands over documents of a part.
    ///
    /// # Errors
    /// As [`begin_part`](Sink::begin_part).
    pub async fn documents(&self, namespace: u32, part: u32, batch: Batch) -> Result<()> {
        let subject = Subject { kind: Kind::Documents, namespace, part };
        let (codec, Batch { documents, permit }) = (self.codec, batch);
        let timing = self.timing.clone();
        let pending = cpu::run(move || pack(subject, documents, codec, timing.watch()));
        self.hand_over(Item::Block(pending, permit)).await
    }

    /// Finishes a part; `high` is the cluster time after its read.
    ///
    /// # Errors
    /// As [`begin_part`](Sink::begin_part).
    pub async fn finish_part(&self, namespace: u32, part: u32, high: u64) -> Result<()> {
        self.hand_over(Item::PartFinished(namespace, part, high)).await
    }

    /// Finishes a namespace, all of whose parts are finished.
    ///
    /// # Errors
    /// As [`begin_part`](Sink::begin_part).
    pub async fn finish_namespace(&self, namespace: u32) -> Result<()> {
        self.hand_over(Item::NamespaceFinished(namespace)).await
    }

    /// Finishes the archive. Without it the archive stays unfinished, under its partial name.
    ///
    /// # Errors
    /// As [`begin_part`](Sink::begin_part).
    pub async fn finish(self) -> Result<()> {
        self.hand_over(Item::Finish).await
    }

    async fn hand_over(&self, item: Item) -> Result<()> {
        self.queue.send(item).await.map_err(|_| stopped())
    }
}

/// The id of an archive that begins.
///
/// # Errors
/// When the operating system has no random bytes.
pub(crate) fn new_id() -> Result<ArchiveId> {
    let mut id = [0; 16];
    getrandom::fill(&mut id)
        .map_err(|error| Error::new(ErrorKind::Io, format!("no random bytes for the archive's id: {error}")))?;
    Ok(ArchiveId(id))
}

/// Writes what comes, and gives a finished archive its name.
fn run(
    mut writer: Writer<Output>,
    begun: Result<()>,
    items: mpsc::Receiver<Item>,
    name: &str,
    timing: &Timing,
) -> Result<Written, Cut> {
    let mut watch = timing.watch();
    let written = begun.and_then(|()| write(&mut writer, items, name, &mut watch));
    watch.lap(Stage::Write);
    let contents = writer.contents();
    let (documents, bytes) = (contents.totals().documents, contents.offset());
    let finished = match written {
        Ok(true) => writer.finish().map_err(|error| archive_failure(name, error)),
        Ok(false) => return Err(Cut::at(documents, bytes, None)),
        Err(error) => Err(error),
    };
    let cut = |error| Cut::at(documents, bytes, Some(error));
    let mut finished = finished.map_err(cut)?;
    finished.out.sync().map_err(cut)?;
    finished.out.publish().map_err(|error| Cut { is_whole: true, ..cut(error) })?;
    watch.lap(Stage::Write);
    Ok(Written { contents: finished.contents, bytes: finished.len })
}

/// What a sender sees of a writer that failed. The writer's own error is the cause, and the one to report.
fn stopped() -> Error {
    Error::new(ErrorKind::Internal, "the archive is no longer written")
}

fn pack(subject: Subject, documents: Vec<u8>, codec: Codec, mut watch: Watch) -> Result<PackedBlock> {
    thread_local! {
        static COMPRESSOR: std::cell::RefCell<Option<Compressor>> = const { std::cell::RefCell::new(None) };
    }
    COMPRESSOR.with_borrow_mut(|kept| {
        if kept.as_ref().is_some_and(|compressor| compressor.codec() != codec) {
            *kept = None;
        }
        let compressor = kept.get_or_insert_with(|| Compressor::new(codec));
        let done = |step| {
            watch.lap(match step {
                Step::Checksum => Stage::Checksum,
                Step::Compress => Stage::Compress,
            });
        };
        PackedBlock::pack_in_steps(subject, documents, compressor, done)
            .map_err(|problem| Error::new(ErrorKind::Server, format!("the server sent what is no document: {problem}")))
    })
}

/// What stands before the documents. The checkpoint has no token: it is no place in a stream, but the time whose changes
/// a replay has to have from.
fn announce(
    writer: &mut Writer<Output>,
    origin: Origin,
    since: u64,
    collections: Vec<Collection>,
) -> transload_format::Result<()> {
    writer.record(0, 0, Record::Origin(origin))?;
    if since != 0 {
        writer.record(0, 0, Record::Checkpoint(Checkpoint { token: EMPTY.to_vec(), cluster_time: since }))?;
    }
    for collection in collections {
        writer.collection(collection)?;
    }
    Ok(())
}

/// Writes what is handed over; whether all of it was, so that the archive may be finished.
fn write(writer: &mut Writer<Output>, mut items: mpsc::Receiver<Item>, name: &str, watch: &mut Watch) -> Result<bool> {
    loop {
        watch.lap(Stage::Write);
        let Some(item) = items.blocking_recv() else { return Ok(false) };
        watch.restart();
        let written = match item {
            Item::Block(pending, permit) => {
                let block = pending.wait_blocking()?;
                watch.restart();
                let written = writer.block(block);
                drop(permit);
                written
            }
            Item::PartBegun(namespace, part, begun) => writer.record(namespace, part, Record::PartBegun(begun)),
            Item::PartFinished(namespace, part, high) => writer.finish_part(namespace, part, high),
            Item::NamespaceFinished(namespace) => writer.finish_namespace(namespace).map(drop),
            Item::Finish => return Ok(true),
        };
        written.map_err(|error| archive_failure(name, error))?;
    }
}
