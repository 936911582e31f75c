//! Progress as people and programs want it: a bar on a terminal, else a line now and then, or JSON.

use std::{
    io::{IsTerminal, stderr},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use indicatif::{HumanBytes, HumanCount, MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;

use super::Output;
use crate::{
    namespace::printable,
    progress::{Moment, Progress},
};

/// Time between two lines where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);
/// Time between two lines of JSON.
const JSON_EVERY: Duration = Duration::from_secs(1);

/// The bar of what is counted in bytes.
const OF_BYTES: &str = "{msg} {wide_bar} {bytes}/{total_bytes} {binary_bytes_per_sec} {eta}";
/// The same of one of the collections that are at work.
const OF_ONE: &str = "  {msg} {wide_bar} {bytes}/{total_bytes}";

/// Shows the progress of a verb.
#[derive(Debug)]
pub(super) struct Reporter {
    output: Output,
    /// All lines, on a terminal.
    lines: MultiProgress,
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
    /// What is applied to a copy, where that is told.
    events_per_second: Option<u64>,
    /// The bars of the collections that are at work, below the one of all; and what there is more.
    at_work: Vec<ProgressBar>,
    begun: Instant,
    shown: Instant,
}

impl State {
    fn new(stage: &str, total_documents: Option<u64>, total_bytes: Option<u64>) -> Self {
        let now = Instant::now();
        State {
            stage: stage.to_owned(),
            total_bytes,
            total_documents,
            documents: 0,
            bytes: 0,
            lag: None,
            events_per_second: None,
            at_work: Vec::new(),
            begun: now,
            shown: now,
        }
    }

    /// How far behind a source, and how fast, if something follows one.
    fn following(&self) -> String {
        let Some(lag) = self.lag else { return String::new() };
        let events = self.events_per_second.map(|events| format!(", {} events/s", HumanCount(events)));
        format!(", {lag} s behind{}", events.unwrap_or_default())
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
        let total = of(self.total_bytes.map(|total| HumanBytes(total).to_string()));
        format!("{}{total}{}", HumanBytes(self.bytes), self.following())
    }
}

impl Reporter {
    pub(super) fn new(output: Output) -> Self {
        let on_terminal = stderr().is_terminal() && !output.is_quiet() && !output.is_json();
        let lines = MultiProgress::with_draw_target(if on_terminal {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        });
        let bar = lines.add(ProgressBar::no_length());
        Reporter { output, lines, bar, state: Mutex::new(State::new("", None, None)) }
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
                if let Some(events) = state.events_per_second {
                    fields.insert("events_per_second".to_owned(), events.into());
                }
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
        let before = std::mem::replace(&mut *state, State::new(name, documents, bytes));
        before.at_work.iter().for_each(|bar| self.lines.remove(bar));
        if self.bar.is_hidden() {
            return;
        }
        let template = match (bytes, documents) {
            (Some(_), _) => OF_BYTES,
            (None, Some(_)) => "{msg} {wide_bar} {human_pos}/{human_len} {eta}",
            (None, None) => "{msg} {spinner} {bytes} {elapsed}",
        };
        style(&self.bar, template);
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
        self.bar.set_message(format!("{}{}", state.stage, state.following()));
        // What follows may have nothing to tell for hours, and is alive all the same. Where it has just said something, that will do.
        let every = if self.output.is_json() { JSON_EVERY } else { LINE_EVERY };
        if self.bar.is_hidden() && state.shown.elapsed() >= every / 2 {
            state.shown = Instant::now();
            self.show(&state);
        }
    }

    fn moment(&self, moment: &Moment) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.events_per_second = Some(moment.events_per_second);
        if self.bar.is_hidden() {
            return;
        }
        // Of a few collections; and a line for all others.
        let wanted = moment.at_work.len() + usize::from(moment.more > 0);
        while state.at_work.len() > wanted {
            state.at_work.pop().iter().for_each(|bar| self.lines.remove(bar));
        }
        while state.at_work.len() < wanted {
            let bar = self.lines.add(ProgressBar::no_length());
            state.at_work.push(bar);
        }
        for (bar, one) in state.at_work.iter().zip(&moment.at_work) {
            let is_copy = one.stage.starts_with("copying");
            style(bar, if is_copy && one.total_bytes.is_some() { OF_ONE } else { "  {msg}" });
            bar.set_message(format!("{} {}", one.stage, printable(&one.namespace)));
            bar.set_length(one.total_bytes.unwrap_or_default());
            bar.set_position(one.bytes);
        }
        if let Some(bar) = state.at_work.get(moment.at_work.len()) {
            style(bar, "  {msg}");
            bar.set_message(format!("and {} more", HumanCount(moment.more as u64)));
        }
    }

    fn warn(&self, message: &str) {
        self.lines.suspend(|| self.output.warn(message));
    }
}

impl Drop for Reporter {
    fn drop(&mut self) {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.at_work.iter().for_each(ProgressBar::finish_and_clear);
        self.bar.finish_and_clear();
    }
}

fn style(bar: &ProgressBar, template: &str) {
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
}
