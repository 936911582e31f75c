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
mod work;

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio_util::sync::CancellationToken;

pub use counts::Counts;
pub use finding::Finding;
pub(crate) use join::WAITING_BYTES as MEMORY;
pub use report::{Sampled, VerifiedNamespace, VerifyReport};
pub use side::Side;
pub use structure::Discrepancy;

use self::{findings::Findings, mend::Mending, pairs::Pair, work::Work};
use crate::{
    error::{Error, ErrorKind, Result},
    progress::Progress,
    selection::SelectionOptions,
};

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
    let mut work = Work::prepare(&left, &right, &options).await?;
    work.run(&options, &progress).await?;
    let Work { pairs, findings, report, .. } = work;
    let (ignores_field_order, can_be_repaired) = (options.ignore_field_order, matches!(right, Side::Server(_)));
    let mut verification = Verification { pairs, findings, ignores_field_order, can_be_repaired, report, begun };
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
            repaired = async {
                let mending = self.mending();
                mending.late_writes_end(&**progress).await?;
                mending.repair().await
            } => repaired?,
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
