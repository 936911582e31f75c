//! Specs on a server: read as it really keeps them, and repaired one index after the other. What a repair that was cut
//! has dropped is built first, out of its journal.

use std::collections::{BTreeSet, HashSet};

use tokio_util::sync::CancellationToken;
use transload_format::CollectionType;

use super::{
    collection::Collection,
    journal::{Journal, record},
    left_guard::left_over,
    plan::IndexesOptions,
    report::{RepairReport, RepairResult, RepairedIndex},
    swap::{Steps, Swap, drop_index},
    unfinished::{Blocked, LeftGuard, Unfinished},
    whereabouts::hexadecimal,
};
use crate::{
    catalog::{
        self,
        index_spec::{Sanitized, Verdict},
        sidecar::{CollectionIndexes, index_name},
    },
    connect::Server,
    error::Result,
    namespace::Namespace,
    progress::Progress,
};

/// The collections of a server.
#[derive(Debug)]
pub(super) struct ServerPlan {
    server: Server,
    pub(super) collections: Vec<Collection>,
    pub(super) journal: Journal,
    pub(super) unfinished: Unfinished,
}

impl ServerPlan {
    /// Reads the specs; gives warnings, and what could not be read, too.
    pub(super) async fn read(
        server: &Server,
        options: &IndexesOptions,
        progress: &dyn Progress,
    ) -> Result<(Self, Vec<String>, Vec<String>)> {
        progress.stage("reading indexes", None, None);
        let journal = Journal::read(server, &options.directory).await?;
        let unfinished = Unfinished::look(server, journal.left(), journal.scratches()).await;
        let unfinished = unfinished.map_err(|error| error.at(journal.path.display().to_string()))?;
        let catalog = catalog::read(server, &options.selection).await?;
        let with_indexes = catalog.entries.into_iter().filter(|it| it.collection.kind != CollectionType::View);
        let check = |entry: catalog::Entry| {
            let (specs, kept) = (entry.collection.indexes, entry.collection.options);
            let mut collection = Collection::check_good_first(entry.namespace, specs, &kept, options.target);
            collection.uuid = entry.collection.uuid.map(hexadecimal);
            collection
        };
        let collections: Vec<Collection> = with_indexes.map(check).collect();
        let mut warnings = catalog.warnings;
        let known: Vec<String> = unfinished.guards.iter().map(LeftGuard::name).collect();
        let is_unknown = |name: &String| !known.contains(name);
        let guards = collections.iter().flat_map(left_over).filter(|(name, _)| is_unknown(name));
        warnings.extend(guards.map(|(_, warning)| warning));
        warnings.extend(journal_left(&journal, &unfinished));
        Ok((ServerPlan { server: server.clone(), collections, journal, unfinished }, warnings, catalog.missing))
    }

    /// Builds what is lost, and repairs one bad index after the other. What fails is in the report, and costs no other.
    ///
    /// # Errors
    /// When the journal cannot be written, or while a build that goes on is waited for. Then nothing was changed.
    pub(super) async fn carry_out(
        mut self,
        report: &mut RepairReport,
        progress: &dyn Progress,
        cancel: &CancellationToken,
    ) -> Result<()> {
        report.indexes.clear();
        let left = (self.journal.left(), self.journal.scratches());
        self.unfinished = Unfinished::settled(&self.server, left, progress, cancel).await?;
        let listed = self.to_list();
        if listed.is_empty() && !self.journal.is_left() {
            // Nothing is going to be dropped.
            self.repair_all(&[], report, progress, cancel).await;
            return Ok(());
        }
        if !self.unfinished.gone.is_empty() {
            let old = self.journal.keep_old()?;
            warn(report, progress, format!("what is not done about them is kept in {}", old.display()));
        }
        let scratches = self.scratches()?;
        let names = scratches.iter().chain(&self.unfinished.scratches).map(Namespace::to_string).collect::<Vec<_>>();
        self.journal.begin(listed.clone(), names.clone())?;
        report.resumed = self.journal.is_left();
        if self.journal.is_of_other_name {
            let (old, other) = (self.journal.keep_old()?, &self.journal.server);
            let kept =
                format!("the journal of {other} is kept as {}, in case this server is a copy of it", old.display());
            warn(report, progress, kept);
        }
        for collection in &self.unfinished.lost {
            for index in &collection.indexes {
                let swap = Swap { server: &self.server, collection, scratches: &scratches };
                let stopped = (RepairResult::Lost, Some("stopped before it was built".to_owned()));
                progress.stage(&format!("{} {}", collection.namespace, index.name), None, None);
                report.interrupted |= cancel.is_cancelled();
                let done = match self.unfinished.blocked(&collection.namespace, &index.name) {
                    _ if report.interrupted => stopped,
                    Some(why) => (RepairResult::Lost, Some(format!("IT IS MISSING NOW: {why}"))),
                    None => swap.build_lost(index).await,
                };
                report.indexes.push(RepairedIndex::new(collection, index, done));
            }
        }
        self.repair_all(&scratches, report, progress, cancel).await;
        let kept = self.journal.path.display().to_string();
        let finished = finish(&self.server, (&listed, &names), report, progress, cancel).await;
        report.retries = self.server.retries();
        let stays = match finished {
            Ok(true) => match self.journal.end() {
                Ok(()) => return Ok(()),
                Err(error) => format!("it cannot be removed: {error}"),
            },
            Ok(false) => "it has the specs of what is missing".to_owned(),
            Err(error) => format!("whether all that it lists is there could not be asked: {error}"),
        };
        warn(report, progress, format!("the journal {kept} stays: {stays}; run the same command again, here"));
        report.journal = Some(kept);
        Ok(())
    }

