//! The verb `dump`: collections of a server into an archive.
//!
//! ```text
//! scan: N cursors ─▶ batches ─▶ cpu: compress, checksum ─▶ one writer ─▶ archive
//! ```
//! All parts of all collections stand in one queue, the largest first; each of N workers follows one cursor.

mod one_time;
mod plan;
mod sidecar;

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use transload_format::{Codec, Origin, PartBegun, limits::MAX_BLOCK_LEN};

use crate::{
    archive::{Cut, Destination, Sink, Written, partial_name},
    batch::{Batch, Budget},
    catalog::{Catalog, Entry},
    connect::Server,
    error::{Error, ErrorKind, Result},
    progress::Progress,
    report::{Consistency, DumpReport, namespaces},
    scan::PartScan,
    selection::Selection,
};
use plan::{Job, Plan};
use sidecar::{bad_indexes, write_sidecar};

pub use sidecar::check_sidecar;

/// Bytes at which a block is closed. A block is one insert command when it is restored, and servers take commands of
/// this size fastest.
const BLOCK_BYTES: usize = 1024 * 1024;
/// Bytes of batches that may be in memory between the cursors and the disk.
const MEMORY: usize = 32 * 1024 * 1024;
/// How long an interrupted dump waits for standard output to take its last block.
const LAST_WRITE: Duration = Duration::from_secs(1);

/// How to dump.
#[derive(Clone, Debug)]
pub struct DumpOptions {
    /// What to dump.
    pub selection: Selection,
    /// Where to.
    pub destination: Destination,
    /// How blocks are compressed.
    pub codec: Codec,
    /// Cursors read at once.
    pub parallel: usize,
    /// Bytes of documents that a part of a collection should have; [`PART_BYTES`](crate::scan::PART_BYTES) unless
    /// there is a reason. A smaller collection is one part.
    pub part_bytes: u64,
    /// Whether users and roles are taken along: of all databases, or of the one that the connection string names.
    pub users_and_roles: bool,
    /// Whether everything is to be read as of one cluster time, or nothing at all.
    pub consistent: bool,
}

/// What the workers share.
struct Shared {
    server: Server,
    entries: Vec<Entry>,
    queue: Mutex<VecDeque<Job>>,
    /// Nothing is to be read as of before this cluster time.
    since: u64,
    /// Whether everything is to be read as of that time.
    at_one_time: bool,
    /// Parts of each namespace that are not finished.
    open_parts: Vec<AtomicUsize>,
    sink: Sink,
    budget: Budget,
    cancel: CancellationToken,
    progress: Arc<dyn Progress>,
}

