//! The verb `verify`: two sides, each a server or an archive, held against each other down to the last byte; or one archive,
//! [scrubbed](scrub).
//!
//! ```text
//! left  ─▶ parts in the order of _id ─▶ merge: equal, or what differs ─▶ findings ─▶ recheck, repair ─▶ report
//! right ─▶ the same parts            ─▶
//! ```
//! Nothing is kept of documents that are equal: two streams are merged, in the order of the index on `_id`. What differs is a
//! line in the file of findings; that file also tells which parts are done, so that an interrupted comparison goes on there.

mod counts;
mod finding;
mod findings;
mod item;
mod join;
mod ledger;
mod line;
mod mend;
mod merge;
mod names;
mod pairs;
mod report;
mod sample;
pub mod scrub;
mod side;
mod stream;
mod structure;

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use futures_util::{StreamExt, TryStreamExt, stream as futures};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

pub use counts::Counts;
pub use finding::Finding;
pub use report::{Sampled, VerifiedNamespace, VerifyReport};
pub use side::Side;
pub use structure::Discrepancy;

use self::{
    findings::{Done, Findings},
    item::Item,
    join::join,
    ledger::Ledger,
    line::{Comparison, Line},
    mend::Mending,
    merge::merge,
    names::Names,
    pairs::{Job, Pair, jobs, paired},
    stream::Stream,
};
use crate::{
    catalog::index_spec::NEWEST,
    error::{Error, ErrorKind, Result},
    progress::Progress,
    selection::SelectionOptions,
};

/// Collections that are cut into parts at once.
const SPLITS_AT_ONCE: usize = 4;

/// How to compare.
#[derive(Clone, Debug)]
pub struct VerifyOptions {
    /// What to compare, by the names on the left, and under which names it is on the right.
    pub selection: SelectionOptions,
    /// Whether documents that differ in the order of their fields alone are equal.
    pub ignore_field_order: bool,
    /// How many documents of each collection to compare, about, instead of all; and the seed that decides which.
    pub sample: Option<Sampled>,
    /// How long differences are looked at again before they count.
    pub recheck: Option<Duration>,
    /// The file of findings.
    pub findings: PathBuf,
    /// Parts compared at once.
    pub parallel: usize,
    /// Bytes of documents that a part should have.
    pub part_bytes: u64,
}

/// What was compared.
#[derive(Debug)]
pub struct Verification {
    pairs: Arc<Vec<Pair>>,
    findings: Arc<Findings>,
    ignores_field_order: bool,
    can_be_repaired: bool,
    report: VerifyReport,
    begun: Instant,
}

/// Compares two sides.
///
/// # Errors
/// When a side cannot be read, or the findings cannot be written. What was found until then stays in the file, and the same
/// comparison goes on with it. [`ErrorKind::Interrupted`] when `cancel` was called.
pub async fn verify(
    left: Side,
    right: Side,
    options: VerifyOptions,
    progress: Arc<dyn Progress>,
    cancel: CancellationToken,
) -> Result<Verification> {
    tokio::select! {
        compared = compare(left, right, options, progress) => compared,
        () = cancel.cancelled() => Err(Error::interrupted()),
    }
}

async fn compare(left: Side, right: Side, options: VerifyOptions, progress: Arc<dyn Progress>) -> Result<Verification> {
    let begun = Instant::now();
    progress.stage("reading the catalogs", None, None);
    let names = Names::new(&options.selection, left.default_database(), right.default_database())?;
    let of_right = right.those(|name| names.on_left(name).map(|name| name.is_some()));
    let (of_left, of_right) = futures_util::try_join!(left.selected(names.selection()), of_right)?;
    let comparison = Comparison {
        version: 1,
        left: left.identity(),
        right: right.identity(),
        settings: format!("{:?} {} {:?}", options.selection, options.ignore_field_order, options.sample),
    };
    let (findings, before) = Findings::open(&options.findings, comparison)?;
    let mut report = VerifyReport::new(&left, &right, &options);
    let paired = paired(&names, (&left, of_left), (&right, of_right), &mut report)?;
    let version = right.version().unwrap_or(NEWEST);
    let mut pairs = Vec::new();
    for (left, right) in paired {
        let compared = structure::compare(&left, &right, version);
        report.discrepancies.extend(compared.discrepancies);
        report.notes.extend(compared.notes);
        if left.kind == right.kind {
            pairs.push((left, right));
        }
    }
    let split = futures::iter(pairs).map(|(left, right)| Pair::new(left, right, &options, &before.parts));
    let pairs: Arc<Vec<Pair>> = Arc::new(split.buffered(SPLITS_AT_ONCE).try_collect().await?);
    let resumed = pairs.iter().filter(|pair| pair.is_resumed).map(|pair| pair.left.namespace.to_string()).collect();
    findings.keep(&resumed, &before)?;
    for pair in pairs.iter().filter(|pair| !pair.is_resumed && !pair.parts.is_empty()) {
        findings.line(&pair.line())?;
    }
    let mut done = before.done;
    done.retain(|(namespace, _), _| resumed.contains(namespace));
    report.resumed_parts = done.len() as u64;
    let jobs = jobs(&pairs, |namespace, part| done.contains_key(&(namespace.to_string(), part)));
    let sum = |of: fn(&Item) -> Option<u64>| jobs.first().and_then(|_| pairs.iter().map(|pair| of(&pair.left)).sum());
    let totals = options.sample.is_none().then(|| (sum(|item| item.documents), sum(|item| item.bytes))).unzip();
    progress.stage("comparing", totals.0.flatten(), totals.1.flatten());
    let mut compared: HashMap<String, Done> = HashMap::new();
    done.into_iter().for_each(|((name, _), done)| compared.entry(name).or_default().add(done));
    let shared = Arc::new(Shared {
        pairs: Arc::clone(&pairs),
        findings: Arc::new(findings),
        ignores_field_order: options.ignore_field_order,
        progress: Arc::clone(&progress),
        compared: Mutex::new(compared),
    });
    let work = futures::iter(jobs).map(|job| {
        let shared = Arc::clone(&shared);
        let task = AbortOnDropHandle::new(tokio::spawn(async move { shared.part(&job).await }));
        async {
            task.await.unwrap_or_else(|panic| Err(Error::new(ErrorKind::Internal, format!("a worker died: {panic}"))))
        }
    });
    work.buffer_unordered(options.parallel.max(1)).try_collect::<()>().await?;
    // What comes now is of what was found; to go on with it would be to believe what was compared long ago.
    shared.findings.line(&Line::Finished)?;
    for pair in pairs.iter() {
        let done = lock(&shared.compared).get(&pair.left.namespace.to_string()).copied().unwrap_or_default();
        report.namespaces.push(pair.report(done.counts));
        report.discrepancies.extend((done.crossed && pair.is_ordered()).then(|| structure::crossed(&pair.left)));
    }
    let mut verification = Verification {
        pairs,
        findings: Arc::clone(&shared.findings),
        ignores_field_order: options.ignore_field_order,
        can_be_repaired: matches!(right, Side::Server(_)),
        report,
        begun,
    };
    if let Some(patience) = options.recheck {
        progress.stage("looking again", None, None);
        verification.report.rechecked = verification.mending().recheck(patience).await?;
    }
    verification.count()?;
    Ok(verification)
}

