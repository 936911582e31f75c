//! Where a migration stands: what the process at work writes down several times a second, and anybody may read.

use std::{path::Path, time::Duration};

use serde::{Deserialize, Serialize};

use super::{
    directory::Paths,
    parts::Parts,
    state::{Stage, State},
};
use crate::{
    connect::Server,
    error::{Error, Result},
};

/// How old a status may be before that is said; where it is written less often, twice as old as it should be.
const FRESH: Duration = Duration::from_secs(5);

/// Where a migration stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Status {
    /// `checking`, `starting`, `copying`, `building indexes`, `catching up`, `building unique indexes`, `following`, `paused`,
    /// `cutting over`, `done`.
    pub stage: String,
    /// What of it is under way, where there is more to say: at a cutover `draining`, `copying anew`, `comparing the catalogs`,
    /// `building indexes`, `comparing`.
    pub step: Option<String>,
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
    /// When this was true, as the process at work has said last.
    pub updated: String,
    /// Seconds between two writings, as was wanted of the process at work.
    pub progress_interval: f64,
    /// How old all of this is, where a process is at work and has not written for longer than it should: seconds. It cannot, it hangs,
    /// or it has only just gone on with what another one has left.
    pub seconds_old: Option<u64>,
    /// Whether the target has the whole copy. It is consistent once the changes up to its end are applied, too.
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
    /// Seconds until the copy is complete, at this rate; then until the source is caught up with, at the rate at which it has
    /// come nearer lately. None where that cannot be told.
    pub seconds_left: Option<u64>,
    /// Change events that this process has applied.
    pub events: u64,
    /// Events a second, of the last seconds.
    pub events_per_second: u64,
    /// The source's cluster time up to which everything is applied, of all lanes, durably.
    pub applied: Option<(u32, u32)>,
    /// Seconds that this is behind the source's own time, and no less than one as long as it is behind at all; none as long as
    /// the source has not told its time.
    pub lag_seconds: Option<u64>,
    /// Changes that could not be applied.
    pub dead_letters: u64,
    /// Collections whose changes are not told, or not any more, and why: `namespace: reason`. They are copied anew at the cutover.
    pub not_followed: Vec<String>,
    /// Index specs that were changed.
    pub repaired_indexes: Vec<String>,
    /// Indexes that could not be built, so far.
    pub failed_indexes: Vec<String>,
    /// The last warnings.
    pub warnings: Vec<String>,
    /// What the migration waits for to be put right, if it does; or what has ended it.
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
    /// `waiting`, `copying`, `copied`: the target has its copy, and its changes are not applied, or not yet; `indexing`, `catching
    /// up`, `following`, `paused`; at the cutover `copying anew` and `comparing`; `done`. What cannot be followed stays `copied`, or
    /// `waiting`, until it is copied anew.
    pub stage: String,
    /// Documents that the target has of its copy.
    pub documents: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Documents that it had when the copy was begun, about.
    pub total_documents: Option<u64>,
    /// Their bytes.
    pub total_bytes: Option<u64>,
    /// Bytes a second that its copy goes at.
    pub bytes_per_second: u64,
    /// Seconds until its copy is complete, at this rate.
    pub seconds_left: Option<u64>,
    /// Change events that this process has applied to it.
    pub events: u64,
    /// The indexes that are being built.
    pub index: Option<String>,
}

impl Status {
    /// As far as that is durable, before anything else is known.
    ///
    /// `parts` is how the copy was cut.
    pub(crate) fn of(state: &State, parts: Option<&Parts>, source: &Server, target: &Server) -> Self {
        let is_copied = state.stage != Stage::Copying;
        let mut status = Status {
            stage: if matches!(state.stage, Stage::Done { .. }) { "done" } else { "starting" }.to_owned(),
            source: source.place(),
            target: target.place(),
            begun: state.begun.clone(),
            copy_complete: is_copied,
            ..Status::default()
        };
        if let Some(parts) = parts {
            (status.total_documents, status.total_bytes) = parts.sums();
        }
        if let Some(copied) = &state.copied {
            (status.documents, status.bytes) = (copied.documents, copied.bytes);
            status.copy_end = Some(pair(copied.end));
            status.repaired_indexes = copied.repaired.clone();
            status.failed_indexes = copied.failed.clone();
        }
        status
    }
}

/// Reads where the migration in a directory stands, whether it runs or not. Nobody is kept waiting by it.
///
/// # Errors
/// When there is no migration there.
pub fn status(directory: &Path) -> Result<Status> {
    let paths = Paths::of(directory);
    let running = paths.is_alive()?;
    let path = paths.status();
    // It has just been begun, or the machine has crashed while it was written.
    let unknown = || Status { stage: "checking".to_owned(), ..Status::default() };
    let mut status = match known(&path) {
        Ok(known) => known.unwrap_or_else(unknown),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => unknown(),
        Err(error) => return Err(Error::io(path, error)),
    };
    status.running = running;
    status.paused = paths.paused().exists();
    status.seconds_old = if running { seconds_old(&path, status.progress_interval) } else { None };
    if !running || status.seconds_old.is_some() {
        // How it was when it was written says nothing of now.
        (status.lag_seconds, status.seconds_left) = (None, None);
        (status.bytes_per_second, status.events_per_second) = (0, 0);
        for one in &mut status.namespaces {
            (one.bytes_per_second, one.seconds_left) = (0, None);
        }
    }
    Ok(status)
}

/// What was written down last; none if that is no status.
///
/// # Errors
/// When it cannot be read.
pub(super) fn known(path: &Path) -> std::io::Result<Option<Status>> {
    // As long as nothing changes, it is only touched.
    let moment = std::fs::metadata(path)?.modified()?;
    let mut status: Option<Status> = serde_json::from_slice(&std::fs::read(path)?).ok();
    if let Some(status) = &mut status {
        status.updated = bson::DateTime::from_system_time(moment).try_to_rfc3339_string().unwrap_or_default();
    }
    Ok(status)
}

/// How old what is written there is, if that is older than it should be.
fn seconds_old(path: &Path, interval: f64) -> Option<u64> {
    let age = std::fs::metadata(path).ok()?.modified().ok()?.elapsed().ok()?;
    let interval = Duration::try_from_secs_f64(interval).unwrap_or_default();
    (age >= FRESH.max(interval.saturating_mul(2))).then_some(age.as_secs())
}

/// Seconds and increment of a cluster time.
pub(crate) fn pair(time: u64) -> (u32, u32) {
    (u32::try_from(time >> 32).unwrap_or(u32::MAX), (time & u64::from(u32::MAX)) as u32)
}
