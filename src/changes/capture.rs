//! The verb `capture`: change events of a server into change logs, until it is stopped.
//!
//! ```text
//! stream: replies ─▶ recorder: lanes, one thread ─▶ log: blocks, checkpoints, fsync
//! ```
//! A work directory holds what is captured of one source:
//!
//! ```text
//! DIR/capture.json   the source, the selection, the streams
//! DIR/capture.lock   locked by the capture that runs
//! DIR/log/1/ 2/ …    the log of each stream; with a target, its events that are too large for a document
//! ```
//! The position of a stream stands in its log alone, in one durable write with the events before it. So a capture that was
//! killed goes on behind its last checkpoint: what was written behind that is cut off, and comes again.

mod filter;
mod follower;
mod manifest;
mod opening;
mod recorder;
mod since;
mod target;
mod watchman;
mod work_directory;

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::{
    follower::{Followed, follow},
    recorder::SyncOptions,
    work_directory::WorkDirectory,
};
use super::{Store, StreamOptions, Watch, log::LogOptions, stream::standalone, token};
use crate::{
    batch::Budget,
    connect::Server,
    error::{Error, ErrorKind, Result},
    progress::Progress,
    report::{CaptureReport, LaneReport, StreamReport},
    selection::{Selection, SelectionOptions},
};

pub use manifest::{EventsTarget, Manifest, NotFollowed, SourceId, State, WayBack};
pub use opening::Scope;
pub(crate) use opening::try_streams;
pub use since::{Moment, Since};
pub(crate) use target::{check_events_target, drop_events, events_of};

/// Bytes of replies that may be in memory between the streams and the disk.
pub(crate) const MEMORY: usize = 64 << 20;
/// The stage that begins when the streams are open: whatever happens from then on is recorded.
pub const CAPTURING: &str = "capturing";
/// Bytes of events after which a log is synced, whatever the interval.
const SYNC_BYTES: usize = 16 << 20;

/// How to capture.
#[derive(Clone, Debug)]
pub struct CaptureOptions {
    /// The work directory. It is made if it is not there; if a capture was begun in it, that one goes on.
    pub directory: PathBuf,
    /// What to record. A capture that goes on has its own, and takes no other.
    pub selection: SelectionOptions,
    /// What one stream watches; [`Scope::of`] the server if nothing is said. Of meaning only where a capture begins.
    pub scope: Option<Scope>,
    /// Where to begin; with the deployment's present time if nothing is said. Only where a capture begins.
    pub since: Option<Since>,
    /// The whole document with each update: see [`StreamOptions::full_documents`].
    pub full_documents: bool,
    /// How long events may wait before they are synced.
    pub sync_interval: Duration,
    /// Stop when all events up to this cluster time are recorded.
    pub until: Option<u64>,
    /// Stop after so long.
    pub duration: Option<Duration>,
    /// How the logs are written.
    pub log: LogOptions,
    /// What was moved here, if the changes are to lead back: both sides are equal now.
    pub moved_here: Option<SelectionOptions>,
    /// The server whose `_cdc` collection gets the events, in the place of logs.
    pub target: Option<Server>,
}

/// What the streams share.
struct Shared {
    server: Server,
    stores: Vec<Store>,
    selection: Selection,
    /// Whether the source is one replica set, and no cluster of several.
    is_one_set: bool,
    options: StreamOptions,
    log: LogOptions,
    sync: SyncOptions,
    until: Option<u64>,
    budget: Budget,
    progress: Arc<dyn Progress>,
    places: Vec<Place>,
    recorded: AtomicU64,
    directory: PathBuf,
    manifest: Mutex<Manifest>,
}

/// Where a stream is.
struct Place {
    watch: Watch,
    time: AtomicU64,
    /// Whether it waits for room on the disk.
    waits: AtomicBool,
}

impl Shared {
    fn store(&self, index: usize) -> Option<Store> {
        self.stores.get(index).cloned()
    }

    fn reached(&self, index: usize, time: u64) {
        if let Some(place) = self.places.get(index) {
            place.time.store(time, Ordering::Relaxed);
        }
    }

    fn set_waiting(&self, index: usize, waits: bool) {
        if let Some(place) = self.places.get(index) {
            place.waits.store(waits, Ordering::Relaxed);
        }
    }

