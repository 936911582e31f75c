//! Specs inside an archive. An archive is never changed: what is repaired is its sidecar.

use std::{
    fs,
    path::{Path, PathBuf},
};

use transload_format::CollectionType;

use super::{
    collection::Collection,
    plan::{IndexesOptions, selected},
    report::RepairReport,
};
use crate::{
    archive::ArchiveFile,
    catalog::{
        index_spec::{Author, Context, Sanitized, sanitize_beside},
        sidecar::{Sidecar, sidecar_path},
    },
    error::{Error, Result},
    namespace::Namespace,
    progress::Progress,
    replace::replace,
};

/// What a restore of an archive builds from, if that is the sidecar beside it.
#[derive(Debug)]
pub(super) struct Beside {
    pub(super) path: PathBuf,
    pub(super) collections: Vec<Collection>,
    /// How many specs are bad in the archive itself.
    pub(super) bad_in_archive: usize,
}

impl Beside {
    /// # Errors
    /// When there is one, and a restore would refuse it.
    pub(super) fn read(path: &Path, options: &IndexesOptions, warnings: &mut Vec<String>) -> Result<Option<Self>> {
        let archive = ArchiveFile::open(path)?;
        let path = sidecar_path(path);
        if !path.exists() {
            return Ok(None);
        }
        let contents = archive.contents();
        let all = || contents.namespaces().iter().map(|namespace| &namespace.collection);
        let known: Vec<_> = all().map(|collection| (collection.namespace.as_str(), collection.kind)).collect();
        let sidecar = Sidecar::read_for(&path, &contents.header().id.to_string(), &known)?;
        let names: Vec<Namespace> =
            all().map(|collection| Namespace::parse(&collection.namespace)).collect::<Result<_>>()?;
        let chosen = selected(&names, options, warnings)?;
        let mut beside = Beside { path, collections: Vec::new(), bad_in_archive: 0 };
        let with_indexes = names.into_iter().zip(all());
        for (name, it) in with_indexes.filter(|(name, it)| chosen.contains(name) && it.kind != CollectionType::View) {
            let check =
                |specs: &[Vec<u8>], author| Collection::check(name.clone(), specs, &it.options, options.target, author);
            beside.bad_in_archive += check(&it.indexes, Author::Server).bad().count();
            let listed = sidecar.collection(&it.namespace);
            let specs: Vec<_> =
                listed.iter().flat_map(|listed| &listed.indexes).map(|index| index.spec.clone()).collect();
            let mut collection = check(&specs, Author::Person);
            let not_built = listed.iter().flat_map(|listed| &listed.not_built);
            let built: Vec<_> = collection.indexes.iter().filter_map(Sanitized::to_build).map(<[u8]>::to_vec).collect();
            let context = Context { options: &it.options, target: options.target, author: Author::Server };
            // What another one serves for is not missed; what no new server builds, an old one may.
            for left in not_built.filter(|left| left.served_by.is_none()) {
                let again = sanitize_beside(&built, &left.original, &context);
                collection.indexes.extend(again.filter(|index| index.to_build().is_none()));
            }
            beside.collections.push(collection);
        }
        Ok(Some(beside))
    }
}

/// The sidecar that an archive is to have.
#[derive(Debug)]
pub(super) struct ArchivePlan {
    path: PathBuf,
    sidecar: Sidecar,
    selected: Vec<String>,
    is_whole: bool,
}

impl ArchivePlan {
    pub(super) fn read(
        path: &Path,
        options: &IndexesOptions,
        warnings: &mut Vec<String>,
    ) -> Result<(Self, Vec<Collection>)> {
        let archive = ArchiveFile::open(path)?;
        let contents = archive.contents();
        let all = contents.namespaces().iter().map(|namespace| &namespace.collection);
        let names: Vec<Namespace> =
            all.clone().map(|collection| Namespace::parse(&collection.namespace)).collect::<Result<_>>()?;
        let chosen = selected(&names, options, warnings)?;
        let with_indexes = names.into_iter().zip(all.clone());
        let with_indexes = with_indexes.filter(|(name, it)| chosen.contains(name) && it.kind != CollectionType::View);
        let collections: Vec<Collection> = with_indexes
            .map(|(name, it)| Collection::check(name, &it.indexes, &it.options, options.target, Author::Server))
            .collect();
        let plan = ArchivePlan {
            path: sidecar_path(path),
            sidecar: Sidecar::derive_for(options.target, Some(contents.header().id.to_string()), all),
            selected: collections.iter().map(|collection| collection.namespace.to_string()).collect(),
            is_whole: chosen.len() == contents.namespaces().len(),
        };
        if plan.path.exists() {
            warnings.push(format!(
                "{} stands beside it, and is what a restore builds from; these are the specs in the archive itself",
                plan.path.display()
            ));
        }
        Ok((plan, collections))
    }

    /// Writes the sidecar. Collections that are not selected stay as a sidecar that is there has them; what someone may
    /// have written by hand is kept under another name.
    pub(super) fn carry_out(mut self, report: &mut RepairReport, progress: &dyn Progress) -> Result<()> {
        if self.path.exists() {
            let before = fs::read(&self.path).map_err(|error| Error::io(&self.path, error))?;
            if !self.is_whole {
                self.keep_others(&Sidecar::read(&self.path)?);
            }
            if before == self.sidecar.to_json()?.as_bytes() {
                return Ok(());
            }
            let mut old = self.path.as_os_str().to_owned();
            old.push(".old");
            let old = PathBuf::from(old);
            replace(&old, &before)?;
            let warning = format!("the sidecar that was there is another one; it is kept as {}", old.display());
            progress.warn(&warning);
            report.warnings.push(warning);
        }
        self.sidecar.write(&self.path)?;
        report.files.push(self.path.display().to_string());
        Ok(())
    }

    fn keep_others(&mut self, before: &Sidecar) {
        for collection in &mut self.sidecar.collections {
            let kept = before.collection(&collection.namespace);
            if let Some(kept) = kept.filter(|_| !self.selected.contains(&collection.namespace)) {
                collection.clone_from(kept);
            }
        }
    }
}
