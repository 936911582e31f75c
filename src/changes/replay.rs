//! The verb `replay`: recorded events onto a copy, in the order of the source.
//!
//! ```text
//! log ─▶ reader: a thread ─▶ one lane for each namespace, in parallel ─▶ target
//!                         └▶ barriers: what is about a whole collection, when all lanes have come there
//! ```
//!
//! # What holds
//!
//! - A lane is applied in order, by one command at a time. Lanes do not wait for each other but at barriers.
//! - What is applied is acknowledged as the write concern wants it (a majority, unless the connection string says otherwise)
//!   before it counts; the journal knows what was under way, so a replay that was killed at any moment goes on exactly there.
//! - A change that cannot be applied becomes a dead letter, and the report is not whole.
//! - The time that is reported as applied is that of the last checkpoint of the log before which all lanes are done; of several
//!   logs, the least. A collection whose stream the capture has lost has no part in it, and is named instead.

mod barrier;
mod dead_letter;
mod dispatch;
mod effects;
mod journal;
mod lag;
mod lane;
mod logs;
mod lost;
mod queue;
mod reading;
mod report;
mod retold;
mod retry;
mod run;
mod shared;
mod windows;
mod work;

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use self::{
    dead_letter::DeadLetters,
    lag::Lag,
    logs::{Ends, Way, late_writes_end, replay_all},
    lost::Lost,
    reading::Memory,
    report::Counts,
    shared::Shared,
    windows::Windows,
    work::Work,
};
use super::{capture::Manifest, token};
use crate::{
    archive::ArchiveFile,
    catalog::{
        self,
        sharding::{Sharding, is_router},
    },
    connect::Server,
    error::{Error, ErrorKind, Result},
    namespace::Namespace,
    progress::Progress,
    selection::Selection,
};

pub(crate) use barrier::taken;
pub use dead_letter::{DeadLetter, read as dead_letters};
pub use report::ReplayReport;

/// Bytes of events that may be in memory between the log and the target.
pub(crate) const MEMORY: usize = 96 * 1024 * 1024;
/// The same where a cutover will do so.
const UNTOLD_LATER: &str =
    "it is a time series, or of the system, of which no server gives change events: it is copied at the cutover";
/// Why a replay into a database with such a collection is not whole.
const UNTOLD: &str = "it is a time series, or of the system, of which no server gives change events: what was written to it since its \
                           copy is not there; copy it anew when nothing is written to it, and take this line out";

/// How to replay.
#[derive(Clone, Debug)]
pub struct ReplayOptions {
    /// The work directory of the capture.
    pub directory: PathBuf,
    /// The archive that was restored: its parts' windows tell what the copy holds already.
    pub archive: Option<PathBuf>,
    /// What to apply, and under which names.
    pub selection: Selection,
    /// Whether to wait for more at the end of the log, until stopped.
    pub follow: bool,
    /// The last cluster time whose events are applied.
    pub until: Option<u64>,
    /// Runs of lanes that are applied at once.
    pub parallel: usize,
    /// Whether segments of the log that are done stay.
    pub keep_log: bool,
    /// Whether dead letters are tried again before anything else.
    pub retry_dead_letters: bool,
    /// Whether it is a part of a migration, whose cutover does what no replay can: until then nothing expires on the target,
    /// and what cannot be followed is noted to be copied anew.
    pub until_cutover: bool,
    /// The collections of the source that were made on the target besides the archive, each with the cluster times between which it
    /// was copied, if it was.
    pub made: HashMap<Namespace, Option<(u64, u64)>>,
    /// Which collections are sharded when they are created, in a cluster.
    pub sharding: Option<Arc<Sharding>>,
}

/// Applies the events of a work directory to `target`. `source` is where documents are fetched from whose events do not
/// tell what they are.
///
/// # Errors
/// When the log, the journal or the archive cannot be read, when they do not belong together, or when a server cannot be
/// reached. [`ErrorKind::Interrupted`] when `cancel` was called and the end was not reached, unless it follows: then that
/// is its end. A change that cannot be applied is no error but a dead letter.
pub async fn replay(
    target: &Server,
    source: Option<&Server>,
    options: ReplayOptions,
    progress: Arc<dyn Progress>,
    cancel: CancellationToken,
) -> Result<ReplayReport> {
    let capture = work::capture_in(&options.directory)?;
    let tells_documents = tells_documents(&capture, source, &options);
    if options.archive.is_none() && source.is_none() && !tells_documents && capture.way_back.is_none() {
        let message = "needs the archive that was restored, or the source, or both";
        return Err(Error::new(ErrorKind::Usage, message).with_hint(
            "--archive ARCHIVE tells which changes the copy holds already; --source SOURCE is where updated documents are fetched from; the log of a capture with --full-documents needs neither, up to its end",
        ));
    }
    target.check_acknowledged()?;
    let windows = options.archive.as_deref().map(|path| {
        let archive = ArchiveFile::open(path)?;
        let windows = Windows::read(archive.contents(), archive.name())?;
        Ok::<_, Error>((windows.with(options.made.clone()), archive.contents().header().id))
    });
    let (windows, archive_id) = windows.transpose()?.unzip();
    let windows = windows.or_else(|| capture.way_back.as_ref().map(|back| Windows::until(back.equal_at)));
    let back = capture.way_back.as_ref().map(|back| Selection::new(&back.moved)).transpose()?;
    if back.is_some() && options.selection.renames() {
        let message = "the changes lead back to where their collections came from, under the names that they had";
        return Err(Error::new(ErrorKind::Usage, message).with_hint("leave it out").at("--rename"));
    }
    let mut work = Work::open(&options.directory, &capture, target, archive_id, tells_documents).await?;
    let known = Known { capture, windows, back };
    let replayed = replay_from(&mut work, target, source, known, options, progress, cancel).await;
    // However it has ended: the lock that whoever comes next waits for is given back with the rest.
    work.journal.close().await;
    replayed
}