    fn manifest(&self) -> MutexGuard<'_, Manifest> {
        self.manifest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes down, durably, that what a stream watches is not followed any more because of `error`; the others go on.
    ///
    /// # Errors
    /// `error` itself where there is no other, or what the operating system says.
    async fn follow_no_more(self: &Arc<Self>, index: usize, watch: &Watch, error: Error) -> Result<()> {
        let Watch::Collection(namespace) = watch else { return Err(error) };
        let lost = NotFollowed { namespace: namespace.clone(), reason: error.message().to_owned() };
        let shared = Arc::clone(self);
        let died = |panic| Err(Error::new(ErrorKind::Internal, format!("what writes the manifest died: {panic}")));
        let noted = tokio::task::spawn_blocking(move || {
            let mut manifest = shared.manifest();
            let left = manifest.clone().without(vec![lost.clone()]);
            if !left.streams.iter().any(|watch| left.follows(watch)) {
                return Err(error);
            }
            left.write(&shared.directory)?;
            *manifest = left;
            Ok(lost)
        });
        let lost = noted.await.unwrap_or_else(died)?;
        // It is neither behind nor standing.
        self.reached(index, 0);
        self.progress.warn(&not_followed(&lost));
        Ok(())
    }

    /// Where a stream is, unless its disk holds it up or it has not begun.
    fn place(&self, index: usize) -> Option<(u64, &Watch)> {
        let place = self.places.get(index).filter(|place| !place.waits.load(Ordering::Relaxed))?;
        let time = place.time.load(Ordering::Relaxed);
        (time > 0).then_some((time, &place.watch))
    }

    /// Seconds that the hindmost stream is behind the time `source`.
    fn lag(&self, source: u64) -> u64 {
        let hindmost =
            self.places.iter().map(|place| place.time.load(Ordering::Relaxed)).filter(|time| *time > 0).min();
        hindmost.map_or(0, |time| token::seconds_behind(time, source))
    }
}

/// Captures until `cancel` is called, which is the ordinary end, or a time that the options set has come.
///
/// What is recorded, is so in the order of the source and exactly once, however often the capture is killed and begun
/// again. It goes on over broken connections, elections and a full disk.
///
/// # Errors
/// When the directory is another source's, is used by another capture or lacks its manifest; when a stream cannot go on
/// ([`StreamFailure`](super::StreamFailure)). What was recorded until then is committed.
pub async fn capture(
    server: &Server,
    options: CaptureOptions,
    progress: Arc<dyn Progress>,
    cancel: CancellationToken,
) -> Result<CaptureReport> {
    let begun = Instant::now();
    let retries_before = server.retries();
    if !server.replicates() {
        return Err(standalone().at(server.place()));
    }
    progress.stage("opening the streams", None, None);
    let prepared = tokio::select! {
        prepared = prepare(server, &options) => prepared?,
        () = cancel.cancelled() => return Err(Error::interrupted()),
    };
    let Prepared { work, manifest, warnings } = prepared;
    warnings.iter().for_each(|warning| progress.warn(warning));
    manifest.not_followed.iter().for_each(|lost| progress.warn(&not_followed(lost)));
    progress.stage(CAPTURING, None, None);
    let place = |watch: &Watch| Place { watch: watch.clone(), time: AtomicU64::new(0), waits: AtomicBool::new(false) };
    let shared = Arc::new(Shared {
        server: server.clone(),
        stores: manifest.stores(&options.directory, options.target.as_ref()),
        selection: Selection::new(&manifest.selection)?,
        is_one_set: manifest.source.set.is_some(),
        options: manifest.options,
        log: options.log,
        sync: SyncOptions { interval: options.sync_interval, bytes: SYNC_BYTES, idle: options.log.idle },
        until: options.until,
        budget: Budget::new(MEMORY),
        progress,
        places: manifest.streams.iter().map(place).collect(),
        recorded: AtomicU64::new(0),
        directory: options.directory.clone(),
        manifest: Mutex::new(manifest),
    });
    let followed = follow_all(&shared, options.duration, cancel).await?;
    // Nobody else may use the directory until everything is on the disk.
    drop(work);
    // The end is the end, whether the server is still there or not.
    let source = tokio::time::timeout(Duration::from_secs(5), server.operation_time()).await.ok().and_then(Result::ok);
    let mut report = report(&options.directory, server, &shared.manifest(), followed, source);
    report.seconds = begun.elapsed().as_secs_f64();
    report.retries = server.retries() - retries_before;
    report.warnings = warnings;
    Ok(report)
}

struct Prepared {
    work: WorkDirectory,
    manifest: Manifest,
    warnings: Vec<String>,
}

