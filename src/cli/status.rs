//! `transload status`.

use std::{
    io::{IsTerminal, stdout},
    time::Duration,
};

use clap::{Args, builder::BoolishValueParser};
use indicatif::{HumanBytes, HumanCount};
use tokio_util::sync::CancellationToken;

use super::{
    Outcome, Output,
    arguments::{interval, work_directory},
    table::Table,
};
use crate::{
    error::Result,
    migrate::{Status, status},
    namespace::printable,
};

/// Tell where a migration stands, running or not
///
/// Reads what the migration at work in DIR writes down several times a second. It can be asked at any time, from any
/// terminal, and is in nobody's way.
#[derive(Args, Debug)]
pub(super) struct StatusCommand {
    /// The work directory of the migration
    #[arg(value_name = "DIR")]
    directory: String,
    /// Go on telling it, until stopped
    #[arg(long, value_parser = BoolishValueParser::new(), env = "TRANSLOAD_WATCH", hide_env_values = true)]
    watch: bool,
    /// How often, with --watch
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = interval, env = "TRANSLOAD_WATCH_INTERVAL", hide_env_values = true)]
    watch_interval: Duration,
}

impl StatusCommand {
    pub(super) async fn run(self, output: &Output, cancel: CancellationToken) -> Result<Outcome> {
        let directory = work_directory(&self.directory)?;
        loop {
            let status = status(&directory)?;
            if output.is_json() {
                output.summary(&status, Outcome::Done, String::new)?;
            } else {
                let clear = if self.watch && stdout().is_terminal() { "\u{1b}[2J\u{1b}[H" } else { "" };
                output.data(&format!("{clear}{}", text(&status).trim_end()))?;
            }
            if !self.watch {
                return Ok(Outcome::Done);
            }
            tokio::select! {
                () = tokio::time::sleep(self.watch_interval) => {}
                () = cancel.cancelled() => return Ok(Outcome::Done),
            }
        }
    }
}

fn text(status: &Status) -> String {
    let mut table = Table::new(&["namespace", "stage", "documents", "of about", "bytes"]);
    for one in &status.namespaces {
        table.row(vec![
            printable(&one.namespace),
            one.stage.clone(),
            HumanCount(one.documents).to_string(),
            one.total_documents.map_or_else(|| "?".to_owned(), |total| HumanCount(total).to_string()),
            HumanBytes(one.bytes).to_string(),
        ]);
    }
    let mut text = if status.namespaces.is_empty() { String::new() } else { table.to_string() };
    let mut line = |words: String| text.push_str(&format!("{}\n", printable(&words)));
    for repaired in &status.repaired_indexes {
        line(format!("repaired: {repaired}"));
    }
    for failed in &status.failed_indexes {
        line(format!("not built: {failed}"));
    }
    for warning in &status.warnings {
        line(format!("warning: {warning}"));
    }
    if let Some(error) = &status.error {
        line(format!("{}: {error}", if status.running { "waits" } else { "stopped" }));
    }
    if status.copy_end.is_none() && status.total_bytes > 0 {
        let left = status.seconds_left.map_or_else(String::new, |left| format!(", about {left} s left"));
        line(format!(
            "{} of about {} documents, {} of {}, {}/s{left}",
            HumanCount(status.documents),
            HumanCount(status.total_documents),
            HumanBytes(status.bytes),
            HumanBytes(status.total_bytes),
            HumanBytes(status.bytes_per_second),
        ));
    }
    if let Some((seconds, increment)) = status.applied {
        let lag = match status.lag_seconds {
            Some(lag) => format!("{lag} s behind the source"),
            None if status.running => "the source does not tell its time".to_owned(),
            None => "how far behind the source now, nobody knows".to_owned(),
        };
        line(format!(
            "applied up to {seconds},{increment}, {lag}; {} events, {} dead letters",
            HumanCount(status.events),
            HumanCount(status.dead_letters)
        ));
    }
    let paused = if status.paused { ", the replay is held" } else { "" };
    let running = match status.running {
        true => "running",
        false => "NOT RUNNING, the same 'transload migrate' command goes on",
    };
    let running = if status.stage == "done" { "over" } else { running };
    let servers =
        if status.source.is_empty() { String::new() } else { format!("{} to {}: ", status.source, status.target) };
    let updated = if status.updated.is_empty() { String::new() } else { format!(" ({})", status.updated) };
    line(format!("{servers}{}{paused}; {running}{updated}", status.stage));
    text
}
