//! The other journals in the directory of one: which of them is of the same server, under another name.
//!
//! A replica set says itself what it is called. A server without one is called as the user spells its hosts, and those
//! are not looked up; but its collections have UUIDs, which stand in the journal, and which no other server has but one
//! that is a copy of it.

use std::{
    fs::{self, File, TryLockError},
    path::{Path, PathBuf},
};

use super::{
    journal_file::{PREFIX, SUFFIX, check_scratches},
    whereabouts::named,
};
use crate::{
    catalog::sidecar::Sidecar,
    connect::Server,
    error::{ErrorKind, Result},
    namespace::Namespace,
};

/// A journal that has the name of another server.
#[derive(Debug)]
pub(super) struct Neighbour {
    pub(super) path: PathBuf,
    /// Its text, and what it lists; none if it cannot be read as a journal.
    pub(super) read: Option<(String, Sidecar)>,
}

impl Neighbour {
    /// All of them but `own`. A directory that cannot be listed has none that could be told of.
    pub(super) fn all(directory: &Path, own: &Path) -> Vec<Self> {
        let listed = fs::read_dir(if directory.as_os_str().is_empty() { Path::new(".") } else { directory });
        let names = listed.into_iter().flatten().filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let is_journal = |name: &String| name.starts_with(PREFIX) && name.ends_with(SUFFIX);
        let mut paths: Vec<PathBuf> = names.filter(is_journal).map(|name| directory.join(name)).collect();
        paths.retain(|path| path != own);
        paths.sort();
        paths.into_iter().map(Neighbour::read).collect()
    }

    fn read(path: PathBuf) -> Self {
        let read = || {
            let text = fs::read_to_string(&path).ok()?;
            let listed = Sidecar::parse(&text).ok()?;
            (listed.server.is_some() && check_scratches(&listed).is_ok()).then_some((text, listed))
        };
        Neighbour { read: read(), path }
    }

    /// The server whose name it has.
    pub(super) fn server(&self) -> Option<&str> {
        self.read.as_ref()?.1.server.as_deref()
    }

    /// Whether it is of this server under another name: a collection that it lists is there. Of two sets it is not so:
    /// what has the data of the other is a copy.
    ///
    /// # Errors
    /// What the server says.
    pub(super) async fn is_of(&self, server: &Server, identity: &str) -> Result<bool> {
        if self.server().is_none_or(|other| is_set(other) && is_set(identity)) {
            return Ok(false);
        }
        let collections = self.read.iter().flat_map(|(_, listed)| &listed.collections);
        for collection in collections {
            let (Some(uuid), Ok(namespace)) = (&collection.uuid, Namespace::parse(&collection.namespace)) else {
                continue;
            };
            match named(&server.reading_primary(), namespace.database(), uuid).await {
                Ok(Some(_)) => return Ok(true),
                Ok(None) => {}
                // Whoever may not look for it has nothing to finish there.
                Err(error) if error.kind() == ErrorKind::Authorization => {}
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }

    /// What is said of one that is not.
    pub(super) fn said(&self, identity: &str) -> String {
        let shown = self.path.display();
        let Some(server) = self.server() else {
            return format!("{shown} has the name of the journal of a repair, and cannot be read as one");
        };
        let how = if is_locked(&self.path) { "is under way" } else { "was cut" };
        let other = match is_set(server) && is_set(identity) {
            true => format!("another set than {identity}"),
            false => format!(
                "another server than {identity}, as far as its collections tell; the repair of a server that is spelled as \
                 it is there goes on from it"
            ),
        };
        format!("{shown} is the journal of a repair that {how}, of {server}: {other}")
    }
}

/// Whether it is the name of a replica set, with its hosts.
fn is_set(name: &str) -> bool {
    name.contains('/')
}

/// Whether a repair has it that is under way.
pub(super) fn is_locked(path: &Path) -> bool {
    File::open(path).is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}
