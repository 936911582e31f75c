//! The directory of a capture: locked while it is used, begun in one step, never believed without its manifest.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
};

use super::{CaptureOptions, EventsTarget, Manifest, State};
use crate::{
    changes::{
        Store,
        cdc::CdcWriter,
        log::{LogWriter, Position},
    },
    error::{Error, ErrorKind, Result},
    replace::sync_folder,
    selection::SelectionOptions,
};

/// A work directory that this process alone captures into.
#[derive(Debug)]
pub(super) struct WorkDirectory {
    directory: PathBuf,
    /// Given back by the system when the process ends, however it does.
    _lock: File,
}

impl WorkDirectory {
    /// Makes the directory if need be, and locks it.
    pub(super) fn open(directory: &Path) -> Result<Self> {
        fs::create_dir_all(directory).map_err(|error| Error::io(directory, error))?;
        let path = directory.join("capture.lock");
        let lock = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
        let lock = lock.map_err(|error| Error::io(&path, error))?;
        match crate::lock::lock(&lock) {
            Ok(()) => Ok(WorkDirectory { directory: directory.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(Error::new(ErrorKind::AlreadyExists, "another capture uses it")
                .with_hint(
                    "two captures into one directory would record everything twice; wait for the other, or stop it",
                )
                .at(directory.display().to_string())),
            Err(TryLockError::Error(error)) => Err(Error::io(&path, error)),
        }
    }

    /// The manifest of the capture that was begun here; none if one is to begin.
    ///
    /// # Errors
    /// When there are logs and no manifest: nobody knows whose they are, and to begin with the present would lose what
    /// happened since.
    pub(super) fn begun(&self) -> Result<Option<Manifest>> {
        match Manifest::read(&self.directory)? {
            Some(manifest) if manifest.state == State::Begun => Ok(Some(manifest)),
            Some(_) => Ok(None),
            None if self.has_logs()? => {
                Err(Error::new(ErrorKind::Damaged, "holds change logs, but its capture.json is missing")
                    .with_hint(
                        "put capture.json back; without it nobody knows what the logs record, so capture into a new \
                         directory, and copy anew",
                    )
                    .at(self.directory.display().to_string()))
            }
            None => Ok(None),
        }
    }

    /// Where a beginning that was killed wanted its events, so that it is known again.
    pub(super) fn beginning(&self) -> Result<Option<EventsTarget>> {
        Ok(Manifest::read(&self.directory)?.and_then(|manifest| manifest.events))
    }

    fn has_logs(&self) -> Result<bool> {
        let path = self.directory.join("log");
        match fs::read_dir(&path) {
            Ok(mut entries) => Ok(entries.next().is_some()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(Error::io(path, error)),
        }
    }

    /// Makes the logs, each with its first position. A kill in between leaves a capture that has not begun.
    pub(super) async fn begin(
        &self,
        mut manifest: Manifest,
        positions: &[Position],
        options: &CaptureOptions,
    ) -> Result<Manifest> {
        manifest.write(&self.directory)?;
        let logs = self.directory.join("log");
        match fs::remove_dir_all(&logs) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(Error::io(logs, error)),
            _ => {}
        }
        fs::create_dir(&logs).map_err(|error| Error::io(&logs, error))?;
        for (store, position) in manifest.stores(&self.directory, options.target.as_ref()).iter().zip(positions) {
            match store {
                Store::Log(directory) => drop(LogWriter::create(directory, position, options.log)?),
                Store::Cdc(cdc) => CdcWriter::create(cdc, position).await?,
            }
        }
        sync_folder(&logs).map_err(|error| Error::io(&logs, error))?;
        manifest.state = State::Begun;
        manifest.write(&self.directory)?;
        Ok(manifest)
    }

    /// Refuses what would change what is recorded: the log before and behind would be of different things.
    pub(super) fn check_options(
        &self,
        manifest: &Manifest,
        selection: &SelectionOptions,
        options: &CaptureOptions,
    ) -> Result<()> {
        let known = &manifest.selection;
        let is_given = !selection.include.is_empty() || !selection.exclude.is_empty();
        let differs = |what: &str| {
            let message = format!("a capture was begun here with another {what}");
            Err(Error::new(ErrorKind::Usage, message)
                .with_hint("what is recorded stays the same: leave it out to go on, or capture into a new directory")
                .at(self.directory.display().to_string()))
        };
        if is_given && (&selection.include, &selection.exclude) != (&known.include, &known.exclude) {
            return differs("selection");
        }
        if selection.default_database.is_some() && selection.default_database != known.default_database {
            return differs("database");
        }
        if options.since.is_some() {
            return differs("beginning (--since)");
        }
        if options.full_documents && !manifest.options.full_documents {
            return differs("form of events (--full-documents)");
        }
        Ok(())
    }
}
