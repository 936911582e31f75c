//! The verb `bench`: how fast a deployment can be dumped and restored, and what holds it back.
//!
//! ```text
//! drain            the same cursors, documents thrown away: the limit that the server sets
//! dump to nothing  all of the pipeline, with compression and checksums, and no output
//! dump to memory, dump to disk, restore            the verbs themselves, within this process, with their stages
//! transload, mongodump, mongorestore               whole processes, so that processor time and memory can be compared
//! ```
//! Everything is run in turns, after a round that warms server and caches. A source is only read. Restores go to a throwaway
//! server.

mod contender;
mod drain;
mod listener;
mod machine;
mod page;
mod peers;
mod process;
mod report;
mod spread;
mod stages;
mod sweep;
mod throwaway;

use std::{path::PathBuf, sync::Arc, time::Instant};

use tokio_util::sync::CancellationToken;
use transload_format::Codec;

use self::{
    contender::{Contender, Place, What, in_turns, unless_stopped},
    peers::{Scope, our_dump, our_restore, their_dump, their_restore},
    throwaway::Throwaway,
};
use crate::{
    archive::Destination,
    connect::Server,
    error::{ErrorKind, Result},
    namespace::Namespace,
    progress::Progress,
    report::DumpReport,
    sandbox::Directory,
    selection::{Selection, SelectionOptions},
    shop::{self, Shop},
};

pub use machine::Machine;
pub use page::page;
pub use peers::version_of;
pub use process::{Ended, Usage, timed, usage_of};
pub use report::{BenchReport, Cell, Data, DataOf, LeftOutRow, Row, Run, Sample, Sweep, Tool, Way};
pub use spread::Spread;
pub use stages::{StageTime, Stages};
pub use sweep::{CODECS, CURSORS};

/// The database of the throwaway source.
const DATABASE: &str = "shop";
/// The seed of its data.
const SEED: u64 = 1;
/// The archive of the dump to disk, in the folder of the bench.
const ARCHIVE: &str = "bench.tlz";
/// The flags with which mongorestore is fastest.
const BEST_FLAGS: [&str; 2] = ["--numParallelCollections=4", "--numInsertionWorkersPerCollection=4"];

/// What to measure.
#[derive(Clone, Debug)]
pub struct BenchOptions {
    /// The command, as the report is to name it.
    pub command: String,
    /// Which collections of a source. Without a source, all of the shop.
    pub selection: SelectionOptions,
    /// How much of the shop, without a source: 1 is 1,000,000 orders.
    pub scale: f64,
    /// How often each row is measured, after one run that warms.
    pub runs: usize,
    /// Cursors, and insert commands, at once.
    pub parallel: usize,
    /// How blocks are compressed.
    pub codec: Codec,
    /// Whether to try other numbers of cursors and other codecs, too.
    pub sweep: bool,
    /// Where the archives go, and the data of throwaway servers: a folder in there, which is removed afterwards. The system's place
    /// for temporary files by default.
    pub directory: Option<PathBuf>,
}

