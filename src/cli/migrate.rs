//! `transload migrate`.

use std::{
    io::{IsTerminal, stdin},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use clap::{Args, builder::BoolishValueParser};
use indicatif::{HumanBytes, HumanCount};
use tokio_util::sync::CancellationToken;
use transload_format::Codec;

use super::{
    Outcome, Output,
    arguments::{ConnectionArguments, MoveArguments, ShardingArguments, interval, rate, work_directory},
    check,
    cutover::at_rest,
    reading::{ReadingArguments, cursors},
};
use crate::{
    changes::token::in_words,
    error::{Error, ErrorKind, Result},
    migrate::{self, CutoverRequest, EventsTo, Listener, MigrateOptions, MigrationReport, Verify},
    namespace::printable,
    preflight::{self, CheckReport},
    rate::Rate,
};

/// Move a live database: check, copy, follow, and cut over when told to
///
/// The application goes on writing to SOURCE. The directory DIR holds everything about the migration: an archive of the copy,
/// the changes since, and how far everything is. However the command ends, Ctrl-C, kill or power loss, the same command goes
/// on from there. From other terminals, 'transload status DIR' tells where it stands, 'pause' and 'resume' hold the replay, and
/// 'cutover' ends it: once nothing is written to SOURCE any more, both sides are compared, and only a clean verdict exits 0.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  transload migrate env:SOURCE env:TARGET --dir move/                      until 'transload cutover move/'
  transload migrate env:SOURCE env:TARGET --dir move/ --cutover when-caught-up --fence-source
  transload migrate env:SOURCE env:TARGET --dir move/ --collections-file db.shop.collections.txt --rename 'shop.*=store.*'

Exit codes: 0 the target has everything, and was compared as was asked for; 1 refused or failed, the same command goes on; 3 something was skipped or could not
be done; 4 the comparison found differences; 130 interrupted, the same command goes on.")]
pub(super) struct MigrateCommand {
    /// The server to move from: a connection string, env:NAME or @FILE; a database in it selects that database
    source: String,
    /// The server to move to
    target: String,
    /// The work directory; made if it is not there. A migration that was begun in it goes on
    #[arg(long, value_name = "DIR", env = "TRANSLOAD_DIR", hide_env_values = true)]
    dir: String,
    #[command(flatten)]
    moved: MoveArguments,
    #[command(flatten)]
    sharding: ShardingArguments,
    /// Drop collections that the target has already under the names to be written; which, is shown first
    #[arg(long, value_parser = BoolishValueParser::new(), env = "TRANSLOAD_DROP", hide_env_values = true)]
    drop: bool,
    /// Give up the migration that was begun in DIR, and begin anew; asks first
    #[arg(long, value_parser = BoolishValueParser::new(), env = "TRANSLOAD_RESTART", hide_env_values = true)]
    restart: bool,
    /// Do not ask
    #[arg(long, value_parser = BoolishValueParser::new(), env = "TRANSLOAD_YES", hide_env_values = true)]
    yes: bool,
    /// When to cut over: `on-request`, by 'transload cutover DIR', or `when-caught-up`, which is right where nothing is written
    #[arg(long, value_name = "WHEN", default_value = "on-request", value_parser = ["on-request", "when-caught-up"], hide_possible_values = true, env = "TRANSLOAD_CUTOVER", hide_env_values = true)]
    cutover: String,
    /// With --cutover when-caught-up: make the source refuse writes before (6.0+, role hostManager). An older one has no fence: who is
    /// connected to it is named, and on a terminal you are asked whether it is at rest
    #[arg(long, value_parser = BoolishValueParser::new(), env = "TRANSLOAD_FENCE_SOURCE", hide_env_values = true)]
    fence_source: bool,
    /// With --cutover when-caught-up: how to compare both sides: full, sample, counts or none [default: full]
    #[arg(long, value_name = "HOW", env = "TRANSLOAD_VERIFY", hide_env_values = true)]
    verify: Option<Verify>,
    /// Hold the replay once the copy is there, until 'transload resume DIR'
    #[arg(long, value_parser = BoolishValueParser::new(), env = "TRANSLOAD_PAUSE_AFTER_COPY", hide_env_values = true)]
    pause_after_copy: bool,
    /// After the cutover, go on recording the target's changes in DIR/reverse, until stopped: the way back
    #[arg(long, value_parser = BoolishValueParser::new(), env = "TRANSLOAD_REVERSE_CAPTURE", hide_env_values = true)]
    reverse_capture: bool,
    /// Where the changes are kept until they are applied: `log`, which is in DIR, or `target`, the collection `_cdc` of TARGET:
    /// for hosts without a durable disk. It is dropped after a clean cutover [default: log]
    #[arg(long, value_name = "log|target", env = "TRANSLOAD_EVENTS_TO", hide_env_values = true)]
    events_to: Option<EventsTo>,
    /// How to compress the archive and the log: none, deflate[:0-9], zstd[:1-22]
    #[arg(long, default_value_t = Codec::default(), env = "TRANSLOAD_CODEC", hide_env_values = true)]
    codec: Codec,
    /// How many cursors, and insert commands, and collections that changes are applied to, to have at once [default: 4; of cursors as
    /// many as the source is fastest with, up to 16]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256), env = "TRANSLOAD_PARALLEL", hide_env_values = true)]
    parallel: Option<u16>,
    /// Copy no more of the source in a second than so many bytes of documents, as 20MB, or documents, as 5000docs: at first, and what is
    /// copied anew at the cutover. What changes, and what is compared, is read as fast as it goes
    #[arg(long, value_name = "RATE", help_heading = "Reading", value_parser = rate, env = "TRANSLOAD_MAX_RATE", hide_env_values = true)]
    max_rate: Option<Rate>,
    #[command(flatten)]
    reading: ReadingArguments,
    /// How often the status is written down
    #[arg(long, value_name = "DURATION", default_value = "250ms", value_parser = interval, env = "TRANSLOAD_PROGRESS_INTERVAL", hide_env_values = true)]
    progress_interval: Duration,
    #[command(flatten)]
    connection: ConnectionArguments,
}

/// Insert commands, and collections that changes are applied to, at once, unless it is said.
const PARALLEL: u16 = 4;
/// Connections besides those of cursors and inserts: streams, fetches, questions.
const CONNECTIONS: usize = 6;

impl MigrateCommand {
    pub(super) async fn run(self, output: &Output, cancel: CancellationToken) -> Result<Outcome> {
        let directory: PathBuf = work_directory(&self.dir)?;
        if self.restart && !self.yes && directory.exists() {
            let question = format!("Give up the migration in {}, with its archive and its log?", directory.display());
            if !output.is_asked(&question, "--restart", &cancel).await? {
                return Err(Error::new(ErrorKind::Interrupted, "nothing was done"));
            }
        }
        let when_caught_up = self.cutover == "when-caught-up";
        if !when_caught_up && (self.fence_source || self.verify.is_some()) {
            let message = "is said when the cutover is asked for: 'transload cutover DIR'";
            let flag = if self.fence_source { "--fence-source" } else { "--verify" };
            return Err(Error::new(ErrorKind::Usage, message)
                .with_hint("or let the migration cut over by itself: --cutover when-caught-up")
                .at(flag));
        }
        let (parallel, cursors) = (usize::from(self.parallel.unwrap_or(PARALLEL)), cursors(self.parallel));
        let (reading, writing) = (cursors.most().max(parallel) + CONNECTIONS, parallel + CONNECTIONS);
        let source = self.connection.server("SOURCE", &self.source, reading, output, &cancel).await?;
        let target = self.connection.server("TARGET", &self.target, writing, output, &cancel).await?;
        let default_database = source.default_database().map(str::to_owned);
        let mut fence_source = self.fence_source;
        // A source that knows no fence may be at rest; without a terminal, the check refuses it.
        if fence_source
            && stdin().is_terminal()
            && let Some(why) = migrate::unfenced(&source).await
        {
            output.warn(&format!("{}: {why}", source.place()));
            if !output.confirm(&at_rest(&source.place()), &cancel).await? {
                output.note(
                    "nothing was done: stop what writes to the source first, or cut over later by 'transload cutover'",
                );
                return Ok(Outcome::Refused);
            }
            fence_source = false;
        }
        let verify = self.verify.unwrap_or_default();
        let request = CutoverRequest { id: 0, fence_source, verify };
        let options = MigrateOptions {
            directory,
            selection: self.moved.options(default_database),
            shard_keys: self.sharding.shard_key,
            replaces: self.drop,
            restart: self.restart,
            cutover: when_caught_up.then_some(request),
            pause_after_copy: self.pause_after_copy,
            events_to: self.events_to,
            reverse_capture: self.reverse_capture,
            codec: self.codec,
            parallel,
            cursors,
            max_rate: self.max_rate,
            parts: self.reading.parts,
            reads: self.reading.read_preference,
            progress_interval: self.progress_interval,
        };
        let listener = Arc::new(Printer(*output));
        let report = migrate::migrate(&source, &target, options, listener, output.progress(), cancel).await?;
        Ok(outcome(&report))
    }
}

/// Prints what is found when it is found: after a cutover the command may go on for days.
struct Printer(Output);

impl Listener for Printer {
    fn checked(&self, report: &CheckReport) {
        if !self.0.is_json() && !self.0.is_quiet() {
            self.0.note(check::text(report).trim_end());
            return;
        }
        for finding in report.findings.iter().filter(|finding| finding.verdict != preflight::Verdict::Ok) {
            self.0.warn(&format!("{} {}: {}", finding.side, finding.what, finding.found));
        }
    }

    fn reported(&self, report: &MigrationReport) {
        // What cannot be printed is in the work directory all the same.
        let _ = self.0.summary(report, outcome(report), || text(report));
    }
}

/// What the exit code says.
pub(super) fn outcome(report: &MigrationReport) -> Outcome {
    match report.outcome {
        migrate::Outcome::Clean => Outcome::Done,
        migrate::Outcome::Incomplete => Outcome::Incomplete,
        migrate::Outcome::Different => Outcome::Different,
    }
}

/// What a migration has come to, on one screen.
pub(super) fn text(report: &MigrationReport) -> String {
    let mut text = String::new();
    let mut line = |start: &str, words: &str| text.push_str(&format!("{start:<14}{}\n", printable(words)));
    line("moved", &format!("{} to {}", report.source, report.target));
    line(
        "copied",
        &format!(
            "{} collections and views, {} documents, {} in {:.1} s; then every change since",
            HumanCount(report.namespaces),
            HumanCount(report.documents),
            HumanBytes(report.bytes),
            report.copy_seconds
        ),
    );
    if report.refetched > 0 {
        let (refetched, gone) = (HumanCount(report.refetched), HumanCount(report.refetched_gone));
        let why = "documents whose changes did not tell what they are";
        line("fetched again", &format!("{refetched} {why}; {gone} of them were gone from the source by then"));
    }
    let lists: [(&str, &Vec<String>); 9] = [
        ("sharded", &report.sharded),
        ("repaired", &report.repaired),
        ("at the end", &report.mended),
        ("copied anew", &report.copied_anew),
        ("NOT FOLLOWED", &report.not_followed),
        ("left out", &report.left_out),
        ("warning", &report.warnings),
        ("FAILED", &report.failed),
        ("DIFFERENT", &report.differences),
    ];
    for (start, lines) in lists {
        for words in lines.iter().take(SHOWN) {
            line(start, words);
        }
        if lines.len() > SHOWN {
            line(start, &format!("and {} more", lines.len() - SHOWN));
        }
    }
    let (seconds, increment) = report.point_in_time;
    line("stands at", &in_words(u64::from(seconds) << 32 | u64::from(increment)));
    if report.fenced {
        line("the source", "refuses writes, until db.adminCommand({setUserWriteBlockMode: 1, global: false})");
    }
    line(
        "took",
        &format!(
            "{:.1} s to cut over, {:.1} s to compare; begun {}, over {}",
            report.cutover_seconds, report.verify_seconds, report.begun, report.ended
        ),
    );
    if report.documents_different > 0 && report.verify != "counts" {
        line(
            "they are in",
            &format!("{}/findings.jsonl; 'transload verify --repair-target' copies them anew", report.directory),
        );
    }
    if report.dead_letters > 0 {
        let letters = HumanCount(report.dead_letters);
        line("INCOMPLETE", &format!("{letters} changes could not be applied: {}/dead-letters.jsonl", report.directory));
    }
    let compared = match report.verify.as_str() {
        "none" => "nothing was compared".to_owned(),
        "full" => format!("all {} documents compared", HumanCount(report.compared)),
        "sample" => format!("A SAMPLE ONLY compared: {} documents", HumanCount(report.compared)),
        _ => format!("counts alone compared: {} documents", HumanCount(report.compared)),
    };
    let verdict = match report.outcome {
        migrate::Outcome::Clean if report.verify == "full" => "EQUAL: the target may take over",
        migrate::Outcome::Clean if report.verify == "none" => "NOT COMPARED: nothing is known to be missing",
        migrate::Outcome::Clean => "NOTHING DIFFERS of what was compared",
        migrate::Outcome::Incomplete => "INCOMPLETE: something was skipped or could not be done, see above",
        migrate::Outcome::Different => {
            "DIFFERENT: the target is not what the source is; nothing was given up, the migration may go on"
        }
    };
    text + &format!("{verdict}; {compared}\n")
}

/// Lines that are shown of each kind.
const SHOWN: usize = 10;
