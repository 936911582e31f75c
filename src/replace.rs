//! Writes a file anew in one step: whoever reads it sees it as it was or as it is to be, whatever happens meanwhile.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
};

use tempfile::{Builder, NamedTempFile};

use crate::error::{Error, Result};

/// How the name of a file begins that is not whole yet. What a kill leaves of it says whose it is.
pub(crate) const HALF: &str = ".transload-";

/// Puts `bytes` into the file at `path`, which need not be there. What a symbolic link points to is written anew, and
/// the link stays. The mode of the file stays; a new one can be read by everyone.
///
/// # Errors
/// What the operating system says. Then the file is as it was.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let fail = |error| Error::io(path, error);
    let target = match fs::canonicalize(path) {
        Ok(target) => target,
        Err(error) if error.kind() == io::ErrorKind::NotFound => path.to_owned(),
        Err(error) => return Err(fail(error)),
    };
    let file = staged(&target, bytes).map_err(fail)?;
    file.persist(&target).map_err(|failed| fail(failed.error))?;
    sync_folder(&target).map_err(fail)
}

/// The same where there is to be no file yet.
///
/// # Errors
/// When there is one, and what the operating system says.
pub(crate) fn put_new(path: &Path, bytes: &[u8]) -> Result<()> {
    let fail = |error| Error::io(path, error);
    staged(path, bytes).map_err(fail)?.persist_noclobber(path).map_err(|failed| fail(failed.error))?;
    sync_folder(path).map_err(fail)
}

/// The same for a file that is locked as long as what is given back is kept: whoever sees it under its name sees it
/// locked. Unless it `may_replace` the file that is there, there must be none.
///
/// # Errors
/// What the operating system says.
pub(crate) fn put_locked(path: &Path, bytes: &[u8], may_replace: bool) -> Result<File> {
    let fail = |error| Error::io(path, error);
    let file = staged(path, bytes).map_err(fail)?;
    // Nobody else has it yet. Some file systems know no locks: then two users are not kept apart.
    let _ = file.as_file().lock();
    let file = if may_replace { file.persist(path) } else { file.persist_noclobber(path) };
    let file = file.map_err(|failed| fail(failed.error))?;
    sync_folder(path).map_err(fail)?;
    Ok(file)
}

/// Removes a file for good.
///
/// # Errors
/// What the operating system says.
pub(crate) fn remove(path: &Path) -> Result<()> {
    let fail = |error| Error::io(path, error);
    fs::remove_file(path).map_err(fail)?;
    sync_folder(path).map_err(fail)
}

/// A file beside `target` with these bytes, which are on the disk.
fn staged(target: &Path, bytes: &[u8]) -> io::Result<NamedTempFile> {
    let mut file = Builder::new().prefix(HALF).tempfile_in(folder(target))?;
    // A temporary file is for its owner alone.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(target).map_or(0o644, |metadata| metadata.permissions().mode());
        file.as_file().set_permissions(fs::Permissions::from_mode(mode))?;
    }
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    Ok(file)
}

/// Makes durable which names are in the folder that `path` stands in.
///
/// # Errors
/// What the operating system says.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(folder(path))?.sync_all() } else { Ok(()) }
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_file_keeps_its_mode_and_a_link_stays_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        replace(&file, b"one").unwrap();
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o644);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        symlink("file", &link).unwrap();
        replace(&link, b"two").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(&file).unwrap(), b"two");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }
}
