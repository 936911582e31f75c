//! The journal of a repair on a server: a file that has every spec from before the first index is dropped until all of
//! them are there again, so that a repair that was killed can be finished.
//!
//! It has the form of a sidecar, stands in the directory that the repair runs in, and is named after the replica set,
//! or the hosts; under another spelling of these it is found by the collections that it lists. Nothing of it is kept on
//! the server, which is not ours to write notes on.

use std::{
    fs::{self, File, TryLockError},
    io::ErrorKind as IoErrorKind,
    path::{Path, PathBuf},
};

use super::{
    collection::Collection,
    journal_file::{file_name, understand},
    neighbour::{Neighbour, is_locked},
};
use crate::{
    catalog::{
        index_spec::Verdict,
        sidecar::{CleanIndex, CollectionIndexes, NotBuilt, Sidecar},
    },
    connect::Server,
    error::{Error, ErrorKind, Result},
    replace::{put_locked, remove},
};

/// The journal of repairs of one server.
#[derive(Debug)]
pub(super) struct Journal {
    pub(super) path: PathBuf,
    /// The server as the file names it.
    pub(super) server: String,
    /// Whether that is another name than the one that the server has now.
    pub(super) is_of_other_name: bool,
    /// What an earlier repair has left, as it was read.
    before: Option<(String, Sidecar)>,
    /// A word about each other journal in the directory.
    pub(super) others: Vec<String>,
    /// Locked while this repair is under way.
    held: Vec<File>,
}

impl Journal {
    /// Looks for the journal that an earlier repair of this server has left in `directory`.
    ///
    /// # Errors
    /// When the file of its name cannot be read, is no journal, or is that of another server; what the server says.
    pub(super) async fn read(server: &Server, directory: &Path) -> Result<Self> {
        let identity = server.identity().await?;
        let path = directory.join(file_name(&identity));
        let before = match fs::read_to_string(&path) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == IoErrorKind::NotFound => None,
            Err(error) => return Err(unusable(Error::io(&path, error))),
        };
        let read = |text: String| {
            let listed =
                understand(&text, &identity).map_err(|error| unusable(error.at(path.display().to_string())))?;
            Ok((text, listed)) as Result<_>
        };
        let before = before.map(read).transpose()?;
        let neighbours = Neighbour::all(directory, &path);
        let (server_name, is_of_other_name, others) = (identity.clone(), false, Vec::new());
        let mut journal = Journal { path, server: server_name, is_of_other_name, before, others, held: Vec::new() };
        for neighbour in neighbours {
            journal.meet(neighbour, server, &identity).await?;
        }
        Ok(journal)
    }

    /// Takes another journal for its own, if that is of this server and there is none of its own name; else notes what is
    /// to be said of it.
    async fn meet(&mut self, neighbour: Neighbour, server: &Server, identity: &str) -> Result<()> {
        let said = neighbour.said(identity);
        match (neighbour.is_of(server, identity).await?, neighbour.read) {
            (true, Some((text, listed))) if self.before.is_none() => {
                self.path = neighbour.path;
                self.server = listed.server.clone().unwrap_or_default();
                self.is_of_other_name = true;
                self.before = Some((text, listed));
            }
            (true, _) => self.others.push(format!(
                "{} is another journal of this server: once {} is done, the same command goes on from it",
                neighbour.path.display(),
                self.path.display()
            )),
            (false, _) => self.others.push(said),
        }
        Ok(())
    }

    /// The collections that an earlier repair has left in it.
    pub(super) fn left(&self) -> &[CollectionIndexes] {
        self.before.as_ref().map_or(&[], |(_, listed)| &listed.collections)
    }

    /// The collections on which an earlier repair has tried specs.
    pub(super) fn scratches(&self) -> &[String] {
        self.before.as_ref().map_or(&[], |(_, listed)| &listed.scratch)
    }

    /// Whether an earlier repair has left it.
    pub(super) fn is_left(&self) -> bool {
        self.before.is_some()
    }

    /// Whether that repair is under way still.
    pub(super) fn is_held(&self) -> bool {
        self.is_left() && is_locked(&self.path)
    }

    /// Writes it, before anything is changed, with all these indexes, and the collections that specs are going to
    /// be tried on: what was left in it is among them. When
    /// it returns, it is on the disk, and no other repair has it.
    ///
    /// # Errors
    /// When it cannot be written, or another repair is under way.
    pub(super) fn begin(&mut self, collections: Vec<CollectionIndexes>, scratch: Vec<String>) -> Result<()> {
        let place = || self.path.display().to_string();
        let all = Sidecar { server: Some(self.server.clone()), scratch, collections, ..Sidecar::default() };
        let text = all.to_json()?;
        let before = match &self.before {
            None => None,
            Some((before, _)) => {
                let file = File::open(&self.path).map_err(|error| unwritten(Error::io(&self.path, error)))?;
                if matches!(file.try_lock(), Err(TryLockError::WouldBlock)) {
                    return Err(held_by_another().at(place()));
                }
                let now = fs::read_to_string(&self.path).map_err(|error| unwritten(Error::io(&self.path, error)))?;
                if now != *before {
                    return Err(Error::new(ErrorKind::AlreadyExists, "it has changed since it was read")
                        .with_hint("run the same command again; nothing was changed")
                        .at(place()));
                }
                Some(file)
            }
        };
        let held = put_locked(&self.path, text.as_bytes(), before.is_some()).map_err(|error| match error.kind() {
            // There was none when this repair looked: one that has begun at the same moment was first.
            ErrorKind::AlreadyExists => held_by_another().at(place()),
            _ => unwritten(error),
        })?;
        // Another repair may be waiting with the one that it has read, which has another lock.
        self.held = [Some(held), before].into_iter().flatten().collect();
        Ok(())
    }

    /// Keeps a copy of what an earlier repair has left, under a name that nothing else has.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn keep_old(&self) -> Result<PathBuf> {
        let text = self.before.as_ref().map_or("", |(text, _)| text);
        let mut number = 0_u32;
        loop {
            let mut old = self.path.as_os_str().to_owned();
            old.push(if number == 0 { ".old".to_owned() } else { format!(".old.{number}") });
            let old = PathBuf::from(old);
            match put_locked(&old, text.as_bytes(), false) {
                // What was kept by a repair that was cut after that need not be kept twice.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                    if fs::read(&old).is_ok_and(|kept| kept == text.as_bytes()) {
                        return Ok(old);
                    }
                }
                Err(error) => return Err(unwritten(error)),
                Ok(_) => return Ok(old),
            }
            number = number.saturating_add(1);
        }
    }

    /// Every index is there: it has done its work.
    ///
    /// # Errors
    /// What the operating system says.
    pub(super) fn end(self) -> Result<()> {
        remove(&self.path)
    }
}