/// Locks the directory, and takes up or begins the capture in it.
async fn prepare(server: &Server, options: &CaptureOptions) -> Result<Prepared> {
    let selection = options.selection.clone().with_file_read()?;
    let understood = Selection::new(&selection)?;
    let work = WorkDirectory::open(&options.directory)?;
    let source = SourceId::of(server).await?;
    if let Some(mut manifest) = work.begun()? {
        manifest.check_source(&source, &options.directory)?;
        work.check_options(&manifest, &selection, options)?;
        target::check(&manifest, options).await?;
        if manifest.source != source {
            manifest.source = source;
            manifest.write(&options.directory)?;
        }
        return Ok(Prepared { work, manifest, warnings: Vec::new() });
    }
    let events = target::begin(server, &source, &work, options).await?;
    let expanded_events = server.version().tells_of_collections();
    let stream_options = StreamOptions { expanded_events, full_documents: options.full_documents };
    let scope = options.scope.unwrap_or_else(|| Scope::of(server));
    let present = server.operation_time().await?;
    let since = match &options.since {
        Some(Since::Time(time)) if *time > present => {
            let message = format!("is in the future: the source's time is {}", token::written(present));
            return Err(Error::new(ErrorKind::Usage, message).at("--since"));
        }
        Some(since) => since.clone(),
        None => Since::Time(present),
    };
    let opened = opening::open(server, scope, &understood, &since, stream_options).await?;
    let (streams, positions): (Vec<_>, Vec<_>) = opened.streams.into_iter().unzip();
    let mut manifest = Manifest::beginning(source, server.version(), selection, stream_options, streams, events);
    let equal_at = positions.iter().map(|position| position.time).max().unwrap_or(present);
    let equal_at = match since {
        Since::Time(time) => equal_at.max(time),
        Since::Token(_) => equal_at,
    };
    manifest.way_back = options.moved_here.clone().map(|moved| WayBack { equal_at, moved });
    let manifest = manifest.without(opened.not_followed);
    let manifest = work.begin(manifest, &positions, options).await?;
    Ok(Prepared { work, manifest, warnings: opened.warnings })
}

/// What is said of a collection without a stream.
fn not_followed(lost: &NotFollowed) -> String {
    format!("{lost}; its changes are not recorded: it has to be copied anew when nobody writes to it")
}

/// Follows all streams; the first error stops them all. Gives the numbers of the streams with what they have recorded.
async fn follow_all(
    shared: &Arc<Shared>,
    duration: Option<Duration>,
    cancel: CancellationToken,
) -> Result<Vec<(usize, Followed)>> {
    let manifest = shared.manifest().clone();
    let stop = cancel.child_token();
    let mut tasks = JoinSet::new();
    for (index, watch) in manifest.streams.iter().enumerate().filter(|(_, watch)| manifest.follows(watch)) {
        let (shared, watch, stop) = (Arc::clone(shared), watch.clone(), stop.clone());
        tasks.spawn(async move { follow(shared, index, watch, stop).await.map(|followed| (index, followed)) });
    }
    let watchman = tokio::spawn(watchman::watch(Arc::clone(shared), stop.clone()));
    let timer = async {
        match duration {
            Some(duration) => tokio::time::sleep(duration).await,
            None => std::future::pending().await,
        }
    };
    let mut timer = std::pin::pin!(timer);
    let mut done: Vec<(usize, Followed)> = Vec::new();
    let mut failed = None;
    loop {
        tokio::select! {
            () = &mut timer, if !stop.is_cancelled() => stop.cancel(),
            ended = tasks.join_next() => {
                let Some(ended) = ended else { break };
                let ended = ended.unwrap_or_else(|panic| Err(Error::new(ErrorKind::Internal, format!("a stream died: {panic}"))));
                match ended {
                    Ok(followed) => done.push(followed),
                    Err(error) => {
                        stop.cancel();
                        failed.get_or_insert(error);
                    }
                }
            }
        }
    }
    stop.cancel();
    watchman.abort();
    if let Some(error) = failed {
        return Err(error);
    }
    done.sort_by_key(|(index, _)| *index);
    Ok(done)
}

fn report(
    directory: &Path,
    server: &Server,
    manifest: &Manifest,
    followed: Vec<(usize, Followed)>,
    source: Option<u64>,
) -> CaptureReport {
    let mut report = CaptureReport {
        directory: directory.display().to_string(),
        server: server.version().to_string(),
        not_followed: manifest.not_followed.iter().map(ToString::to_string).collect(),
        ..CaptureReport::default()
    };
    for (index, followed) in followed {
        let Some(watch) = manifest.streams.get(index) else { continue };
        let events = followed.lanes.iter().map(|(_, count)| count.events).sum();
        report.streams.push(StreamReport {
            stream: index + 1,
            watches: watch.to_string(),
            events,
            position: token::written(followed.position.time),
            lag_seconds: source.map(|source| token::seconds_behind(followed.position.time, source)),
        });
        for (namespace, count) in followed.lanes {
            report.events += count.events;
            report.bytes += count.bytes;
            match report.namespaces.iter_mut().find(|lane| lane.namespace == namespace) {
                Some(lane) => {
                    lane.events += count.events;
                    lane.bytes += count.bytes;
                }
                None => report.namespaces.push(LaneReport { namespace, events: count.events, bytes: count.bytes }),
            }
        }
    }
    report.namespaces.sort_by(|one, other| one.namespace.cmp(&other.namespace));
    report
}
