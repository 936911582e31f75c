//! What all stages of a migration tell of their work, kept in one place and written down for whoever asks.

use std::{
    collections::BTreeMap,
    fs::File,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use tokio_util::task::AbortOnDropHandle;

use super::{
    collections::{Collections, Now, moment},
    directory::Paths,
    logs,
    meter::Meter,
    parts::Parts,
    state::Copied,
    status::{Status, pair},
};
use crate::{
    changes::{replay::dead_letters, token},
    connect::Server,
    error::{Error, ErrorKind},
    namespace::Namespace,
    progress::{News, Progress},
    restore::LoadWatch,
};

/// How many warnings a status keeps.
const WARNINGS: usize = 50;
/// How often the source is asked for its time.
const ASK_EVERY: Duration = Duration::from_millis(500);
/// How long it may take to answer.
const ANSWER_IN: Duration = Duration::from_secs(5);
/// From so many collections on, writing the status down must not take more than a share of the time: one in so many.
const MANY: usize = 2000;
const SHARE: u32 = 20;

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
    /// What was written down last.
    written: Mutex<Option<Status>>,
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

    /// Writes the status down now. A disk that is full shows elsewhere: nothing relies on it. Gives the number of collections.
    pub(crate) fn write_down(&self) -> usize {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let mut status = self.state().told(Instant::now());
        let collections = status.namespaces.len();
        self.outer.moment(&moment(&status.namespaces, status.events_per_second));
        let path = self.paths.status();
        if written.as_ref() == Some(&status) && touch(&path).is_ok() {
            return collections;
        }
        *written = Some(status.clone());
        status.updated = bson::DateTime::now().try_to_rfc3339_string().unwrap_or_default();
        let text = serde_json::to_vec(&status).unwrap_or_default();
        // Whoever reads it sees all of it; that it outlives a crash of the machine is of no use.
        let staged = self.paths.directory().join(".status.json");
        let done = std::fs::write(&staged, text).and_then(|()| std::fs::rename(&staged, &path));
        if done.is_err() {
            *written = None;
        }
        collections
    }

    /// Writes the status down again and again, and asks the source for its time.
    pub(crate) fn keep_up(self: &Arc<Self>, source: Server, every: Duration) -> Vec<AbortOnDropHandle<()>> {
        let board = Arc::clone(self);
        let writing = async move {
            let mut tick = tokio::time::interval(every);
            loop {
                tick.tick().await;
                let (board, begun) = (Arc::clone(&board), Instant::now());
                let written = tokio::task::spawn_blocking(move || board.write_down()).await;
                if written.is_ok_and(|collections| collections > MANY) {
                    tokio::time::sleep((begun.elapsed() * SHARE).saturating_sub(every)).await;
                }
            }
        };
        let board = Arc::clone(self);
        let asking = async move {
            let source = source.reading_primary().with_patience(Duration::ZERO);
            loop {
                tokio::time::sleep(ASK_EVERY).await;
                let time = tokio::time::timeout(ANSWER_IN, source.operation_time()).await;
                board.source_is_at(time.ok().and_then(Result::ok));
                let letters = board.paths.dead_letters();
                let letters = tokio::task::spawn_blocking(move || dead_letters(&letters)).await;
                if let Ok(Ok(letters)) = letters {
                    board.state().status.dead_letters = letters.len() as u64;
                }
            }
        };
        vec![AbortOnDropHandle::new(tokio::spawn(writing)), AbortOnDropHandle::new(tokio::spawn(asking))]
    }

    /// The source's time; none where it does not tell, and nobody knows how far behind the copy is.
    fn source_is_at(&self, time: Option<u64>) {
        let mut state = self.state();
        let applied = state.applied;
        let behind = |time| if applied < time { token::seconds_behind(applied, time).max(1) } else { 0 };
        let lag = time.filter(|_| applied > 0).map(behind);
        state.status.lag_seconds = lag;
        if ["catching up", "following"].contains(&state.status.stage.as_str()) {
            let left = lag.and_then(|lag| state.lag.ends_in(Instant::now(), lag));
            state.status.seconds_left = left.filter(|_| lag > Some(1));
        }
        drop(state);
        if let Some(lag) = lag {
            self.outer.lag(lag);
        }
    }
}

impl State {
    /// Where everything stands now.
    fn told(&mut self, now: Instant) -> Status {
        self.status.events_per_second = self.events.grows(now, self.status.events);
        if self.status.stage == "copying" {
            let rate = self.copied.grows(now, self.status.bytes);
            self.status.bytes_per_second = rate;
            let left = self.status.total_bytes.saturating_sub(self.status.bytes);
            self.status.seconds_left = left.checked_div(rate);
        }
        let namespaces = self.collections.told(&self.status.stage, now);
        Status { namespaces, ..self.status.clone() }
    }
}

impl LoadWatch for Board {
    fn loaded(&self, namespace: u32, documents: u64, bytes: u64) {
        let first = {
            let mut state = self.state();
            state.status.documents += documents;
            state.status.bytes += bytes;
            state.collections.loaded(namespace, documents, bytes)
        };
        // What a process before this one has copied is counted once more, and is no news.
        if let Some(namespace) = first.filter(|namespace| !self.paths.done(namespace).exists()) {
            self.log(Some(&namespace), "its copy arrives on the target");
        }
        self.waits_for(Waiting::Stage, None);
        self.outer.advance(documents, bytes);
    }

    fn anew(&self, namespace: u32) {
        let Some(namespace) = self.state().collections.name(namespace) else { return };
        // There or not: what stands there is of a copy that does not count any more.
        let _ = std::fs::remove_file(self.paths.done(&namespace));
    }

    fn complete(&self, namespace: u32) {
        let Some(whole) = self.state().collections.whole(namespace) else { return };
        let done = self.paths.done(&whole.namespace);
        let is_known = done.exists();
        // For scripts that wait for it, as those did that this replaces; nothing here relies on it.
        let _ = std::fs::write(done, format!("{}\n", whole.documents));
        if is_known {
            return;
        }
        let (documents, bytes, seconds) = (whole.documents, whole.bytes, whole.took.as_secs_f64());
        let line = format!("copied, {documents} documents, {bytes} bytes, in {seconds:.1} s");
        self.log(Some(&whole.namespace), &line);
    }
}

/// Says of a file that it is as good as written now.
fn touch(path: &std::path::Path) -> std::io::Result<()> {
    File::options().write(true).open(path)?.set_modified(SystemTime::now())
}