/// Whether the events alone tell what documents are. At a moment that is past, one may have been another than when it was looked up.
fn tells_documents(capture: &Manifest, source: Option<&Server>, options: &ReplayOptions) -> bool {
    capture.options.full_documents && source.is_none() && options.until.is_none()
}

/// What a replay knows before it begins.
struct Known {
    capture: Manifest,
    /// Which changes the copy has, if there is one.
    windows: Option<Windows>,
    /// What the changes lead back to.
    back: Option<Selection>,
}

async fn replay_from(
    work: &mut Work,
    target: &Server,
    source: Option<&Server>,
    known: Known,
    options: ReplayOptions,
    progress: Arc<dyn Progress>,
    cancel: CancellationToken,
) -> Result<ReplayReport> {
    let begun = Instant::now();
    let Known { capture, windows, back } = known;
    let tells_documents = tells_documents(&capture, source, &options);
    // A migration wants everything up to its time, and may have more.
    if options.until.is_some_and(|until| !options.until_cutover && work.is_beyond(until)) {
        let message = "the target has later changes than that already";
        return Err(Error::new(ErrorKind::Usage, message)
            .with_hint("a replay does not go back: restore the archive anew, and replay into it")
            .at("--until"));
    }
    if let (Some(until), Some(last), false) =
        (options.until, windows.as_ref().map(Windows::last), options.until_cutover)
    {
        check_moment(until, last)?;
    }
    let retries = target.retries() + source.map_or(0, Server::retries);
    let shared = Arc::new(Shared {
        target: target.clone(),
        source: source.cloned(),
        source_version: source.map(Server::version).or(work.source_version),
        source_is_one_set: capture.source.set.is_some(),
        tells_documents,
        windows,
        until: options.until,
        selection: options.selection,
        back,
        until_cutover: options.until_cutover,
        sharding: options.sharding,
        is_routed: is_router(target).await?,
        journal: work.journal.clone(),
        dead_letters: DeadLetters::open(&work.dead_letters_path())?,
        counts: Counts::default(),
        lag: Lag::of(work.logs.iter().map(|log| log.number)),
        lost: Lost::of(options.directory.clone()),
        warnings: std::sync::Mutex::default(),
        slots: Semaphore::new(options.parallel.max(1)),
        memory: Memory::new(MEMORY),
        progress,
        cancel,
    });
    shared.progress.stage("replaying", None, None);
    for namespace in shared.windows.iter().flat_map(Windows::untold) {
        shared.is_untold(namespace).await?;
    }
    if let Some(back) = &shared.back {
        // Where the changes are from, or else what is known of them where they lead back to.
        let there = catalog::read_those(source.unwrap_or(target), |_| Ok(true)).await?.entries;
        for entry in there.iter().filter(|entry| catalog::is_untold(&entry.collection)) {
            let told_as = if source.is_some() { Some(entry.namespace.clone()) } else { back.target(&entry.namespace)? };
            if let Some(namespace) = told_as {
                shared.is_untold(&namespace).await?;
            }
        }
    }
    shared.heed(&capture).await?;
    let watch = AbortOnDropHandle::new(tokio::spawn(lag::watch(Arc::clone(&shared))));
    let way =
        Way { follow: options.follow, keep_log: options.keep_log, retry_dead_letters: options.retry_dead_letters };
    let ends = match late_writes_end(&shared, work).await? {
        true => replay_all(&shared, work, way).await?,
        // It has not begun: for one that follows that is its end.
        false if options.follow && options.until.is_none() => Ends { applied: work.applied(), reached: false },
        false => return Err(Error::interrupted()),
    };
    drop(watch);
    if let Some(until) = options.until.filter(|_| !ends.reached && !options.until_cutover) {
        shared.warn(format!(
            "the log ends at {}, before the time that was wanted, {}: a capture that goes on brings the rest",
            token::written(ends.applied),
            token::written(until)
        ));
    }
    ReplayReport::of(&shared, work, &ends, &options.directory, (begun, retries)).await
}

/// Notes that a collection has to be copied anew, because of `reason`.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn note_of_collection(directory: &Path, namespace: &Namespace, reason: &str) -> Result<()> {
    DeadLetters::open(&work::dead_letters_in(directory))?.add(vec![DeadLetter::of_all(namespace, reason)])
}

/// Takes back the dead letters of a directory that `is_settled` says are of no consequence any more.
///
/// # Errors
/// When they cannot be read or written.
pub(crate) fn settle(directory: &Path, is_settled: impl Fn(&DeadLetter) -> bool) -> Result<()> {
    let path = work::dead_letters_in(directory);
    let settled = dead_letters(&path)?.into_iter().filter(is_settled).map(DeadLetter::healed).collect();
    DeadLetters::open(&path)?.add(settled)
}

/// Refuses a moment at which the copy, being of later times, cannot be.
fn check_moment(until: u64, last: u64) -> Result<()> {
    if until >= last {
        return Ok(());
    }
    let message = format!("is {}, and the archive has changes up to {}", token::written(until), token::written(last));
    Err(Error::new(ErrorKind::Usage, message)
        .with_hint("name that time or a later one; for an earlier one, take an archive that was dumped before it")
        .at("--until"))
}
