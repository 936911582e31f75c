//! What became of each namespace of a plan: every document of the archive in exactly one count.

use std::time::Duration;

use transload_format::Contents;

use super::{Plan, Planned};
use crate::{
    catalog::{
        IndexFailure,
        sidecar::{index_name, spec_value},
    },
    error::{Error, ErrorKind, Result},
    load::Loaded,
    report::{MergedIndex, RepairedIndex, RestoreReport, RestoredNamespace, kind_name},
};

/// A plan, and what became of it.
pub(super) struct Done {
    pub(super) plan: Plan,
    pub(super) loaded: Vec<Loaded>,
    /// Of the indexes to build, by collection: why they were not.
    pub(super) unbuilt: Vec<Vec<Option<String>>>,
    pub(super) index_time: Duration,
    /// Users and roles that were merged.
    pub(super) users: u64,
    pub(super) roles: u64,
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
            unbuilt: vec![Vec::new(); count],
            index_time: Duration::ZERO,
            users: 0,
            roles: 0,
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
            repaired_indexes: Vec::new(),
            merged_indexes: Vec::new(),
            failed_indexes: Vec::new(),
            users: self.users,
            roles: self.roles,
            left_out: self.plan.left_out.clone(),
            warnings: self.plan.warnings.clone(),
        };
        let all = self.plan.collections().zip(&self.loaded).zip(&self.unbuilt);
        for ((planned, loaded), unbuilt) in all {
            let (documents, bytes) = self.archived(planned);
            report.documents += documents;
            report.bytes += bytes;
            report.inserted += loaded.inserted;
            report.duplicates += loaded.duplicates;
            report.refused += loaded.refused;
            report.rejected.extend(loaded.rejected.iter().cloned());
            account_for_indexes(planned, unbuilt, &mut report);
            report.namespaces.push(RestoredNamespace {
                source: planned.source.clone(),
                target: planned.target.clone(),
                kind: kind_name(planned.kind()),
                action: planned.action(),
                documents,
                inserted: loaded.inserted,
                duplicates: loaded.duplicates,
                refused: loaded.refused,
                indexes: planned.indexes.build.len() + planned.indexes.missing(),
                indexes_built: unbuilt.iter().filter(|reason| reason.is_none()).count(),
            });
        }
        report
    }
}

/// Puts each index of a collection where it belongs: repaired, served by another, or failed.
fn account_for_indexes(planned: &Planned, unbuilt: &[Option<String>], report: &mut RestoreReport) {
    let failure = |index: String, spec: &[u8], reason: &str| {
        let spec = spec_value(spec).map_or_else(|_| "(malformed)".to_owned(), |spec| spec.to_string());
        IndexFailure { namespace: planned.target.clone(), index, spec, reason: reason.to_owned() }
    };
    for (place, index) in planned.indexes.build.iter().enumerate() {
        let name = index_name(&index.spec);
        if let Some(reason) = unbuilt.get(place).and_then(Option::as_deref) {
            report.failed_indexes.push(failure(name, &index.spec, reason));
        } else if !index.repairs.is_empty() {
            let (namespace, repairs) = (planned.target.clone(), index.repairs.clone());
            report.repaired_indexes.push(RepairedIndex { namespace, index: name, repairs });
        }
    }
    for left in &planned.indexes.left {
        match &left.served_by {
            Some(served_by) => {
                let (namespace, index, served_by) = (planned.target.clone(), left.name.clone(), served_by.clone());
                report.merged_indexes.push(MergedIndex { namespace, index, served_by, reason: left.reason.clone() });
            }
            None => report.failed_indexes.push(failure(left.name.clone(), &left.spec, &left.reason)),
        }
    }
}
