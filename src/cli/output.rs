//! Everything that is printed, and the rule where: data and JSON on standard output, all else on standard error.

use std::{
    error::Error as StdError,
    io::{self, IsTerminal, Write},
    sync::Arc,
};

use serde::Serialize;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{Global, Outcome, reporter::Reporter, usage::hide_credentials};
use crate::{
    error::{Error, ErrorKind, Result},
    progress::Progress,
};

/// Prints, as the flags want it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Output {
    json: bool,
    quiet: bool,
    verbose: bool,
    archive_on_stdout: bool,
}

impl Output {
    pub(super) fn new(global: Global, archive_on_stdout: bool) -> Self {
        Output { json: global.json, quiet: global.quiet, verbose: global.verbose, archive_on_stdout }
    }

    pub(super) fn is_json(&self) -> bool {
        self.json
    }

    pub(super) fn is_quiet(&self) -> bool {
        self.quiet
    }

    pub(super) fn is_verbose(&self) -> bool {
        self.verbose
    }

    /// Asks a question on the terminal. No answer is no.
    pub(super) async fn confirm(&self, question: &str, cancel: &CancellationToken) -> Result<bool> {
        let _ = write!(io::stderr().lock(), "{question} [y/N] ");
        let answer = tokio::task::spawn_blocking(|| {
            let mut answer = String::new();
            io::stdin().read_line(&mut answer).map(|_| answer)
        });
        tokio::select! {
            answer = answer => {
                let answer = answer.unwrap_or_else(|panic| Err(io::Error::other(panic)));
                let answer = answer.map_err(|error| Error::io("terminal", error))?;
                Ok(["y", "yes"].contains(&answer.trim().to_lowercase().as_str()))
            }
            () = cancel.cancelled() => Err(Error::interrupted()),
        }
    }

    /// The same where there may be no terminal to ask on: then `what` needs a yes beforehand.
    pub(super) async fn is_asked(&self, question: &str, what: &str, cancel: &CancellationToken) -> Result<bool> {
        if !io::stdin().is_terminal() {
            let message = format!("{what} asks first, and there is no terminal to ask on");
            return Err(Error::new(ErrorKind::Usage, message).with_hint("--yes answers beforehand"));
        }
        self.confirm(question, cancel).await
    }

    /// What a verb tells of its work goes here.
    pub(super) fn progress(&self) -> Arc<dyn Progress> {
        Arc::new(Reporter::new(*self))
    }

    /// A line of data.
    pub(super) fn data(&self, line: &str) -> Result<()> {
        writeln!(io::stdout().lock(), "{line}").map_err(|error| Error::io("standard output", error))
    }

    /// The report of a verb: as JSON, or as `text` for people. What was lost is told to those who want quiet, too.
    pub(super) fn summary(
        &self,
        report: &impl Serialize,
        outcome: Outcome,
        text: impl FnOnce() -> String,
    ) -> Result<Outcome> {
        if self.json {
            let Ok(serde_json::Value::Object(fields)) = serde_json::to_value(report) else {
                return Err(Error::new(ErrorKind::Internal, "the report is no JSON object"));
            };
            let mut summary = serde_json::Map::from_iter([("type".to_owned(), json!("summary"))]);
            summary.extend(fields);
            self.json_line(&summary.into())?;
        } else if !self.quiet || outcome != Outcome::Done {
            self.note(text().trim_end());
        }
        Ok(outcome)
    }

    pub(super) fn warn(&self, message: &str) {
        let message = &safe(message);
        if self.json {
            // A warning that cannot be printed must not stop the work.
            let _ = self.json_line(&json!({ "type": "warning", "message": message }));
        } else {
            self.note(&format!("warning: {message}"));
        }
    }

    pub(super) fn error(&self, error: &Error) {
        let (message, hint) = (safe(&error.to_string()), error.hint().map(safe));
        if self.json {
            let _ = self.json_line(&json!({
                "type": "error", "kind": error.kind(), "message": message, "hint": hint,
            }));
            return;
        }
        let mut text = format!("error: {message}");
        if let Some(hint) = hint {
            text.push_str(&format!("\nhint: {hint}"));
        }
        let mut cause = error.source().filter(|_| self.verbose);
        while let Some(error) = cause {
            text.push_str(&format!("\ncause: {}", safe(&error.to_string())));
            cause = error.source();
        }
        self.note(&text);
    }

    /// A line of JSON, on standard output unless an archive goes there.
    pub(super) fn json_line(&self, value: &serde_json::Value) -> Result<()> {
        if self.archive_on_stdout {
            self.note(&value.to_string());
            return Ok(());
        }
        self.data(&value.to_string())
    }

    /// A line for people.
    pub(super) fn note(&self, line: &str) {
        // Standard error may be closed; there is nobody to tell.
        let _ = writeln!(io::stderr().lock(), "{line}");
    }
}

/// A text as a terminal and a log may have it: a connection string that was given for something else is taken out of
/// it, and control characters, which names may hold, are escaped, but for line ends of indented lines.
fn safe(text: &str) -> String {
    let text = hide_credentials(text);
    let mut safe = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(char) = rest.chars().next() {
        if char.is_control() && !rest.starts_with("\n  ") {
            safe.extend(char.escape_default());
        } else {
            safe.push(char);
        }
        rest = rest.get(char.len_utf8()..).unwrap_or_default();
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::safe;

    #[test]
    fn credentials_and_control_characters_are_taken_out() {
        let text = "include \"mongodb://ann:secret@a/\": a\u{1b}[2J\nerror: b\n  a tool's last line";
        let shown = "include \"mongodb://…\": a\\u{1b}[2J\\nerror: b\n  a tool's last line";
        assert_eq!(safe(text), shown);
        let hint = "it is mongodb://USER:PASSWORD@HOST, or mongodb://host/DATABASE";
        assert_eq!(safe(hint), hint);
    }
}
