//! `transload replay`.

use std::path::PathBuf;

use clap::{Args, builder::BoolishValueParser};
use indicatif::HumanCount;
use tokio_util::sync::CancellationToken;

use super::{
    Outcome, Output,
    arguments::{ConnectionArguments, SelectionArguments, archive_path},
};
use crate::{
    changes::{
        capture::Since,
        replay::{ReplayOptions, ReplayReport, replay},
        token,
    },
    error::{Error, ErrorKind, Result},
    namespace::printable,
    selection::Selection,
};

/// Apply captured changes to a copy, in order
///
/// The copy was dumped while the capture ran, and restored to TARGET. With --archive it is known which changes it holds
/// already, and updates are applied as what they are: with --until this is a restore to any moment that the log covers,
/// without any access to the source. With --source, documents whose events do not tell what they are now (before 6.1 a dot in
/// a name may mean two things) are fetched from it; with --source alone, every updated document is. A log that was captured
/// with --full-documents needs neither, unless --until is given.
///
/// Collections are applied side by side, each in the order of the source. A replay that is interrupted, or killed at
/// any moment, goes on where it was with the same command. A change that cannot be applied is kept in
/// DIR/dead-letters.jsonl, and the exit code is 3.
#[derive(Args, Debug)]
pub(super) struct ReplayCommand {
    /// The work directory of the capture
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// The server: a connection string, env:NAME or @FILE
    target: String,
    /// The archive that was restored
    #[arg(long, value_name = "ARCHIVE", env = "TRANSLOAD_ARCHIVE", hide_env_values = true)]
    archive: Option<String>,
    /// The server that the changes are from; it is only read
    #[arg(long, value_name = "SOURCE", env = "TRANSLOAD_SOURCE", hide_env_values = true)]
    source: Option<String>,
    /// Wait for more at the end of the log, until stopped
    #[arg(long, value_parser = BoolishValueParser::new(), env = "TRANSLOAD_FOLLOW", hide_env_values = true)]
    follow: bool,
    /// Apply nothing after this: a time (SECONDS, SECONDS,INCREMENT of the source, or as 2026-01-31T12:00:00Z), a resume
    /// token, or `now`, which takes the time from --source and waits until it is reached
    #[arg(long, value_name = "TIME|TOKEN|now", env = "TRANSLOAD_UNTIL", hide_env_values = true)]
    until: Option<String>,
    /// Keep the segments of the log that have been applied
    #[arg(long, value_parser = BoolishValueParser::new(), env = "TRANSLOAD_KEEP_LOG", hide_env_values = true)]
    keep_log: bool,
    /// Try the changes in DIR/dead-letters.jsonl again. With --source, a replay does so at its end anyway
    #[arg(long, value_parser = BoolishValueParser::new(), env = "TRANSLOAD_RETRY_DEAD_LETTERS", hide_env_values = true)]
    retry_dead_letters: bool,
    #[command(flatten)]
    selection: SelectionArguments,
    /// Apply under another name: globs, `shop.*=copy.*`, with each `*` carried over (repeatable)
    #[arg(long, value_name = "FROM=TO", help_heading = "Selecting", env = "TRANSLOAD_RENAME", hide_env_values = true)]
    rename: Vec<String>,
    /// How many collections to apply changes to at once
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=256), env = "TRANSLOAD_PARALLEL", hide_env_values = true)]
    parallel: u16,
    #[command(flatten)]
    connection: ConnectionArguments,
}

impl ReplayCommand {
    pub(super) async fn run(self, output: &Output, cancel: CancellationToken) -> Result<Outcome> {
        let archive = self.archive.as_deref().map(archive_path).transpose()?.map(PathBuf::from);
        let parallel = usize::from(self.parallel);
        let connect =
            async |place, argument: &str| self.connection.server(place, argument, parallel, output, &cancel).await;
        let target = connect("TARGET", &self.target).await?;
        let source = match &self.source {
            Some(source) => Some(connect("--source", source).await?),
            None => None,
        };
        let until = match (self.until.as_deref(), &source) {
            (Some("now"), Some(source)) => Some(source.operation_time().await?),
            (Some("now"), None) => {
                let message = "'now' is a time of the source, which is not known";
                return Err(Error::new(ErrorKind::Usage, message).with_hint("name the --source").at("--until"));
            }
            (Some(text), _) => Some(time(text).map_err(|error| error.at("--until"))?),
            (None, _) => None,
        };
        let is_past = until.is_some() && self.until.as_deref() != Some("now");
        let options = ReplayOptions {
            directory: self.directory,
            archive,
            selection: Selection::new(&self.selection.options(self.rename, None))?,
            follow: self.follow || self.until.as_deref() == Some("now"),
            until,
            parallel,
            keep_log: self.keep_log || is_past,
            retry_dead_letters: self.retry_dead_letters,
            until_cutover: false,
            made: std::collections::HashMap::new(),
            sharding: None,
        };
        // What is fetched from the source is of now, and not of a moment that is past.
        let fetch_from = source.as_ref().filter(|_| !is_past);
        let report = replay(&target, fetch_from, options, output.progress(), cancel).await?;
        let outcome = if report.is_whole() { Outcome::Done } else { Outcome::Incomplete };
        output.summary(&report, outcome, || text(&report))
    }
}

/// The cluster time that a text says.
fn time(text: &str) -> Result<u64> {
    match text.parse()? {
        Since::Time(time) if time.trailing_zeros() >= 32 => Ok(time | u64::from(u32::MAX)),
        Since::Time(time) => Ok(time),
        Since::Token(token) => token::time(&token).ok_or_else(|| {
            Error::new(ErrorKind::Usage, "the resume token tells no time").with_hint("give the time itself")
        }),
    }
}

fn text(report: &ReplayReport) -> String {
    let mut text = String::new();
    for letter in &report.dead {
        let key = if letter.key.is_empty() { String::new() } else { format!(" {}", printable(&letter.key)) };
        text.push_str(&format!(
            "not applied: {} {}{key}: {}\n",
            printable(&letter.namespace.to_string()),
            letter.operation,
            letter.reason
        ));
    }
    let gone = match report.gone {
        0 => String::new(),
        gone => format!(" ({} of them gone there)", HumanCount(gone)),
    };
    text.push_str(&format!(
        "{}: {} events applied, {} were in the copy already, {} documents fetched from the source{gone}, {} changes of collections, in {:.1} s\n",
        report.target,
        HumanCount(report.events),
        HumanCount(report.skipped),
        HumanCount(report.refetched),
        report.barriers,
        report.seconds,
    ));
    let (seconds, increment) = report.applied;
    let lag = report.lag_seconds.map_or_else(String::new, |lag| format!(", {lag} s behind it"));
    text.push_str(&format!("applied up to {seconds},{increment} of the source{lag}\n"));
    if report.dead_letters > 0 {
        text.push_str(&format!(
            "INCOMPLETE: {} changes could not be applied; {}/dead-letters.jsonl has them\n",
            HumanCount(report.dead_letters),
            report.directory
        ));
    } else if !report.is_whole() {
        text.push_str("INCOMPLETE: see the warnings\n");
    }
    text
}
