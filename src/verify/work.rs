//! The work of a comparison: what both sides hold, cut into parts, and those that are left to do compared.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
};

use futures_util::{StreamExt, TryStreamExt, stream as futures};
use tokio_util::task::AbortOnDropHandle;

use super::{
    Side, VerifyOptions, VerifyReport,
    findings::{Done, Findings},
    item::Item,
    join::join,
    ledger::Ledger,
    line::{Comparison, Line},
    merge::merge,
    names::Names,
    pairs::{Job, Pair, jobs, paired},
    stream::Stream,
    structure,
};
use crate::{
    at_once::at_once,
    catalog::index_spec::NEWEST,
    error::{Error, ErrorKind, Result},
    progress::Progress,
};

/// Collections that are cut into parts at once.
const SPLITS_AT_ONCE: usize = 4;

/// A comparison, and how far it is.
pub(super) struct Work {
    pub(super) pairs: Arc<Vec<Pair>>,
    pub(super) findings: Arc<Findings>,
    pub(super) report: VerifyReport,
    /// The parts that an interrupted comparison had done.
    done: HashMap<(String, usize), Done>,
}

impl Work {
    /// Reads the catalogs, compares what is in them, and cuts what both sides have into parts, or takes those that an
    /// interrupted comparison had.
    ///
    /// # Errors
    /// When a side cannot be read, when there is nothing to compare, or the file of findings is another's.
    pub(super) async fn prepare(left: &Side, right: &Side, options: &VerifyOptions) -> Result<Self> {
        let names = Names::new(&options.selection, left.default_database(), right.default_database())?;
        let of_right = right.those(|name| names.on_left(name).map(|name| name.is_some()));
        let (of_left, of_right) = futures_util::try_join!(left.selected(names.selection()), of_right)?;
        let comparison = Comparison {
            version: 1,
            left: left.identity(),
            right: right.identity(),
            settings: format!("{:?} {} {:?}", options.selection, options.ignore_field_order, options.sample),
        };
        let mut report = VerifyReport::new(left, right, options);
        let paired = paired(&names, (left, of_left), (right, of_right), &mut report)?;
        let (findings, before) = Findings::open(&options.findings, comparison)?;
        let version = right.version().unwrap_or(NEWEST);
        let mut of_one_kind = Vec::new();
        for (left, right) in paired {
            let compared = structure::compare(&left, &right, version);
            report.discrepancies.extend(compared.discrepancies);
            report.notes.extend(compared.notes);
            if left.kind == right.kind {
                of_one_kind.push((left, right));
            }
        }
        let bytes = |(left, _): &(Item, Item)| left.bytes.unwrap_or(u64::MAX);
        let cut = |(left, right)| Pair::new(left, right, options, &before.parts);
        let pairs = at_once(of_one_kind, SPLITS_AT_ONCE, bytes, cut).await?;
        let name = |pair: &Pair| pair.left.namespace.to_string();
        let resumed: HashSet<String> = pairs.iter().filter(|pair| pair.is_resumed).map(name).collect();
        findings.keep(&resumed, &before)?;
        for pair in pairs.iter().filter(|pair| !pair.is_resumed && !pair.parts.is_empty()) {
            findings.line(&pair.line())?;
        }
        let mut done = before.done;
        done.retain(|(namespace, _), _| resumed.contains(namespace));
        report.resumed_parts = done.len() as u64;
        Ok(Work { pairs: Arc::new(pairs), findings: Arc::new(findings), report, done })
    }

    /// Compares the parts that are left, several at once.
    ///
    /// # Errors
    /// When a side cannot be read, or the findings cannot be written.
    pub(super) async fn run(&mut self, options: &VerifyOptions, progress: &Arc<dyn Progress>) -> Result<()> {
        let sum = |of: fn(&Item) -> Option<u64>| self.pairs.iter().map(|pair| of(&pair.left)).sum::<Option<u64>>();
        let (documents, bytes) = match options.sample {
            None => (sum(|item| item.documents), sum(|item| item.bytes)),
            Some(_) => (None, None),
        };
        progress.stage("comparing", documents, bytes);
        let jobs = jobs(&self.pairs, |namespace, part| self.done.contains_key(&(namespace.to_string(), part)));
        let mut compared: HashMap<String, Done> = HashMap::new();
        self.done.drain().for_each(|((name, _), done)| compared.entry(name).or_default().add(done));
        let shared = Arc::new(Shared {
            pairs: Arc::clone(&self.pairs),
            findings: Arc::clone(&self.findings),
            ignores_field_order: options.ignore_field_order,
            progress: Arc::clone(progress),
            compared: Mutex::new(compared),
        });
        let work = futures::iter(jobs).map(|job| {
            let shared = Arc::clone(&shared);
            let task = AbortOnDropHandle::new(tokio::spawn(async move { shared.part(&job).await }));
            let died = |panic| Err(Error::new(ErrorKind::Internal, format!("a worker died: {panic}")));
            async move { task.await.unwrap_or_else(died) }
        });
        work.buffer_unordered(options.parallel.max(1)).try_collect::<()>().await?;
        // What comes now is of what was found; to go on with it would be to believe what was compared long ago.
        self.findings.line(&Line::Finished)?;
        for pair in self.pairs.iter() {
            let done = shared.done(pair);
            self.report.namespaces.push(pair.report(done.counts));
            let crossed = (done.crossed && pair.is_ordered()).then(|| structure::crossed(&pair.left));
            self.report.discrepancies.extend(crossed);
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
        self.compared().entry(namespace.to_string()).or_default().add(done);
        Ok(())
    }

    fn done(&self, pair: &Pair) -> Done {
        self.compared().get(&pair.left.namespace.to_string()).copied().unwrap_or_default()
    }

    fn compared(&self) -> std::sync::MutexGuard<'_, HashMap<String, Done>> {
        self.compared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
