//! What all stages of a migration tell of their work, kept in one place and written down for whoever asks.

use std::{
    collections::{BTreeMap, VecDeque},
    fs::OpenOptions,
    io::Write,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio_util::task::AbortOnDropHandle;

use super::{
    directory::{Paths, file_name},
    parts::Parts,
    state::Copied,
    status::{NamespaceStatus, Status, pair},
};
use crate::{
    changes::{replay::dead_letters, token},
    connect::Server,
    error::{Error, ErrorKind},
    namespace::{Namespace, printable},
    progress::Progress,
    restore::LoadWatch,
};

/// How many warnings a status keeps.
const WARNINGS: usize = 50;
/// Over how long a rate is measured.
const RATE_OVER: Duration = Duration::from_secs(10);
/// How often the source is asked for its time.
const ASK_EVERY: Duration = Duration::from_millis(500);
/// How long it may take to answer.
const ANSWER_IN: Duration = Duration::from_secs(5);

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
}

/// What is on the board now.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) status: Status,
    pub(super) applied: u64,
    errors: BTreeMap<Waiting, String>,
    /// Moments, and the bytes that were copied until then.
    copied: VecDeque<(Instant, u64)>,
}

impl Board {
    pub(crate) fn new(paths: Paths, outer: Arc<dyn Progress>, status: Status) -> Arc<Self> {
        Arc::new(Board { paths, outer, state: Mutex::new(State { status, ..State::default() }) })
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A stage begins.
    pub(crate) fn stage(&self, name: &str) {
        self.state().status.stage = name.to_owned();
        self.log(None, name);
        self.outer.stage(name, None, None);
    }

    /// The copy begins, or goes on: of these collections.
    pub(crate) fn copying(&self, parts: &Parts) {
        let (documents, bytes) = parts.sums();
        {
            let mut state = self.state();
            (state.status.documents, state.status.bytes) = (0, 0);
            (state.status.total_documents, state.status.total_bytes) = (documents, bytes);
            let waiting = |(namespace, total_documents): (&str, Option<u64>)| NamespaceStatus {
                namespace: namespace.to_owned(),
                stage: "waiting".to_owned(),
                total_documents,
                ..NamespaceStatus::default()
            };
            state.status.namespaces = parts.namespaces().map(waiting).collect();
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
        state.status.seconds_left = None;
        state.status.bytes_per_second = 0;
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

    /// Writes a line to the log, and to that of a collection. A log that cannot be written stops nothing.
    pub(crate) fn log(&self, namespace: Option<&Namespace>, line: &str) {
        let moment = bson::DateTime::now().try_to_rfc3339_string().unwrap_or_default();
        let append = |name: &str, line: &str| {
            let file = OpenOptions::new().create(true).append(true).open(self.paths.logs().join(name));
            // Names may hold anything.
            let line = format!("{moment} {}\n", printable(line));
            let _ = file.and_then(|mut file| file.write_all(line.as_bytes()));
        };
        match namespace {
            None => append("migrate.log", line),
            Some(namespace) => {
                append("migrate.log", &format!("{namespace}: {line}"));
                append(&format!("{}.log", file_name(namespace)), line);
            }
        }
    }

    /// Writes the status down now. A disk that is full shows elsewhere: nothing relies on it.
    pub(crate) fn write_down(&self) {
        let text = {
            let mut state = self.state();
            state.measure();
            serde_json::to_vec(&state.status).unwrap_or_default()
        };
        // Whoever reads it sees all of it; that it outlives a crash of the machine is of no use.
        let (path, staged) = (self.paths.status(), self.paths.directory().join(".status.json"));
        let _ = std::fs::write(&staged, text).and_then(|()| std::fs::rename(&staged, &path));
    }

    /// Writes the status down again and again, and asks the source for its time.
    pub(crate) fn keep_up(self: &Arc<Self>, source: Server, every: Duration) -> Vec<AbortOnDropHandle<()>> {
        let board = Arc::clone(self);
        let writing = async move {
            let mut tick = tokio::time::interval(every);
            loop {
                tick.tick().await;
                let board = Arc::clone(&board);
                let _ = tokio::task::spawn_blocking(move || board.write_down()).await;
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
        drop(state);
        if let Some(lag) = lag {
            self.outer.lag(lag);
        }
    }
}

impl State {
    /// How fast the copy goes.
    fn measure(&mut self) {
        let now = Instant::now();
        self.status.updated = bson::DateTime::now().try_to_rfc3339_string().unwrap_or_default();
        self.copied.push_back((now, self.status.bytes));
        while self.copied.front().is_some_and(|(then, _)| now - *then > RATE_OVER) {
            self.copied.pop_front();
        }
        if self.status.copy_end.is_some() {
            return;
        }
        let Some((then, bytes)) = self.copied.front() else { return };
        let milliseconds = (now - *then).as_millis().max(1);
        let rate = u128::from(self.status.bytes.saturating_sub(*bytes)) * 1000 / milliseconds;
        self.status.bytes_per_second = u64::try_from(rate).unwrap_or(u64::MAX);
        let left = self.status.total_bytes.saturating_sub(self.status.bytes);
        self.status.seconds_left = left.checked_div(self.status.bytes_per_second);
    }
}

impl LoadWatch for Board {
    fn loaded(&self, namespace: u32, documents: u64, bytes: u64) {
        let mut state = self.state();
        state.status.documents += documents;
        state.status.bytes += bytes;
        let index = usize::try_from(namespace).unwrap_or(0).wrapping_sub(1);
        if let Some(one) = state.status.namespaces.get_mut(index) {
            one.documents += documents;
            one.bytes += bytes;
            if one.stage == "waiting" {
                one.stage = "copying".to_owned();
            }
        }
        drop(state);
        self.waits_for(Waiting::Stage, None);
        self.outer.advance(documents, bytes);
    }

    fn complete(&self, namespace: u32) {
        let index = usize::try_from(namespace).unwrap_or(0).wrapping_sub(1);
        let named = {
            let mut state = self.state();
            let one = state.status.namespaces.get_mut(index).filter(|one| one.stage != "copied");
            one.map(|one| {
                one.stage = "copied".to_owned();
                (one.namespace.clone(), one.documents)
            })
        };
        let Some((name, documents)) = named else { return };
        let Ok(namespace) = Namespace::parse(&name) else { return };
        // For scripts that wait for it, as those did that this replaces; nothing here relies on it.
        let _ = std::fs::write(self.paths.done(&namespace), format!("{documents}\n"));
        self.log(Some(&namespace), &format!("copied, {documents} documents"));
    }
}
