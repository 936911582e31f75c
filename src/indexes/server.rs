//! Specs on a server: read as it really keeps them, and repaired one index after the other.

use std::collections::HashSet;

use tokio_util::sync::CancellationToken;
use transload_format::CollectionType;

use super::{
    collection::Collection,
    guard::PREFIX as GUARD,
    plan::IndexesOptions,
    report::{RepairReport, RepairResult, RepairedIndex},
    swap::{Steps, Swap},
};
use crate::{
    catalog::{
        self,
        index_spec::{Sanitized, Verdict},
    },
    connect::Server,
    error::Result,
    progress::Progress,
};

/// The collections of a server.
#[derive(Debug)]
pub(super) struct ServerPlan {
    server: Server,
    pub(super) collections: Vec<Collection>,
}

impl ServerPlan {
    /// Reads the specs; gives warnings, and what could not be read, too.
    pub(super) async fn read(
        server: &Server,
        options: &IndexesOptions,
        progress: &dyn Progress,
    ) -> Result<(Self, Vec<String>, Vec<String>)> {
        progress.stage("reading indexes", None, None);
        let catalog = catalog::read(server, &options.selection).await?;
        let with_indexes = catalog.entries.into_iter().filter(|it| it.collection.kind != CollectionType::View);
        let check = |entry: catalog::Entry| {
            let specs = entry.collection.indexes;
            Collection::check_good_first(entry.namespace, specs, &entry.collection.options, options.target)
        };
        let collections: Vec<Collection> = with_indexes.map(check).collect();
        let mut warnings = catalog.warnings;
        warnings.extend(collections.iter().flat_map(left_over));
        Ok((ServerPlan { server: server.clone(), collections }, warnings, catalog.missing))
    }

    /// Repairs one bad index after the other. What fails is in the report, and costs no other.
    pub(super) async fn carry_out(
        self,
        report: &mut RepairReport,
        progress: &dyn Progress,
        cancel: &CancellationToken,
    ) {
        report.indexes.clear();
        for collection in &self.collections {
            let mut failed: HashSet<&str> = HashSet::new();
            for index in collection.bad() {
                let (result, reason) = if cancel.is_cancelled() {
                    report.interrupted = true;
                    (RepairResult::Left, Some("stopped before it was its turn".to_owned()))
                } else {
                    progress.stage(&format!("{} {}", collection.namespace, index.name), None, None);
                    self.repair(collection, index, &failed).await
                };
                if ![RepairResult::Repaired, RepairResult::Merged].contains(&result) {
                    failed.insert(&index.name);
                }
                let (namespace, index) = (collection.namespace.clone(), index.name.clone());
                report.indexes.push(RepairedIndex { namespace, index, result, reason });
            }
        }
        report.retries = self.server.retries();
    }

    async fn repair(
        &self,
        collection: &Collection,
        index: &Sanitized,
        failed: &HashSet<&str>,
    ) -> (RepairResult, Option<String>) {
        match &index.verdict {
            Verdict::Merged(other) if failed.contains(other.as_str()) => {
                (RepairResult::Left, Some(format!("{other}, which is to serve for it, could not be repaired")))
            }
            _ => Swap { server: &self.server, collection }.repair(index).await,
        }
    }
}

/// How a bad index of this collection would be repaired.
pub(super) fn how(collection: &Collection, index: &Sanitized) -> Option<String> {
    Steps::of(index, collection).map(|steps| steps.to_string())
}

/// A word about guards of repairs that were killed: the index that each stands in for may be gone.
fn left_over(collection: &Collection) -> impl Iterator<Item = String> {
    let guards = collection.indexes.iter().filter_map(|index| Some((index, index.name.strip_prefix(GUARD)?)));
    guards.map(|(index, guarded)| {
        let missing = !collection.indexes.iter().any(|other| other.name == guarded);
        let rest = if missing {
            "which is not there: build it again, then drop the guard"
        } else {
            "which is there: drop the guard"
        };
        format!("{}: {} is left over from an interrupted repair of {guarded}, {rest}", collection.namespace, index.name)
    })
}
