//! Collections that are copied once more at the cutover, when nothing changes them any more: those whose changes could not be
//! followed, or whose stream could not be opened, and those that the target has as something else than they are.

use std::sync::Arc;

use transload_format::CollectionType;

use super::{Migration, collections::Now};
use crate::{
    archive::{ArchiveFile, Destination},
    catalog::{self, Entry, sidecar::sidecar_path},
    changes::{
        capture::{Manifest, NotFollowed},
        replay::{dead_letters, settle},
    },
    dump::{DumpOptions, braked},
    error::{Error, ErrorKind, Result},
    namespace::Namespace,
    report::RestoreReport,
    restore::{Existing, RestoreOptions, restore_in_move},
    scan::{PART_BYTES, ReadOrder},
    selection::Selection,
};

impl Migration {
    /// The collections whose changes could not be followed; of some no server tells any.
    pub(super) async fn not_followed(&self) -> Result<Vec<Namespace>> {
        let letters = dead_letters(&self.paths.dead_letters())?;
        let noted = letters.into_iter().filter(|letter| letter.is_of_all()).map(|letter| letter.namespace);
        let lost = self.not_recorded().await?.into_iter().map(|lost| lost.namespace);
        let entries = self.selected_on_source().await?.entries;
        let untold = entries.into_iter().filter(|entry| catalog::is_untold(&entry.collection));
        Ok(noted.chain(lost).chain(untold.map(|entry| entry.namespace)).collect())
    }

    /// The collections whose changes are not recorded, though servers tell them: their stream has ended, or a user who may not
    /// watch whole databases was not told that they came into being.
    pub(super) async fn not_recorded(&self) -> Result<Vec<NotFollowed>> {
        let Some(manifest) = Manifest::read(self.paths.directory())? else { return Ok(Vec::new()) };
        let mut lost = manifest.not_followed.clone();
        for entry in self.selected_on_source().await?.entries {
            let is_told = entry.collection.kind == CollectionType::Collection && !catalog::is_untold(&entry.collection);
            let is_known = lost.iter().any(|one| one.namespace == entry.namespace);
            if is_told && !is_known && !manifest.watches(&entry.namespace) {
                let reason = "it has come into being since, and this user may watch no more than what was there";
                lost.push(NotFollowed { namespace: entry.namespace, reason: reason.to_owned() });
            }
        }
        Ok(lost)
    }

    /// The collections of the source that the target has as something else than they are, so that nothing can mend them.
    pub(super) async fn unlike(&self, mended: &[catalog::Mended]) -> Result<Vec<Namespace>> {
        let selection = Selection::new(&self.selection)?;
        let entries = self.selected_on_source().await?.entries;
        let mut unlike = Vec::new();
        for one in mended.iter().filter(|one| one.is_cured_anew) {
            let Some(source) = selection.origin(&one.namespace)? else { continue };
            let entry = entries.iter().find(|entry| entry.namespace == source);
            // What the target has is not dropped for what it would not take.
            if let Some(entry) = entry
                && self.takes(entry).await?
            {
                unlike.push(source);
            }
        }
        Ok(unlike)
    }

    /// Whether the target makes such a collection: tried under a name that nobody has.
    async fn takes(&self, entry: &Entry) -> Result<bool> {
        let selection = Selection::new(&self.selection)?;
        let Some(target) = selection.target(&entry.namespace)? else { return Ok(false) };
        let scratch = self.scratches().begin(target.database())?;
        let made = catalog::create(&self.target, &scratch, &entry.collection).await;
        catalog::drop(&self.target, &scratch).await?;
        match made {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::Server => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Copies collections once more, now that nothing changes them.
    pub(super) async fn copy_anew(&self, mut wanted: Vec<Namespace>) -> Result<Vec<RestoreReport>> {
        wanted.sort();
        wanted.dedup();
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        self.copied_with_care(self.copy_those_anew(wanted)).await
    }

    async fn copy_those_anew(&self, wanted: Vec<Namespace>) -> Result<Vec<RestoreReport>> {
        let source = self.source.reading_primary();
        let low = source.operation_time().await?;
        let (mut there, mut copied) = (Vec::new(), Vec::new());
        for namespace in &wanted {
            if catalog::found(&source, namespace).await?.is_some() {
                there.push(namespace.clone());
            }
        }
        self.board.step("copying anew");
        self.board.now(&there, || Now::CopyingAnew);
        let mut reports = Vec::new();
        if !there.is_empty() {
            let selection = self.selection.only(&there)?;
            let path = self.paths.again();
            let progress = self.board.of_copying_anew();
            let options = DumpOptions {
                selection: Selection::new(&selection)?,
                destination: Destination::File { path: path.clone(), replace: true },
                codec: self.options.codec,
                cursors: self.options.cursors.held_to(self.options.max_rate),
                part_bytes: PART_BYTES,
                parts: self.options.parts,
                read_order: ReadOrder::Id,
                // The brakes know it.
                max_rate: None,
                users_and_roles: false,
                consistent: false,
            };
            let (brakes, cancel) = (self.brakes.of_reading(), self.cancel.clone());
            let dumped = braked(&source, options, brakes, Arc::clone(&progress), cancel).await?;
            if let Some(missing) = dumped.missing.first() {
                return Err(Error::new(ErrorKind::Server, format!("not all can be copied anew: {missing}")));
            }
            let high = source.cluster_time().await?;
            let options = RestoreOptions { selection, ..self.restore_options(Existing::Drop) };
            let archive = ArchiveFile::open_whole(&path)?;
            let archived = archive.contents().namespaces().iter();
            let archived: Vec<_> = archived.map(|one| (one.collection.namespace.clone(), one.totals)).collect();
            let (within, cancel) = (self.within(), self.cancel.clone());
            reports.push(restore_in_move(archive, &self.target, options, within, progress, cancel).await?);
            for (name, totals) in archived {
                let namespace = Namespace::parse(&name)?;
                self.board.copied_anew(&namespace, totals.documents, totals.bytes);
                copied.push(namespace);
            }
            self.has_made(&copied, (low, high))?;
            for used in [sidecar_path(&path), path] {
                std::fs::remove_file(&used).map_err(|error| Error::io(&used, error))?;
            }
        }
        // What is not all there now must not pass for it when this is done again.
        let is_whole = |report: &RestoreReport| report.refused + report.duplicates == 0;
        // Nor what has gone in between.
        let is_done = |namespace: &Namespace| copied.contains(namespace) || !there.contains(namespace);
        let is_of_them =
            |namespace: &Namespace| wanted.contains(namespace) && is_done(namespace) && reports.iter().all(is_whole);
        // Whatever else was wrong with their documents, they are new.
        settle(self.paths.directory(), |letter| is_of_them(&letter.namespace))?;
        Ok(reports)
    }
}
