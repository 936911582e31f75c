//! What in a work directory is a migration's own: what it would take for that, and what it takes away.

use std::{fs, path::Path, time::Duration};

use super::directory::Paths;
use crate::{
    archive::partial_name,
    catalog::sidecar::sidecar_path,
    error::{Error, Result},
    replace::{HALF, sync_folder},
};

/// How old a file is that is not whole, and that nobody is still writing: a request is put there in no time.
const LEFT: Duration = Duration::from_secs(60);

impl Paths {
    /// Takes away what processes that were killed have left of files that were not whole, and of what they were copying anew.
    ///
    /// # Errors
    /// What the operating system says.
    pub(crate) fn clear_halves(&self) -> Result<()> {
        let again = [self.again(), partial_name(&self.again()), sidecar_path(&self.again())];
        for entry in fs::read_dir(&self.0).map_err(|error| Error::io(&self.0, error))? {
            let entry = entry.map_err(|error| Error::io(&self.0, error))?;
            let is_half = entry.file_name().to_string_lossy().starts_with(HALF);
            let age = entry.metadata().and_then(|about| about.modified()).ok().and_then(|then| then.elapsed().ok());
            if is_half && age.is_some_and(|age| age > LEFT) || again.contains(&entry.path()) {
                match fs::remove_file(entry.path()) {
                    Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                        return Err(Error::io(entry.path(), error));
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// Something in it that a migration would take for its own, and is not known to be.
    ///
    /// # Errors
    /// What the operating system says.
    pub(crate) fn first_of_another_kind(&self) -> Result<Option<String>> {
        let entries = fs::read_dir(&self.0).map_err(|error| Error::io(&self.0, error))?;
        for entry in entries {
            let path = entry.map_err(|error| Error::io(&self.0, error))?.path();
            let is_half = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(HALF));
            if !is_half && ![self.lock(), self.logs()].contains(&path) && self.is_ours(&path) {
                return Ok(path.file_name().map(|name| name.to_string_lossy().into_owned()));
            }
        }
        Ok(None)
    }

    /// Notes that a migration is given up: what a kill leaves of it must not be taken for one that can go on.
    ///
    /// # Errors
    /// What the operating system says.
    pub(crate) fn give_up(&self) -> Result<()> {
        match fs::rename(self.state(), self.given_up()) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::io(self.state(), error)),
            _ => sync_folder(&self.0).map_err(|error| Error::io(&self.0, error)),
        }
    }

    /// Takes away everything of a migration that is given up, but for its logs and its lock.
    ///
    /// # Errors
    /// What the operating system says.
    pub(crate) fn clear(&self) -> Result<()> {
        let entries = fs::read_dir(&self.0).map_err(|error| Error::io(&self.0, error))?;
        for entry in entries {
            let path = entry.map_err(|error| Error::io(&self.0, error))?.path();
            if self.is_ours(&path) && path != self.given_up() {
                let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
                removed.map_err(|error| Error::io(&path, error))?;
            }
        }
        Ok(())
    }

    /// Whether it has the name of something that a migration writes.
    fn is_ours(&self, path: &Path) -> bool {
        const NAMES: [&str; 25] = [
            "capture.json",
            "capture.lock",
            "log",
            "copy.tlz",
            "copy.tlz.partial",
            "copy.indexes.json",
            "copy.parts.json",
            "copy.loaded",
            "again.tlz",
            "again.tlz.partial",
            "again.indexes.json",
            "replay.json",
            "replay.lock",
            "replay.journal",
            "dead-letters.jsonl",
            "status.json",
            ".status.json",
            "status.before.json",
            "paused",
            "cutover.json",
            "report.json",
            "findings.jsonl",
            "refused.jsonl",
            "given-up.json",
            "reverse",
        ];
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        // A namespace has a dot of its own.
        // What a kill leaves of a file that was written anew.
        let is_half = name.starts_with(HALF);
        NAMES.contains(&name) || is_half || name.strip_suffix(".done").is_some_and(|namespace| namespace.contains('.'))
    }
}
