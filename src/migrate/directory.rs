//! The work directory of a migration: where everything of it is, and who may write there.
//!
//! ```text
//! DIR/migration.json       what is moved from where to where, and how far it is
//! DIR/migration.lock       held by the process at work
//! DIR/capture.json, log/   the changes, as 'transload capture' keeps them
//! DIR/copy.tlz             the archive; copy.tlz.partial as long as it is written; copy.indexes.json beside it
//! DIR/copy.parts.json      how the collections were cut
//! DIR/copy.loaded          which blocks of the archive the target has
//! DIR/replay.json, replay.journal, dead-letters.jsonl    how far the changes are applied, and what could not be
//! DIR/status.json          where it stands, for 'transload status'; .status.json while it is written
//! DIR/paused               there while the replay is held
//! DIR/cutover.json         there when a cutover is wanted
//! DIR/report.json          what the last cutover has come to
//! DIR/refused.jsonl        documents of the copy that the target has refused, the first of them
//! DIR/status.before.json   the last one, while --restart looks whether it can begin anew
//! DIR/given-up.json        there while --restart gives a migration up
//! DIR/again.tlz, again.indexes.json    collections that are copied anew at the cutover, while it lasts
//! DIR/findings.jsonl       what the comparison has found, if anything differs
//! DIR/reverse/             the target's changes since the cutover, with --reverse-capture
//! DIR/logs/                what happened when: migrate.log, and one for each collection
//! DIR/NAMESPACE.done       there when the copy of a collection is complete
//! ```

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    path::{Path, PathBuf},
};

use serde::de::DeserializeOwned;

use crate::{
    changes::capture::{Manifest, NotFollowed},
    error::{Error, ErrorKind, Result},
    namespace::Namespace,
};

/// Where things are.
#[derive(Clone, Debug)]
pub(crate) struct Paths(pub(super) PathBuf);

impl Paths {
    pub(crate) fn of(directory: &Path) -> Self {
        Paths(directory.to_owned())
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.0
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.0.join("migration.json")
    }

    pub(super) fn lock(&self) -> PathBuf {
        self.0.join("migration.lock")
    }

    pub(crate) fn archive(&self) -> PathBuf {
        self.0.join("copy.tlz")
    }

    pub(crate) fn parts(&self) -> PathBuf {
        self.0.join("copy.parts.json")
    }

    pub(crate) fn loaded(&self) -> PathBuf {
        self.0.join("copy.loaded")
    }

    /// Collections that are copied anew while nothing is written to them.
    pub(crate) fn again(&self) -> PathBuf {
        self.0.join("again.tlz")
    }

    pub(crate) fn status(&self) -> PathBuf {
        self.0.join("status.json")
    }

    /// The status of a migration, while it is looked whether another one can begin in its place.
    pub(crate) fn told(&self) -> PathBuf {
        self.0.join("status.before.json")
    }

    pub(crate) fn paused(&self) -> PathBuf {
        self.0.join("paused")
    }

    pub(crate) fn request(&self) -> PathBuf {
        self.0.join("cutover.json")
    }

    pub(crate) fn report(&self) -> PathBuf {
        self.0.join("report.json")
    }

    pub(crate) fn findings(&self) -> PathBuf {
        self.0.join("findings.jsonl")
    }

    /// The documents of the copy that the target has refused, or the first of them.
    pub(crate) fn refused(&self) -> PathBuf {
        self.0.join("refused.jsonl")
    }

    /// There while a migration is given up: what is left of it may be taken away.
    pub(crate) fn given_up(&self) -> PathBuf {
        self.0.join("given-up.json")
    }

    pub(crate) fn reverse(&self) -> PathBuf {
        self.0.join("reverse")
    }

    pub(crate) fn dead_letters(&self) -> PathBuf {
        self.0.join("dead-letters.jsonl")
    }

    /// The collections that the capture does not follow, or not any more.
    ///
    /// # Errors
    /// When what it has written down cannot be read.
    pub(crate) fn not_followed(&self) -> Result<Vec<NotFollowed>> {
        Ok(Manifest::read(&self.0)?.map_or_else(Vec::new, |manifest| manifest.not_followed))
    }

    pub(crate) fn logs(&self) -> PathBuf {
        self.0.join("logs")
    }

    pub(crate) fn done(&self, namespace: &Namespace) -> PathBuf {
        self.0.join(format!("{}.done", file_name(namespace)))
    }

