//! How far the index builds of a restore are: asked of the server, and told in documents.
//!
//! A build reads its collection once, for all indexes of the command, and then inserts the keys, index by index. All
//! releases count both for `$currentOp` in the same place, each phase from nothing, and of an array there are more keys
//! than documents. So only the reading counts, each collection by itself, and never beyond the documents that it has.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use bson::{Bson, RawDocument, rawdoc};

use crate::{
    connect::{Doing, Server},
    document,
    namespace::Namespace,
    progress::Progress,
};

/// How often the server is asked how far it is.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// How the message of a build begins that reads its collection, from 4.2 to 6.0.
const READING: &[u8] = b"Index Build: scanning collection";
/// What stands between a database and the name of a time-series collection where its indexes are built.
const BUCKETS: &str = ".system.buckets.";

/// The collections whose indexes are built, and what is known of each.
#[derive(Debug)]
pub struct BuildWatch<'a> {
    progress: &'a dyn Progress,
    builds: Mutex<HashMap<String, Build>>,
}

#[derive(Clone, Copy, Debug)]
struct Build {
    /// The documents that the collection has.
    documents: u64,
    /// How many of them `progress` knows to be read.
    told: u64,
}

impl<'a> BuildWatch<'a> {
    /// A watch over these collections, each with its documents.
    pub fn new<'b>(progress: &'a dyn Progress, of: impl IntoIterator<Item = (&'b Namespace, u64)>) -> Self {
        let build = |(namespace, documents): (&Namespace, u64)| (namespace.to_string(), Build { documents, told: 0 });
        BuildWatch { progress, builds: Mutex::new(of.into_iter().map(build).collect()) }
    }

    /// The documents of all collections.
    pub fn documents(&self) -> u64 {
        self.builds().values().map(|build| build.documents).sum()
    }

    /// Tells how many documents the builds under way have read, for as long as it is polled. Whoever may not ask for
    /// other operations (the action `inprog`) is told when a collection is done.
    pub async fn watch(&self, server: &Server) {
        loop {
            tokio::time::sleep(ASK_EVERY).await;
            let pipeline = rawdoc! {
                "aggregate": 1,
                "pipeline": [
                    { "$currentOp": { "allUsers": true } },
                    { "$match": { "msg": { "$regex": "^Index Build" } } },
                ],
                "cursor": {},
            };
            let doing = Doing::new("ask how far the index builds are", "inprog", "admin");
            let Ok(operations) = server.documents("admin", pipeline, &doing).await else {
                return;
            };
            self.tell(&operations);
        }
    }

    /// The indexes of a collection are built, or cannot be.
    pub fn done(&self, namespace: &Namespace) {
        self.read(&namespace.to_string(), u64::MAX);
    }

    fn builds(&self) -> std::sync::MutexGuard<'_, HashMap<String, Build>> {
        self.builds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, operations: &[Vec<u8>]) {
        // A sharded cluster builds an index on each of its shards.
        let mut read: HashMap<String, u64> = HashMap::new();
        for (namespace, documents) in operations.iter().filter_map(|operation| reading(operation)) {
            *read.entry(namespace).or_default() += documents;
        }
        for (namespace, documents) in read {
            self.read(&namespace, documents);
        }
    }

    /// So many documents of a collection have been read. A build that was tried again begins anew.
    fn read(&self, namespace: &str, documents: u64) {
        let more = {
            let mut builds = self.builds();
            let Some(build) = builds.get_mut(namespace) else {
                return;
            };
            let told = documents.min(build.documents).max(build.told);
            let more = told - build.told;
            build.told = told;
            more
        };
        if more > 0 {
            self.progress.advance(more, 0);
        }
    }
}

/// The collection that an operation reads for a build, and how many documents it has read.
fn reading(operation: &[u8]) -> Option<(String, u64)> {
    document::find(operation, b"msg")?.string().filter(|message| message.starts_with(READING))?;
    let namespace = String::from_utf8_lossy(document::find(operation, b"ns")?.string()?).replacen(BUCKETS, ".", 1);
    let progress = RawDocument::from_bytes(document::find(operation, b"progress")?.value).ok()?;
    let done = match Bson::try_from(progress.get("done").ok()??).ok()? {
        Bson::Int32(done) => u64::try_from(done).ok()?,
        Bson::Int64(done) => u64::try_from(done).ok()?,
        _ => return None,
    };
    Some((namespace, done))
}

#[cfg(test)]
mod tests;
