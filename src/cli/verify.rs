//! `transload verify`.

use std::{
    io::{IsTerminal, stdin},
    path::PathBuf,
    time::Duration,
};

use clap::{Args, builder::BoolishValueParser};
use indicatif::{HumanBytes, HumanCount};
use tokio_util::sync::CancellationToken;

use super::{
    Outcome, Output,
    arguments::{ConnectionArguments, SelectionArguments, archive_path, is_server},
    table::Table,
};
use crate::{
    archive::ArchiveFile,
    error::{Error, ErrorKind, Result},
    namespace::printable,
    scan::PART_BYTES,
    selection::SelectionOptions,
    verify::{
        Counts, Sampled, Side, VerifyOptions, VerifyReport,
        scrub::{scrub, scrub_stream},
        verify,
    },
};

/// Discrepancies and notes that the text shows.
const SHOWN: usize = 50;

/// Prove that two sides hold the same, or scrub one archive
///
/// LEFT and RIGHT are each a server or an archive. Namespaces, options, views and indexes are compared, then every document by
/// its bytes, in the order of `_id`, in parallel parts. A document that differs is a line in the file of findings. Interrupted,
/// the same command goes on behind the last part that was done. With one archive alone, every checksum and every document
/// of it is proven.
#[derive(Args, Debug)]
pub(super) struct VerifyCommand {
    /// A server (a connection string, env:NAME or @FILE), or an archive; alone: an archive, `-` for standard input
    left: String,
    /// The server or the archive that is to hold the same
    right: Option<String>,
    #[command(flatten)]
    selection: SelectionArguments,
    /// What has another name on the right: FROM=TO, globs with as many `*` on both sides (repeatable)
    #[arg(long, help_heading = "Selecting", value_name = "FROM=TO", env = "TRANSLOAD_RENAME", hide_env_values = true)]
    rename: Vec<String>,
    /// Take documents that differ in the order of their fields alone for equal
    #[arg(long, requires = "right", value_parser = BoolishValueParser::new(), env = "TRANSLOAD_IGNORE_FIELD_ORDER", hide_env_values = true)]
    ignore_field_order: bool,
    /// Compare about N documents of each collection, the same ones on both sides, instead of all
    #[arg(long, value_name = "N", requires = "right", value_parser = clap::value_parser!(u64).range(1..), env = "TRANSLOAD_SAMPLE", hide_env_values = true)]
    sample: Option<u64>,
    /// Which documents a sample takes: the same ones for the same seed
    #[arg(
        long,
        value_name = "SEED",
        default_value_t = 1,
        requires = "sample",
        env = "TRANSLOAD_SEED",
        hide_env_values = true
    )]
    seed: u64,
    /// Look at differences again for so long, before they count: for a right side that is still catching up
    #[arg(long, value_name = "SECONDS", requires = "right", env = "TRANSLOAD_RECHECK", hide_env_values = true)]
    recheck: Option<u64>,
    /// Make documents that differ on the right what they are on the left: copies them once more, and DELETES those that
    /// the left side does not have; asks first
    #[arg(long, requires = "right", value_parser = BoolishValueParser::new(), env = "TRANSLOAD_REPAIR_TARGET", hide_env_values = true)]
    repair_target: bool,
    /// Do not ask before the right side is changed
    #[arg(long, requires = "repair_target", value_parser = BoolishValueParser::new(), env = "TRANSLOAD_YES", hide_env_values = true)]
    yes: bool,
    /// The file of findings: a line of JSON for each document that differs; removed if none does
    #[arg(
        long,
        value_name = "FILE",
        default_value = "transload-verify.jsonl",
        env = "TRANSLOAD_DIFFERENCES",
        hide_env_values = true
    )]
    differences: PathBuf,
    /// How many parts to compare at once
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=256), env = "TRANSLOAD_PARALLEL", hide_env_values = true)]
    parallel: u16,
    #[command(flatten)]
    connection: ConnectionArguments,
}

impl VerifyCommand {
    pub(super) async fn run(self, output: &Output, cancel: CancellationToken) -> Result<Outcome> {
        match &self.right {
            Some(right) => self.compare(right, output, cancel).await,
            None => self.scrub(output, cancel).await,
        }
    }

    async fn scrub(&self, output: &Output, cancel: CancellationToken) -> Result<Outcome> {
        if is_server(&self.left) {
            return Err(Error::new(ErrorKind::Usage, "a server is compared with another side, and none is named")
                .with_hint("transload verify LEFT RIGHT, each a server or an archive")
                .at("RIGHT"));
        }
        if self.selection.clone().options(self.rename.clone(), None) != SelectionOptions::default() {
            let message = "an archive alone is proven whole: --include, --exclude, --collections-file and --rename are for a comparison";
            return Err(Error::new(ErrorKind::Usage, message).at("RIGHT"));
        }
        let report = match self.left.as_str() {
            "-" => scrub_stream("standard input", stdin(), output.progress(), cancel).await?,
            path => scrub(&ArchiveFile::open_whole(archive_path(path)?)?, output.progress(), cancel).await?,
        };
        output.summary(&report, Outcome::Done, || {
            format!(
                "{}: whole: {} blocks, {} documents, {}",
                report.archive,
                HumanCount(report.blocks),
                HumanCount(report.documents),
                HumanBytes(report.bytes)
            )
        })
    }

