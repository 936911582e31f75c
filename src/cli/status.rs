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
    table::{Table, short},
};
use crate::{
    error::Result,
    migrate::{NamespaceStatus, Status, status},
    namespace::printable,
};

/// Tell where a migration stands, running or not
///
/// Reads what the migration at work in DIR writes down several times a second. It can be asked at any time, from any
/// terminal, and is in nobody's way.
///
/// Each collection has a line: it is waiting, copying, copied, indexing, catching up, following or paused, and at the cutover copying
/// anew, comparing and done; with its rate and the time that is left, the indexes that are being built, or the events that this
/// process has applied to it.
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
                let on_terminal = stdout().is_terminal();
                let clear = if self.watch && on_terminal { "\u{1b}[2J\u{1b}[H" } else { "" };
                let room = match on_terminal {
                    true => Room { width: WIDTH, rows: if self.watch { ROWS } else { usize::MAX } },
                    // Whoever reads it with a program wants whole names.
                    false => Room { width: usize::MAX, rows: usize::MAX },
                };
                output.data(&format!("{clear}{}", text(&status, room).trim_end()))?;
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

/// Columns of a terminal that a table keeps to.
const WIDTH: usize = 100;
/// Rows of a table that is told again and again on a terminal.
const ROWS: usize = 30;
/// Characters of the last column, and the least that is left of a name.
const NOW: usize = 24;
const NAME: usize = 16;

/// How large a table may be.
#[derive(Clone, Copy)]
struct Room {
    width: usize,
    rows: usize,
}

fn text(status: &Status, room: Room) -> String {
    let mut table = Table::new(&["namespace", "stage", "documents", "of about", "bytes", "now"]);
    let (shown, more) = shown(&status.namespaces, room.rows);
    for one in shown {
        table.row(vec![
            printable(&one.namespace),
            one.stage.clone(),
            HumanCount(one.documents).to_string(),
            one.total_documents.map_or_else(String::new, |total| HumanCount(total).to_string()),
            HumanBytes(one.bytes).to_string(),
            short(&now(one), NOW),
        ]);
    }
    table.shorten_first(room.width, NAME);
    let mut text = if status.namespaces.is_empty() { String::new() } else { table.to_string() };
    let mut line = |words: String| text.push_str(&format!("{}\n", printable(&words)));
    if more > 0 {
        line(format!("and {} more, of {}", HumanCount(more as u64), HumanCount(status.namespaces.len() as u64)));
    }
    if let Some(old) = status.seconds_old {
        line(format!("warning: this is {} old: the process at work has written nothing since", span(old)));
    }
    for lost in &status.not_followed {
        line(format!("not followed, copied anew at the cutover: {lost}"));
    }
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
    let left = status.seconds_left.map_or_else(String::new, |left| format!(", about {} left", span(left)));
    if status.copy_end.is_none() && status.total_bytes > 0 {
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
            Some(lag) if status.copy_end.is_some() => format!("{lag} s behind the source{left}"),
            Some(lag) => format!("{lag} s behind the source"),
            None if status.running && status.seconds_old.is_none() => "the source does not tell its time".to_owned(),
            None => "how far behind the source now, nobody knows".to_owned(),
        };
        line(format!(
            "applied up to {seconds},{increment}, {lag}; {} events, {}/s, {} dead letters",
            HumanCount(status.events),
            HumanCount(status.events_per_second),
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
    let step = status.step.as_ref().map_or_else(String::new, |step| format!(" ({step})"));
    line(format!("{servers}{}{step}{paused}; {running}{updated}", status.stage));
    text
}

/// The first collections, those that are at work before those at rest; and how many are left out.
fn shown(all: &[NamespaceStatus], rows: usize) -> (Vec<&NamespaceStatus>, usize) {
    let mut shown: Vec<&NamespaceStatus> = all.iter().collect();
    if all.len() <= rows {
        return (shown, 0);
    }
    let is_at_rest =
        |one: &NamespaceStatus| ["waiting", "copied", "following", "paused", "done"].contains(&one.stage.as_str());
    shown.sort_by_key(|one| is_at_rest(one));
    shown.truncate(rows);
    (shown, all.len() - rows)
}

/// What is going on with a collection, besides its stage.
fn now(one: &NamespaceStatus) -> String {
    if let Some(index) = &one.index {
        return printable(index);
    }
    if one.bytes_per_second > 0 {
        let left = one.seconds_left.map_or_else(String::new, |left| format!(", {} left", span(left)));
        return format!("{}/s{left}", HumanBytes(one.bytes_per_second));
    }
    if one.events > 0 { format!("{} events", HumanCount(one.events)) } else { String::new() }
}

/// Seconds, in the two largest units.
fn span(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{}s", seconds / 60, seconds % 60),
        _ => format!("{}h{}m", seconds / 3600, seconds % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(namespace: &str, stage: &str) -> NamespaceStatus {
        NamespaceStatus { namespace: namespace.to_owned(), stage: stage.to_owned(), ..NamespaceStatus::default() }
    }

    #[test]
    fn a_table_fits_a_terminal_whatever_stands_in_it() {
        let mut large = one(&"shop.collection".repeat(9), "copying anew");
        (large.documents, large.total_documents, large.bytes) = (9_123_456_789, Some(9_123_456_789), 12 << 40);
        large.index = Some("an_index_1, another_index_1, one_more_1".to_owned());
        let mut fast = one("shop.orders", "copying");
        (fast.bytes_per_second, fast.seconds_left) = (123_456_789, Some(7384));
        let status = Status { namespaces: vec![large, fast], ..Status::default() };
        let text = text(&status, Room { width: WIDTH, rows: usize::MAX });
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        assert!(text.contains("117.74 MiB/s, 2h3m left") && text.contains("copying anew"), "{text}");
    }

    #[test]
    fn of_thousands_those_at_work_are_shown() {
        let mut namespaces: Vec<_> = (0..5000).map(|number| one(&format!("shop.c{number}"), "following")).collect();
        namespaces.push(one("shop.large", "indexing"));
        let text = text(&Status { namespaces, ..Status::default() }, Room { width: WIDTH, rows: ROWS });
        assert!(text.contains("shop.large") && text.contains("and 4,971 more, of 5,001"), "{text}");
        assert!(text.lines().count() < ROWS + 5, "{text}");
    }
}
