//! Where an archive is written to: a file that gets its name only when it is finished, or standard output.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Seek, Write},
    path::{Path, PathBuf},
};

use super::{Ring, SyncedFile};
use crate::error::{Error, ErrorKind, Result};

/// Where an archive goes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// A file under this name.
    File {
        /// The name that the finished archive will have.
        path: PathBuf,
        /// Whether an archive, or what is left of an interrupted dump, may be replaced.
        replace: bool,
    },
    /// Standard output.
    Stdout,
    /// Nowhere: what is written is gone. To measure with.
    Nothing,
    /// Memory that is used over and over, so that it does not grow with the archive. To measure with.
    Memory,
}

impl Destination {
    /// The name for messages.
    pub fn name(&self) -> String {
        match self {
            Destination::File { path, .. } => path.display().to_string(),
            Destination::Stdout => "standard output".to_owned(),
            Destination::Nothing => "nothing".to_owned(),
            Destination::Memory => "memory".to_owned(),
        }
    }

    /// The name, for messages, of what is there until the archive is finished.
    pub fn unfinished_name(&self) -> String {
        match self {
            Destination::File { path, .. } => partial_name(path).display().to_string(),
            Destination::Stdout | Destination::Nothing | Destination::Memory => self.name(),
        }
    }

    /// Whether it can be opened as far as that shows without doing so: to be asked before any other work.
    ///
    /// # Errors
    /// When something is there already and may not be replaced.
    pub fn check(&self) -> Result<()> {
        match self {
            Destination::File { path, .. } if path.is_dir() => {
                Err(Error::new(ErrorKind::Usage, "is a directory: name the archive in it").at(self.name()))
            }
            Destination::File { path, replace: false } if path.exists() => {
                Err(exists(path, "exists already", "--force replaces it once the new archive is finished"))
            }
            Destination::File { path, .. } if !parent(path).is_dir() => {
                let message = format!("there is no directory {}", parent(path).display());
                Err(Error::new(ErrorKind::NotFound, message).with_hint("make it first").at(self.name()))
            }
            _ => Ok(()),
        }
    }

    /// Opens it for writing.
    ///
    /// # Errors
    /// When something is there already and may not be replaced, or the file cannot be made.
    pub fn open(&self) -> Result<Output> {
        self.check()?;
        let (path, replace) = match self {
            Destination::Stdout => return Ok(Output::Stdout(io::stdout())),
            Destination::Nothing => return Ok(Output::Nothing),
            Destination::Memory => return Ok(Output::Memory(Ring::new())),
            Destination::File { path, replace } => (path, *replace),
        };
        let partial = partial_name(path);
        let opened = if replace {
            OpenOptions::new().write(true).create(true).truncate(false).open(&partial)
        } else {
            OpenOptions::new().write(true).create_new(true).open(&partial)
        };
        let file = match opened {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(exists(
                    &partial,
                    "exists already: another dump is writing it, or one was interrupted",
                    "--force begins anew in its place; 'transload recover' salvages it",
                ));
            }
            Err(error) => return Err(Error::io(&partial, error)),
        };
        // Before a byte is cut: --force must not destroy what another process is writing.
        if is_locked(&file, &partial)? {
            return Err(exists(&partial, "is being written by another process", "wait for it, or choose another name"));
        }
        // Who held the lock until now may have published the file under its final name.
        if !is_still(&file, &partial) {
            return Err(exists(&partial, "was finished by another process just now", "start again"));
        }
        file.set_len(0).map_err(|error| Error::io(&partial, error))?;
        Ok(Output::File { file: SyncedFile::new(file), partial, path: path.clone(), replace })
    }
}

/// Whether another process holds the lock of the file; if not, it is ours now.
fn is_locked(file: &File, path: &Path) -> Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(Error::io(path, error).with_hint(
            "its file system gives no lock on it, without which two dumps could write the same file: choose another folder",
        )),
    }
}

/// Whether the open file is what its name still stands for.
#[cfg(unix)]
fn is_still(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let same = |a: &fs::Metadata, b: &fs::Metadata| (a.dev(), a.ino()) == (b.dev(), b.ino());
    matches!((file.metadata(), fs::metadata(path)), (Ok(a), Ok(b)) if same(&a, &b))
}

#[cfg(not(unix))]
fn is_still(_: &File, path: &Path) -> bool {
    path.exists()
}

/// The name of an archive while it is written.
pub fn partial_name(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".partial");
    PathBuf::from(name)
}

