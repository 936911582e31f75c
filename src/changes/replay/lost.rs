//! Collections that the capture does not follow, or not any more: their logs hold nobody up, and nothing of them passes for
//! applied.
//!
//! The capture may be another process, so what it has written down in its manifest is all that is known of it. A stream that has
//! ended is in there before anybody stops to wait for it; from then on the time up to which everything is applied is that of the
//! other logs, and the collection is named wherever that time is told.

use std::{
    collections::{HashMap, HashSet},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio_util::sync::CancellationToken;

use super::{DeadLetter, Shared, shared::blocking, work::Log};
use crate::{
    changes::capture::{Manifest, NotFollowed},
    error::Result,
    namespace::Namespace,
    progress::News,
};

/// How often it is looked whether the capture has lost a stream.
const LOOK: Duration = Duration::from_millis(500);

/// Which logs are of streams that have ended, as far as it was seen.
#[derive(Debug, Default)]
pub(super) struct Lost {
    directory: PathBuf,
    /// What ends the replay of each log, once its stream has ended.
    ends: Mutex<HashMap<u32, CancellationToken>>,
    /// The collections that were told of.
    told: Mutex<HashSet<Namespace>>,
}

impl Lost {
    /// Of the capture in a directory.
    pub(super) fn of(directory: PathBuf) -> Self {
        Lost { directory, ..Lost::default() }
    }

    /// What ends the replay of a log when its stream is not followed any more.
    pub(super) fn end_of(&self, log: u32) -> CancellationToken {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner).entry(log).or_default().clone()
    }
}

impl Shared {
    /// Tells of the collections that `manifest` does not follow, once, and ends the replay of their logs.
    pub(super) async fn heed(self: &Arc<Self>, manifest: &Manifest) -> Result<()> {
        for lost in &manifest.not_followed {
            if self.lost.told.lock().unwrap_or_else(PoisonError::into_inner).contains(&lost.namespace) {
                continue;
            }
            if self.target_of(&lost.namespace)?.is_some() {
                self.tell_of_lost(lost).await?;
            }
            self.lost.told.lock().unwrap_or_else(PoisonError::into_inner).insert(lost.namespace.clone());
        }
        for (log, _) in (1..).zip(&manifest.streams).filter(|(_, watch)| !manifest.follows(watch)) {
            self.lost.end_of(log).cancel();
        }
        Ok(())
    }

    /// A replay by itself is not whole then; a migration copies the collection anew.
    async fn tell_of_lost(self: &Arc<Self>, lost: &NotFollowed) -> Result<()> {
        if self.until_cutover {
            // Its own capture has said why.
            self.progress.of(&lost.namespace, &News::NotFollowed);
            return Ok(());
        }
        let NotFollowed { namespace, reason } = lost;
        let reason = format!(
            "{reason}: its changes are not recorded; copy it anew when nothing is written to it, and take this line out"
        );
        self.keep_of_collection(DeadLetter::of_all(namespace, &reason)).await
    }

    /// Looks again and again whether the capture has lost a stream of these logs, and ends when nothing is left to be lost.
    pub(super) async fn watch_for_lost(self: Arc<Self>, logs: Vec<Log>) -> Result<()> {
        while logs.iter().any(|log| !self.lost.end_of(log.number).is_cancelled()) {
            tokio::time::sleep(LOOK).await;
            let directory = self.lost.directory.clone();
            if let Some(manifest) = blocking(move || Manifest::read(&directory)).await? {
                self.heed(&manifest).await?;
            }
        }
        Ok(())
    }
}
