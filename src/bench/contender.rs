//! One thing to measure, and its turns with others.

use std::{path::PathBuf, sync::Arc, time::Instant};

use tokio_util::sync::CancellationToken;
use transload_format::Codec;

use super::{Row, Run, Spread, Stages, Way, drain::drain, listener::Listener, peers::Call, stages::Busy, usage_of};
use crate::{
    archive::{ArchiveFile, Destination},
    connect::Server,
    dump::{Cursors, DumpOptions, measured},
    error::{Error, Result},
    progress::Progress,
    report::DumpReport,
    restore::{Existing, IndexPolicy, IndexSource, RestoreOptions, Source, restore},
    scan::{PART_BYTES, ReadOrder},
    selection::{Selection, SelectionOptions},
    timing::Timing,
};

/// What is measured.
#[derive(Clone, Debug)]
pub(super) enum What {
    /// Cursors alone.
    Drain,
    /// The dump within this process.
    Dump(Destination, Codec),
    /// The restore of an archive within this process.
    Restore(PathBuf),
    /// A process.
    Process(Call),
}

/// What is measured, under a name, and what came of it so far.
#[derive(Debug)]
pub(super) struct Contender {
    pub(super) name: String,
    pub(super) command: String,
    pub(super) what: What,
    /// How many cursors or insert commands at once.
    pub(super) parallel: usize,
    pub(super) runs: Vec<Run>,
    busy: Vec<Busy>,
    /// The last dump within this process.
    pub(super) dumped: Option<DumpReport>,
    /// What of the data was not measured, by the last run.
    pub(super) not_whole: Vec<String>,
    /// Why it is measured no more.
    pub(super) failed: Option<Error>,
}

/// Where everything is measured.
pub(super) struct Place {
    pub(super) source: Server,
    pub(super) selection: Selection,
    pub(super) folder: PathBuf,
    pub(super) progress: Arc<dyn Progress>,
    pub(super) cancel: CancellationToken,
}

impl Place {
    /// Does something that cannot be stopped by itself, unless it is to be stopped.
    pub(super) async fn unless_stopped<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        unless_stopped(&self.cancel, work).await
    }
}

/// Does something that does not listen to `cancel` itself.
pub(super) async fn unless_stopped<T>(cancel: &CancellationToken, work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::select! {
        done = work => done,
        () = cancel.cancelled() => Err(Error::interrupted()),
    }
}

impl Contender {
    pub(super) fn new(name: impl Into<String>, command: String, what: What, parallel: usize) -> Self {
        Contender {
            name: name.into(),
            command,
            what,
            parallel,
            runs: Vec::new(),
            busy: Vec::new(),
            dumped: None,
            not_whole: Vec::new(),
            failed: None,
        }
    }

    pub(super) fn process(name: &'static str, call: Call) -> Self {
        Contender::new(name, call.command(), What::Process(call), 0)
    }

