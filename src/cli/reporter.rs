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
    total_documents: Option<u64>,
    documents: u64,
    bytes: u64,
    /// Seconds behind a source that is followed.
    lag: Option<u64>,
    begun: Instant,
    shown: Instant,
}

impl State {
    fn new(stage: &str, total_documents: Option<u64>, total_bytes: Option<u64>) -> Self {
        let now = Instant::now();
        let stage = stage.to_owned();
        State { stage, total_bytes, total_documents, documents: 0, bytes: 0, lag: None, begun: now, shown: now }
    }

    /// Whether documents are what is counted, as where a server reads them for an index.
    fn counts_documents(&self) -> bool {
        self.total_bytes.is_none() && self.total_documents.is_some()
    }

    /// What has been done of what, for people.
    fn amount(&self) -> String {
        let of = |total: Option<String>| total.map_or_else(String::new, |total| format!(" of {total}"));
        if self.counts_documents() {
            let total = self.total_documents.map(|total| HumanCount(total).to_string());
            return format!("{}{} documents", HumanCount(self.documents), of(total));
        }
        let lag = self.lag.map_or_else(String::new, |lag| format!(", {lag} s behind"));
        format!("{}{}{lag}", HumanBytes(self.bytes), of(self.total_bytes.map(|total| HumanBytes(total).to_string())))
    }
}

impl Reporter {
    pub(super) fn new(output: Output) -> Self {
        let on_terminal = stderr().is_terminal() && !output.is_quiet() && !output.is_json();
        let bar = if on_terminal { ProgressBar::no_length() } else { ProgressBar::hidden() };
        Reporter { output, bar, state: Mutex::new(State::new("", None, None)) }
    }

    fn show(&self, state: &State) {
        let seconds = state.begun.elapsed().as_secs_f64();
        if self.output.is_json() {
            let mut line = json!({
                "type": "progress", "stage": state.stage, "documents": state.documents, "bytes": state.bytes,
                "total_bytes": state.total_bytes, "total_documents": state.total_documents, "seconds": seconds,
            });
            if let (Some(lag), Some(fields)) = (state.lag, line.as_object_mut()) {
                fields.insert("lag_seconds".to_owned(), lag.into());
            }
            // Progress that cannot be printed must not stop the work.
            let _ = self.output.json_line(&line);
        } else if !self.output.is_quiet() {
            self.output.note(&format!("{}: {} in {seconds:.0} s", state.stage, state.amount()));
        }
    }
}

impl Progress for Reporter {
    fn stage(&self, name: &str, documents: Option<u64>, bytes: Option<u64>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        *state = State::new(name, documents, bytes);
        if self.bar.is_hidden() {
            return;
        }
        let template = match (bytes, documents) {
            (Some(_), _) => "{msg} {wide_bar} {bytes}/{total_bytes} {binary_bytes_per_sec} {eta}",
            (None, Some(_)) => "{msg} {wide_bar} {human_pos}/{human_len} {eta}",
            (None, None) => "{msg} {spinner} {bytes} {elapsed}",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.bar.set_style(style);
        }
        self.bar.reset();
        match bytes.or(documents) {
            Some(length) => self.bar.set_length(length),
            None => self.bar.unset_length(),
        }
        let of = documents.map_or_else(String::new, |documents| format!(" {} documents", HumanCount(documents)));
        self.bar.set_message(format!("{name}{of}"));
    }

    fn advance(&self, documents: u64, bytes: u64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        self.bar.inc(if state.counts_documents() { documents } else { bytes });
        state.documents += documents;
        state.bytes += bytes;
        let every = if self.output.is_json() { JSON_EVERY } else { LINE_EVERY };
        if self.bar.is_hidden() && state.shown.elapsed() >= every {
            state.shown = Instant::now();
            self.show(&state);
        }
    }

    fn lag(&self, seconds: u64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.lag = Some(seconds);
        self.bar.set_message(format!("{}, {seconds} s behind", state.stage));
        // What follows may have nothing to tell for hours, and is alive all the same. Where it has just said something, that will do.
        let every = if self.output.is_json() { JSON_EVERY } else { LINE_EVERY };
        if self.bar.is_hidden() && state.shown.elapsed() >= every / 2 {
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
