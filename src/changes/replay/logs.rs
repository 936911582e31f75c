//! All logs of a work directory, side by side: when they may be applied, and what is left to do when they are.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use tokio::task::JoinSet;

use super::{DeadLetter, dead_letters, dispatch::Dispatch, retry, shared::Shared, windows::Windows, work::Work};
use crate::{
    catalog::INTERNAL_DATABASES,
    error::{Error, ErrorKind, Result},
    namespace::Namespace,
};

/// What is said when the end of what a replay before has left to the target takes its time.
const LATE: &str = "the target is still at writes that were under way when this began: their end is waited for";

/// How far the logs were replayed.
pub(super) struct Ends {
    /// The cluster time up to which everything of all of them is applied.
    pub(super) applied: u64,
    /// Whether that is the end of all of them, or the time that was wanted.
    pub(super) reached: bool,
}

/// How it goes on through the logs, as the options say.
pub(super) struct Way {
    pub(super) follow: bool,
    pub(super) keep_log: bool,
    pub(super) retry_dead_letters: bool,
}

/// Waits for the end of what one before has left to the target: it was killed, or stopped in the middle of something. False if this
/// one is stopped meanwhile.
pub(super) async fn late_writes_end(shared: &Shared, work: &Work) -> Result<bool> {
    let mut databases = BTreeSet::new();
    let lanes = work.lanes();
    for told_of in lanes.iter().chain(shared.windows.iter().flat_map(Windows::names)) {
        if let Some(target) = shared.target_of(told_of)? {
            databases.insert(target.database().to_owned());
        }
    }
    // Without an archive nothing tells what may have been written.
    let is_any = shared.windows.is_none();
    let is_meant = |at: &str| databases.contains(at) || is_any && !INTERNAL_DATABASES.contains(&at);
    tokio::select! {
        ended = shared.target.writes_end(is_meant, || shared.progress.warn(LATE)) => ended.map(|_| true),
        () = shared.cancel.cancelled() => Ok(false),
    }
}

/// Applies everything, and in the end what could not be applied before.
pub(super) async fn replay_all(shared: &Arc<Shared>, work: &mut Work, way: Way) -> Result<Ends> {
    if way.retry_dead_letters {
        // A run that was under way when a replay was killed comes first.
        run(shared, work, false, way.keep_log).await?;
        retry_all(shared, work).await?;
    }
    let ends = run(shared, work, way.follow, way.keep_log).await?;
    // What stood in a document's way may have gone since: with a later run, or because it was fetched as of a later time.
    retry_all(shared, work).await?;
    for namespace in work.owing() {
        let (log, record) = work.lane(&namespace);
        let record = retry::pay(shared, log, &namespace, record).await?;
        work.put_lane(log, &namespace.to_string(), record);
    }
    Ok(ends)
}

/// Replays all logs of a directory side by side; the first error stops all of them.
async fn run(shared: &Arc<Shared>, work: &mut Work, follow: bool, keep_log: bool) -> Result<Ends> {
    let stop = shared.cancel.child_token();
    let mut logs = JoinSet::new();
    for log in &work.logs {
        let dispatch = Dispatch::new(Arc::clone(shared), log, work.recorded(log.number), follow, keep_log).await?;
        logs.spawn(dispatch.run(stop.clone()));
    }
    let (mut ends, mut first) = (Ends { applied: u64::MAX, reached: true }, Ok(()));
    let mut lost = std::pin::pin!(Arc::clone(shared).watch_for_lost(work.logs.clone()));
    let mut is_watched = follow;
    loop {
        let ended = tokio::select! {
            ended = logs.join_next() => ended,
            watched = &mut lost, if is_watched => {
                is_watched = false;
                if let Err(error) = watched {
                    first = first.and(Err(error));
                    stop.cancel();
                }
                continue;
            }
        };
        let Some(ended) = ended else { break };
        let ended = ended.unwrap_or_else(|panic| Err(Error::new(ErrorKind::Internal, format!("a log died: {panic}"))));
        match ended {
            Ok(end) => {
                ends.applied = ends.applied.min(end.applied.unwrap_or(u64::MAX));
                ends.reached &= end.reached;
                work.put_log(end.log, end.record);
                end.lanes.into_iter().for_each(|(lane, record)| work.put_lane(end.log, &lane, record));
            }
            Err(error) if first.is_ok() => {
                first = Err(error);
                stop.cancel();
            }
            Err(_) => {}
        }
    }
    // What has no log that is followed is applied up to no time.
    first.map(|()| Ends { applied: if ends.applied == u64::MAX { 0 } else { ends.applied }, ..ends })
}

/// Tries all dead letters again.
async fn retry_all(shared: &Arc<Shared>, work: &mut Work) -> Result<()> {
    let mut by_namespace: BTreeMap<Namespace, Vec<DeadLetter>> = BTreeMap::new();
    for letter in dead_letters(&work.dead_letters_path())? {
        by_namespace.entry(letter.namespace.clone()).or_default().push(letter);
    }
    for (namespace, letters) in by_namespace {
        let (log, record) = work.lane(&namespace);
        let record = retry::retry(shared, log, &namespace, letters, record).await?;
        work.put_lane(log, &namespace.to_string(), record);
    }
    Ok(())
}