fn exists(path: &Path, message: &str, hint: &str) -> Error {
    Error::new(ErrorKind::AlreadyExists, message).at(path.display().to_string()).with_hint(hint)
}

impl Output {
    /// Opens what is left of an archive that was not finished, in order to go on behind its first `len` bytes. What stands
    /// there is cut off. It gets its name, `path`, in the end.
    ///
    /// # Errors
    /// When another process writes it, and what the operating system says.
    pub(crate) fn reopen(path: &Path, len: u64) -> Result<Self> {
        let partial = partial_name(path);
        let fail = |error| Error::io(&partial, error);
        let mut file = OpenOptions::new().write(true).open(&partial).map_err(fail)?;
        if is_locked(&file, &partial)? {
            return Err(exists(&partial, "is being written by another process", "wait for it"));
        }
        file.set_len(len).and_then(|()| file.seek(io::SeekFrom::Start(len))).map_err(fail)?;
        Ok(Output::File { file: SyncedFile::new(file), partial, path: path.to_owned(), replace: false })
    }
}

/// An archive being written. Blocks are large, so nothing buffers them again.
#[derive(Debug)]
pub enum Output {
    /// A file under its partial name.
    File {
        /// The open file, locked.
        file: SyncedFile,
        /// Its name now.
        partial: PathBuf,
        /// Its name once it is finished.
        path: PathBuf,
        /// Whether what has that name by then may be replaced.
        replace: bool,
    },
    /// Standard output.
    Stdout(io::Stdout),
    /// Nowhere.
    Nothing,
    /// Memory.
    Memory(Ring),
}

impl Output {
    /// Makes a finished archive durable; it keeps its partial name.
    ///
    /// # Errors
    /// When the operating system fails.
    pub fn sync(&mut self) -> Result<()> {
        match self {
            Output::Stdout(out) => out.flush().map_err(|error| Error::io("standard output", error)),
            Output::Nothing | Output::Memory(_) => Ok(()),
            Output::File { file, partial, .. } => file.sync().map_err(|error| Error::io(partial, error)),
        }
    }

    /// Makes a finished archive durable, and only then gives it its name.
    ///
    /// # Errors
    /// When the operating system fails; the file then keeps its partial name.
    pub fn publish(mut self) -> Result<()> {
        self.sync()?;
        let Output::File { partial, path, replace, .. } = &self else {
            return Ok(());
        };
        if *replace {
            fs::rename(partial, path).map_err(|error| Error::io(partial, error))?;
        } else {
            rename_to_new(partial, path)?;
        }
        sync_directory(path)
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Output::File { file, .. } => file.write(bytes),
            Output::Stdout(out) => out.write(bytes),
            Output::Nothing => Ok(bytes.len()),
            Output::Memory(ring) => Ok(ring.write(bytes)),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Output::File { file, .. } => file.flush(),
            Output::Stdout(out) => out.flush(),
            Output::Nothing | Output::Memory(_) => Ok(()),
        }
    }
}

/// Gives a file a name that nothing has, even if something took it since that was last looked at.
fn rename_to_new(partial: &Path, path: &Path) -> Result<()> {
    // With the file system's own refusal to replace, where it has one.
    let temporary = tempfile::TempPath::try_from_path(partial).map_err(|error| Error::io(partial, error))?;
    let Err(failed) = temporary.persist_noclobber(path) else {
        return Ok(());
    };
    // Otherwise it would be removed as if it were temporary.
    failed.path.keep().map_err(|error| Error::io(partial, error.error))?;
    Err(match failed.error.kind() {
        io::ErrorKind::AlreadyExists => {
            let hint = format!("the archive is whole, and called {}: give it another name", partial.display());
            exists(path, "was made by another process meanwhile", &hint)
        }
        _ => Error::io(partial, failed.error),
    })
}

/// The directory that a path stands in.
fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A new name is durable only when its directory is.
fn sync_directory(path: &Path) -> Result<()> {
    let parent = parent(path);
    if cfg!(unix) {
        File::open(parent).and_then(|directory| directory.sync_all()).map_err(|error| Error::io(parent, error))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_took_the_name_meanwhile_stays_and_so_does_the_archive() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shop.tlz");
        let finish = |replace| {
            let mut output = Destination::File { path: path.clone(), replace }.open().unwrap();
            output.write_all(b"the archive").unwrap();
            fs::write(&path, "another's").unwrap();
            output.publish()
        };
        let error = finish(false).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"another's");
        assert_eq!(fs::read(partial_name(&path)).unwrap(), b"the archive");
        finish(true).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"the archive");
    }
}