    async fn compare(&self, right: &str, output: &Output, cancel: CancellationToken) -> Result<Outcome> {
        if self.repair_target && !self.yes && !stdin().is_terminal() {
            let message = "a repair asks first, and there is no terminal to ask on";
            return Err(Error::new(ErrorKind::Usage, message)
                .with_hint("without --repair-target it is shown what differs; --yes repairs without asking"));
        }
        if self.repair_target && !is_server(right) {
            return Err(Error::new(ErrorKind::Usage, "an archive cannot be repaired")
                .with_hint("dump it anew")
                .at("RIGHT"));
        }
        let left = self.side("LEFT", &self.left, output, &cancel).await?;
        let right = self.side("RIGHT", right, output, &cancel).await?;
        let options = VerifyOptions {
            selection: self.selection.clone().options(self.rename.clone(), None),
            ignore_field_order: self.ignore_field_order,
            sample: self.sample.map(|documents| Sampled { documents, seed: self.seed }),
            recheck: self.recheck.map(Duration::from_secs),
            findings: self.differences.clone(),
            parallel: usize::from(self.parallel),
            part_bytes: PART_BYTES,
        };
        let mut verification = verify(left, right, options, output.progress(), cancel.clone()).await?;
        let differing = verification.documents();
        if self.repair_target && differing.differences() > 0 {
            let copies = differing.differences() - differing.missing_left;
            let deletes = differing.missing_left;
            let question = format!(
                "On the right, write {copies} documents anew, and DELETE {deletes} that the left side does not have?"
            );
            if self.yes || output.confirm(&question, &cancel).await? {
                verification.repair(&output.progress(), cancel).await?;
            }
        }
        let report = verification.finish()?;
        let outcome = if report.is_equal() {
            Outcome::Done
        } else if report.documents.differences() == 0 && report.discrepancies.is_empty() {
            Outcome::Incomplete
        } else {
            Outcome::Different
        };
        output.summary(&report, outcome, || text(&report))
    }

    async fn side(&self, place: &str, argument: &str, output: &Output, cancel: &CancellationToken) -> Result<Side> {
        if is_server(argument) {
            let connections = usize::from(self.parallel);
            return self.connection.server(place, argument, connections, output, cancel).await.map(Side::Server);
        }
        if argument == "-" {
            return Err(Error::new(ErrorKind::Usage, "an archive is compared by its index, which a stream has last")
                .with_hint("write it to a file first")
                .at(place));
        }
        ArchiveFile::open_whole(archive_path(argument)?).map(Side::Archive)
    }
}

fn text(report: &VerifyReport) -> String {
    let mut table = Table::new(&[
        "namespace",
        "type",
        "left",
        "right",
        "missing right",
        "missing left",
        "different",
        "field order",
    ]);
    for namespace in &report.namespaces {
        let Counts { left, right, missing_right, missing_left, different, field_order, .. } = namespace.documents;
        let name = match namespace.right == namespace.namespace {
            true => printable(&namespace.namespace),
            false => format!("{} = {}", printable(&namespace.namespace), printable(&namespace.right)),
        };
        let counts = [left, right, missing_right, missing_left, different, field_order];
        let counts = counts.into_iter().map(|count| HumanCount(count).to_string());
        table.row([name, namespace.kind.to_owned()].into_iter().chain(counts).collect());
    }
    let mut text = table.to_string();
    let mut line = |start: &str, words: &str| text.push_str(&format!("{start}{}\n", printable(words)));
    for left_out in &report.left_out {
        line("not compared: ", &format!("{} ({})", left_out.namespace, left_out.reason));
    }
    for missing in &report.missing {
        line("not compared: ", missing);
    }
    for warning in &report.warnings {
        line("warning: ", warning);
    }
    for note in report.notes.iter().take(SHOWN) {
        line("note: ", note);
    }
    for discrepancy in report.discrepancies.iter().take(SHOWN) {
        line("different: ", &discrepancy.to_string());
    }
    if let Some(more) = report.discrepancies.len().checked_sub(SHOWN).filter(|more| *more > 0) {
        line("different: ", &format!("and {more} more"));
    }
    if report.resumed_parts > 0 {
        line("", &format!("{} parts were done by a comparison that was interrupted", report.resumed_parts));
    }
    if report.rechecked > 0 {
        line("", &format!("{} documents differed at first, and not when they were looked at again", report.rechecked));
    }
    if report.repaired > 0 {
        line("", &format!("{} documents were repaired, and are equal now", report.repaired));
    }
    text + &verdict(report)
}

fn verdict(report: &VerifyReport) -> String {
    let documents = &report.documents;
    let rate = documents.bytes as f64 / report.seconds.max(0.001);
    let sides = format!("{} and {}", report.left, report.right);
    let of = match report.sample {
        Some(sample) => format!("A SAMPLE ONLY (--sample {} --seed {})", sample.documents, sample.seed),
        None => "every document".to_owned(),
    };
    let compared = format!(
        "{of}: {} documents, {} in {:.1} s, {}/s",
        HumanCount(documents.left.max(documents.right)),
        HumanBytes(documents.bytes),
        report.seconds,
        HumanBytes(rate as u64)
    );
    match &report.findings {
        _ if report.equal => format!("EQUAL: {sides}; {compared}\n"),
        None if report.discrepancies.is_empty() => format!("NOT ALL COULD BE COMPARED: {sides}; {compared}\n"),
        findings => format!(
            "DIFFERENT: {sides}: {} documents{}, {} other differences; {compared}\n",
            HumanCount(documents.differences()),
            findings.as_ref().map_or_else(String::new, |file| format!(" (in {file})")),
            HumanCount(report.discrepancies.len() as u64),
        ),
    }
}