/// Measures dump and restore of `source`, which is only read; of a throwaway server with the shop if there is none.
///
/// # Errors
/// When no server can be had for a source, or a dump fails. What only concerns restores, or other programs, is left out
/// instead, and the report says so. [`ErrorKind::Interrupted`] when `cancel` was called; then nothing is left behind.
pub async fn bench(
    source: Option<Server>,
    options: BenchOptions,
    progress: Arc<dyn Progress>,
    cancel: CancellationToken,
) -> Result<BenchReport> {
    let (begun, date) = (Instant::now(), bson::DateTime::now().try_to_rfc3339_string().unwrap_or_default());
    let parent = options.directory.clone().unwrap_or_else(std::env::temp_dir);
    let folder = Directory::create(&parent, "transload-bench-").await?;
    // Until the end.
    let mut throwaway = None;
    let (source, selection, what) = match source {
        Some(source) => {
            let what = source.place();
            (source, options.selection.clone(), what)
        }
        None => {
            progress.stage("starting a throwaway server", None, None);
            let set = unless_stopped(&cancel, Throwaway::start(&options, &*progress, false)).await?;
            let server = unless_stopped(&cancel, set.server(Some(DATABASE), &options)).await?;
            progress.stage("loading the shop", None, None);
            let shop = Shop { seed: SEED, scale: options.scale };
            unless_stopped(&cancel, shop::load(&server, DATABASE, &shop)).await?;
            throwaway = Some(set);
            let selection =
                SelectionOptions { default_database: Some(DATABASE.to_owned()), ..options.selection.clone() };
            (server, selection, "a throwaway server on this machine".to_owned())
        }
    };
    let place = Place {
        selection: Selection::new(&selection)?,
        source,
        folder: folder.path().to_owned(),
        progress: Arc::clone(&progress),
        cancel,
    };
    let mut report = BenchReport {
        command: options.command.clone(),
        begun: date,
        version: env!("CARGO_PKG_VERSION"),
        build: if cfg!(debug_assertions) { "debug" } else { "release" },
        machine: Machine::this(),
        server: place.source.version().to_string(),
        source: what,
        target: None,
        tools: peers::tools(),
        data: Data::default(),
        runs: options.runs,
        parallel: options.parallel,
        codec: options.codec.to_string(),
        rows: Vec::new(),
        bottleneck: String::new(),
        sweep: None,
        left_out: Vec::new(),
        warnings: Vec::new(),
        seconds: 0.0,
    };
    if report.build == "debug" {
        warn(&mut report, &place, "this is a debug build: its figures are no measure".to_owned());
    }
    dumps(&options, &selection, &place, &mut report).await?;
    if throwaway.is_some() {
        report.data.what = format!("the shop at scale {}", options.scale);
    }
    if options.sweep {
        report.sweep = Some(sweep::sweep(&options, &place, report.data.bytes).await?);
    }
    match restores(&options, &place, throwaway.is_none(), &mut report).await {
        Err(error) if place.cancel.is_cancelled() || error.kind() == ErrorKind::Interrupted => return Err(error),
        Err(error) => leave_out(&mut report, &place, "restore", error.to_string()),
        Ok(()) => {}
    }
    drop(throwaway);
    report.seconds = begun.elapsed().as_secs_f64();
    Ok(report)
}

/// Measures everything that reads the source.
async fn dumps(
    options: &BenchOptions,
    selection: &SelectionOptions,
    place: &Place,
    report: &mut BenchReport,
) -> Result<()> {
    let to = |name, command: &str, destination| {
        Contender::new(name, command.to_owned(), What::Dump(destination, options.codec), options.parallel)
    };
    let archive = Destination::File { path: place.folder.join(ARCHIVE), replace: true };
    let (codec, parallel) = (options.codec, options.parallel);
    let how = format!("{parallel} cursors, {codec}");
    let drained = format!("{parallel} cursors, documents thrown away");
    let mut contenders = vec![
        Contender::new("drain", drained, What::Drain, parallel),
        to("dump to nothing", &format!("{how}, output counted and thrown away"), Destination::Nothing),
        to("dump to memory", &format!("{how}, output copied into memory"), Destination::Memory),
        to("dump to disk", &format!("{how}, output written and synced"), archive),
        Contender::process("transload dump", our_dump(place.source.uri(), selection, &codec.to_string(), parallel)?),
    ];
    // What is selected, and how many it is, a dump tells.
    place.progress.stage("looking at what there is", None, None);
    let catalog = place.unless_stopped(crate::catalog::read(&place.source, &place.selection)).await?;
    let taken: Vec<Namespace> = catalog.entries.into_iter().map(|entry| entry.namespace).collect();
    if report.tools.iter().any(|tool| tool.name == "mongodump") {
        match Scope::of(selection, &taken) {
            Some(scope) => {
                let call = |compressed| their_dump(place.source.uri(), &scope, compressed);
                contenders.push(Contender::process("mongodump", call(false)));
                contenders.push(Contender::process("mongodump --gzip", call(true)));
            }
            None => warn(report, place, "mongodump is left out: it cannot be told this selection".to_owned()),
        }
    }
    in_turns(&mut contenders, options.runs, place, None, async || Ok(())).await?;
    let dumped = contenders.iter_mut().find_map(|contender| contender.dumped.take());
    report.data = dumped.map_or_else(Data::default, |dumped| data(&dumped));
    keep(contenders, Way::Dump, place, report);
    let disk = report.row("dump to disk").and_then(|row| row.stages.as_ref());
    report.bottleneck = disk.map(|stages| stages.bottleneck.clone()).unwrap_or_default();
    Ok(())
}

