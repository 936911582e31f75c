//! Progress as people and programs want it: a bar on a terminal, else a line now and then, or JSON.

use std::{
    io::{IsTerminal, stderr},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressStyle};
use serde_json::json;

use super::Output;
use crate::progress::Progress;

/// Time between two lines where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);
/// Time between two lines of JSON.
const JSON_EVERY: Duration = Duration::from_secs(1);

/// Shows the progress of a verb.
#[derive(Debug)]
pub(super) struct Reporter {
    output: Output,
    bar: ProgressBar,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    stage: String,
    total_bytes: Option<u64>,
    documents: u64,
    bytes: u64,
    begun: Instant,
    shown: Instant,
}

impl Reporter {
    pub(super) fn new(output: Output) -> Self {
        let now = Instant::now();
        let on_terminal = stderr().is_terminal() && !output.is_quiet() && !output.is_json();
        let bar = if on_terminal { ProgressBar::no_length() } else { ProgressBar::hidden() };
        let state = State { stage: String::new(), total_bytes: None, documents: 0, bytes: 0, begun: now, shown: now };
        Reporter { output, bar, state: Mutex::new(state) }
    }

    fn show(&self, state: &State) {
        let seconds = state.begun.elapsed().as_secs_f64();
        if self.output.is_json() {
            let line = json!({
                "type": "progress", "stage": state.stage, "documents": state.documents, "bytes": state.bytes,
                "total_bytes": state.total_bytes, "seconds": seconds,
            });
            // Progress that cannot be printed must not stop the work.
            let _ = self.output.json_line(&line);
        } else if !self.output.is_quiet() {
            let total = state.total_bytes.map_or_else(String::new, |total| format!(" of {}", HumanBytes(total)));
            self.output.note(&format!("{}: {}{total} in {seconds:.0} s", state.stage, HumanBytes(state.bytes)));
        }
    }
}

impl Progress for Reporter {
    fn stage(&self, name: &str, documents: Option<u64>, bytes: Option<u64>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        *state = State { stage: name.to_owned(), total_bytes: bytes, documents: 0, bytes: 0, begun: now, shown: now };
        if self.bar.is_hidden() {
            return;
        }
        let template = match bytes {
            Some(_) => "{msg} {wide_bar} {bytes}/{total_bytes} {binary_bytes_per_sec} {eta}",
            None => "{msg} {spinner} {bytes} {elapsed}",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.bar.set_style(style);
        }
        self.bar.reset();
        match bytes {
            Some(bytes) => self.bar.set_length(bytes),
            None => self.bar.unset_length(),
        }
        let of = documents.map_or_else(String::new, |documents| format!(" {} documents", HumanCount(documents)));
        self.bar.set_message(format!("{name}{of}"));
    }

    fn advance(&self, documents: u64, bytes: u64) {
        self.bar.inc(bytes);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.documents += documents;
        state.bytes += bytes;
        let every = if self.output.is_json() { JSON_EVERY } else { LINE_EVERY };
        if self.bar.is_hidden() && state.shown.elapsed() >= every {
            state.shown = Instant::now();
            self.show(&state);
        }
    }

    fn warn(&self, message: &str) {
        self.bar.suspend(|| self.output.warn(message));
    }
}

impl Drop for Reporter {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
