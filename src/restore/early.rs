//! Indexes that are built while their collections are empty.
//!
//! An index of an empty collection costs the server a third of what the same index costs once there are documents,
//! few as they may be, because then it is a build with a beginning, an end, and a word of every member. Where there
//! are many small collections that is most of a restore. Nothing rests on it: when the documents are there, all
//! indexes are built as if none were there, which is nothing to do for those that are.
//!
//! An index must not cost a document, nor count for one. So no index is built early that is unique (documents pass
//! through states that clash) or that deletes (TTL); and if a document is refused all the same, the indexes go first,
//! and it is sent again.

use std::collections::HashSet;

use futures_util::{StreamExt, TryStreamExt, stream};
use transload_format::{CollectionType, Contents};

use super::{Plan, Planned};
use crate::{
    catalog::{Footprint, build_on_empty, drop_indexes, sharding::Sharding},
    connect::Server,
    document,
    error::{ErrorKind, Result},
};

/// A collection of more documents is loaded faster without indexes.
const FEW_DOCUMENTS: u64 = 1000;
/// Nor are there indexes before more bytes than these. A server puts all keys of an insert into one transaction, and
/// where they do not fit into its cache, it tries for ever (WiredTiger rolls back for eviction); a build sorts them.
const FEW_BYTES: u64 = 1024 * 1024;

/// Builds the indexes of the small collections that were created, several at once; gives back the ids of those that
/// have theirs. Where they cannot be built they are built later, and the reason shows then.
///
/// # Errors
/// When the server does not answer.
pub(super) async fn build(
    server: &Server,
    footprint: &Footprint,
    plan: &Plan,
    contents: &Contents,
    sharding: Option<&Sharding>,
    parallel: usize,
) -> Result<HashSet<u32>> {
    let few = |planned: &Planned| {
        let totals = contents.namespace(planned.id).map(|archived| archived.totals);
        totals.is_some_and(|totals| totals.documents <= FEW_DOCUMENTS && totals.bytes <= FEW_BYTES)
    };
    // The index of a shard key must not be dropped, if only to try.
    let is_sharded = |planned: &Planned| sharding.is_some_and(|sharding| sharding.key(&planned.target).is_some());
    let small = plan.collections().filter(|planned| can_be_early(planned) && few(planned) && !is_sharded(planned));
    let small: Vec<_> = small.collect();
    let one = async |planned: &Planned| {
        let specs: Vec<_> = planned.indexes.build.iter().map(|index| index.spec.clone()).collect();
        let build = async {
            // Who may not drop them again must not have them early.
            drop_indexes(server, &planned.target).await?;
            build_on_empty(server, &planned.target, &specs).await
        };
        match footprint.note(build).await {
            Ok(()) => Ok(Some(planned.id)),
            Err(error) if [ErrorKind::Server, ErrorKind::Authorization].contains(&error.kind()) => Ok(None),
            Err(error) => Err(error),
        }
    };
    let built: Vec<_> = stream::iter(small).map(one).buffer_unordered(parallel.max(1)).try_collect().await?;
    Ok(built.into_iter().flatten().collect())
}

fn can_be_early(planned: &Planned) -> bool {
    planned.create
        && planned.kind() == CollectionType::Collection
        && !planned.is_ordered()
        && !planned.indexes.build.is_empty()
        && planned.indexes.build.iter().all(|index| is_harmless(&index.spec))
}

/// Whether an index can be there while documents come in, and neither refuse one for another's sake nor delete it.
fn is_harmless(spec: &[u8]) -> bool {
    let has = |option: &[u8]| document::find(spec, option).is_some();
    !has(b"unique") && !has(b"expireAfterSeconds")
}

#[cfg(test)]
mod tests {
    use bson::{Document, doc};

    use super::*;

    #[test]
    fn what_could_cost_a_document_is_built_late() {
        let harmless = |spec: Document| is_harmless(&bson::serialize_to_vec(&spec).unwrap());
        assert!(harmless(doc! { "key": { "a": 1 }, "name": "a_1", "sparse": true }));
        assert!(!harmless(doc! { "key": { "a": 1 }, "name": "a_1", "unique": true }));
        assert!(!harmless(doc! { "key": { "a": 1 }, "name": "a_1", "expireAfterSeconds": 3600 }));
    }
}
