//! `transload dump`.

use clap::{Args, builder::BoolishValueParser};
use indicatif::{HumanBytes, HumanCount};
use tokio_util::sync::CancellationToken;
use transload_format::Codec;

use super::{
    Outcome, Output,
    arguments::{ConnectionArguments, SelectionArguments, archive_path, rate},
    reading::{ReadingArguments, cursors},
    table::Table,
};
use crate::{
    archive::Destination,
    dump::{DumpOptions, check_sidecar, dump},
    error::Result,
    namespace::printable,
    rate::Rate,
    report::DumpReport,
    scan::{PART_BYTES, ReadOrder},
    selection::Selection,
};

/// Stream collections into an archive
///
/// Reads with several cursors at once, compresses, and writes one archive. The archive gets its name only when it is
/// complete and safe on the disk; until then, and after a failure, it is called ARCHIVE.partial.
#[derive(Args, Debug)]
pub(super) struct DumpCommand {
    /// The server: a connection string, env:NAME or @FILE; a database in it selects that database
    source: String,
    /// The archive to write, NAME.tlz by custom; `-` for standard output
    archive: String,
    #[command(flatten)]
    selection: SelectionArguments,
    /// How to compress: none, deflate[:0-9], zstd[:1-22]
    #[arg(long, default_value_t = Codec::default(), env = "TRANSLOAD_CODEC", hide_env_values = true)]
    codec: Codec,
    /// How many cursors to read with at once [default: 4 at first, then as many as the source is fastest with, up to 16]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256), env = "TRANSLOAD_PARALLEL", hide_env_values = true)]
    parallel: Option<u16>,
    /// Replace an archive of that name, or what an interrupted dump has left
    #[arg(long, value_parser = BoolishValueParser::new(), env = "TRANSLOAD_FORCE", hide_env_values = true)]
    force: bool,
    /// Read everything as of one cluster time, or fail
    ///
    /// For replica sets and clusters from 5.0 on, while writes go on. It has to be done within the server's window of
    /// history: 300 s, unless minSnapshotHistoryWindowInSeconds is more. Capped collections cannot be read so.
    #[arg(long, value_parser = BoolishValueParser::new(), env = "TRANSLOAD_CONSISTENT", hide_env_values = true)]
    consistent: bool,
    /// In which order to read documents: `id`, `natural`, or `auto`, which is by `_id` but for large collections whose `_id`s come in no order
    ///
    /// Natural order is that in which one member keeps its documents; it can be read in on replica sets and standalone servers from 5.0 on, of
    /// collections with more than one part (64 MiB). It costs the source less: where UUIDs or hashes do not fit into its cache, many times
    /// less. But if that member is started anew, or away for longer than --retry-for, the dump fails. And where the server's history does not
    /// reach over the whole of a collection, a document that is deleted and inserted anew meanwhile may be missing, or be there twice.
    #[arg(long, value_name = "ORDER", help_heading = "Reading", default_value_t = ReadOrder::Auto, env = "TRANSLOAD_READ_ORDER", hide_env_values = true)]
    read_order: ReadOrder,
    /// Take users and roles along, of all databases or of the one that is named; takes the role `backup`
    #[arg(long, value_parser = BoolishValueParser::new(), env = "TRANSLOAD_USERS_AND_ROLES", hide_env_values = true)]
    users_and_roles: bool,
    /// Read no more in a second, with all cursors together, than so many bytes of documents, as 20MB, or documents, as 5000docs
    #[arg(long, value_name = "RATE", help_heading = "Reading", value_parser = rate, env = "TRANSLOAD_MAX_RATE", hide_env_values = true)]
    max_rate: Option<Rate>,
    #[command(flatten)]
    reading: ReadingArguments,
    #[command(flatten)]
    connection: ConnectionArguments,
}

impl DumpCommand {
    pub(super) fn writes_to_stdout(&self) -> bool {
        self.archive == "-"
    }

    pub(super) async fn run(self, output: &Output, cancel: CancellationToken) -> Result<Outcome> {
        let cursors = cursors(self.parallel);
        let destination = match self.archive.as_str() {
            "-" => Destination::Stdout,
            path => Destination::File { path: archive_path(path)?.into(), replace: self.force },
        };
        destination.check()?;
        check_sidecar(&destination)?;
        let server = self.connection.server("SOURCE", &self.source, cursors.most(), output, &cancel).await?;
        let server = self.reading.read_preference.map_or(server.clone(), |reads| server.reading(reads));
        let default_database = server.default_database().map(str::to_owned);
        let selection = Selection::new(&self.selection.options(Vec::new(), default_database))?;
        let options = DumpOptions {
            selection,
            destination,
            codec: self.codec,
            cursors,
            part_bytes: PART_BYTES,
            parts: self.reading.parts,
            read_order: self.read_order,
            max_rate: self.max_rate,
            users_and_roles: self.users_and_roles,
            consistent: self.consistent,
        };
        let progress = output.progress();
        let report = dump(&server, options, progress, cancel).await?;
        let outcome = if report.missing.is_empty() { Outcome::Done } else { Outcome::Incomplete };
        output.summary(&report, outcome, || text(&report))
    }
}

fn text(report: &DumpReport) -> String {
    let mut table = Table::new(&["namespace", "type", "documents", "bytes", "stored", "indexes"]);
    for namespace in &report.namespaces {
        table.row(vec![
            printable(&namespace.namespace),
            namespace.kind.to_owned(),
            HumanCount(namespace.documents).to_string(),
            HumanBytes(namespace.bytes).to_string(),
            HumanBytes(namespace.stored_bytes).to_string(),
            namespace.indexes.to_string(),
        ]);
    }
    let mut text = table.to_string();
    for left_out in &report.left_out {
        text.push_str(&format!("not copied: {} ({})\n", printable(&left_out.namespace.to_string()), left_out.reason));
    }
    for bad in &report.bad_indexes {
        let index = format!("{} {}", printable(&bad.namespace), printable(&bad.index));
        match &bad.reason {
            Some(reason) => text.push_str(&format!("bad index: {index}: will not be built: {}\n", printable(reason))),
            None => {
                for repair in &bad.repairs {
                    text.push_str(&format!(
                        "bad index: {index}: will be repaired: {}\n",
                        printable(&repair.to_string())
                    ));
                }
            }
        }
    }
    if !report.natural_order.is_empty() {
        let names: Vec<_> = report.natural_order.iter().map(|name| printable(name)).collect();
        text.push_str(&format!("read in natural order, instead of by _id: {}\n", names.join(", ")));
    }
    if report.retries > 0 {
        text.push_str(&format!(
            "{} times something was tried again after an error; nothing was lost or doubled by that\n",
            report.retries
        ));
    }
    text.push_str(&format!("consistency: {}\n", report.consistency));
    let rate = report.bytes as f64 / report.seconds.max(0.001);
    text.push_str(&format!(
        "{}: {} documents, {} in {} ({}) in {:.1} s, {}/s\n",
        report.archive,
        HumanCount(report.documents),
        HumanBytes(report.bytes),
        HumanBytes(report.archive_bytes),
        report.codec,
        report.seconds,
        HumanBytes(rate as u64),
    ));
    if !report.missing.is_empty() {
        text.push_str("INCOMPLETE: what the warnings above call missing is not in the archive\n");
    }
    text
}
