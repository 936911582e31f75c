//! What a replay has done.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use serde::Serialize;

use super::{DeadLetter, dead_letters, logs::Ends, shared::Shared, work::Work};
use crate::{changes::token, connect::Server, error::Result, namespace::Namespace};

/// Dead letters that a report names.
const NAMED: usize = 10;

/// What a replay has done.
#[derive(Clone, Debug, Serialize)]
pub struct ReplayReport {
    /// The work directory.
    pub directory: String,
    /// The target's hosts.
    pub target: String,
    /// Events that were applied.
    pub events: u64,
    /// How many of them were deletes.
    pub deletes: u64,
    /// Deletes of each collection, with those that the copy held already.
    #[serde(skip)]
    pub deletes_of: BTreeMap<Namespace, u64>,
    /// The collections that a change has told of, in all replays of this directory.
    #[serde(skip)]
    pub told_of: BTreeSet<Namespace>,
    /// Events that the copy held already.
    pub skipped: u64,
    /// Documents that were fetched from the source.
    pub refetched: u64,
    /// How many of them the source did not have any more: the target has none either, until their deletes come.
    pub gone: u64,
    /// Collections as such: drops, renames, creates, index builds, changed options.
    pub barriers: u64,
    /// The source's cluster time up to which everything is applied: seconds and increment.
    pub applied: (u32, u32),
    /// Seconds that this is behind the source's time, if the source was at hand.
    pub lag_seconds: Option<u64>,
    /// Whether all of the log, or all until the wanted time, is applied.
    pub reached_end: bool,
    /// Changes that could not be applied, in all replays of this directory.
    pub dead_letters: u64,
    /// The first of them.
    pub dead: Vec<DeadLetter>,
    /// How often a command was sent again after an error.
    pub retries: u64,
    /// How long it took.
    pub seconds: f64,
    /// What the user should know.
    pub warnings: Vec<String>,
}

impl ReplayReport {
    /// What a replay in `directory` has come to that has begun at that time, when so many commands had been sent again.
    ///
    /// # Errors
    /// When the dead letters cannot be read.
    pub(super) async fn of(
        shared: &Shared,
        work: &Work,
        ends: &Ends,
        directory: &Path,
        (begun, retries): (Instant, u64),
    ) -> Result<Self> {
        let lag_seconds = match &shared.source {
            // The end is the end, whether the source is still there or not.
            Some(source) => tokio::time::timeout(Duration::from_secs(5), source.operation_time()).await.ok(),
            None => None,
        };
        let lag_seconds = lag_seconds.and_then(Result::ok).map(|now| token::seconds_behind(ends.applied, now));
        let letters = dead_letters(&work.dead_letters_path())?;
        let counts = &shared.counts;
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let deletes_of = counts.deletes_of.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let warnings = std::mem::take(&mut *shared.warnings.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(ReplayReport {
            directory: directory.display().to_string(),
            target: shared.target.place(),
            events: count(&counts.events),
            deletes: count(&counts.deletes),
            deletes_of,
            told_of: work.lanes(),
            skipped: count(&counts.skipped),
            refetched: count(&counts.refetched),
            gone: count(&counts.gone),
            barriers: count(&counts.barriers),
            applied: (u32::try_from(ends.applied >> 32).unwrap_or(u32::MAX), ends.applied as u32),
            lag_seconds,
            reached_end: ends.reached,
            dead_letters: letters.len() as u64,
            dead: letters.into_iter().take(NAMED).map(DeadLetter::without_events).collect(),
            retries: shared.target.retries() + shared.source.as_ref().map_or(0, Server::retries) - retries,
            seconds: begun.elapsed().as_secs_f64(),
            warnings,
        })
    }

    /// Whether every change has been applied.
    pub fn is_whole(&self) -> bool {
        self.dead_letters == 0 && self.warnings.is_empty()
    }
}

/// What the lanes count.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) events: AtomicU64,
    pub(super) deletes: AtomicU64,
    pub(super) deletes_of: Mutex<BTreeMap<Namespace, u64>>,
    pub(super) skipped: AtomicU64,
    pub(super) refetched: AtomicU64,
    pub(super) gone: AtomicU64,
    pub(super) barriers: AtomicU64,
}

impl Counts {
    /// Adds what was applied and what was skipped: events, and the deletes among them.
    pub(super) fn add(
        &self,
        namespace: &Namespace,
        (events, deletes): (u64, u64),
        (skipped, skipped_deletes): (u64, u64),
    ) {
        self.events.fetch_add(events, Ordering::Relaxed);
        self.deletes.fetch_add(deletes, Ordering::Relaxed);
        if deletes + skipped_deletes > 0 {
            let mut all = self.deletes_of.lock().unwrap_or_else(PoisonError::into_inner);
            *all.entry(namespace.clone()).or_default() += deletes + skipped_deletes;
        }
        self.skipped.fetch_add(skipped, Ordering::Relaxed);
    }

    pub(super) fn refetch(&self, documents: u64, gone: u64) {
        self.refetched.fetch_add(documents, Ordering::Relaxed);
        self.gone.fetch_add(gone, Ordering::Relaxed);
    }
}
