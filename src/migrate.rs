//! The verb `migrate`: a whole move, with writes going on, that can be killed at any moment and goes on.
//!
//! ```text
//! check ─▶ capture opened ─▶ copy ─▶ indexes ─▶ catch up ─▶ unique indexes ─▶ follow ─▶ cutover: drain, mend, verify
//! ```
//! # What holds
//!
//! - Changes are recorded from before the copy begins until the target has taken over; what is recorded is durable before
//!   it is relied on.
//! - Each stage works on what is durable in the work directory alone, and may be done again. So the end of a process,
//!   however it comes, is the same as a pause.
//! - What cannot be reached is waited for; what needs somebody's hand ends the process with an error, and the same command goes on.
//! - Nothing is written to the source but the fence that the user asks for, and nothing on the target but under names that a
//!   selected namespace maps to.
//! - Only a cutover whose comparison finds no difference is clean.

mod board;
mod compare;
mod control;
mod copy;
mod cutover;
mod directory;
mod follow;
mod parts;
mod recording;
mod report;
mod state;
mod status;

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio_util::sync::CancellationToken;
use transload_format::Codec;

pub use control::{CutoverRequest, Verify, pause, request_cutover, resume};
pub use cutover::answer;
pub use report::{MigrationReport, Outcome};
pub use status::{NamespaceStatus, Status, status};

use self::{
    board::{Board, Waiting},
    directory::{Lock, Paths},
    state::{Pair, Stage, State},
};
use crate::{
    changes::capture::SourceId,
    connect::Server,
    error::{Error, ErrorKind, Result},
    preflight::{CheckOptions, CheckReport, Verdict, check},
    progress::Progress,
    rate::RateLimit,
    restore::IndexPolicy,
    selection::{Selection, SelectionOptions},
};

/// How long it is waited before what could not be reached is tried again.
const PAUSE: Duration = Duration::from_secs(2);

/// Is told what a migration finds, when it finds it.
pub trait Listener: Send + Sync {
    /// Before anything is written: whether it can succeed.
    fn checked(&self, report: &CheckReport);
    /// A cutover has come to this.
    fn reported(&self, report: &MigrationReport);
}

/// How to migrate.
#[derive(Clone, Debug)]
pub struct MigrateOptions {
    /// The work directory. It is made if it is not there; if a migration was begun in it, that one goes on.
    pub directory: PathBuf,
    /// What to move, and under which names. A migration that goes on has its own.
    pub selection: SelectionOptions,
    /// Whether collections that the target has are dropped first.
    pub replaces: bool,
    /// Whether a migration that was begun in the directory is given up, and begun anew.
    pub restart: bool,
    /// When to cut over: when the target has caught up, or when somebody asks.
    pub cutover: Option<CutoverRequest>,
    /// Whether the replay is held once the copy is there.
    pub pause_after_copy: bool,
    /// Whether the target's changes are recorded after the cutover.
    pub reverse_capture: bool,
    /// How the archive and the log are compressed.
    pub codec: Codec,
    /// What is done about bad index specs.
    pub index_policy: IndexPolicy,
    /// Cursors, insert commands and lanes at once.
    pub parallel: usize,
    /// Bytes of documents a second that the source is read at, at most.
    pub max_rate: Option<u64>,
    /// How often the status is written down.
    pub progress_interval: Duration,
}

/// A migration at work.
struct Migration {
    paths: Paths,
    source: Server,
    target: Server,
    options: MigrateOptions,
    /// What is moved, as the state has it.
    selection: SelectionOptions,
    state: Mutex<State>,
    board: Arc<Board>,
    limit: Option<Arc<RateLimit>>,
    listener: Arc<dyn Listener>,
    cancel: CancellationToken,
    _lock: Lock,
}

/// Moves what the options select from `source` to `target`. `listener` is told what is found on the way.
///
/// # Errors
/// When the check refuses, when the directory is another migration's or in use, and when something fails that waiting does
/// not cure. What is done is kept in the directory, and the same call goes on with it. [`ErrorKind::Interrupted`] when `cancel`
/// was called.
pub async fn migrate(
    source: &Server,
    target: &Server,
    options: MigrateOptions,
    listener: Arc<dyn Listener>,
    progress: Arc<dyn Progress>,
    cancel: CancellationToken,
) -> Result<MigrationReport> {
    target.check_acknowledged()?;
    let paths = Paths::of(&options.directory);
    let lock = paths.take()?;
    // What the process before this one has written is not true any more.
    paths.forget_status()?;
    let pair = Pair {
        source: SourceId::of(source).await?,
        target: SourceId::of(target).await?,
        target_database: target.default_database().map(str::to_owned),
    };
    if options.restart {
        paths.clear()?;
    }
    let state = match State::read(&paths.state())? {
        Some(state) => {
            state.check(&pair, &options, &paths.state())?;
            state
        }
        None => begin(source, target, pair, &options, &paths, &*listener, &progress, &cancel).await?,
    };
    let status =
        Status { source: source.place(), target: target.place(), begun: state.begun.clone(), ..Status::default() };
    let limit = options.max_rate.map(|rate| Arc::new(RateLimit::new(rate)));
    let migration = Migration {
        board: Board::new(paths.clone(), progress, status),
        paths,
        source: source.clone(),
        target: target.reading_primary(),
        selection: state.selection.clone(),
        options,
        state: Mutex::new(state),
        limit,
        listener,
        cancel,
        _lock: lock,
    };
    migration.run().await
}

