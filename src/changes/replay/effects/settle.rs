//! Writes of a run, sent until each of them has succeeded or has no hope.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
};

use super::Failed;
use crate::{
    changes::{
        replay::lane::Lane,
        write::{DUPLICATE_KEY, IMMUTABLE_FIELD, Target, Write},
    },
    error::Result,
};

/// What the writes of a run have left.
#[derive(Debug, Default)]
pub(super) struct Unsettled {
    pub(super) failed: Vec<Failed>,
    /// Those whose whole documents a unique index refuses, for the sake of each other or of others, and these documents.
    stuck: Vec<Failed>,
    documents: Vec<Vec<u8>>,
}

impl Lane {
    /// Exchanges what stands in each other's way; gives back what could not be applied.
    pub(super) async fn exchange(&self, unsettled: Unsettled) -> Result<Vec<Failed>> {
        let Unsettled { mut failed, stuck, documents } = unsettled;
        for place in self.target.exchange(&documents).await? {
            failed.extend(stuck.get(place).cloned());
        }
        Ok(failed)
    }

    /// Sends writes until each has succeeded or has no hope, and gives how many changes met no document. What a unique
    /// index refuses is tried again as long as that gets on: another write of the run may have made room. Whole documents
    /// that then still stand in each other's way are left to be exchanged.
    pub(super) async fn settle(&self, writes: Vec<(Vec<u8>, Write<'_>)>, unsettled: &mut Unsettled) -> Result<usize> {
        let (mut keys, mut pending): (Vec<_>, Vec<_>) = writes.into_iter().unzip();
        let (mut unmatched, mut refused_before, mut made_anew) = (0, usize::MAX, HashSet::new());
        while !pending.is_empty() {
            let outcome = self.target.send(&pending).await?;
            unmatched += outcome.unmatched;
            let count = outcome.refused.len();
            let mut refused: HashMap<usize, _> =
                outcome.refused.into_iter().map(|refused| (refused.index, refused)).collect();
            let (mut again_keys, mut again) = (Vec::new(), Vec::new());
            for (index, (key, write)) in keys.into_iter().zip(pending).enumerate() {
                let Some(refused) = refused.remove(&index) else { continue };
                let write = match write {
                    // It is there already: after a kill, or because the copy was of a later time.
                    Write::Insert(document) if refused.on_id && self.target.must_insert(&document) => {
                        again_keys.push(key.clone());
                        again.push(Write::Delete(Cow::Owned(document.to_vec())));
                        Write::Insert(document)
                    }
                    Write::Insert(document) if refused.on_id => Write::Put(document),
                    // Its `_id` there has other bytes, and is the same one by the collation: a fetched document may be of a time
                    // after it was deleted and came back so.
                    Write::Put(document) if refused.code == IMMUTABLE_FIELD && made_anew.insert(key.clone()) => {
                        again_keys.push(key.clone());
                        again.push(Write::Delete(Cow::Owned(document.to_vec())));
                        Write::Insert(document)
                    }
                    write if refused.code == DUPLICATE_KEY && count < refused_before => write,
                    Write::Put(document) | Write::Insert(document) if refused.code == DUPLICATE_KEY => {
                        unsettled.stuck.push(Failed::new(key, refused.code, refused.reason));
                        unsettled.documents.push(document.into_owned());
                        continue;
                    }
                    // What rolls over here has rolled over there: servers before 5.0 do not let it be deleted.
                    Write::Delete(_) if self.is_capped => continue,
                    _ => {
                        unsettled.failed.push(Failed::new(key, refused.code, refused.reason));
                        continue;
                    }
                };
                again.push(write);
                again_keys.push(key);
            }
            refused_before = count;
            (keys, pending) = (again_keys, again);
        }
        Ok(unmatched)
    }
}

/// The writes that put a document in the place of the one with its `_id`.
pub(super) fn push_put<'a>(
    target: &Target,
    writes: &mut Vec<(Vec<u8>, Write<'a>)>,
    key: Vec<u8>,
    document: Cow<'a, [u8]>,
) {
    if target.must_insert(&document) {
        writes.push((key.clone(), Write::Delete(Cow::Owned(document.to_vec()))));
        writes.push((key, Write::Insert(document)));
    } else {
        writes.push((key, Write::Put(document)));
    }
}
