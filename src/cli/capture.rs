//! `transload capture`.

use std::time::Duration;

use clap::{Args, builder::BoolishValueParser};
use indicatif::{HumanBytes, HumanCount};
use tokio_util::sync::CancellationToken;
use transload_format::Codec;

use super::{
    Outcome, Output,
    arguments::{ConnectionArguments, SelectionArguments, duration, work_directory},
    table::Table,
};
use crate::{
    changes::{
        capture::{CaptureOptions, Moment, Scope, Since, capture},
        log::LogOptions,
    },
    error::{Error, ErrorKind, Result},
    namespace::printable,
    report::CaptureReport,
};

/// Connections that each capture needs besides those of its streams.
const CONNECTIONS: usize = 4;

/// Record change events of a server, until stopped
///
/// Follows the server's change streams and writes each event, as the server gives it, to a log in the directory DIR.
/// Nothing is written to the server; the role 'read' on a database is enough to capture it. Stop it with Ctrl-C: it
/// commits what it has and ends with 0. Stopped or killed, the same command goes on exactly where the log ends, as long
/// as the server's oplog reaches back there. A capture that is to make a copy whole has to begin before the copy does.
#[derive(Args, Debug)]
#[command(after_help = "\
Where the connection string names a database, that one is captured, with collections that are created later; else all of \
them. Where the user may not watch so much, one stream for each database, or for each collection, takes its place, with a \
warning. A collection whose stream a router cannot open, or go on with, because a shard knows the collection by another UUID \
(SERVER-36154), is left out, with a warning and exit code 3.

Examples:
  transload capture env:SOURCE changes/                     until Ctrl-C
  transload capture env:SOURCE changes/ --for 10m           for ten minutes
  transload capture env:SOURCE changes/ --until 2026-01-31T12:00:00Z
  transload capture env:SOURCE changes/ --events-to target --target env:TARGET")]
pub(super) struct CaptureCommand {
    /// The server: a connection string, env:NAME or @FILE; a database in it selects that database
    source: String,
    /// The work directory; made if it is not there. A capture that was begun in it goes on
    #[arg(value_name = "DIR")]
    directory: String,
    #[command(flatten)]
    selection: SelectionArguments,
    /// Where a new capture begins: SECONDS, SECONDS,INCREMENT, a time as 2026-01-31T12:00:00Z, or the digits of a resume
    /// token's _data [default: the server's present time]
    #[arg(long, value_name = "TIME|TOKEN", env = "TRANSLOAD_SINCE", hide_env_values = true)]
    since: Option<Since>,
    /// Stop when everything up to this time is recorded
    #[arg(long, value_name = "TIME", env = "TRANSLOAD_UNTIL", hide_env_values = true)]
    until: Option<Moment>,
    /// Stop after so long, as 90s, 10m or 2h
    #[arg(long = "for", value_name = "DURATION", value_parser = duration, env = "TRANSLOAD_FOR", hide_env_values = true)]
    duration: Option<Duration>,
    /// What one stream of a new capture watches: deployment, database or collection; a narrower one where privileges allow
    /// no more [default: database with a database in the connection string, else deployment]
    #[arg(long, env = "TRANSLOAD_SCOPE", hide_env_values = true)]
    scope: Option<Scope>,
    /// Record the whole document with each update, so that the log can be replayed without the source; a third as fast
    #[arg(long, value_parser = BoolishValueParser::new(), env = "TRANSLOAD_FULL_DOCUMENTS", hide_env_values = true)]
    full_documents: bool,
    /// How long events may wait in memory before they are synced to the disk
    #[arg(long, value_name = "DURATION", default_value = "200ms", value_parser = duration, env = "TRANSLOAD_SYNC_INTERVAL", hide_env_values = true)]
    sync_interval: Duration,
    /// How to compress: none, deflate[:0-9], zstd[:1-22]
    #[arg(long, default_value_t = Codec::default(), env = "TRANSLOAD_CODEC", hide_env_values = true)]
    codec: Codec,
    /// Where events go: `log`, which is in DIR, or `target`, the collection `_cdc` of --target: for hosts without a durable
    /// disk
    #[arg(long, value_name = "log|target", default_value = "log", value_parser = ["log", "target"], hide_possible_values = true, env = "TRANSLOAD_EVENTS_TO", hide_env_values = true)]
    events_to: String,
    /// The server that gets the events: a connection string, env:NAME or @FILE; a database in it gets them, else that of
    /// the same name as the source's, else `transload`
    #[arg(long, value_name = "TARGET", env = "TRANSLOAD_TARGET", hide_env_values = true)]
    target: Option<String>,
    #[command(flatten)]
    connection: ConnectionArguments,
}

impl CaptureCommand {
    pub(super) async fn run(self, output: &Output, cancel: CancellationToken) -> Result<Outcome> {
        let directory = work_directory(&self.directory)?;
        let target = match (self.events_to.as_str(), self.target) {
            ("target", None) => {
                let message = "needs the server that the events go to";
                return Err(Error::new(ErrorKind::Usage, message)
                    .with_hint("name the --target")
                    .at("--events-to target"));
            }
            ("target", target) => target,
            (_, Some(_)) if std::env::var_os("TRANSLOAD_TARGET").is_none() => {
                let message = "is of no use where the events go to the log in DIR";
                return Err(Error::new(ErrorKind::Usage, message).with_hint("add --events-to target").at("--target"));
            }
            _ => None,
        };
        let server = self.connection.server("SOURCE", &self.source, CONNECTIONS, output, &cancel).await?;
        let target = match &target {
            Some(target) => Some(self.connection.server("--target", target, CONNECTIONS, output, &cancel).await?),
            None => None,
        };
        let default_database = server.default_database().map(str::to_owned);
        let options = CaptureOptions {
            directory,
            selection: self.selection.options(Vec::new(), default_database),
            scope: self.scope,
            since: self.since,
            full_documents: self.full_documents,
            sync_interval: self.sync_interval,
            until: self.until.map(|Moment(time)| time),
            moved_here: None,
            duration: self.duration,
            log: LogOptions { codec: self.codec, ..LogOptions::default() },
            target,
        };
        let report = capture(&server, options, output.progress(), cancel).await?;
        let outcome = if report.not_followed.is_empty() { Outcome::Done } else { Outcome::Incomplete };
        output.summary(&report, outcome, || text(&report))
    }
}

fn text(report: &CaptureReport) -> String {
    let mut table = Table::new(&["namespace", "events", "bytes"]);
    for lane in &report.namespaces {
        table.row(vec![
            printable(&lane.namespace),
            HumanCount(lane.events).to_string(),
            HumanBytes(lane.bytes).to_string(),
        ]);
    }
    let mut text = if report.namespaces.is_empty() { String::new() } else { table.to_string() };
    for stream in &report.streams {
        let lag = stream.lag_seconds.map_or_else(String::new, |lag| format!(", {lag} s behind the source"));
        text.push_str(&format!("stream {} of {}: up to {}{lag}\n", stream.stream, stream.watches, stream.position));
    }
    for lost in &report.not_followed {
        text.push_str(&format!("NOT FOLLOWED {lost}\n"));
    }
    if report.retries > 0 {
        text.push_str(&format!(
            "{} times something was tried again after an error; nothing was lost or doubled\n",
            report.retries
        ));
    }
    text.push_str(&format!(
        "{}: {} events, {} in {:.1} s; the same command goes on from here\n",
        report.directory,
        HumanCount(report.events),
        HumanBytes(report.bytes),
        report.seconds,
    ));
    text
}