/// Checks whether it can succeed, and writes down that it is begun.
#[allow(clippy::too_many_arguments, reason = "it is the first half of its only caller")]
async fn begin(
    source: &Server,
    target: &Server,
    pair: Pair,
    options: &MigrateOptions,
    paths: &Paths,
    listener: &dyn Listener,
    progress: &Arc<dyn Progress>,
    cancel: &CancellationToken,
) -> Result<State> {
    progress.stage("checking", None, None);
    let selection = options.selection.clone().with_file_read()?;
    check_database(target, &selection)?;
    let (directory, replaces) = (Some(options.directory.clone()), options.replaces);
    let check_options = CheckOptions { selection: selection.clone(), directory, replaces };
    let report = tokio::select! {
        report = check(source, Some(target), &check_options) => report?,
        () = cancel.cancelled() => return Err(Error::interrupted()),
    };
    listener.checked(&report);
    if report.verdict == Verdict::Refused {
        let refused = report.findings.iter().filter(|finding| finding.verdict == Verdict::Refused);
        let refused: Vec<String> = refused.map(|one| format!("{} {}: {}", one.side, one.what, one.found)).collect();
        return Err(Error::new(ErrorKind::Usage, format!("the move cannot succeed: {}", refused.join("; ")))
            .with_hint("'transload check SOURCE TARGET' tells what to do about each; nothing was written"));
    }
    let state = State::beginning(pair, selection, replaces);
    state.write(&paths.state())?;
    Ok(state)
}

/// A database in the target's connection string is where everything has to go, whatever is born later.
fn check_database(target: &Server, selection: &SelectionOptions) -> Result<()> {
    let Some(only) = target.default_database() else { return Ok(()) };
    let understood = Selection::new(selection)?;
    let Some(source) = &selection.default_database else {
        let message = format!("the target's connection string names a database, '{only}', and the source's does not");
        return Err(Error::new(ErrorKind::Usage, message)
            .with_hint(format!("name one in both, or in none; ?authSource={only} only authenticates there"))
            .at("TARGET"));
    };
    let probe = crate::namespace::Namespace::new(source.as_str(), "any")?;
    let goes_to = understood.target(&probe)?.map(|target| target.database().to_owned());
    match goes_to {
        Some(database) if database != only => {
            let message =
                format!("'{source}' would go to '{database}', and the target's connection string names '{only}'");
            Err(Error::new(ErrorKind::Usage, message)
                .with_hint(format!("--rename '{source}.*={only}.*' moves it there"))
                .at("TARGET"))
        }
        _ => Ok(()),
    }
}

impl Migration {
    fn state(&self) -> State {
        self.locked().clone()
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state, durably.
    fn change_state(&self, change: impl FnOnce(&mut State)) -> Result<()> {
        let mut state = self.locked();
        let mut changed = state.clone();
        change(&mut changed);
        changed.write(&self.paths.state())?;
        *state = changed;
        Ok(())
    }

    async fn run(self) -> Result<MigrationReport> {
        self.board.write_down()?;
        let kept_up = self.board.keep_up(self.source.clone(), self.options.progress_interval);
        let ended = self.stages().await;
        drop(kept_up);
        if let Err(error) = &ended {
            self.board.log(None, &format!("stopped: {error}"));
        }
        // The last word, whatever it is.
        self.board.write_down()?;
        ended
    }

    /// All stages that are not done; the capture goes on beside them.
    async fn stages(&self) -> Result<MigrationReport> {
        if self.state().stage == Stage::Done {
            let report = self.last_report()?;
            self.listener.reported(&report);
            if self.options.reverse_capture {
                self.capture_target().await?.await?;
            }
            return Ok(report);
        }
        let stop_capture = self.cancel.child_token();
        let (opened, is_open) = tokio::sync::watch::channel(false);
        let capture = self.capture_source(opened, stop_capture.clone());
        let work = async {
            let mut is_open = is_open;
            // Nothing is read before what changes it is recorded.
            let open = is_open.wait_for(|open| *open).await;
            open.map_err(|_| Error::interrupted())?;
            let report = self.work().await;
            // What is recorded from here on is of no use to this migration any more, or will be recorded again.
            stop_capture.cancel();
            report
        };
        let mut capture = std::pin::pin!(capture);
        let mut work = std::pin::pin!(work);
        tokio::select! {
            report = &mut work => {
                // It commits what it has.
                let _ = capture.await;
                report
            }
            captured = &mut capture => match captured {
                Err(error) => Err(error),
                Ok(()) => Err(Error::interrupted()),
            },
        }
    }

    async fn work(&self) -> Result<MigrationReport> {
        if self.state().stage == Stage::Copying {
            self.board.stage("copying");
            let copied = self.patiently(|| self.copy()).await?;
            self.has_copied(copied)?;
            if self.options.pause_after_copy {
                pause(self.paths.directory())?;
            }
        }
        if let Some(copied) = self.state().copied {
            self.board.copied(&copied);
        }
        if self.state().stage == Stage::Copied {
            self.patiently(|| self.catch_up()).await?;
            self.change_state(|state| state.stage = Stage::Following)?;
        }
        self.board.copy_is_complete();
        self.follow_until_cutover().await
    }

    /// Does something until it succeeds, over whatever can be waited for: a server that is not there, a disk that is full.
    async fn patiently<T, F: Future<Output = Result<T>>>(&self, work: impl Fn() -> F) -> Result<T> {
        loop {
            match work().await {
                Err(error) if matches!(error.kind(), ErrorKind::Unreachable | ErrorKind::NoSpace) => {
                    self.wait_for(Waiting::Stage, &error, &self.cancel).await?;
                }
                done => {
                    self.board.waits_for(Waiting::Stage, None);
                    return done;
                }
            }
        }
    }

    async fn wait_for(&self, who: Waiting, error: &Error, stop: &CancellationToken) -> Result<()> {
        self.board.waits_for(who, Some(error));
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => Ok(()),
            () = stop.cancelled() => Err(Error::interrupted()),
        }
    }
}