impl Verification {
    /// How many documents differ, in which way.
    pub fn documents(&self) -> Counts {
        self.report.documents
    }

    /// Copies the documents that differ to the right once more, and deletes there what the left has not. Namespaces, options
    /// and indexes stay as they are, and so do capped collections, where the order of documents is data.
    ///
    /// # Errors
    /// When the right side is an archive, or a side cannot be reached.
    pub async fn repair(&mut self, progress: &Arc<dyn Progress>, cancel: CancellationToken) -> Result<()> {
        if !self.can_be_repaired {
            return Err(Error::new(ErrorKind::Usage, "only a server can be repaired").at("RIGHT"));
        }
        progress.stage("repairing", None, None);
        let (repaired, refused) = tokio::select! {
            repaired = async { self.mending().repair().await } => repaired?,
            () = cancel.cancelled() => return Err(Error::interrupted()),
        };
        self.report.repaired = repaired;
        self.report.warnings.extend(refused);
        self.count()
    }

    /// Ends it: the file of findings is finished, or removed where nothing differs.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn finish(self) -> Result<VerifyReport> {
        let mut report = self.report;
        let differences = report.documents.differences();
        if differences == 0 {
            self.findings.remove()?;
        } else {
            report.findings = Some(self.findings.place());
        }
        report.equal = differences == 0 && report.discrepancies.is_empty() && report.missing.is_empty();
        report.seconds = self.begun.elapsed().as_secs_f64();
        Ok(report)
    }

    fn mending(&self) -> Mending<'_> {
        Mending {
            pairs: self.pairs.iter().map(|pair| (pair.left.namespace.to_string(), pair)).collect(),
            findings: &self.findings,
            ignores_field_order: self.ignores_field_order,
        }
    }

    /// Counts what differs, by the file of findings.
    fn count(&mut self) -> Result<()> {
        let mut found: HashMap<String, Counts> = HashMap::new();
        for some in self.findings.differences()? {
            for difference in some? {
                found.entry(difference.namespace).or_default().find(&difference.difference);
            }
        }
        self.report.documents = Counts::default();
        for namespace in &mut self.report.namespaces {
            namespace.documents = namespace.documents.compared();
            namespace.documents.add(found.get(&namespace.namespace).copied().unwrap_or_default());
            self.report.documents.add(namespace.documents);
        }
        Ok(())
    }
}

/// What all workers share.
struct Shared {
    pairs: Arc<Vec<Pair>>,
    findings: Arc<Findings>,
    ignores_field_order: bool,
    progress: Arc<dyn Progress>,
    /// What was compared, by the names on the left.
    compared: Mutex<HashMap<String, Done>>,
}

impl Shared {
    async fn part(&self, job: &Job) -> Result<()> {
        let Some(pair) = self.pairs.get(job.pair) else { return Ok(()) };
        let bounds = pair.parts.get(job.part).cloned().unwrap_or_default();
        let open = |item| Stream::open(item, &bounds, pair.sample);
        let (mut left, mut right) = (open(&pair.left), open(&pair.right));
        let namespace = &pair.left.namespace;
        let (unique, ignores) = (pair.has_unique_ids(), self.ignores_field_order);
        let mut ledger = Ledger::new((namespace, job.part), unique, ignores, &self.findings, &self.progress);
        let crossed = if pair.is_sorted() {
            merge(&mut left, &mut right, &mut ledger).await?;
            false
        } else {
            join((&pair.left, &mut left), (&pair.right, &mut right), &mut ledger).await?
        };
        let done = ledger.finish(crossed)?;
        lock(&self.compared).entry(namespace.to_string()).or_default().add(done);
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