/// Dumps what the options select.
///
/// # Errors
/// When anything that was selected could not be read or written whole; what was written stays under its partial name.
/// [`ErrorKind::Interrupted`] when `cancel` was called.
pub async fn dump(
    server: &Server,
    options: DumpOptions,
    progress: Arc<dyn Progress>,
    cancel: CancellationToken,
) -> Result<DumpReport> {
    let begun = Instant::now();
    let retries_before = server.retries();
    check_sidecar(&options.destination)?;
    progress.stage("reading the catalog", None, None);
    let planned = async {
        match options.consistent {
            true => Plan::at_one_time(server, &options).await,
            false => Plan::part_by_part(server, &options).await,
        }
    };
    let Plan { catalog, jobs, since, at_one_time } = tokio::select! {
        planned = planned => planned?,
        () = cancel.cancelled() => return Err(Error::interrupted()),
    };
    catalog.warnings.iter().for_each(|warning| progress.warn(warning));
    catalog.missing.iter().for_each(|missing| progress.warn(&format!("missing: {missing}")));
    let collections = catalog.entries.iter().map(|entry| entry.collection.clone()).collect();
    let (sink, writer) = Sink::begin(&options.destination, options.codec, origin(server), since, collections)?;
    let sum = |of: fn(&Entry) -> Option<u64>| catalog.entries.iter().map(of).sum::<Option<u64>>();
    progress.stage("dumping", sum(|entry| entry.documents), sum(|entry| entry.bytes));
    let Catalog { entries, left_out, warnings, missing } = catalog;
    let shared = Arc::new(Shared {
        server: server.clone(),
        open_parts: open_parts(entries.len(), &jobs),
        entries,
        queue: Mutex::new(jobs.into()),
        since,
        at_one_time,
        sink,
        budget: Budget::new(MEMORY),
        cancel,
        progress,
    });
    let read = read_all(&shared, options.parallel.max(1)).await;
    let written = finish(shared, read, writer, &options.destination).await?;
    let totals = written.contents.totals();
    let (sidecar, indexes) = write_sidecar(&options.destination, &written.contents)?;
    Ok(DumpReport {
        archive: options.destination.name(),
        archive_bytes: written.bytes,
        server: server.version().to_string(),
        codec: options.codec.to_string(),
        documents: totals.documents,
        bytes: totals.bytes,
        seconds: begun.elapsed().as_secs_f64(),
        retries: server.retries() - retries_before,
        consistency: Consistency::of(&written.contents),
        namespaces: namespaces(&written.contents),
        sidecar: sidecar.map(|path| path.display().to_string()),
        bad_indexes: bad_indexes(&indexes),
        left_out,
        warnings,
        missing,
    })
}

fn open_parts(entries: usize, jobs: &[Job]) -> Vec<AtomicUsize> {
    let mut counts = vec![0; entries];
    for job in jobs {
        if let Some(count) = counts.get_mut(job.entry) {
            *count += 1;
        }
    }
    counts.into_iter().map(AtomicUsize::new).collect()
}

fn origin(server: &Server) -> Origin {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Origin {
        tool: format!("transload {}", env!("CARGO_PKG_VERSION")),
        server: server.version().to_string(),
        created_ms: u64::try_from(now.as_millis()).unwrap_or(u64::MAX),
    }
}

/// Reads all parts; the first error stops all workers.
async fn read_all(shared: &Arc<Shared>, parallel: usize) -> Result<()> {
    for (id, open) in (1..).zip(&shared.open_parts) {
        if open.load(Ordering::Relaxed) == 0 {
            shared.sink.finish_namespace(id).await?;
        }
    }
    let stop = shared.cancel.child_token();
    let mut workers = JoinSet::new();
    for _ in 0..parallel {
        let (shared, stop) = (Arc::clone(shared), stop.clone());
        workers.spawn(async move {
            let work = async {
                while let Some(job) = shared.next_job() {
                    shared.read_part(&job).await?;
                }
                Ok(())
            };
            tokio::select! {
                done = work => done,
                () = stop.cancelled() => Err(Error::interrupted()),
            }
        });
    }
    let mut first = Ok(());
    while let Some(ended) = workers.join_next().await {
        let ended =
            ended.unwrap_or_else(|panic| Err(Error::new(ErrorKind::Internal, format!("a worker died: {panic}"))));
        if ended.is_err() && first.is_ok() {
            first = ended;
            stop.cancel();
        }
    }
    first
}

impl Shared {
    fn next_job(&self) -> Option<Job> {
        self.queue.lock().unwrap_or_else(std::sync::PoisonError::into_inner).pop_front()
    }

