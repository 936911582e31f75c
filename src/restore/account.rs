//! What became of each namespace of a plan: every document of the archive in exactly one count.

use std::time::Duration;

use transload_format::Contents;

use super::{Plan, Planned};
use crate::{
    catalog::IndexFailure,
    error::{Error, ErrorKind, Result},
    load::Loaded,
    report::{RestoreReport, RestoredNamespace, kind_name},
};

/// A plan, and what became of it.
pub(super) struct Done {
    pub(super) plan: Plan,
    pub(super) loaded: Vec<Loaded>,
    /// Indexes built, and those that were not.
    pub(super) indexes: Vec<(usize, Vec<IndexFailure>)>,
    pub(super) index_time: Duration,
    /// Documents and bytes in the archive, by namespace id.
    archived: Vec<(u64, u64)>,
}

impl Done {
    /// A plan of which nothing has been done yet.
    pub(super) fn nothing(plan: Plan, contents: &Contents) -> Self {
        let archived =
            contents.namespaces().iter().map(|namespace| (namespace.totals.documents, namespace.totals.bytes));
        let count = plan.collections().count();
        Done {
            loaded: vec![Loaded::default(); count],
            indexes: vec![(0, Vec::new()); count],
            index_time: Duration::ZERO,
            archived: archived.collect(),
            plan,
        }
    }

    /// Every document of the archive must be in exactly one count.
    pub(super) fn account(&self) -> Result<()> {
        for (planned, loaded) in self.plan.collections().zip(&self.loaded) {
            let counted = loaded.inserted + loaded.duplicates + loaded.refused;
            let archived = self.archived(planned).0;
            if counted != archived {
                let message = format!("{archived} documents are in the archive, {counted} were accounted for");
                return Err(Error::new(ErrorKind::Internal, message).at(planned.target.to_string()));
            }
        }
        Ok(())
    }

    fn archived(&self, planned: &Planned) -> (u64, u64) {
        let index = usize::try_from(planned.id - 1).unwrap_or(usize::MAX);
        self.archived.get(index).copied().unwrap_or_default()
    }

    pub(super) fn into_report(self) -> RestoreReport {
        let mut report = RestoreReport {
            archive: String::new(),
            target: String::new(),
            dry_run: false,
            documents: 0,
            bytes: 0,
            inserted: 0,
            duplicates: 0,
            refused: 0,
            seconds: 0.0,
            index_seconds: self.index_time.as_secs_f64(),
            retries: 0,
            namespaces: Vec::new(),
            rejected: Vec::new(),
            failed_indexes: Vec::new(),
            warnings: self.plan.warnings.clone(),
        };
        let all = self.plan.collections().zip(&self.loaded).zip(&self.indexes);
        for ((planned, loaded), (built, failures)) in all {
            let (documents, bytes) = self.archived(planned);
            report.documents += documents;
            report.bytes += bytes;
            report.inserted += loaded.inserted;
            report.duplicates += loaded.duplicates;
            report.refused += loaded.refused;
            report.rejected.extend(loaded.rejected.iter().cloned());
            report.failed_indexes.extend(failures.iter().cloned());
            report.namespaces.push(RestoredNamespace {
                source: planned.source.clone(),
                target: planned.target.clone(),
                kind: kind_name(planned.kind()),
                action: planned.action(),
                documents,
                inserted: loaded.inserted,
                duplicates: loaded.duplicates,
                refused: loaded.refused,
                indexes: planned.indexes,
                indexes_built: *built,
            });
        }
        report
    }
}
