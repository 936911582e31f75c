//! `transload restore`.

use std::path::PathBuf;

use clap::{Args, ValueEnum, builder::BoolishValueParser};
use indicatif::{HumanBytes, HumanCount};
use tokio_util::sync::CancellationToken;

use super::{
    Outcome, Output,
    arguments::{ConnectionArguments, SelectionArguments, archive_path, rate},
    table::Table,
};
use crate::{
    archive::ArchiveFile,
    error::Result,
    namespace::{Namespace, printable},
    rate::Rate,
    report::RestoreReport,
    restore::{Existing, IndexPolicy, IndexSource, RestoreOptions, Source, restore},
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
    /// Build the indexes of this sidecar [default: NAME.indexes.json beside the archive, else what the archive holds]
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with = "no_indexes",
        help_heading = "Indexes",
        env = "TRANSLOAD_INDEXES",
        hide_env_values = true
    )]
    indexes: Option<PathBuf>,
    /// Build no indexes but those that come with the collections
    #[arg(long, help_heading = "Indexes", value_parser = BoolishValueParser::new(), env = "TRANSLOAD_NO_INDEXES", hide_env_values = true)]
    no_indexes: bool,
    /// What to do with index specs that servers do not take as they are
    #[arg(long, value_name = "POLICY", help_heading = "Indexes", value_enum, default_value_t = Policy::Repair, env = "TRANSLOAD_INDEX_POLICY", hide_env_values = true)]
    index_policy: Policy,
    /// Merge the archive's users and roles into the target's, which all stay; takes the role `restore`
    #[arg(long, value_parser = BoolishValueParser::new(), env = "TRANSLOAD_USERS_AND_ROLES", hide_env_values = true)]
    users_and_roles: bool,
    /// Print the plan and touch nothing
    #[arg(long, value_parser = BoolishValueParser::new(), env = "TRANSLOAD_DRY_RUN", hide_env_values = true)]
    dry_run: bool,
    /// Do not read the archive once before loading it; damage is then found on the way
    #[arg(long, value_parser = BoolishValueParser::new(), env = "TRANSLOAD_NO_CHECK", hide_env_values = true)]
    no_check: bool,
    /// How many insert commands, and index builds, to have in flight at once
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=256), env = "TRANSLOAD_PARALLEL", hide_env_values = true)]
    parallel: u16,
    /// Load no more in a second, with all insert commands together, than so many bytes of documents, as 20MB, or documents, as 5000docs
    #[arg(long, value_name = "RATE", value_parser = rate, env = "TRANSLOAD_MAX_RATE", hide_env_values = true)]
    max_rate: Option<Rate>,
    #[command(flatten)]
    connection: ConnectionArguments,
}

/// What to do with bad index specs.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Policy {
    /// Repair what can be repaired, and report it
    Repair,
    /// Refuse the restore before anything is written, and list all of them
    Strict,
    /// Leave them out; the restore then ends with exit code 3
    Skip,
}

impl From<Policy> for IndexPolicy {
    fn from(policy: Policy) -> Self {
        match policy {
            Policy::Repair => IndexPolicy::Repair,
            Policy::Strict => IndexPolicy::Strict,
            Policy::Skip => IndexPolicy::Skip,
        }
    }
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
            indexes: match (self.indexes, self.no_indexes) {
                (Some(path), _) => IndexSource::File(path),
                (None, true) => IndexSource::None,
                (None, false) => IndexSource::Beside,
            },
            index_policy: self.index_policy.into(),
            users_and_roles: self.users_and_roles,
            parallel,
            max_rate: self.max_rate,
        };
        let report = restore(source, &server, options, output.progress(), cancel).await?;
        let outcome = if report.is_whole() { Outcome::Done } else { Outcome::Incomplete };
        output.summary(&report, outcome, || text(&report))
    }
}

/// What became of indexes that were not as servers take them.
fn push_indexes(report: &RestoreReport, text: &mut String) {
    let place =
        |namespace: &Namespace, index: &str| format!("{} {}", printable(&namespace.to_string()), printable(index));
    let (repaired_word, merged_word, failed_word) = match report.dry_run {
        true => ("will be repaired", "will be merged", "will not be built"),
        false => ("repaired", "merged", "not built"),
    };
    let mut routine = 0;
    for repaired in &report.repaired_indexes {
        for repair in &repaired.repairs {
            if repair.kind.is_routine() {
                routine += 1;
            } else {
                let index = place(&repaired.namespace, &repaired.index);
                text.push_str(&format!("{repaired_word}: {index}: {}\n", printable(&repair.to_string())));
            }
        }
    }
    for merged in &report.merged_indexes {
        text.push_str(&format!(
            "{merged_word}: {}: {}\n",
            place(&merged.namespace, &merged.index),
            printable(&merged.reason)
        ));
    }
    for failure in &report.failed_indexes {
        let index = place(&failure.namespace, &failure.index);
        text.push_str(&format!(
            "{failed_word}: {index}: {}\n  its spec: {}\n",
            failure.reason,
            printable(&failure.spec)
        ));
    }
    if routine > 0 {
        text.push_str(&format!(
            "{routine} index options that mean the same in fewer or other words; --json names them\n"
        ));
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
    push_indexes(report, &mut text);
    for left_out in &report.left_out {
        let namespace = printable(&left_out.namespace.to_string());
        text.push_str(&format!("not restored: {namespace} ({})\n", left_out.reason));
    }
    if report.users + report.roles > 0 {
        text.push_str(&format!("merged: {} users, {} roles\n", report.users, report.roles));
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
