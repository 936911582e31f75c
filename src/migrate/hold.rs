//! After a cutover that was not the last one, what expires on the target is held back again before anything else is applied.

use super::Migration;
use crate::{archive::ArchiveFile, catalog, error::Result, selection::Selection};

impl Migration {
    /// Holds back what expires in the migration's collections, if a cutover has let it.
    ///
    /// # Errors
    /// When a server does not answer.
    pub(super) async fn hold_expiry(&self) -> Result<()> {
        if !self.state().expires {
            return Ok(());
        }
        let (selection, made) = (Selection::new(&self.selection)?, self.made()?);
        let archive = ArchiveFile::open(&self.paths.archive())?;
        let archived = archive.contents().namespaces();
        for entry in self.selected_on_source().await?.entries {
            let name = entry.namespace.to_string();
            let is_ours = made.contains_key(&entry.namespace)
                || archived.iter().any(|archived| archived.collection.namespace == name);
            let Some(target) = selection.target(&entry.namespace)?.filter(|_| is_ours) else { continue };
            for held in catalog::hold_expiry(&self.target, &target).await? {
                if held.failed.is_some() {
                    self.board.warn(&held.to_string());
                }
                self.board.log(Some(&entry.namespace), &held.to_string());
            }
        }
        self.change_state(|state| state.expires = false)
    }
}
