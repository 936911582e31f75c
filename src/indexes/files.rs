//! Specs in the metadata files of a mongodump directory.

use std::path::Path;

use super::{
    collection::Collection,
    plan::{IndexesOptions, selected},
    report::RepairReport,
};
use crate::{
    catalog::index_spec::{Author, Verdict},
    error::Result,
    interop::{FoundMetadata, MetadataFile, Rewrite, metadata_files},
    namespace::Namespace,
};

/// The files, each with its collection.
#[derive(Debug)]
pub(super) struct FilesPlan {
    files: Vec<(MetadataFile, Collection)>,
}

impl FilesPlan {
    pub(super) fn read(path: &Path, options: &IndexesOptions, warnings: &mut Vec<String>) -> Result<Self> {
        let files = metadata_files(path)?;
        let names: Vec<Namespace> = files.iter().map(|found| found.namespace.clone()).collect();
        let chosen = selected(&names, options, warnings)?;
        let check = |found: FoundMetadata| {
            let (name, file) = (found.namespace, found.file?);
            let collection = Collection::check(name, &file.indexes, &file.options, options.target, Author::Server);
            Ok((file, collection))
        };
        let files = files.into_iter().filter(|found| chosen.contains(&found.namespace));
        Ok(FilesPlan { files: files.map(check).collect::<Result<_>>()? })
    }

    pub(super) fn collections(&self) -> impl Iterator<Item = &Collection> {
        self.files.iter().map(|(_, collection)| collection)
    }

    /// Writes the files that have bad specs that can be helped, one after the other; the others are not touched.
    pub(super) fn carry_out(self, report: &mut RepairReport) -> Result<()> {
        for (file, collection) in &self.files {
            let become_of = |number: usize| match collection.indexes.get(number) {
                Some(index) if index.is_bad() => match &index.verdict {
                    Verdict::Build(clean) => Rewrite::Replace(clean.clone()),
                    Verdict::Merged(_) => Rewrite::Remove,
                    Verdict::Inherent => Rewrite::Replace(index.without_removed()),
                    // Nobody has another word for what it is.
                    Verdict::Refused(_) => Rewrite::Keep,
                },
                _ => Rewrite::Keep,
            };
            if (0..collection.indexes.len()).any(|number| become_of(number) != Rewrite::Keep) {
                file.rewrite(become_of)?;
                report.files.push(file.path.display().to_string());
            }
        }
        Ok(())
    }
}
