//! `transload bench`.

use std::path::{Path, PathBuf};

use clap::{Args, builder::BoolishValueParser};
use indicatif::{HumanBytes, HumanCount};
use tokio_util::sync::CancellationToken;
use transload_format::Codec;

use super::{
    Outcome, Output,
    arguments::{ConnectionArguments, SelectionArguments, scale},
    table::Table,
};
use crate::{
    bench::{BenchOptions, BenchReport, CURSORS, Row, Sweep, Way, bench, page},
    error::{Error, ErrorKind, Result},
    namespace::printable,
    replace::{put_new, replace},
};

/// Measure dump and restore, stage by stage; with no SOURCE, on a throwaway server
///
/// Dumps to nothing, to memory and to the disk, and restores to a throwaway server; beside mongodump and mongorestore, if
/// they are on PATH. A SOURCE is only read. Says how long each stage took, and what held the dump back.
#[derive(Args, Debug)]
pub(super) struct BenchCommand {
    /// The server: a connection string, env:NAME or @FILE; a database in it selects that database
    source: Option<String>,
    #[command(flatten)]
    selection: SelectionArguments,
    /// Without SOURCE, how much data: 1 is 1,000,000 orders, 300,000 events and 15,000 blobs, about 1 GB
    #[arg(long, default_value_t = 0.1, value_parser = scale, env = "TRANSLOAD_SCALE", hide_env_values = true)]
    scale: f64,
    /// How often to measure each, after once to warm up
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=1000), env = "TRANSLOAD_RUNS", hide_env_values = true)]
    runs: u16,
    /// How many cursors and insert commands to have in flight at once
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=256), env = "TRANSLOAD_PARALLEL", hide_env_values = true)]
    parallel: u16,
    /// How to compress: none, deflate[:0-9], zstd[:1-22]
    #[arg(long, default_value_t = Codec::default(), env = "TRANSLOAD_CODEC", hide_env_values = true)]
    codec: Codec,
    /// Dump to nothing with 1, 2, 4 and 8 cursors and each of several codecs, too
    #[arg(long, value_parser = BoolishValueParser::new(), env = "TRANSLOAD_SWEEP", hide_env_values = true)]
    sweep: bool,
    /// Put the archives, and the data of throwaway servers, into a folder in DIR, which is removed afterwards
    #[arg(long, value_name = "DIR", env = "TRANSLOAD_DIR", hide_env_values = true)]
    dir: Option<PathBuf>,
    /// Write a page with all figures and plots, for a browser
    #[arg(long, value_name = "FILE.html", env = "TRANSLOAD_REPORT", hide_env_values = true)]
    report: Option<PathBuf>,
    /// Replace the page if there is one
    #[arg(long, value_parser = BoolishValueParser::new(), env = "TRANSLOAD_FORCE", hide_env_values = true)]
    force: bool,
    #[command(flatten)]
    connection: ConnectionArguments,
}

impl BenchCommand {
    pub(super) async fn run(self, output: &Output, cancel: CancellationToken) -> Result<Outcome> {
        self.check()?;
        let parallel = usize::from(self.parallel);
        let source = match &self.source {
            Some(source) => {
                let connections = CURSORS.into_iter().chain([parallel]).max().unwrap_or(parallel);
                Some(self.connection.server("SOURCE", source, connections, output, &cancel).await?)
            }
            None => None,
        };
        let default_database = source.as_ref().and_then(|server| server.default_database()).map(str::to_owned);
        let options = BenchOptions {
            command: self.command(),
            selection: self.selection.options(Vec::new(), default_database),
            scale: self.scale,
            runs: usize::from(self.runs),
            parallel,
            codec: self.codec,
            sweep: self.sweep,
            directory: self.dir,
        };
        let report = bench(source, options, output.progress(), cancel).await?;
        let outcome = if report.left_out.is_empty() { Outcome::Done } else { Outcome::Incomplete };
        // What took so long to measure is in the one, if the other cannot be written.
        let printed = match output.is_json() {
            true => output.summary(&report, outcome, String::new),
            false => output.data(text(&report).trim_end()).map(|()| outcome),
        };
        if let Some(path) = &self.report {
            let page = page(&report);
            if self.force { replace(path, page.as_bytes()) } else { put_new(path, page.as_bytes()) }?;
            if !output.is_json() && !output.is_quiet() {
                output.note(&format!("the page is {}", path.display()));
            }
        }
        printed
    }

    /// What can be known to be wrong before anything is measured.
    fn check(&self) -> Result<()> {
        if self.source.is_none() && !self.selection.is_empty() {
            let message =
                "--include, --exclude and --collections-file select collections of a SOURCE, and there is none";
            return Err(Error::new(ErrorKind::Usage, message));
        }
        if let Some(directory) = self.dir.as_deref().filter(|directory| !directory.is_dir()) {
            let error = Error::new(ErrorKind::NotFound, "there is no such directory").with_hint("make it first");
            return Err(error.at(directory.display().to_string()));
        }
        match &self.report {
            Some(path) => check_page(path, self.force),
            None => Ok(()),
        }
    }

