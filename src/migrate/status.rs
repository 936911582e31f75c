//! Where a migration stands: what the process at work writes down several times a second, and anybody may read.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::directory::Paths;
use crate::error::{Error, ErrorKind, Result};

/// Where a migration stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Status {
    /// `checking`, `starting`, `copying`, `catching up`, `building unique indexes`, `following`, `paused`, `cutting over`, `done`.
    pub stage: String,
    /// Whether a process is at work.
    pub running: bool,
    /// Whether the replay is held.
    pub paused: bool,
    /// The source's hosts.
    pub source: String,
    /// The target's hosts.
    pub target: String,
    /// When the migration was begun, as RFC 3339.
    pub begun: String,
    /// When this was written.
    pub updated: String,
    /// Whether the target has everything up to the end of the copy.
    pub copy_complete: bool,
    /// The last cluster time of which the copy may have a change, once it is known: seconds and increment.
    pub copy_end: Option<(u32, u32)>,
    /// Documents that the target has of the copy.
    pub documents: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Documents that the source had when the copy was begun, about.
    pub total_documents: u64,
    /// Their bytes.
    pub total_bytes: u64,
    /// Bytes a second that the copy goes at.
    pub bytes_per_second: u64,
    /// Seconds until the copy is complete, at this rate.
    pub seconds_left: Option<u64>,
    /// Change events that this process has applied.
    pub events: u64,
    /// The source's cluster time up to which everything is applied, of all lanes, durably.
    pub applied: Option<(u32, u32)>,
    /// Seconds that this is behind the source's own time, and no less than one as long as it is behind at all; none as long as
    /// the source has not told its time.
    pub lag_seconds: Option<u64>,
    /// Changes that could not be applied.
    pub dead_letters: u64,
    /// Index specs that were changed.
    pub repaired_indexes: Vec<String>,
    /// Indexes that could not be built, so far.
    pub failed_indexes: Vec<String>,
    /// The last warnings.
    pub warnings: Vec<String>,
    /// What the migration waits for to be put right, if it does.
    pub error: Option<String>,
    /// Each collection.
    pub namespaces: Vec<NamespaceStatus>,
}

/// Where a collection stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct NamespaceStatus {
    /// Its name on the source.
    pub namespace: String,
    /// `waiting`, `copying`, `copied`.
    pub stage: String,
    /// Documents that the target has of its copy.
    pub documents: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Documents that it had when the copy was begun, about.
    pub total_documents: Option<u64>,
}

/// Reads where the migration in a directory stands, whether it runs or not. Nothing is locked for it.
///
/// # Errors
/// When there is no migration there.
pub fn status(directory: &Path) -> Result<Status> {
    let paths = Paths::of(directory);
    let running = paths.is_alive()?;
    let path = paths.status();
    let mut status: Status = match std::fs::read(&path) {
        Ok(text) => serde_json::from_slice(&text).map_err(|error| {
            Error::new(ErrorKind::Damaged, "is not what a migration has written")
                .with_source(error)
                .at(path.display().to_string())
        })?,
        // It has just been begun.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Status { stage: "checking".to_owned(), ..Status::default() }
        }
        Err(error) => return Err(Error::io(path, error)),
    };
    status.running = running;
    status.paused = paths.paused().exists();
    Ok(status)
}

/// Seconds and increment of a cluster time.
pub(crate) fn pair(time: u64) -> (u32, u32) {
    (u32::try_from(time >> 32).unwrap_or(u32::MAX), (time & u64::from(u32::MAX)) as u32)
}
