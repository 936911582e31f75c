//! What a replay keeps in the work directory, and what it finds there.
//!
//! ```text
//! DIR/log/1/ …           the change logs, which a capture writes
//! DIR/replay.json        which target, which archive
//! DIR/replay.lock        held by the replay at work
//! DIR/replay.journal     how far it is
//! DIR/dead-letters.jsonl what could not be applied
//! ```

use std::{
    collections::{BTreeSet, HashMap},
    fs::{File, OpenOptions},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use transload_format::ArchiveId;

use super::journal::{Journal, LaneRecord, LogRecord, Recorded};
use crate::{
    changes::{
        Store, Watch,
        capture::{Manifest, SourceId, State},
    },
    connect::{Server, Version},
    error::{Error, ErrorKind, Result},
    hex::hex,
    namespace::Namespace,
    replace::replace,
};

/// A work directory, held by this replay.
#[derive(Debug)]
pub(super) struct Work {
    directory: PathBuf,
    /// The logs of the streams that are followed, by their numbers.
    pub(super) logs: Vec<Log>,
    pub(super) journal: Journal,
    recorded: Recorded,
    /// The version of the source, if the capture has noted it.
    pub(super) source_version: Option<Version>,
    /// Whether an earlier run has put documents of later times than the events that they came with.
    pub(super) had_later_documents: bool,
    #[allow(dead_code, reason = "held, never read")]
    lock: File,
}

/// One change log.
#[derive(Clone, Debug)]
pub(super) struct Log {
    pub(super) number: u32,
    pub(super) store: Store,
    /// What its stream tells of.
    pub(super) watch: Watch,
}

/// Which replay this is.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Identity {
    version: u32,
    target: SourceId,
    /// The id of the archive, in hexadecimal digits.
    archive: Option<String>,
    /// Whether updates put the documents that came with them, which may be of any later time.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    later_documents: bool,
}

impl Identity {
    fn write(&self, path: &Path) -> Result<()> {
        let mut text = serde_json::to_vec_pretty(self)
            .map_err(|error| Error::new(ErrorKind::Internal, error.to_string()).at(path.display().to_string()))?;
        text.push(b'\n');
        replace(path, &text)
    }
}

impl Work {
    /// Takes hold of the work directory of this capture, for a replay into this target, onto a copy from this archive;
    /// `later_documents` where updates will put documents of later times.
    ///
    /// # Errors
    /// When another replay is at work in it, or it was one into another target or of another archive.
    pub(super) async fn open(
        directory: &Path,
        manifest: &Manifest,
        target: &Server,
        archive: Option<ArchiveId>,
        later_documents: bool,
    ) -> Result<Self> {
        let place = || directory.display().to_string();
        let id = SourceId::of(target).await?;
        if let Some(events) = manifest.events.as_ref().filter(|events| !events.target.is(&id)) {
            let message = format!("the events are in {}, and the target is {}", events.target.shown(), id.shown());
            return Err(Error::new(ErrorKind::Usage, message)
                .with_hint("a capture with --events-to target is replayed into the server that has its events")
                .at(place()));
        }
        let stores = manifest.stores(directory, manifest.events.as_ref().map(|_| target));
        // Of a stream that has ended nothing is applied: its collection has to be copied anew, whatever stands in its log.
        let followed = (1..).zip(stores).zip(&manifest.streams).filter(|(_, watch)| manifest.follows(watch));
        let logs = followed.map(|((number, store), watch)| Log { number, store, watch: watch.clone() }).collect();
        let path = directory.join("replay.lock");
        let opened = OpenOptions::new().create(true).append(true).open(&path);
        let lock = opened.map_err(|error| Error::io(&path, error))?;
        if crate::lock::lock(&lock).is_err() {
            let message = "another replay is at work in it";
            return Err(Error::new(ErrorKind::AlreadyExists, message).with_hint("stop that one first").at(place()));
        }
        let archive = archive.map(|id| hex(&id.0));
        let had_later_documents = identify(directory, Identity { version: 1, target: id, archive, later_documents })?;
        let (journal, recorded) = Journal::open(&directory.join("replay.journal"))?;
        Ok(Work {
            directory: directory.to_owned(),
            logs,
            journal,
            recorded,
            source_version: manifest.server_version(),
            had_later_documents,
            lock,
        })
    }

    /// Where the dead letters are.
    pub(super) fn dead_letters_path(&self) -> PathBuf {
        dead_letters_in(&self.directory)
    }

