//! The status, written down again and again for whoever asks, with what is measured meanwhile.

use std::{
    fs::{File, Metadata},
    path::Path,
    sync::{Arc, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use tokio::time::MissedTickBehavior;
use tokio_util::task::AbortOnDropHandle;

use super::{Board, State};
use crate::{
    changes::{replay::dead_letters, token},
    connect::Server,
    error::Error,
    migrate::{collections::moment, status::Status},
};

/// How often the source is asked for its time, and it is looked what could not be applied: as often as the status is written down,
/// but no more often and no less often than so.
const ASK_AT_MOST: Duration = Duration::from_millis(100);
const ASK_AT_LEAST: Duration = Duration::from_millis(500);
/// How long it may take to answer.
const ANSWER_IN: Duration = Duration::from_secs(5);
/// From so many collections on, writing the status down must not take more than a share of the time: one in so many.
const MANY: usize = 2000;
const SHARE: u32 = 20;
/// The same of reading dead letters, from so many bytes of them on.
const LARGE: u64 = 4 << 20;

/// The file of dead letters, as it was when they were counted.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Letters {
    bytes: u64,
    changed: Option<SystemTime>,
}

impl Letters {
    fn of(file: &Metadata) -> Self {
        Letters { bytes: file.len(), changed: file.modified().ok() }
    }
}

impl Board {
    /// Writes the status down now; where that fails, it is said once, and nothing else relies on it. Gives the number of
    /// collections.
    pub(crate) fn write_down(&self) -> usize {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let mut status = self.state().told(Instant::now());
        let collections = status.namespaces.len();
        self.outer.moment(&moment(&status.namespaces, status.events_per_second));
        let path = self.paths.status();
        if written.status.as_ref() == Some(&status) && touch(&path).is_ok() {
            return collections;
        }
        written.status = Some(status.clone());
        status.updated = bson::DateTime::now().try_to_rfc3339_string().unwrap_or_default();
        let text = serde_json::to_vec(&status).unwrap_or_default();
        // Whoever reads it sees all of it; that it outlives a crash of the machine is of no use.
        let staged = self.paths.directory().join(".status.json");
        let done = std::fs::write(&staged, text).and_then(|()| std::fs::rename(&staged, &path));
        let failed = done.is_err();
        if failed {
            written.status = None;
        }
        let failed_before = std::mem::replace(&mut written.failed, failed);
        drop(written);
        match done {
            Err(error) if !failed_before => {
                let error = Error::io(&staged, error);
                self.warn(&format!(
                    "{error}: 'transload status' tells what was written down before, and how old that is"
                ));
            }
            Ok(()) if failed_before => self.log(None, "the status is written down again"),
            _ => {}
        }
        collections
    }

    /// Writes the status down again and again, asks the source for its time, and looks what is lost.
    pub(crate) fn keep_up(self: &Arc<Self>, source: Server, every: Duration) -> Vec<AbortOnDropHandle<()>> {
        self.state().status.progress_interval = every.as_secs_f64();
        let ask_every = every.clamp(ASK_AT_MOST, ASK_AT_LEAST);
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
            let mut tick = tokio::time::interval(ask_every);
            tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                tick.tick().await;
                let time = tokio::time::timeout(ANSWER_IN, source.operation_time()).await;
                board.source_is_at(time.ok().and_then(Result::ok));
            }
        };
        // A source that does not answer keeps nobody from looking.
        let board = Arc::clone(self);
        let looking = async move {
            let mut known = None;
            loop {
                tokio::time::sleep(ask_every).await;
                let (board, before, begun) = (Arc::clone(&board), known, Instant::now());
                known = tokio::task::spawn_blocking(move || board.look_what_is_lost(before)).await.unwrap_or(None);
                if known != before && known.is_some_and(|known| known.bytes > LARGE) {
                    tokio::time::sleep((begun.elapsed() * SHARE).saturating_sub(ask_every)).await;
                }
            }
        };
        [tokio::spawn(writing), tokio::spawn(asking), tokio::spawn(looking)].map(AbortOnDropHandle::new).into()
    }

    /// Looks which collections are not followed, and how many changes could not be applied. There may be many: they are only counted
    /// when they are others than those that are known, and gives those that are counted now.
    fn look_what_is_lost(&self, known: Option<Letters>) -> Option<Letters> {
        self.look_what_is_followed();
        let path = self.paths.dead_letters();
        let now = std::fs::metadata(&path).ok().map(|file| Letters::of(&file));
        if now == known {
            return known;
        }
        let letters = dead_letters(&path).ok()?;
        self.state().status.dead_letters = letters.len() as u64;
        now
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

/// Says of a file that it is as good as written now.
fn touch(path: &Path) -> std::io::Result<()> {
    File::options().write(true).open(path)?.set_modified(SystemTime::now())
}