    /// Runs it once. The first run, which warms the server and the caches, is not kept.
    pub(super) async fn run(&mut self, place: &Place, target: Option<&Server>, is_first: bool) -> Result<()> {
        let listener = Listener::new(Arc::clone(&place.progress), is_first);
        let (begun, before) = (Instant::now(), usage_of(std::process::id()));
        let progress = || Arc::clone(&listener) as Arc<dyn Progress>;
        let (mut run, timing) = match &self.what {
            What::Process(call) => (place.unless_stopped(call.run(&place.folder)).await?, None),
            What::Drain => {
                let work = drain(&place.source, &place.selection, self.parallel, progress());
                let (drained, samples) = listener.follow(place.unless_stopped(work)).await;
                drained?;
                (Run { samples, ..Run::default() }, None)
            }
            What::Dump(destination, codec) => {
                let timing = Timing::measuring();
                let options = DumpOptions {
                    selection: place.selection.clone(),
                    destination: destination.clone(),
                    codec: *codec,
                    cursors: Cursors::Fixed(self.parallel),
                    part_bytes: PART_BYTES,
                    parts: None,
                    read_order: ReadOrder::default(),
                    max_rate: None,
                    users_and_roles: false,
                    consistent: false,
                };
                let work = measured(&place.source, options, timing.clone(), progress(), place.cancel.clone());
                let (dumped, samples) = listener.follow(work).await;
                let dumped = dumped?;
                let written_bytes = Some(dumped.archive_bytes);
                self.not_whole = dumped.missing.iter().map(|missing| format!("could not be read: {missing}")).collect();
                self.dumped = Some(dumped);
                (Run { written_bytes, samples, ..Run::default() }, Some(timing))
            }
            What::Restore(path) => {
                let target = target.ok_or_else(Error::interrupted)?;
                let source = Source::File(ArchiveFile::open_whole(path)?);
                let options = RestoreOptions {
                    selection: SelectionOptions::default(),
                    existing: Existing::Refuse,
                    dry_run: false,
                    check: true,
                    indexes: IndexSource::Beside,
                    index_policy: IndexPolicy::Repair,
                    users_and_roles: false,
                    parallel: self.parallel,
                    max_rate: None,
                };
                let work = restore(source, target, options, progress(), place.cancel.clone());
                let (restored, samples) = listener.follow(work).await;
                let restored = restored?;
                let failed = restored.failed_indexes.iter().map(|index| {
                    format!("the index {} of {} was not built: {}", index.index, index.namespace, index.reason)
                });
                let refused = (restored.refused > 0).then(|| format!("{} documents were refused", restored.refused));
                self.not_whole = failed.chain(refused).collect();
                (Run { samples, ..Run::default() }, None)
            }
        };
        if !matches!(self.what, What::Process(_)) {
            run.seconds = begun.elapsed().as_secs_f64();
            let after = usage_of(std::process::id());
            run.cpu_seconds = before.zip(after).map(|(before, after)| after.cpu_seconds - before.cpu_seconds);
        }
        if !is_first {
            self.busy.extend(timing.map(|timing| Busy::of(&timing, begun.elapsed())));
            self.runs.push(run);
        }
        Ok(())
    }

    /// What its runs of `bytes` of documents come to, where cursors alone take `drained` seconds.
    pub(super) fn row(self, way: Way, bytes: u64, cores: usize, drained: Option<f64>) -> Row {
        let stages = self.stages(cores, drained);
        let is_process = matches!(self.what, What::Process(_));
        Row { stages, ..Row::new(&self.name, way, is_process, &self.command, bytes, self.runs) }
    }

    fn stages(&self, cores: usize, drained: Option<f64>) -> Option<Stages> {
        let What::Dump(destination, _) = &self.what else { return None };
        let output = match destination {
            Destination::File { .. } => "the disk",
            Destination::Memory => "memory",
            Destination::Stdout | Destination::Nothing => "the writer",
        };
        (!self.busy.is_empty()).then(|| Busy::mean(&self.busy).report(cores, output, drained))
    }

    /// Whether another program is measured.
    fn is_foreign(&self) -> bool {
        matches!(&self.what, What::Process(call) if !call.is_ours())
    }

    pub(super) fn seconds(&self) -> Spread {
        Spread::of(self.runs.iter().map(|run| run.seconds))
    }
}

/// Measures all of them, `runs` times each after one that warms; in turns, there and back again, so that a machine that slows
/// down favours none. `prepare` is done before each. Another program that fails is left out from then on.
pub(super) async fn in_turns(
    contenders: &mut [Contender],
    runs: usize,
    place: &Place,
    target: Option<&Server>,
    prepare: impl AsyncFn() -> Result<()>,
) -> Result<()> {
    for round in 0..=runs {
        let count = contenders.len();
        for turn in 0..count {
            let index = if round % 2 == 0 { turn } else { count - 1 - turn };
            let Some(contender) = contenders.get_mut(index).filter(|contender| contender.failed.is_none()) else {
                continue;
            };
            let which = if round == 0 { "warming".to_owned() } else { format!("run {round} of {runs}") };
            place.progress.stage(&format!("{which}: {}", contender.name), None, None);
            place.unless_stopped(prepare()).await?;
            match contender.run(place, target, round == 0).await {
                Err(error) if contender.is_foreign() && !place.cancel.is_cancelled() => contender.failed = Some(error),
                ran => ran?,
            }
        }
    }
    Ok(())
}
