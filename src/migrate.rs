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
//! - Nothing is written to the target, but for events that are kept there, before what a process that was killed has left to it is over,
//!   as far as the target shows that.
//! - What is only tried on the target goes again, at the latest when its catalog is made like the source's.
//! - Only a cutover whose comparison finds no difference is clean.

mod anew;
mod answer;
mod beginning;
mod board;
mod clients;
mod collections;
mod compare;
mod contents;
mod control;
mod copy;
mod cutover;
mod directory;
mod follow;
mod hold;
mod left;
mod logs;
mod made;
mod memory;
mod meter;
mod parts;
mod predecessor;
mod pressure;
mod recording;
mod report;
mod role;
mod stages;
mod state;
mod status;

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio_util::sync::CancellationToken;
use transload_format::Codec;

pub use answer::answer;
pub use clients::unfenced;
pub use control::{CutoverRequest, Verify, pause, request_cutover, resume};
pub use report::{MigrationReport, Outcome};
pub use state::EventsTo;
pub use status::{NamespaceStatus, Status, status};

use self::{
    beginning::{Beginning, Told},
    board::Board,
    directory::{Lock, Paths},
    parts::Parts,
    recording::Recording,
    state::{Pair, State},
};
use crate::{
    brake::Brake,
    catalog::{
        self,
        sharding::{ShardKeyOf, Sharding},
    },
    changes::capture::SourceId,
    connect::{Reads, Server},
    dump::Cursors,
    error::{ErrorKind, Result},
    preflight::CheckReport,
    progress::Progress,
    rate::Rate,
    selection::{Selection, SelectionOptions},
};

/// What is said where a cutover ends before the source may be written to again.
const FENCED: &str = "it may still refuse them, until db.adminCommand({setUserWriteBlockMode: 1, global: false})";

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
    /// By what collections are to be sharded on the target, besides those that are sharded on the source. A migration that goes on
    /// has its own.
    pub shard_keys: Vec<ShardKeyOf>,
    /// Whether collections that the target has are dropped first.
    pub replaces: bool,
    /// Whether a migration that was begun in the directory is given up, and begun anew.
    pub restart: bool,
    /// When to cut over: when the target has caught up, or when somebody asks.
    pub cutover: Option<CutoverRequest>,
    /// Whether the replay is held once the copy is there.
    pub pause_after_copy: bool,
    /// Where the source's changes are kept, if it is said. A migration that goes on has its own.
    pub events_to: Option<EventsTo>,
    /// Whether the target's changes are recorded after the cutover.
    pub reverse_capture: bool,
    /// How the archive and the log are compressed.
    pub codec: Codec,
    /// Insert commands, and lanes, at once.
    pub parallel: usize,
    /// Cursors that copy at once.
    pub cursors: Cursors,
    /// How much of the source is read in a second, at most, to copy it, at first or anew. What is captured, fetched for a change or
    /// compared is not held.
    pub max_rate: Option<Rate>,
    /// How many parts each collection of the source is read in, if it is not for its size to say.
    pub parts: Option<u16>,
    /// Which members of the source the copy reads, if it is not for the connection string to say.
    pub reads: Option<Reads>,
    /// How often the status is written down.
    pub progress_interval: Duration,
}

/// What copies are held back by, and catching up by the target's.
struct Brakes {
    /// Reading: by the source, and to the rate that the user wants.
    source: Brake,
    /// Loading: by the target.
    target: Brake,
    /// Reading: by the disk.
    disk: Brake,
}

impl Brakes {
    fn of_reading(&self) -> Vec<Brake> {
        vec![self.source.clone(), self.disk.clone()]
    }
}

/// A migration at work.
struct Migration {
    paths: Paths,
    source: Server,
    target: Server,
    options: MigrateOptions,
    /// What is moved, as the state has it.
    selection: SelectionOptions,
    /// Which collections of the target are sharded, if any are.
    sharding: Option<Arc<Sharding>>,
    state: Mutex<State>,
    board: Arc<Board>,
    brakes: Brakes,
    listener: Arc<dyn Listener>,
    cancel: CancellationToken,
    _lock: Lock,
}

/// What a migration has come to.
struct Ended<'a> {
    report: MigrationReport,
    /// The recording of the target's changes, if it is wanted.
    reverse: Option<Recording<'a>>,
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
    answer::refuse_requests(&paths)?;
    // What it says is of the one that is given up, if it is.
    let told = options.restart.then(|| Told::put_away(&paths)).transpose()?;
    let pair = Pair {
        source: SourceId::of(source).await?,
        target: SourceId::of(target).await?,
        target_database: target.default_database().map(str::to_owned),
    };
    let known = match State::read(&paths.state()) {
        // What is given up need not be understood.
        Err(error) if options.restart && error.kind() == ErrorKind::Damaged => None,
        known => known?,
    };
    let state = match known {
        Some(mut state) if !options.restart => {
            state.check(&pair, &options, &paths.state())?;
            paths.clear_halves()?;
            if state.number == 0 {
                state.number = catalog::new_number()?;
                state.write(&paths.state())?;
            }
            state
        }
        _ => {
            let is_known = paths.state().exists() || options.restart && paths.given_up().exists();
            let beginning = Beginning { source, target, pair, options: &options, paths: &paths };
            let begun = beginning.begin(is_known, &*listener, &progress, &cancel).await?;
            if let Some(told) = told {
                told.forget();
            }
            begun
        }
    };
    let sharding = match state.sharding.as_slice() {
        [] => None,
        keys => Some(Arc::new(Sharding::new(source, keys, &Selection::new(&state.selection)?)?)),
    };
    let parts = Parts::read(&paths.parts())?;
    let mut status = Status::of(&state, parts.as_ref(), source, target);
    status.not_followed = paths.not_followed()?.iter().map(ToString::to_string).collect();
    let collections = left::left(&state, parts.as_ref(), &paths, &target.reading_primary()).await?;
    let brake = |rate| Brake::new(rate, options.cursors.first());
    let brakes = Brakes { source: brake(options.max_rate), target: brake(None), disk: brake(None) };
    let migration = Migration {
        board: Board::new(paths.clone(), progress, status, collections),
        paths,
        source: source.clone(),
        target: target.reading_primary(),
        selection: state.selection.clone(),
        sharding,
        options,
        state: Mutex::new(state),
        brakes,
        listener,
        cancel,
        _lock: lock,
    };
    migration.run().await
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
        // Whoever sees it at work may ask for another one.
        let given_up = self.give_up_cutover();
        self.board.write_down();
        let kept_up = self.board.keep_up(self.source.clone(), self.options.progress_interval);
        let ended = match given_up {
            Ok(()) => self.stages().await,
            Err(error) => Err(error),
        };
        drop(kept_up);
        if let Err(error) = &ended {
            self.board.stopped(error);
        }
        // The last word, whatever it is.
        self.board.look_what_is_followed();
        self.board.write_down();
        ended
    }
}