    /// The command, as it can be used again; without the connection string.
    fn command(&self) -> String {
        let mut words = vec!["transload bench".to_owned()];
        match self.source.is_some() {
            true => words.push("SOURCE".to_owned()),
            false => words.push(format!("--scale {}", self.scale)),
        }
        words.push(format!("--runs {} --parallel {} --codec {}", self.runs, self.parallel, self.codec));
        words.extend(self.selection.words());
        words.extend(self.sweep.then(|| "--sweep".to_owned()));
        words.join(" ")
    }
}

/// A page is only put where nothing is, unless it may be replaced, and where there is a directory.
fn check_page(path: &Path, may_replace: bool) -> Result<()> {
    let place = path.display().to_string();
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if path.is_dir() {
        return Err(Error::new(ErrorKind::Usage, "is a directory: name the page in it").at(place));
    }
    if path.exists() && !may_replace {
        return Err(Error::new(ErrorKind::AlreadyExists, "exists already").with_hint("--force replaces it").at(place));
    }
    if !folder.is_dir() {
        let message = format!("there is no directory {}", folder.display());
        return Err(Error::new(ErrorKind::NotFound, message).with_hint("make it first").at(place));
    }
    Ok(())
}

fn text(report: &BenchReport) -> String {
    let mut text = format!(
        "{}: {} documents, {}; medians of {}, after one to warm up\n\n",
        report.data.what,
        HumanCount(report.data.documents),
        HumanBytes(report.data.bytes),
        runs(report.runs),
    );
    for way in [Way::Dump, Way::Restore] {
        let rows: Vec<&Row> = report.rows.iter().filter(|row| row.way == way).collect();
        if !rows.is_empty() {
            text.push_str(&format!("{}\n", table(way, &rows)));
        }
    }
    text.push_str(&stages(report));
    text.push_str(&format!("bottleneck: {}\n", report.bottleneck));
    if let Some(sweep) = &report.sweep {
        text.push_str(&format!("\n{}", cells(sweep)));
    }
    text.push_str(&format!(
        "\n{}, {} cores, {}; transload {} ({}); MongoDB {} on {}\n",
        report.machine.processor,
        report.machine.cores,
        report.machine.system,
        report.version,
        report.build,
        report.server,
        report.source,
    ));
    for tool in &report.tools {
        text.push_str(&format!("{} {}\n", tool.name, tool.version));
    }
    for left_out in &report.left_out {
        text.push_str(&format!("NOT MEASURED: {}: {}\n", left_out.name, printable(&left_out.reason)));
    }
    text
}

fn runs(count: usize) -> String {
    if count == 1 { "1 run".to_owned() } else { format!("{count} runs") }
}

fn table(way: Way, rows: &[&Row]) -> Table {
    let name = if way == Way::Dump { "dump" } else { "restore" };
    let mut table = Table::new(&[name, "seconds", "min", "max", "MB/s", "cpu s", "peak MiB", "written"]);
    let or_dash = |cell: Option<String>| cell.unwrap_or_else(|| "-".to_owned());
    for row in rows {
        table.row(vec![
            row.name.clone(),
            format!("{:.2}", row.seconds.median),
            format!("{:.2}", row.seconds.min),
            format!("{:.2}", row.seconds.max),
            format!("{:.0}", row.bytes_per_second / 1e6),
            or_dash(row.cpu_seconds.map(|seconds| format!("{seconds:.2}"))),
            or_dash(row.peak_bytes.map(|bytes| (bytes >> 20).to_string())),
            or_dash(row.written_bytes.map(|bytes| HumanBytes(bytes).to_string())),
        ]);
    }
    table
}

/// Where the time of each dump went: seconds, and shares of the time in which anything was done.
fn stages(report: &BenchReport) -> String {
    let mut table =
        Table::new(&["busy seconds", "server", "copy", "compress", "checksum", "write", "held back", "memory"]);
    for row in &report.rows {
        let Some(stages) = &row.stages else { continue };
        let mut cells = vec![row.name.clone()];
        cells.extend(stages.stages.iter().map(|stage| format!("{:.2} ({:.0} %)", stage.seconds, stage.share * 100.0)));
        cells.extend([stages.held_seconds, stages.memory_seconds].map(|seconds| format!("{seconds:.2}")));
        table.row(cells);
    }
    table.to_string()
}

fn cells(sweep: &Sweep) -> Table {
    let heads: Vec<String> = sweep.codecs.clone();
    let mut head = vec!["MB/s by cursors"];
    head.extend(heads.iter().map(String::as_str));
    let mut table = Table::new(&head);
    for cursors in &sweep.cursors {
        let of = sweep.cells.iter().filter(|cell| cell.cursors == *cursors);
        let mut row = vec![cursors.to_string()];
        row.extend(of.map(|cell| format!("{:.0}", cell.bytes_per_second / 1e6)));
        table.row(row);
    }
    table
}
