//! What all stages of a migration tell of their work, kept in one place and written down for whoever asks.

mod keep;
mod load;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{
    collections::{Collections, Now},
    directory::Paths,
    logs,
    meter::Meter,
    parts::Parts,
    state::Copied,
    status::{Status, pair},
};
use crate::{
    error::{Error, ErrorKind},
    namespace::Namespace,
    progress::{News, Progress},
};

/// How many warnings a status keeps.
const WARNINGS: usize = 50;

/// Who waits for something to be put right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Waiting {
    /// The stage that is under way.
    Stage,
    /// The recording of the source's changes.
    Capture,
    /// The copy, for the sake of the source.
    Source,
    /// The copy, for the sake of the target.
    Target,
    /// The copy, for lack of room.
    Disk,
}

/// The board of a migration.
#[derive(Debug)]
pub(crate) struct Board {
    paths: Paths,
    /// Where people look.
    pub(super) outer: Arc<dyn Progress>,
    state: Mutex<State>,
    written: Mutex<Written>,
}

/// What was written down.
#[derive(Debug, Default)]
struct Written {
    /// The last that was, whole.
    status: Option<Status>,
    /// Whether it could not be written since.
    failed: bool,
}

/// What is on the board now.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) status: Status,
    pub(super) collections: Collections,
    pub(super) applied: u64,
    errors: BTreeMap<Waiting, String>,
    /// The bytes that were copied, the events that were applied, the seconds behind the source.
    copied: Meter,
    events: Meter,
    lag: Meter,
}

impl Board {
    pub(super) fn new(paths: Paths, outer: Arc<dyn Progress>, status: Status, collections: Collections) -> Arc<Self> {
        let state = Mutex::new(State { status, collections, ..State::default() });
        Arc::new(Board { paths, outer, state, written: Mutex::default() })
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A stage begins.
    pub(crate) fn stage(&self, name: &str) {
        self.stage_of(name, None);
    }

    /// The same, of so many documents.
    pub(super) fn stage_of(&self, name: &str, documents: Option<u64>) {
        {
            let mut state = self.state();
            (state.status.stage, state.status.step) = (name.to_owned(), None);
            (state.status.bytes_per_second, state.status.seconds_left) = (0, None);
            state.collections.rest();
            state.lag.clear();
        }
        self.log(None, name);
        self.outer.stage(name, documents, None);
    }

    /// What of a stage is under way.
    pub(crate) fn step(&self, name: &str) {
        self.state().status.step = Some(name.to_owned());
        self.log(None, name);
    }

    /// The copy begins, or goes on: of these collections.
    pub(crate) fn copying(&self, parts: &Parts) {
        let (documents, bytes) = parts.sums();
        {
            let mut state = self.state();
            (state.status.documents, state.status.bytes) = (0, 0);
            (state.status.total_documents, state.status.total_bytes) = (documents, bytes);
            (state.status.stage, state.status.step) = ("copying".to_owned(), None);
            state.collections = Collections::of(parts, false);
            state.copied.clear();
        }
        self.outer.stage("copying", Some(documents), Some(bytes));
    }

    /// The target has the copy.
    pub(crate) fn copied(&self, copied: &Copied) {
        let mut state = self.state();
        state.status.copy_end = Some(pair(copied.end));
        state.status.copy_complete = true;
        state.status.repaired_indexes = copied.repaired.clone();
        state.status.failed_indexes = copied.failed.clone();
    }

    /// What becomes of a collection.
    pub(super) fn hear(&self, namespace: &Namespace, news: &News<'_>) {
        let is_news = {
            let mut state = self.state();
            if let News::Applied { events } = news {
                state.status.events += events;
            }
            state.collections.hear(namespace, news)
        };
        if is_news {
            self.tell(namespace, news);
        }
    }

    /// Puts news of a collection into its log, whatever is done to it besides.
    pub(super) fn tell(&self, namespace: &Namespace, news: &News<'_>) {
        if let Some(words) = logs::words(news) {
            self.log(Some(namespace), &words);
        }
        if let News::Renamed { to } = news {
            self.log(Some(to), &format!("it was {namespace} before"));
        }
    }

    /// What is done to some collections now.
    pub(super) fn now(&self, namespaces: &[Namespace], now: impl Fn() -> Now) {
        self.state().collections.set(namespaces, now);
    }

    /// A collection was copied anew, and its changes are followed from there.
    pub(super) fn copied_anew(&self, namespace: &Namespace, documents: u64, bytes: u64) {
        {
            let collections = &mut self.state().collections;
            collections.copied(namespace.clone(), documents, bytes);
            collections.follow_again(std::slice::from_ref(namespace));
            collections.set(std::slice::from_ref(namespace), Now::default);
        }
        self.log(Some(namespace), &format!("copied anew, {documents} documents, {bytes} bytes"));
    }

    /// A line for the logs of all collections: there may be thousands.
    pub(super) async fn log_of_all(self: &Arc<Self>, line: &'static str) {
        self.log(None, line);
        let board = Arc::clone(self);
        let write = move || {
            let names = board.state().collections.names();
            names.iter().for_each(|namespace| logs::of_collection(&board.paths, namespace, line));
        };
        let _ = tokio::task::spawn_blocking(write).await;
    }

    /// Indexes that are still missing.
    pub(crate) fn failed_indexes(&self, failed: Vec<String>) {
        self.state().status.failed_indexes = failed;
    }

    /// The process ends before the migration is over.
    pub(crate) fn stopped(&self, error: &Error) {
        self.log(None, &format!("stopped: {error}"));
        if error.kind() != ErrorKind::Interrupted {
            self.state().status.error = Some(error.to_string());
        }
    }

    /// What one of the two waits for to be put right; none when it goes on.
    pub(crate) fn waits_for(&self, who: Waiting, error: Option<&Error>) {
        self.is_held(who, error.map(|error| format!("{error}; it is tried again until it can go on")));
    }

    /// The same in words.
    pub(crate) fn is_held(&self, who: Waiting, why: Option<String>) {
        let news = {
            let mut state = self.state();
            let before = match &why {
                Some(why) => state.errors.insert(who, why.clone()),
                None => state.errors.remove(&who),
            };
            state.status.error = state.errors.values().next().cloned();
            if before == why { None } else { Some(why) }
        };
        match news {
            None => {}
            Some(Some(why)) => self.warn(&why),
            Some(None) => self.log(None, "it goes on"),
        }
    }

    /// Seconds behind the source, if that is known.
    pub(crate) fn lag(&self) -> Option<u64> {
        self.state().status.lag_seconds
    }

    /// Reads which collections the capture does not follow. A manifest that cannot be read ends the capture itself.
    pub(crate) fn look_what_is_followed(&self) {
        if let Ok(lost) = self.paths.not_followed() {
            self.state().status.not_followed = lost.iter().map(ToString::to_string).collect();
        }
    }

    /// Something that the user should know.
    pub(crate) fn warn(&self, message: &str) {
        {
            let mut state = self.state();
            if state.status.warnings.iter().any(|known| known == message) {
                return;
            }
            if state.status.warnings.len() >= WARNINGS {
                state.status.warnings.remove(0);
            }
            state.status.warnings.push(message.to_owned());
        }
        self.log(None, &format!("warning: {message}"));
        self.outer.warn(message);
    }

    /// Writes a line to the log, and to that of a collection.
    pub(crate) fn log(&self, namespace: Option<&Namespace>, line: &str) {
        logs::log(&self.paths, namespace, line);
    }
}
