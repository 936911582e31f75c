//! `transload restore`.

use clap::{Args, builder::BoolishValueParser};
use indicatif::{HumanBytes, HumanCount};
use tokio_util::sync::CancellationToken;

use super::{
    Outcome, Output,
    arguments::{ConnectionArguments, SelectionArguments, archive_path},
    table::Table,
};
use crate::{
    archive::ArchiveFile,
    error::Result,
    namespace::printable,
    report::RestoreReport,
    restore::{Existing, RestoreOptions, Source, restore},
};

/// Load an archive into a server
///
/// Creates the collections with their options, inserts in parallel, builds the indexes, then the views. Nothing is
/// written before everything that will be loaded has been checked, and the target is known to be free. Exit code 3 says
/// that the target did not take everything; the report names what and why.
#[derive(Args, Debug)]
pub(super) struct RestoreCommand {
    /// The archive to read; `-` for standard input, which cannot be checked before it is loaded: damage ends the restore with exit code 1, and what came before it stays
    archive: String,
    /// The server: a connection string, env:NAME or @FILE; a database in it selects what goes to that database
    target: String,
    #[command(flatten)]
    selection: SelectionArguments,
    /// Restore under another name: globs, `shop.*=copy.*`, with each `*` carried over (repeatable)
    #[arg(long, value_name = "FROM=TO", help_heading = "Selecting", env = "TRANSLOAD_RENAME", hide_env_values = true)]
    rename: Vec<String>,
    /// Drop collections of the target that are in the archive, by name, before loading
    #[arg(long, conflicts_with = "append", value_parser = BoolishValueParser::new(), env = "TRANSLOAD_DROP", hide_env_values = true)]
    drop: bool,
    /// Load into collections that exist; a document whose `_id` exists is left as it is, counted and reported
    #[arg(long, value_parser = BoolishValueParser::new(), env = "TRANSLOAD_APPEND", hide_env_values = true)]
    append: bool,
    /// Build no indexes but those on `_id`
    #[arg(long, value_parser = BoolishValueParser::new(), env = "TRANSLOAD_NO_INDEXES", hide_env_values = true)]
    no_indexes: bool,
    /// Print the plan and touch nothing
    #[arg(long, value_parser = BoolishValueParser::new(), env = "TRANSLOAD_DRY_RUN", hide_env_values = true)]
    dry_run: bool,
    /// Do not read the archive once before loading it; damage is then found on the way
    #[arg(long, value_parser = BoolishValueParser::new(), env = "TRANSLOAD_NO_CHECK", hide_env_values = true)]
    no_check: bool,
    /// How many insert commands, and index builds, to have in flight at once
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=256), env = "TRANSLOAD_PARALLEL", hide_env_values = true)]
    parallel: u16,
    #[command(flatten)]
    connection: ConnectionArguments,
}

impl RestoreCommand {
    pub(super) async fn run(self, output: &Output, cancel: CancellationToken) -> Result<Outcome> {
        let parallel = usize::from(self.parallel);
        let source = match self.archive.as_str() {
            "-" => Source::Stream("standard input", Box::new(std::io::stdin())),
            path => Source::File(ArchiveFile::open_whole(archive_path(path)?)?),
        };
        let server = self.connection.server("TARGET", &self.target, parallel, output, &cancel).await?;
        let options = RestoreOptions {
            selection: self.selection.options(self.rename, None),
            existing: match (self.drop, self.append) {
                (true, _) => Existing::Drop,
                (_, true) => Existing::Append,
                _ => Existing::Refuse,
            },
            dry_run: self.dry_run,
            check: !self.no_check,
            indexes: !self.no_indexes,
            parallel,
        };
        let report = restore(source, &server, options, output.progress(), cancel).await?;
        let outcome = if report.is_whole() { Outcome::Done } else { Outcome::Incomplete };
        output.summary(&report, outcome, || text(&report))
    }
}

fn text(report: &RestoreReport) -> String {
    let mut table = if report.dry_run {
        Table::new(&["archive", "target", "type", "action", "documents", "indexes"])
    } else {
        Table::new(&["archive", "target", "type", "inserted", "duplicate", "refused", "indexes"])
    };
    for namespace in &report.namespaces {
        let mut row = vec![
            printable(&namespace.source.to_string()),
            printable(&namespace.target.to_string()),
            namespace.kind.to_owned(),
        ];
        if report.dry_run {
            row.push(namespace.action.to_owned());
            row.push(HumanCount(namespace.documents).to_string());
            row.push(namespace.indexes.to_string());
        } else {
            row.extend(
                [namespace.inserted, namespace.duplicates, namespace.refused].map(|n| HumanCount(n).to_string()),
            );
            row.push(match namespace.indexes_built == namespace.indexes {
                true => namespace.indexes.to_string(),
                false => format!("{} of {}", namespace.indexes_built, namespace.indexes),
            });
        }
        table.row(row);
    }
    let mut text = table.to_string();
    for rejected in &report.rejected {
        text.push_str(&format!(
            "not loaded: {} _id {}: {}\n",
            printable(&rejected.namespace.to_string()),
            rejected.id,
            rejected.reason
        ));
    }
    for failure in &report.failed_indexes {
        text.push_str(&format!(
            "not built: {} {}: {}\n",
            printable(&failure.namespace.to_string()),
            printable(&failure.index),
            failure.reason
        ));
    }
    if report.dry_run {
        text.push_str("a plan only: nothing was written\n");
        return text;
    }
    let rate = report.bytes as f64 / (report.seconds - report.index_seconds).max(0.001);
    text.push_str(&format!(
        "{}: {} of {} documents, {} in {:.1} s ({:.1} s of it for indexes), {}/s\n",
        report.target,
        HumanCount(report.inserted),
        HumanCount(report.documents),
        HumanBytes(report.bytes),
        report.seconds,
        report.index_seconds,
        HumanBytes(rate as u64),
    ));
    if !report.is_whole() {
        text.push_str("INCOMPLETE: the target did not take everything\n");
    }
    text
}