    async fn repair_all(
        &self,
        scratches: &[Namespace],
        report: &mut RepairReport,
        progress: &dyn Progress,
        cancel: &CancellationToken,
    ) {
        for collection in &self.collections {
            let mut failed: HashSet<&str> = HashSet::new();
            for index in collection.bad() {
                let done = if cancel.is_cancelled() {
                    report.interrupted = true;
                    (RepairResult::Left, Some("stopped before it was its turn".to_owned()))
                } else {
                    progress.stage(&format!("{} {}", collection.namespace, index.name), None, None);
                    self.repair(collection, index, scratches, &failed).await
                };
                if !done.0.is_good() {
                    failed.insert(&index.name);
                }
                report.indexes.push(RepairedIndex::new(collection, index, done));
            }
        }
        report.retries = self.server.retries();
    }

    /// A name for a collection in each database in which a spec is going to be tried.
    fn scratches(&self) -> Result<Vec<Namespace>> {
        let has_specs = |collection: &&Collection| collection.bad().any(|index| index.to_build().is_some());
        let databases = self.collections.iter().filter(has_specs).map(|collection| collection.namespace.database());
        databases.collect::<BTreeSet<_>>().into_iter().map(catalog::scratch).collect()
    }

    /// What the journal lists: what is left in it, but for collections that are gone, and what is going to be done. An
    /// index that was repaired in between is listed as it is now.
    fn to_list(&self) -> Vec<CollectionIndexes> {
        let mut all = self.unfinished.listed.clone();
        for new in self.collections.iter().filter_map(record) {
            let Some(old) = all.iter_mut().find(|old| old.namespace == new.namespace) else {
                all.push(new);
                continue;
            };
            let is_listed_anew = |name: &str| {
                let is_lost = self.unfinished.is_lost(&new.namespace, name);
                !is_lost && new.indexes.iter().any(|index| index_name(&index.spec) == name)
            };
            old.indexes.retain(|index| !is_listed_anew(&index_name(&index.spec)));
            old.indexes.extend(new.indexes);
            old.not_built = new.not_built;
        }
        all
    }

    async fn repair(
        &self,
        collection: &Collection,
        index: &Sanitized,
        scratches: &[Namespace],
        failed: &HashSet<&str>,
    ) -> (RepairResult, Option<String>) {
        match &index.verdict {
            Verdict::Merged(other) if failed.contains(other.as_str()) => {
                (RepairResult::Left, Some(format!("{other}, which is to serve for it, could not be repaired")))
            }
            _ => Swap { server: &self.server, collection, scratches }.repair(index).await,
        }
    }
}

/// Drops what specs were tried on, and the guards of what is there, and tells whether everything is that the journal lists.
async fn finish(
    server: &Server,
    listed: (&[CollectionIndexes], &[String]),
    report: &mut RepairReport,
    progress: &dyn Progress,
    cancel: &CancellationToken,
) -> Result<bool> {
    let now = Unfinished::settled(server, listed, progress, cancel).await?;
    for scratch in &now.scratches {
        catalog::drop(server, scratch).await?;
        report.dropped.push(scratch.to_string());
    }
    for guard in now.guards.iter().filter(|guard| !guard.is_needed) {
        drop_index(server, &guard.namespace, &guard.spec).await?;
        report.dropped.push(guard.name());
    }
    Ok(now.lost.is_empty())
}

fn warn(report: &mut RepairReport, progress: &dyn Progress, warning: String) {
    progress.warn(&warning);
    report.warnings.push(warning);
}

/// What is said of the journal of a repair that was cut.
fn journal_left(journal: &Journal, unfinished: &Unfinished) -> Vec<String> {
    let path = journal.path.display();
    let mut warnings: Vec<String> = unfinished.renamed.iter().chain(&unfinished.gone).cloned().collect();
    if journal.is_of_other_name {
        warnings.push(format!(
            "{path} is of a repair of {}: collections that it lists are on this server, which is taken for that one under \
             another name",
            journal.server
        ));
    }
    warnings.extend(journal.others.iter().cloned());
    warnings.extend(unfinished.blocked.iter().map(Blocked::to_string));
    let building = unfinished.building.iter();
    warnings.extend(building.map(|index| format!("{index} is being built still: a repair waits for it")));
    if journal.is_held() {
        warnings.push(format!("{path} is in use: a repair is under way, and what is missing may be built already"));
    } else if journal.is_left() {
        warnings
            .push(format!("{path} is left over from a repair that was cut; 'transload indexes repair' finishes it"));
    }
    warnings
}

/// How a bad index of this collection would be repaired.
pub(super) fn how(collection: &Collection, index: &Sanitized) -> Option<String> {
    Steps::of(index, collection).map(|steps| steps.to_string())
}