    /// Whether a process is at work in it.
    ///
    /// # Errors
    /// When there is no migration in it.
    pub(crate) fn is_alive(&self) -> Result<bool> {
        let nothing = || {
            Error::new(ErrorKind::NotFound, "holds no migration")
                .with_hint("'transload migrate SOURCE TARGET --dir DIR' begins one")
                .at(self.0.display().to_string())
        };
        let lock = match File::open(self.lock()) {
            Ok(lock) => lock,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(nothing()),
            Err(error) => return Err(Error::io(self.lock(), error)),
        };
        match lock.try_lock_shared() {
            // One that was refused has left its lock, and nothing else.
            Ok(()) if !self.state().exists() => Err(nothing()),
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(error)) => Err(Error::io(self.lock(), error)),
        }
    }

    /// Makes the directory if need be, and takes hold of it for this process alone.
    ///
    /// # Errors
    /// When another process has it.
    pub(crate) fn take(&self) -> Result<Lock> {
        fs::create_dir_all(self.logs()).map_err(|error| Error::io(&self.0, error))?;
        let opened = OpenOptions::new().write(true).create(true).truncate(false).open(self.lock());
        let lock = opened.map_err(|error| Error::io(self.lock(), error))?;
        match crate::lock::lock(&lock) {
            Ok(()) => Ok(Lock(lock)),
            Err(TryLockError::Error(error)) => Err(Error::io(self.lock(), error)),
            Err(TryLockError::WouldBlock) => {
                Err(Error::new(ErrorKind::AlreadyExists, "another migration is at work in it")
                    .with_hint("'transload status' tells where it stands; stop it first, or name another --dir")
                    .at(self.0.display().to_string()))
            }
        }
    }
}

/// The right to write into a work directory. Given back by the system when the process ends, however it does.
#[derive(Debug)]
pub(crate) struct Lock(#[allow(dead_code, reason = "held, never read")] File);

/// What a file of the directory says; none where it is not there.
///
/// # Errors
/// When it cannot be read or understood.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io(path, error)),
    };
    serde_json::from_slice(&bytes).map(Some).map_err(|error| {
        Error::new(ErrorKind::Damaged, "is not what a migration has written")
            .with_source(error)
            .with_hint("put it back from a backup, or begin anew with --restart")
            .at(path.display().to_string())
    })
}

/// The name of a namespace as a part of a file's: what a file system does not take is written as `%` and two digits.
pub(crate) fn file_name(namespace: &Namespace) -> String {
    let mut name = String::new();
    for byte in namespace.to_string().bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' | b'$' => name.push(char::from(byte)),
            other => name.push_str(&format!("%{other:02x}")),
        }
    }
    if name.len() > LONGEST_NAME {
        // The end tells more of them apart than the beginning.
        let cut: String = name.chars().skip(name.len() - LONGEST_NAME).collect();
        return format!("~{cut}");
    }
    name
}

/// File systems take 255 bytes, with what stands behind.
const LONGEST_NAME: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_processes_cannot_have_it_and_who_looks_is_in_nobodys_way() {
        let folder = tempfile::tempdir().unwrap();
        let paths = Paths::of(folder.path());
        assert_eq!(paths.is_alive().unwrap_err().kind(), ErrorKind::NotFound);
        let held = paths.take().unwrap();
        assert!(paths.is_alive().unwrap());
        assert_eq!(paths.take().unwrap_err().kind(), ErrorKind::AlreadyExists);
        drop(held);
        assert_eq!(paths.is_alive().unwrap_err().kind(), ErrorKind::NotFound);
        fs::write(paths.state(), "{}").unwrap();
        assert!(!paths.is_alive().unwrap());
        drop(paths.take().unwrap());
    }

    #[test]
    fn a_clearing_takes_what_is_ours_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let paths = Paths::of(folder.path());
        let _held = paths.take().unwrap();
        // A kill may leave half a file before anything is begun.
        fs::write(folder.path().join(".transload-half"), "x").unwrap();
        assert_eq!(paths.first_of_another_kind().unwrap(), None);
        for name in [
            "migration.json",
            "copy.tlz.partial",
            "shop.orders.done",
            ".transload-Xy",
            "precious.txt",
            "logbook",
            "copy.sh",
        ] {
            fs::write(folder.path().join(name), "x").unwrap();
        }
        paths.give_up().unwrap();
        paths.clear().unwrap();
        let mut left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["copy.sh", "given-up.json", "logbook", "logs", "migration.lock", "precious.txt"]);
    }

    #[test]
    fn every_namespace_makes_a_file_name() {
        let name = |text: &str| file_name(&Namespace::parse(text).unwrap());
        assert_eq!(name("shop.orders"), "shop.orders");
        assert_eq!(name("shop.a/b ü"), "shop.a%2fb%20%c3%bc");
        assert!(name(&format!("shop.{}", "ü".repeat(100))).len() <= 201);
    }
}
