//! A temporary directory that does not outlive its process for long, however the process ends.
//!
//! Dropping one removes it. A process that is killed, or ends with sandboxes in statics, drops nothing: so each new
//! directory is preceded by a sweep of what dead processes left in the same place. A directory is alive as long as a
//! lock on the file in it is held; the kernel releases that with the process. (A process id in the name would be
//! wrong as soon as ids are used again, or two containers share a `/tmp`.)

use std::{
    fs::{self, File, OpenOptions},
    io,
    path::Path,
    time::Duration,
};

use rustix::fs::{FlockOperation, flock};
use tempfile::{Builder, TempDir};

use crate::error::{Error, ErrorKind, Result};

const LOCK: &str = "lock";
/// A directory without a lock file is either being made or half removed; after so long it is not being made any more.
const ABANDONED: Duration = Duration::from_secs(600);

/// A directory that is removed when dropped.
pub(crate) struct Directory {
    // Before the lock, so that it is removed while still locked.
    directory: TempDir,
    _lock: File,
}

impl Directory {
    /// Makes a directory whose name begins with `prefix` in `parent`, after removing those that died there.
    pub(crate) async fn create(parent: &Path, prefix: &'static str) -> Result<Self> {
        let parent = parent.to_owned();
        // Off the runtime: what is swept may be gigabytes of data.
        tokio::task::spawn_blocking(move || Directory::create_now(&parent, prefix)).await.unwrap_or_else(|panic| {
            Err(Error::new(ErrorKind::Internal, "making a temporary directory panicked").with_source(panic))
        })
    }

    fn create_now(parent: &Path, prefix: &str) -> Result<Self> {
        sweep(parent, prefix);
        let directory = Builder::new().prefix(prefix).tempdir_in(parent).map_err(|error| Error::io(parent, error))?;
        let lock = lock(directory.path()).map_err(|error| Error::io(directory.path(), error))?;
        Ok(Directory { directory, _lock: lock })
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }
}

/// The lock file appears under its name only when it is locked, so that no sweep finds it unlocked in between.
fn lock(directory: &Path) -> io::Result<File> {
    let unlocked = directory.join("lock.new");
    let file = OpenOptions::new().write(true).create_new(true).open(&unlocked)?;
    flock(&file, FlockOperation::NonBlockingLockExclusive)?;
    fs::rename(unlocked, directory.join(LOCK))?;
    Ok(file)
}

/// Best effort: what cannot be removed now, such as another user's, is left to another sweep.
fn sweep(parent: &Path, prefix: &str) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().starts_with(prefix) && is_dead(&entry.path()).unwrap_or(false) {
            // The answer is of no use: a server that is just being killed may still add a file.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

fn is_dead(directory: &Path) -> io::Result<bool> {
    match OpenOptions::new().write(true).open(directory.join(LOCK)) {
        Ok(file) => Ok(flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let age = directory.metadata()?.modified()?.elapsed().unwrap_or_default();
            Ok(age > ABANDONED)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sweep_removes_the_dead_and_spares_the_living_and_the_unborn() -> Result<()> {
        let parent = tempfile::tempdir().map_err(|error| Error::io("temporary directory", error))?;
        let living = Directory::create_now(parent.path(), "box-")?;
        let dead = parent.path().join("box-dead");
        let unborn = parent.path().join("box-unborn");
        let foreign = parent.path().join("other");
        for directory in [&dead, &unborn, &foreign] {
            fs::create_dir(directory).map_err(|error| Error::io(directory, error))?;
        }
        for directory in [&dead, &foreign] {
            fs::write(directory.join(LOCK), "").map_err(|error| Error::io(directory, error))?;
        }

        let second = Directory::create_now(parent.path(), "box-")?;
        assert!(!dead.exists());
        assert!(living.path().exists() && unborn.exists() && foreign.exists());

        let gone = second.path().to_owned();
        drop(second);
        assert!(!gone.exists());
        Ok(())
    }
}
