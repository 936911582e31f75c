//! The collections of a migration as the process before this one has left them.

use std::collections::HashMap;

use super::{
    collections::Collections,
    directory::Paths,
    parts::Parts,
    state::{Stage, State},
    status,
};
use crate::{
    archive::ArchiveFile, catalog, changes::replay::dead_letters, connect::Server, error::Result, namespace::Namespace,
    progress::News, selection::Selection,
};

/// The collections of a migration that goes on. What the last status said of them counts as far as the target has them: some may
/// have come or gone since it was written.
///
/// # Errors
/// When what the directory holds cannot be read, or the target does not tell what it has.
pub(super) async fn left(state: &State, parts: Option<&Parts>, paths: &Paths, target: &Server) -> Result<Collections> {
    let Some(parts) = parts else { return Ok(Collections::default()) };
    let is_copied = state.stage != Stage::Copying;
    let mut collections = Collections::of(parts, is_copied);
    if !is_copied {
        return Ok(collections);
    }
    // When it is over, the archive may be somewhere else.
    if !matches!(state.stage, Stage::Done { .. }) {
        let archive = ArchiveFile::open(&paths.archive())?;
        for archived in archive.contents().namespaces() {
            let (namespace, totals) = (Namespace::parse(&archived.collection.namespace)?, archived.totals);
            collections.copied(namespace, totals.documents, totals.bytes);
        }
    }
    // It is of no consequence where there is none.
    let before = status::known(&paths.status()).ok().flatten();
    let before = before.filter(|before| before.begun == state.begun && before.copy_complete);
    for one in before.iter().flat_map(|before| &before.namespaces) {
        collections.copied(Namespace::parse(&one.namespace)?, one.documents, one.bytes);
    }
    if matches!(state.stage, Stage::Done { .. }) {
        return Ok(collections);
    }
    let selection = Selection::new(&state.selection)?;
    let mut there: HashMap<String, HashMap<String, _>> = HashMap::new();
    let mut on_target = Vec::new();
    for namespace in collections.names() {
        let Some(name) = selection.target(&namespace)? else { continue };
        if !there.contains_key(name.database()) {
            there.insert(name.database().to_owned(), catalog::existing(target, name.database()).await?);
        }
        if there.get(name.database()).is_some_and(|names| names.contains_key(name.collection())) {
            on_target.push(namespace);
        }
    }
    collections.retain(|namespace| on_target.binary_search(namespace).is_ok());
    for letter in dead_letters(&paths.dead_letters())?.iter().filter(|letter| letter.is_of_all()) {
        collections.hear(&letter.namespace, &News::NotFollowed);
    }
    for lost in paths.not_followed()? {
        collections.hear(&lost.namespace, &News::NotFollowed);
    }
    Ok(collections)
}