    async fn read_part(&self, job: &Job) -> Result<()> {
        let entry = self.entries.get(job.entry).ok_or_else(|| Error::new(ErrorKind::Internal, "no such entry"))?;
        let id = u32::try_from(job.entry + 1).unwrap_or(u32::MAX);
        let low = match self.at_one_time {
            true => self.since,
            // A secondary that is behind tells an older time.
            false => self.server.operation_time().await?.max(self.since),
        };
        let begun = PartBegun { lower: job.bounds.lower.clone(), upper: job.bounds.upper.clone(), low };
        let part = self.sink.begin_part(id, begun).await?;
        let scan = PartScan::new(&self.server, entry, &job.bounds, low);
        let mut scan = if self.at_one_time { scan.at_one_time_or_fail() } else { scan };
        let mut block = Vec::new();
        while let Some(delivered) = scan.next().await? {
            for document in delivered.documents()? {
                if !block.is_empty() && block.len() + document.len() > MAX_BLOCK_LEN as usize {
                    self.hand_over(id, part, &mut block).await?;
                }
                if block.capacity() == 0 {
                    block.reserve(BLOCK_BYTES + BLOCK_BYTES / 8);
                }
                block.extend_from_slice(document);
                if block.len() >= BLOCK_BYTES {
                    self.hand_over(id, part, &mut block).await?;
                }
            }
        }
        if !block.is_empty() {
            self.hand_over(id, part, &mut block).await?;
        }
        let high = if scan.is_of_one_time() { low } else { self.server.cluster_time().await? };
        self.sink.finish_part(id, part, high).await?;
        let open = self.open_parts.get(job.entry).map_or(0, |open| open.fetch_sub(1, Ordering::AcqRel));
        if open == 1 {
            self.sink.finish_namespace(id).await?;
        }
        Ok(())
    }

    async fn hand_over(&self, namespace: u32, part: u32, block: &mut Vec<u8>) -> Result<()> {
        let documents = std::mem::take(block);
        let bytes = documents.len() as u64;
        let permit = self.budget.acquire(documents.len()).await?;
        self.sink.documents(namespace, part, Batch { documents, permit }).await?;
        self.progress.advance(0, bytes);
        Ok(())
    }
}

/// Ends the archive: finished if everything was read. Of several errors the writer's is the cause.
async fn finish(
    shared: Arc<Shared>,
    read: Result<()>,
    writer: JoinHandle<Result<Written, Cut>>,
    destination: &Destination,
) -> Result<Written> {
    let handed_over = match &read {
        Ok(()) => shared.sink.clone().finish().await,
        Err(_) => Ok(()),
    };
    // With the last clone of the sink the writer's queue ends.
    drop(shared);
    let interrupted = matches!(&read, Err(error) if error.kind() == ErrorKind::Interrupted);
    let ended = if interrupted && *destination == Destination::Stdout {
        // A pipe that nobody reads would hold the writer for ever.
        tokio::time::timeout(LAST_WRITE, writer).await.map_err(|_| Error::interrupted())?
    } else {
        writer.await
    };
    let written = ended.map_err(|panic| Error::new(ErrorKind::Internal, format!("the writer died: {panic}")))?;
    let stopped = read.and(handed_over);
    written.map_err(|mut cut| {
        let without_a_word = || Error::new(ErrorKind::Internal, "the archive was not finished");
        let error = cut.failure.take().or(stopped.err()).unwrap_or_else(without_a_word);
        how_far(error, &cut, destination)
    })
}

/// Says what is left of a dump that did not finish.
fn how_far(error: Error, cut: &Cut, destination: &Destination) -> Error {
    if error.kind() == ErrorKind::AlreadyExists {
        // It is finished, but its name was taken meanwhile.
        return error;
    }
    let done = format!("{} documents in {} bytes", cut.documents, cut.bytes);
    let left = match destination {
        Destination::Stdout => format!("{done} were written to it, which are no whole archive"),
        Destination::File { path, .. } if !partial_name(path).exists() => {
            format!("{} is whole, but a crash of the machine may still undo its name", path.display())
        }
        Destination::File { .. } => {
            let name = destination.unfinished_name();
            format!("{name} stays, unfinished, with {done}; --force begins anew in its place")
        }
    };
    let first = match error.kind() {
        ErrorKind::NoSpace => Some("make room, or choose another disk".to_owned()),
        _ => error.hint().map(str::to_owned),
    };
    error.with_hint(first.map_or(left.clone(), |first| format!("{first}; {left}")))
}