/// Measures restores to a throwaway server, of what the dumps have written.
async fn restores(
    options: &BenchOptions,
    place: &Place,
    is_of_real_data: bool,
    report: &mut BenchReport,
) -> Result<()> {
    place.progress.stage("starting a throwaway server to restore to", None, None);
    let set = place.unless_stopped(Throwaway::start(options, &*place.progress, is_of_real_data)).await?;
    let server = place.unless_stopped(set.server(None, options)).await?;
    report.target = Some(server.version().to_string());
    let command = format!("{} insert commands at once, every block checked first", options.parallel);
    let what = What::Restore(place.folder.join(ARCHIVE));
    let mut contenders = vec![
        Contender::new("restore", command, what, options.parallel),
        Contender::process("transload restore", our_restore(server.uri(), options.parallel)?),
    ];
    let is_dumped = report.row("mongodump").is_some();
    if is_dumped && report.tools.iter().any(|tool| tool.name == "mongorestore") {
        contenders.push(Contender::process("mongorestore", their_restore(server.uri(), &[])));
        contenders.push(Contender::process("mongorestore, best flags", their_restore(server.uri(), &BEST_FLAGS)));
    }
    in_turns(&mut contenders, options.runs, place, Some(&server), async || set.empty().await).await?;
    keep(contenders, Way::Restore, place, report);
    Ok(())
}

/// Puts what was measured into the report.
fn keep(contenders: Vec<Contender>, way: Way, place: &Place, report: &mut BenchReport) {
    let (bytes, cores) = (report.data.bytes, report.machine.cores);
    for mut contender in contenders {
        for reason in std::mem::take(&mut contender.not_whole) {
            let name = if way == Way::Dump { "some of the data" } else { "some of the restore" };
            if !report.left_out.iter().any(|row| row.name == name && row.reason == reason) {
                leave_out(report, place, name, reason);
            }
        }
        match contender.failed.take() {
            Some(error) => leave_out(report, place, &contender.name, error.to_string()),
            None => {
                let drained = report.row("drain").map(|row| row.seconds.median);
                report.rows.push(contender.row(way, bytes, cores, drained));
            }
        }
    }
}

fn leave_out(report: &mut BenchReport, place: &Place, name: &str, reason: String) {
    place.progress.warn(&format!("{name} is left out: {reason}"));
    report.left_out.push(LeftOutRow { name: name.to_owned(), reason });
}

fn warn(report: &mut BenchReport, place: &Place, message: String) {
    place.progress.warn(&message);
    report.warnings.push(message);
}

fn data(dumped: &DumpReport) -> Data {
    let of = |namespace: &crate::report::NamespaceReport| DataOf {
        namespace: namespace.namespace.clone(),
        documents: namespace.documents,
        bytes: namespace.bytes,
    };
    Data {
        what: "what is selected of the source".to_owned(),
        documents: dumped.documents,
        bytes: dumped.bytes,
        collections: dumped.namespaces.iter().map(of).collect(),
    }
}
