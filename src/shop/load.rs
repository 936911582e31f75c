//! Fills a server with the shop: documents by a few tasks at once, then the indexes.
//!
//! For sandboxes and benches, so it wants empty collections: whatever a server does not take is an error.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tokio::task::JoinSet;

use super::{Collection, Shop};
use crate::{
    catalog,
    connect::Server,
    cpu,
    error::{Error, ErrorKind, Result},
    load::Target,
    namespace::Namespace,
};

/// How many inserts are under way at once. One server of a sandbox takes in no more from a larger number.
const TASKS: usize = 4;

/// About how many bytes of documents are made at a time.
const BATCH_BYTES: u64 = 1_500_000;

/// Fills `database` with the shop and returns the number of documents inserted.
///
/// # Errors
/// [`ErrorKind::Server`] when a document or an index is refused. What other tasks had inserted stays.
pub async fn load(server: &Server, database: &str, shop: &Shop) -> Result<u64> {
    let mut documents = 0;
    for (collection, count) in shop.collections() {
        let namespace = Namespace::new(database, collection.name())?;
        load_collection(server, &namespace, collection, count, *shop).await?;
        let refused = catalog::create_indexes(server, &namespace, &collection.indexes(), count).await?;
        if let Some(reason) = refused.into_iter().flatten().next() {
            return Err(Error::new(ErrorKind::Server, reason).at(namespace.to_string()));
        }
        documents += count;
    }
    Ok(documents)
}

/// Inserts the first `count` documents of one collection of the shop, and builds no index.
///
/// # Errors
/// [`ErrorKind::Server`] when a document is refused.
pub async fn load_collection(
    server: &Server,
    namespace: &Namespace,
    collection: Collection,
    count: u64,
    shop: Shop,
) -> Result<()> {
    let next = Arc::new(AtomicU64::new(0));
    // Dropping the set on the first error stops the other tasks between two of their commands.
    let target = Arc::new(Target::new(server.clone(), namespace.clone(), false));
    let mut tasks = JoinSet::new();
    for _ in 0..TASKS {
        tasks.spawn(insert_ranges(Arc::clone(&target), collection, count, shop, Arc::clone(&next)));
    }
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap_or_else(|died| Err(Error::new(ErrorKind::Internal, format!("a loader died: {died}"))))?;
    }
    Ok(())
}

/// Takes one range of documents after the other from `next`, until all are taken.
async fn insert_ranges(
    target: Arc<Target>,
    collection: Collection,
    count: u64,
    shop: Shop,
    next: Arc<AtomicU64>,
) -> Result<()> {
    let per_batch = BATCH_BYTES / collection.typical_size();
    loop {
        let start = next.fetch_add(per_batch, Ordering::Relaxed);
        if start >= count {
            return Ok(());
        }
        let end = count.min(start + per_batch);
        let make = move || {
            let mut documents = Vec::new();
            (start..end).for_each(|i| shop.document(collection, i, &mut documents));
            Ok(documents)
        };
        let documents = cpu::run(make).wait().await?;
        let loaded = target.load(&documents).await?;
        if loaded.inserted != end - start {
            let message = format!("{} documents were taken out of {}", loaded.inserted, end - start);
            return Err(Error::new(ErrorKind::Server, message).at(target.namespace().to_string()));
        }
    }
}
