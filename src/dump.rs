//! The verb `dump`: collections of a server into an archive.
//!
//! ```text
//! scan: N cursors ─▶ batches ─▶ cpu: compress, checksum ─▶ one writer ─▶ archive
//! ```
//! All parts of all collections stand in one queue, the largest first; each of N workers follows one cursor.

mod cursors;
mod natural;
mod one_time;
mod plan;
mod readers;
mod recent;
mod sidecar;
mod turns;

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use transload_format::{Codec, Origin};

use crate::{
    archive::{Cut, Destination, Sink, Written, new_id, partial_name},
    brake::Brake,
    catalog::{Catalog, Entry},
    connect::Server,
    error::{Error, ErrorKind, Result},
    progress::Progress,
    rate::Rate,
    report::{Consistency, DumpReport, namespaces},
    scan::ReadOrder,
    selection::Selection,
    timing::Timing,
};
use natural::{in_natural_order, not_in_natural_order, of_several_times};
use plan::Plan;
use sidecar::bad_indexes;

pub use cursors::Cursors;
pub(crate) use plan::{Begun, Cutting, Job, cut};
pub(crate) use readers::{MEMORY, Readers, reply_bytes};
pub(crate) use recent::RecentTime;
pub(crate) use sidecar::write_sidecar;

pub use sidecar::check_sidecar;

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
    /// Cursors that read at once.
    pub cursors: Cursors,
    /// Bytes of documents that a part of a collection should have; [`PART_BYTES`](crate::scan::PART_BYTES) unless
    /// there is a reason. A smaller collection is one part.
    pub part_bytes: u64,
    /// How many parts each collection should have instead; fewer where they would be smaller than 64 KiB.
    pub parts: Option<u16>,
    /// In which order ordinary collections are read.
    pub read_order: ReadOrder,
    /// How much is read in a second, at most.
    pub max_rate: Option<Rate>,
    /// Whether users and roles are taken along: of all databases, or of the one that the connection string names.
    pub users_and_roles: bool,
    /// Whether everything is to be read as of one cluster time, or nothing at all.
    pub consistent: bool,
}

impl DumpOptions {
    fn cutting(&self) -> Cutting {
        Cutting { part_bytes: self.part_bytes, parts: self.parts, order: self.read_order }
    }
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
    run(server, options, Timing::default(), Vec::new(), progress, cancel).await
}

/// The same, held back by brakes.
///
/// # Errors
/// As [`dump`].
pub(crate) async fn braked(
    server: &Server,
    options: DumpOptions,
    brakes: Vec<Brake>,
    progress: Arc<dyn Progress>,
    cancel: CancellationToken,
) -> Result<DumpReport> {
    run(server, options, Timing::default(), brakes, progress, cancel).await
}

/// The same, with its stages measured.
///
/// # Errors
/// As [`dump`].
pub(crate) async fn measured(
    server: &Server,
    options: DumpOptions,
    timing: Timing,
    progress: Arc<dyn Progress>,
    cancel: CancellationToken,
) -> Result<DumpReport> {
    run(server, options, timing, Vec::new(), progress, cancel).await
}

async fn run(
    server: &Server,
    options: DumpOptions,
    timing: Timing,
    mut brakes: Vec<Brake>,
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
    let Plan { catalog, jobs, since, floor, at_one_time } = tokio::select! {
        planned = planned => planned?,
        () = cancel.cancelled() => return Err(Error::interrupted()),
    };
    catalog.warnings.iter().for_each(|warning| progress.warn(warning));
    catalog.missing.iter().for_each(|missing| progress.warn(&format!("missing: {missing}")));
    let collections = catalog.entries.iter().map(|entry| entry.collection.clone()).collect();
    let (id, codec) = (new_id()?, options.codec);
    let (sink, writer) = Sink::begin_as(id, &options.destination, codec, origin(server), since, collections, timing)?;
    let sum = |of: fn(&Entry) -> Option<u64>| catalog.entries.iter().map(of).sum::<Option<u64>>();
    progress.stage("dumping", sum(|entry| entry.documents), sum(|entry| entry.bytes));
    let Catalog { entries, left_out, mut warnings, missing } = catalog;
    let cursors = options.cursors.held_to(options.max_rate);
    let workers = cursors.most().min(jobs.len());
    let natural_order = in_natural_order(&entries, &jobs);
    if options.read_order == ReadOrder::Natural {
        warnings.extend(not_in_natural_order(&entries, &jobs).inspect(|warning| progress.warn(warning)));
    }
    brakes.extend(options.max_rate.map(|rate| Brake::new(Some(rate), workers)));
    let readers = Readers {
        server: server.clone(),
        entries,
        finished: Vec::new(),
        since,
        floor,
        at_one_time,
        when_lost: None,
        brakes,
        sink: sink.clone(),
        progress: Arc::clone(&progress),
    };
    let (mut cursors_at_once, read) = (0, readers.read(jobs, cursors, cancel.clone()).await);
    let read = read.map(|most| cursors_at_once = most);
    let remedy = match &options.destination {
        Destination::File { replace: true, .. } => "the same command begins anew in its place",
        _ => "--force begins anew in its place",
    };
    let written = finish(sink, read, writer, &options.destination, remedy, &cancel).await?;
    let totals = written.contents.totals();
    warnings.extend(of_several_times(&written.contents).inspect(|warning| progress.warn(warning)));
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
        cursors: cursors_at_once,
        consistency: Consistency::of(&written.contents),
        namespaces: namespaces(&written.contents),
        sidecar: sidecar.map(|path| path.display().to_string()),
        bad_indexes: bad_indexes(&indexes),
        natural_order,
        left_out,
        warnings,
        missing,
    })
}

