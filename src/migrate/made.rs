//! The collections that a cutover makes on the target besides the archive: of those that the replay meets later, it knows by them
//! that they are this migration's, and which of their changes they have.

use std::collections::{BTreeSet, HashMap};

use super::Migration;
use crate::{
    archive::ArchiveFile,
    catalog::{self, Held},
    changes::replay::taken,
    error::Result,
    namespace::Namespace,
    selection::Selection,
};

impl Migration {
    /// Those that were made so far.
    pub(super) fn made(&self) -> Result<HashMap<Namespace, Option<(u64, u64)>>> {
        let made = self.state().made;
        made.into_iter().map(|(name, window)| Ok((Namespace::parse(&name)?, window))).collect()
    }

    /// Writes down that whatever the source has now will be made, before it is. `told_of` are those that a change has told of.
    ///
    /// # Errors
    /// When the target has something else under one of their names.
    pub(super) async fn will_make(&self, told_of: &BTreeSet<Namespace>) -> Result<()> {
        let selection = Selection::new(&self.selection)?;
        let archive = ArchiveFile::open(&self.paths.archive())?;
        let archived: BTreeSet<String> =
            archive.contents().namespaces().iter().map(|one| one.collection.namespace.clone()).collect();
        let known = self.state().made;
        let mut new = Vec::new();
        for entry in self.selected_on_source().await?.entries {
            let source = entry.namespace;
            let name = source.to_string();
            if archived.contains(&name) || known.contains_key(&name) {
                continue;
            }
            if let Some(target) = selection.target(&source)?
                && !told_of.contains(&source)
                && catalog::held(&self.target, &target).await? != Held::Nothing
            {
                return Err(taken(&source, &target).at(self.target.place()));
            }
            new.push(name);
        }
        if new.is_empty() {
            return Ok(());
        }
        self.change_state(|state| state.made.extend(new.into_iter().map(|name| (name, None))))
    }

    /// Writes down between which times collections were copied once more: what happened to them before is on the target.
    pub(super) fn has_made(&self, names: &[Namespace], window: (u64, u64)) -> Result<()> {
        self.change_state(|state| state.made.extend(names.iter().map(|name| (name.to_string(), Some(window)))))
    }
}
