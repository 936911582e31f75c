//! `transload check`.

use std::path::PathBuf;

use clap::{Args, builder::BoolishValueParser};
use indicatif::{HumanBytes, HumanCount};
use tokio_util::sync::CancellationToken;
use transload_format::Codec;

use super::{
    Outcome, Output,
    arguments::{ConnectionArguments, MoveArguments, ShardingArguments, rate, work_directory},
};
use crate::{
    error::Result,
    migrate::EventsTo,
    namespace::printable,
    preflight::{CheckOptions, CheckReport, Verdict, Wishes, check},
    rate::Rate,
};

/// Find out whether a move can succeed, without writing anything
///
/// Looks at both ends: whether they answer and accept the user, their versions and features, topology, privileges, how far
/// members lag behind; at the source's balancer, majority reads, change streams, oplog, index specs, and what will not be
/// copied; at the target's sharding and balancer, and names that are taken; and at room on the disk. Each line is ok, a warning, or
/// refused, with what to do about it. Exit code 1 when something is refused.
#[derive(Args, Debug)]
pub(super) struct CheckCommand {
    /// The server to move from: a connection string, env:NAME or @FILE; a database in it selects that database
    source: String,
    /// The server to move to
    target: Option<String>,
    #[command(flatten)]
    moved: MoveArguments,
    /// A move would drop collections that the target has already
    #[arg(long, value_parser = BoolishValueParser::new(), env = "TRANSLOAD_DROP", hide_env_values = true)]
    drop: bool,
    #[command(flatten)]
    sharding: ShardingArguments,
    /// Where the archive and the log of changes are to be [default: here]
    #[arg(long, value_name = "DIR", env = "TRANSLOAD_DIR", hide_env_values = true)]
    dir: Option<String>,
    /// The cutover is to make the source refuse writes
    #[arg(long, value_parser = BoolishValueParser::new(), env = "TRANSLOAD_FENCE_SOURCE", hide_env_values = true)]
    fence_source: bool,
    /// The target's changes are to be recorded after the cutover
    #[arg(long, value_parser = BoolishValueParser::new(), env = "TRANSLOAD_REVERSE_CAPTURE", hide_env_values = true)]
    reverse_capture: bool,
    /// Where the changes are to be kept: log or target
    #[arg(long, value_name = "log|target", env = "TRANSLOAD_EVENTS_TO", hide_env_values = true)]
    events_to: Option<EventsTo>,
    /// How the archive is to be compressed: none, deflate[:0-9], zstd[:1-22]
    #[arg(long, default_value_t = Codec::default(), env = "TRANSLOAD_CODEC", hide_env_values = true)]
    codec: Codec,
    /// The copy is to read no more of the source in a second than so many bytes of documents, as 20MB, or documents, as 5000docs
    #[arg(long, value_name = "RATE", value_parser = rate, env = "TRANSLOAD_MAX_RATE", hide_env_values = true)]
    max_rate: Option<Rate>,
    #[command(flatten)]
    connection: ConnectionArguments,
}

impl CheckCommand {
    pub(super) async fn run(self, output: &Output, cancel: CancellationToken) -> Result<Outcome> {
        let directory: Option<PathBuf> = self.dir.as_deref().map(work_directory).transpose()?;
        let source = self.connection.reach("SOURCE", &self.source, 4, output, &cancel).await?;
        let target = match &self.target {
            Some(target) => Some(self.connection.reach("TARGET", target, 4, output, &cancel).await?),
            None => None,
        };
        let wishes = Wishes {
            fences_source: self.fence_source,
            records_target: self.reverse_capture,
            events_to_target: self.events_to == Some(EventsTo::Target),
        };
        let (selection, shard_keys) = (self.moved.options(None), self.sharding.shard_key);
        let options = CheckOptions {
            selection,
            directory,
            replaces: self.drop,
            wishes,
            codec: self.codec,
            max_rate: self.max_rate,
            shard_keys,
        };
        let report = tokio::select! {
            report = check(&source, target.as_ref(), &options) => report?,
            () = cancel.cancelled() => return Err(crate::error::Error::interrupted()),
        };
        let outcome = if report.verdict == Verdict::Refused { Outcome::Refused } else { Outcome::Done };
        output.summary(&report, outcome, || text(&report))
    }
}

pub(super) fn text(report: &CheckReport) -> String {
    let mut text = String::new();
    for finding in &report.findings {
        let word = match finding.verdict {
            Verdict::Ok => "ok",
            Verdict::Warning => "warning",
            Verdict::Refused => "REFUSED",
        };
        text.push_str(&format!("{word:<8} {:<7} {:<15} {}\n", finding.side, finding.what, printable(&finding.found)));
        if let Some(remedy) = &finding.remedy {
            text.push_str(&format!("{:<33}{}\n", "", printable(remedy)));
        }
    }
    let verdict = match report.verdict {
        Verdict::Ok => "a move can begin",
        Verdict::Warning => "a move can begin; read the warnings",
        Verdict::Refused => "a move cannot succeed like this",
    };
    let what = format!(
        "{} namespaces, {} documents, {}",
        HumanCount(report.namespaces as u64),
        HumanCount(report.documents),
        HumanBytes(report.bytes)
    );
    text + &format!("{}: {what}: {verdict}\n", report.source)
}