    /// The log that has events of a lane, and how far the lane is.
    pub(super) fn lane(&self, namespace: &Namespace) -> (u32, LaneRecord) {
        let name = namespace.to_string();
        // Where each collection has a stream of its own, another log may tell of it, too.
        let found = self.recorded.lanes.iter().filter(|((_, lane), _)| *lane == name);
        let found = found.max_by_key(|(_, record)| !record.is_ignored);
        found.map_or((1, LaneRecord::default()), |((log, _), record)| (*log, record.clone()))
    }

    /// The collections that a change has told of.
    pub(super) fn lanes(&self) -> BTreeSet<Namespace> {
        let lanes = self.recorded.lanes.iter().filter(|(_, record)| !record.is_ignored);
        lanes.filter_map(|((_, namespace), _)| Namespace::parse(namespace).ok()).collect()
    }

    /// Where a lane is now.
    pub(super) fn put_lane(&mut self, log: u32, namespace: &str, record: LaneRecord) {
        self.recorded.lanes.insert((log, namespace.to_owned()), record);
    }

    /// Whether the target may have documents of a time after `until`.
    pub(super) fn is_beyond(&self, until: u64) -> bool {
        let mut lanes = self.recorded.lanes.values();
        self.had_later_documents
            || lanes.any(|lane| lane.time > until || lane.fetched.values().any(|fetched| fetched.span.high > until))
            || self.recorded.logs.values().any(|record| record.time > until)
    }

    /// The cluster time up to which everything of all logs was applied when the work directory was opened; 0 if that is not known.
    pub(super) fn applied(&self) -> u64 {
        let time = |log: &Log| self.recorded.logs.get(&log.number).map_or(0, |record| record.time);
        self.logs.iter().map(time).min().unwrap_or(0)
    }

    /// The lanes that have documents to fetch.
    pub(super) fn owing(&self) -> Vec<Namespace> {
        let owing = self.recorded.lanes.iter().filter(|(_, record)| !record.owed.is_empty());
        owing.filter_map(|((_, namespace), _)| Namespace::parse(namespace).ok()).collect()
    }

    /// Where a log is now.
    pub(super) fn put_log(&mut self, log: u32, record: LogRecord) {
        // One that has not passed any checkpoint has no place yet.
        if record != LogRecord::default() {
            self.recorded.logs.insert(log, record);
        }
    }

    /// How far a log and its lanes are.
    pub(super) fn recorded(&self, log: u32) -> (Option<LogRecord>, HashMap<String, LaneRecord>) {
        let lanes = self.recorded.lanes.iter().filter(|((number, _), _)| *number == log);
        let lanes = lanes.map(|((_, namespace), record)| (namespace.clone(), record.clone())).collect();
        (self.recorded.logs.get(&log).copied(), lanes)
    }
}

/// Where the dead letters of a directory are.
pub(super) fn dead_letters_in(directory: &Path) -> PathBuf {
    directory.join("dead-letters.jsonl")
}

/// What a directory's capture records.
///
/// # Errors
/// When there is none in it that has begun.
pub(super) fn capture_in(directory: &Path) -> Result<Manifest> {
    Manifest::read(directory)?.filter(|manifest| manifest.state == State::Begun).ok_or_else(|| {
        Error::new(ErrorKind::NotFound, "holds no capture")
            .with_hint("'transload capture' begins one")
            .at(directory.display().to_string())
    })
}

/// Refuses a directory whose changes went somewhere else before. Gives whether updates put documents of later times then.
fn identify(directory: &Path, identity: Identity) -> Result<bool> {
    let path = directory.join("replay.json");
    let place = path.display().to_string();
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            // Without it nobody could say into what the journal's changes went.
            if directory.join("replay.journal").exists() {
                let message = "is missing, although a replay has begun";
                return Err(Error::new(ErrorKind::Damaged, message)
                    .with_hint("restore the archive anew, remove replay.journal, and replay from the beginning")
                    .at(place));
            }
            return identity.write(&path).map(|()| false);
        }
        Err(error) => return Err(Error::io(&path, error)),
    };
    let known: Identity = serde_json::from_slice(&bytes).map_err(|error| {
        Error::new(ErrorKind::Damaged, "is not what a replay has written").with_source(error).at(place.clone())
    })?;
    if !known.target.is(&identity.target) {
        let message = "the changes went to another target before";
        return Err(Error::new(ErrorKind::Usage, message)
            .with_hint(
                "each target needs a journal of its own: replay from a copy of the directory's capture.json and log",
            )
            .at(place));
    }
    if known.archive != identity.archive {
        let message = "the changes were replayed onto a copy from another archive, or with none, before";
        return Err(Error::new(ErrorKind::Usage, message).with_hint("name the same --archive again").at(place));
    }
    if identity.later_documents && !known.later_documents {
        identity.write(&path)?;
    }
    Ok(known.later_documents)
}