/// What is going to be done in a collection, for the journal.
pub(super) fn record(collection: &Collection) -> Option<CollectionIndexes> {
    let mut record = CollectionIndexes::new(collection.namespace.to_string());
    record.uuid.clone_from(&collection.uuid);
    for index in collection.bad() {
        let (original, repairs) = (index.original.clone(), index.repairs.clone());
        match &index.verdict {
            Verdict::Build(spec) => {
                record.indexes.push(CleanIndex { spec: spec.clone(), original: Some(original), repairs })
            }
            Verdict::Merged(other) => record.not_built.push(NotBuilt {
                name: index.name.clone(),
                original,
                served_by: Some(other.clone()),
                reason: format!("{other} serves for it"),
                repairs,
            }),
            // Nothing is done about them.
            Verdict::Refused(_) | Verdict::Inherent => {}
        }
    }
    (!record.indexes.is_empty() || !record.not_built.is_empty()).then_some(record)
}

fn held_by_another() -> Error {
    Error::new(ErrorKind::AlreadyExists, "another repair of this server has it")
        .with_hint("wait for it to end; nothing was changed")
}

fn unusable(error: Error) -> Error {
    error.with_hint(
        "the journal of a repair of this server has this name: mend it, or move it away if every index that it lists is \
         there, or run the command in another directory",
    )
}

fn unwritten(error: Error) -> Error {
    error.with_hint(
        "the journal of the repair must be written before an index is dropped: run the command in a directory that you \
         may write to; nothing was changed",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_repairs_begun_at_one_moment_the_second_waits_for_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("transload-repair-rs.indexes.json");
        let server = "rs/a:1".to_owned();
        let none = || Journal {
            path: path.clone(),
            server: server.clone(),
            is_of_other_name: false,
            before: None,
            others: Vec::new(),
            held: Vec::new(),
        };
        let (mut first, mut second) = (none(), none());
        first.begin(Vec::new(), Vec::new()).unwrap();
        let text = fs::read(&path).unwrap();
        let refused = second.begin(Vec::new(), vec!["shop.transload_scratch_0123456789abcdef".to_owned()]).unwrap_err();
        assert_eq!(refused.to_string(), format!("{}: another repair of this server has it", path.display()));
        assert_eq!(refused.hint(), Some("wait for it to end; nothing was changed"));
        assert_eq!(fs::read(&path).unwrap(), text);
    }
}