pub(crate) fn origin(server: &Server) -> Origin {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Origin {
        tool: format!("transload {}", env!("CARGO_PKG_VERSION")),
        server: server.version().to_string(),
        created_ms: u64::try_from(now.as_millis()).unwrap_or(u64::MAX),
    }
}

/// Ends the archive: finished if everything was read. Of several errors the writer's is the cause. What is left of it then is what
/// `remedy` is about.
pub(crate) async fn finish(
    sink: Sink,
    read: Result<()>,
    writer: JoinHandle<Result<Written, Cut>>,
    destination: &Destination,
    remedy: &str,
    cancel: &CancellationToken,
) -> Result<Written> {
    let was_read = read.is_ok();
    let writing = async {
        let handed_over = match was_read {
            true => sink.finish().await,
            // With the last clone of the sink the writer's queue ends.
            false => {
                drop(sink);
                Ok(())
            }
        };
        (handed_over, writer.await)
    };
    // A pipe that nobody reads would hold the writer for ever.
    let too_long = async {
        if was_read {
            cancel.cancelled().await;
        }
        tokio::time::sleep(LAST_WRITE).await;
    };
    let (handed_over, ended) = match destination {
        Destination::Stdout => tokio::select! {
            ended = writing => ended,
            () = too_long => return Err(read.err().map_or_else(Error::interrupted, |error| {
                let left = "what was written to it is no whole archive";
                let hint = error.hint().map_or(left.to_owned(), |hint| format!("{hint}; {left}"));
                error.with_hint(hint)
            })),
        },
        _ => writing.await,
    };
    let written = ended.map_err(|panic| Error::new(ErrorKind::Internal, format!("the writer died: {panic}")))?;
    let stopped = read.and(handed_over);
    written.map_err(|mut cut| {
        let without_a_word = || Error::new(ErrorKind::Internal, "the archive was not finished");
        let error = cut.failure.take().or(stopped.err()).unwrap_or_else(without_a_word);
        how_far(error, &cut, destination, remedy)
    })
}

/// Says what is left of a dump that did not finish.
fn how_far(error: Error, cut: &Cut, destination: &Destination, remedy: &str) -> Error {
    if error.kind() == ErrorKind::AlreadyExists {
        // It is finished, but its name was taken meanwhile.
        return error;
    }
    let done = format!("{} documents in {} bytes", cut.documents, cut.bytes);
    let left = match destination {
        Destination::Stdout | Destination::Nothing | Destination::Memory => {
            format!("{done} were written to it, which are no whole archive")
        }
        Destination::File { path, .. } if cut.is_whole => match partial_name(path).exists() {
            true => format!("{} is whole, and wants nothing but its name", destination.unfinished_name()),
            false => {
                format!("if {} is there, it is whole, but a crash of the machine may undo its name", path.display())
            }
        },
        Destination::File { .. } => {
            let name = destination.unfinished_name();
            format!("{name} stays, unfinished, with {done}; {remedy}")
        }
    };
    let first = match error.kind() {
        ErrorKind::NoSpace => Some("make room, or choose another disk".to_owned()),
        _ => error.hint().map(str::to_owned),
    };
    error.with_hint(first.map_or(left.clone(), |first| format!("{first}; {left}")))
}
