//! How far a replay has come, durable: what makes one that was killed at any moment go on exactly there.
//!
//! A lane writes down what it is about to do before it does it, in one record: everything before the run is done; the
//! run's documents that are computed from what the target has will be these, by their digests. Whoever finds the record after
//! a kill tells from a document's digest whether its write has arrived, and does not apply a change twice. All other writes
//! of a run have the same effect when they are done again.
//!
//! ```text
//! file     record*            append-only; written anew when it has grown
//! record   CRC-32, document   of a lane, or of a log; the last one of each counts
//! ```
//!
//! A record that is cut off at the end was never relied on. Anything else that is not in order is an error: a replay
//! never begins anew because it does not know where it was.

mod file;
mod record;

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock, mpsc},
    thread,
};

use tokio::sync::oneshot;

pub(super) use record::{Fetched, LaneRecord, LogRecord};

use self::file::JournalFile;
use crate::error::{Error, ErrorKind, Result};

/// What a journal says when it is opened.
#[derive(Debug, Default)]
pub(super) struct Recorded {
    /// The last record of each lane, by its log and namespace.
    pub(super) lanes: HashMap<(u32, String), LaneRecord>,
    /// The last record of each log.
    pub(super) logs: HashMap<u32, LogRecord>,
}

/// The journal of one replay. Clones write to the same one.
#[derive(Clone, Debug)]
pub(super) struct Journal {
    path: PathBuf,
    queue: mpsc::SyncSender<Entry>,
    failure: Failure,
}

/// What the thread that writes is given.
enum Entry {
    /// A record to write, and who waits for it to be durable.
    Record { record: Vec<u8>, durable: Option<oneshot::Sender<Result<()>>> },
    /// Nothing more comes; who waits hears when the file is closed.
    Close(oneshot::Sender<()>),
}

/// Records that wait for the thread that writes.
const QUEUE: usize = 256;

impl Journal {
    /// Opens the journal at `path`, or begins it.
    ///
    /// # Errors
    /// When it cannot be read or written, or is damaged.
    pub(super) fn open(path: &Path) -> Result<(Self, Recorded)> {
        let (file, records) = JournalFile::open(path)?;
        let mut recorded = Recorded::default();
        for record in records {
            record::read(&record, &mut recorded).map_err(|error| error.at(path.display().to_string()))?;
        }
        let (queue, entries) = mpsc::sync_channel(QUEUE);
        let failure = Failure::default();
        thread::Builder::new()
            .name("journal".to_owned())
            .spawn({
                let failure = Arc::clone(&failure);
                move || write(file, &entries, &failure)
            })
            .map_err(|error| Error::io(path, error))?;
        Ok((Journal { path: path.to_owned(), queue, failure }, recorded))
    }

    /// Writes down where a lane is; durable when this returns.
    ///
    /// # Errors
    /// When it cannot be written. What was to follow must not be done then.
    pub(super) async fn lane(&self, log: u32, namespace: &str, record: &LaneRecord) -> Result<()> {
        self.durably(record.encode(log, namespace)).await
    }

    /// The same, to be durable some time later: for a record that only spares work.
    ///
    /// # Errors
    /// When the journal can no longer be written.
    pub(super) async fn note_lane(&self, log: u32, namespace: &str, record: &LaneRecord) -> Result<()> {
        self.put(Entry::Record { record: record.encode(log, namespace), durable: None }).await
    }

    /// Writes down where a log is; durable when this returns.
    ///
    /// # Errors
    /// As [`lane`](Self::lane).
    pub(super) async fn log(&self, log: u32, record: &LogRecord) -> Result<()> {
        self.durably(record.encode(log)).await
    }

    /// Writes what has come, and closes the file: whoever opens it next has it alone. No clone may write any more.
    pub(super) async fn close(&self) {
        let (sender, closed) = oneshot::channel();
        // A journal that has failed is closed.
        if self.put(Entry::Close(sender)).await.is_ok() {
            let _ = closed.await;
        }
    }

    async fn durably(&self, record: Vec<u8>) -> Result<()> {
        let (sender, durable) = oneshot::channel();
        self.put(Entry::Record { record, durable: Some(sender) }).await?;
        durable.await.unwrap_or_else(|_| Err(self.dead()))
    }

    async fn put(&self, mut entry: Entry) -> Result<()> {
        loop {
            match self.queue.try_send(entry) {
                Ok(()) => return Ok(()),
                Err(mpsc::TrySendError::Disconnected(_)) => return Err(self.dead()),
                Err(mpsc::TrySendError::Full(back)) => entry = back,
            }
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    }

    /// Why it is no longer written.
    fn dead(&self) -> Error {
        match self.failure.get() {
            Some((kind, text)) => Error::new(*kind, text.clone()),
            None => {
                Error::new(ErrorKind::Internal, "the journal is no longer written").at(self.path.display().to_string())
            }
        }
    }
}

/// What has ended the writing of a journal: of which kind, and in words.
type Failure = Arc<OnceLock<(ErrorKind, String)>>;

/// Writes what comes, all that waits with one sync. The first failure ends the journal: everyone behind it hears of it.
fn write(mut file: JournalFile, entries: &mpsc::Receiver<Entry>, ended: &Failure) {
    while let Ok(first) = entries.recv() {
        let (mut waiting, mut closing) = (Vec::new(), None);
        let mut written = Ok(());
        let mut next = Some(first);
        while let Some(entry) = next {
            match entry {
                Entry::Record { record, durable } => {
                    if written.is_ok() {
                        written = file.append(&record);
                    }
                    waiting.extend(durable);
                }
                Entry::Close(sender) => {
                    closing = Some(sender);
                    break;
                }
            }
            next = entries.try_recv().ok();
        }
        let durable = written.and_then(|()| if waiting.is_empty() { Ok(()) } else { file.sync() });
        let failure = durable.as_ref().err().map(|error| (error.kind(), error.to_string()));
        if let Some(failure) = &failure {
            // Before anybody hears of it.
            let _ = ended.set(failure.clone());
        }
        for sender in waiting {
            let outcome = failure.as_ref().map_or(Ok(()), |(kind, text)| Err(Error::new(*kind, text.clone())));
            // Who no longer waits was stopped.
            let _ = sender.send(outcome);
        }
        if failure.is_some() || closing.is_some() {
            drop(file);
            // Who no longer waits was stopped.
            closing.map(|sender| sender.send(()));
            return;
        }
    }
}

#[cfg(test)]
mod tests;
