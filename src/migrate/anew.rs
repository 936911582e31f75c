//! Collections that are copied once more at the cutover, when nothing changes them any more: those whose changes could not be
//! followed, and those that the target has as something else than they are.

use std::sync::Arc;

use super::Migration;
use crate::{
    archive::{ArchiveFile, Destination},
    catalog::{self, sidecar::sidecar_path},
    changes::replay::{dead_letters, settle},
    dump::{DumpOptions, dump},
    error::{Error, ErrorKind, Result},
    namespace::Namespace,
    report::RestoreReport,
    restore::{Existing, RestoreOptions, Source, restore},
    scan::PART_BYTES,
    selection::Selection,
};

impl Migration {
    /// The collections whose changes could not be followed.
    pub(super) fn not_followed(&self) -> Result<Vec<Namespace>> {
        let letters = dead_letters(&self.paths.dead_letters())?;
        Ok(letters.into_iter().filter(|letter| letter.is_of_all()).map(|letter| letter.namespace).collect())
    }

    /// The collections of the source that the target has as something else than they are, so that nothing can mend them.
    pub(super) fn unlike(&self, mended: &[catalog::Mended]) -> Result<Vec<Namespace>> {
        let selection = Selection::new(&self.selection)?;
        let failed = mended.iter().filter(|one| one.failed.is_some() && one.is_of_collection());
        let mut unlike = Vec::new();
        for one in failed {
            unlike.extend(selection.origin(&one.namespace)?);
        }
        Ok(unlike)
    }

    /// Copies collections once more, now that nothing changes them.
    pub(super) async fn copy_anew(&self, mut wanted: Vec<Namespace>) -> Result<Vec<RestoreReport>> {
        wanted.sort();
        wanted.dedup();
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let source = self.source.reading_primary();
        let mut there = Vec::new();
        for namespace in &wanted {
            if catalog::found(&source, namespace).await?.is_some() {
                there.push(namespace.clone());
            }
        }
        let mut reports = Vec::new();
        if !there.is_empty() {
            let selection = self.selection.only(&there)?;
            let path = self.paths.again();
            let progress = self.board.of_cutover();
            let options = DumpOptions {
                selection: Selection::new(&selection)?,
                destination: Destination::File { path: path.clone(), replace: true },
                codec: self.options.codec,
                parallel: self.options.parallel,
                part_bytes: PART_BYTES,
                users_and_roles: false,
                consistent: false,
            };
            let dumped = dump(&source, options, Arc::clone(&progress), self.cancel.clone()).await?;
            if let Some(missing) = dumped.missing.first() {
                return Err(Error::new(ErrorKind::Server, format!("not all can be copied anew: {missing}")));
            }
            let options = RestoreOptions { selection, ..self.restore_options(Existing::Drop) };
            let archive = Source::File(ArchiveFile::open_whole(&path)?);
            reports.push(restore(archive, &self.target, options, progress, self.cancel.clone()).await?);
            for used in [sidecar_path(&path), path] {
                std::fs::remove_file(&used).map_err(|error| Error::io(&used, error))?;
            }
        }
        // Whatever else was wrong with their documents, they are new.
        let is_of_them = |namespace: &Namespace| wanted.contains(namespace);
        settle(self.paths.directory(), |letter| is_of_them(&letter.namespace))?;
        Ok(reports)
    }
}
