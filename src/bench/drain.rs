//! The limit that the server sets: the cursors of a dump, whose documents are thrown away.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::task::JoinSet;

use crate::{
    catalog,
    connect::Server,
    dump::{Cutting, Job, RecentTime, cut, reply_bytes},
    error::{Error, ErrorKind, Result},
    progress::Progress,
    rate::Amount,
    scan::{PART_BYTES, ReadOrder},
    selection::Selection,
};

/// As a dump cuts them by itself.
const CUTTING: Cutting = Cutting { part_bytes: PART_BYTES, parts: None, order: ReadOrder::Auto };

/// Reads what a dump with `parallel` cursors would, in the same parts, each as of a time within the last second.
///
/// # Errors
/// As of a dump.
pub(super) async fn drain(
    server: &Server,
    selection: &Selection,
    parallel: usize,
    progress: Arc<dyn Progress>,
) -> Result<()> {
    let primary = server.reading_primary();
    let since = primary.operation_time().await?;
    let catalog = catalog::read(&primary, selection).await?;
    let queue: VecDeque<Job> = cut(server, &catalog, CUTTING).await?.into();
    let (queue, entries) = (Arc::new(Mutex::new(queue)), Arc::new(catalog.entries));
    progress.stage("dumping", None, None);
    let reply = Amount { bytes: reply_bytes(parallel), ..Amount::ANY };
    let (time, mut workers) = (Arc::new(RecentTime::default()), JoinSet::new());
    for _ in 0..parallel.max(1) {
        let (server, queue, entries) = (server.clone(), Arc::clone(&queue), Arc::clone(&entries));
        let time = Arc::clone(&time);
        let progress = Arc::clone(&progress);
        workers.spawn(async move {
            let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            while let Some(job) = next() {
                let low = time.get(&server).await?.max(since);
                let entry = entries.get(job.entry);
                let entry = entry.ok_or_else(|| Error::new(ErrorKind::Internal, "no such entry"))?;
                let mut scan = job.scan(&server, entry, low).in_replies_of(reply);
                while let Some(delivered) = scan.next().await? {
                    progress.advance(0, delivered.bytes().len() as u64);
                }
            }
            Ok(())
        });
    }
    // Who drops the set stops the others.
    while let Some(ended) = workers.join_next().await {
        ended.unwrap_or_else(|died| Err(Error::new(ErrorKind::Internal, format!("a reader died: {died}"))))?;
    }
    Ok(())
}
