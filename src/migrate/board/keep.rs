//! The status, written down again and again for whoever asks, with what is measured meanwhile.

use std::{
    fs::File,
    path::Path,
    sync::{Arc, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use tokio_util::task::AbortOnDropHandle;

use super::{Board, State};
use crate::{
    changes::{replay::dead_letters, token},
    connect::Server,
    migrate::{collections::moment, status::Status},
};

/// How often the source is asked for its time.
const ASK_EVERY: Duration = Duration::from_millis(500);
/// How long it may take to answer.
const ANSWER_IN: Duration = Duration::from_secs(5);
/// From so many collections on, writing the status down must not take more than a share of the time: one in so many.
const MANY: usize = 2000;
const SHARE: u32 = 20;

impl Board {
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
            let mut known = None;
            loop {
                tokio::time::sleep(ASK_EVERY).await;
                let time = tokio::time::timeout(ANSWER_IN, source.operation_time()).await;
                board.source_is_at(time.ok().and_then(Result::ok));
                let asked = Arc::clone(&board);
                let _ = tokio::task::spawn_blocking(move || asked.look_what_is_followed()).await;
                let letters = board.paths.dead_letters();
                // There may be many: they are only counted when there are others.
                let now = std::fs::metadata(&letters).ok().map(|file| (file.len(), file.modified().ok()));
                if now == known {
                    continue;
                }
                let letters = tokio::task::spawn_blocking(move || dead_letters(&letters)).await;
                if let Ok(Ok(letters)) = letters {
                    board.state().status.dead_letters = letters.len() as u64;
                    known = now;
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

/// Says of a file that it is as good as written now.
fn touch(path: &Path) -> std::io::Result<()> {
    File::options().write(true).open(path)?.set_modified(SystemTime::now())
}
