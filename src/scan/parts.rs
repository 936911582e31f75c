//! Cuts a collection into parts: ranges of `_id`s of about equal size, each for a cursor of its own.

use bson::rawdoc;

use crate::{
    catalog::{Entry, Order},
    connect::{Doing, Server},
    document::{self, kind},
    error::{ErrorKind, Result},
};

/// Bytes that a part should have: small enough that several cursors share the work to the end, and that a failure
/// costs little; large enough that opening cursors does not show.
pub const PART_BYTES: u64 = 32 * 1024 * 1024;
/// The most parts of a collection.
pub const MOST_PARTS: u64 = 4096;
/// Bytes that a part has at least, where it is said how many there are to be: to open a cursor for less takes longer than
/// to read on.
const LEAST_PART_BYTES: u64 = 64 * 1024;
/// Sampled `_id`s for each part: evens out the luck of the draw.
const SAMPLES_PER_PART: u64 = 20;
/// Documents of which all `_id`s are read instead: that takes no longer than a sample.
const FEW_DOCUMENTS: u64 = 20_000;
/// A sample of 5 % or more makes the server read and sort the whole collection; one of this share (1 in 25) does not.
const LARGEST_SAMPLE: u64 = 25;

/// The `_id`s of a part, each as a document `{_id: …}`. The lower one is included, the upper one is not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// The first `_id`; none for the beginning of the index.
    pub lower: Option<Vec<u8>>,
    /// The `_id` after the last one; none for the end of the index.
    pub upper: Option<Vec<u8>>,
}

/// The parts of a collection, of about `part_bytes` each, in the order of the index. They cover it whatever the sample
/// was, whatever is written meanwhile: each begins where the one before it ends, and the outer ends are open.
///
/// # Errors
/// When the server cannot be reached or does not permit to read. If only the sample fails, the collection is one part.
pub async fn split(server: &Server, entry: &Entry, part_bytes: u64) -> Result<Vec<Bounds>> {
    let parts = (entry.bytes.unwrap_or(0) / part_bytes.max(1)).min(MOST_PARTS);
    if entry.order != Order::Id || parts < 2 {
        return Ok(vec![Bounds::default()]);
    }
    match ids(server, entry, parts).await {
        Ok(ids) => Ok(between(every(&ids, usize::try_from(parts).unwrap_or(1)))),
        // A server gives up on a sample of random documents that comes upon the same ones again and again
        // (SERVER-57860), as where its count is far from the truth.
        Err(error) if error.kind() == ErrorKind::Server => Ok(vec![Bounds::default()]),
        Err(error) => Err(error),
    }
}

/// The size of the parts of a collection that is to have so many, if that is said, else `part_bytes`.
pub(crate) fn part_bytes_of(entry: &Entry, part_bytes: u64, parts: Option<u16>) -> u64 {
    parts.map_or(part_bytes, |parts| (entry.bytes.unwrap_or(0) / u64::from(parts.max(1))).max(LEAST_PART_BYTES))
}

/// Some `_id`s in the order of the index: sorted by the server, with the collection's own collation.
async fn ids(server: &Server, entry: &Entry, parts: u64) -> Result<Vec<Vec<u8>>> {
    let (database, name) = (entry.data.database(), entry.data.collection());
    let count = entry.documents.unwrap_or(0);
    let command = if count <= FEW_DOCUMENTS {
        let (ids, along) = (rawdoc! { "_id": 1 }, rawdoc! { "_id": 1 });
        let order = along.clone();
        rawdoc! { "find": name, "projection": ids, "hint": along, "sort": order, "batchSize": 100_000 }
    } else {
        let size = i64::try_from((parts * SAMPLES_PER_PART).min(count / LARGEST_SAMPLE)).unwrap_or(i64::MAX);
        rawdoc! {
            "aggregate": name,
            "pipeline": [{ "$sample": { "size": size } }, { "$project": { "_id": 1 } }, { "$sort": { "_id": 1 } }],
            "cursor": { "batchSize": 100_000 },
            "allowDiskUse": true,
        }
    };
    let doing = Doing::new(format!("sample {}", entry.data), "find", database);
    server.documents(database, command, &doing).await
}

/// The `parts - 1` samples that stand at equal distances. A sample may hold an `_id` twice: a bound must not.
fn every(sample: &[Vec<u8>], parts: usize) -> Vec<Vec<u8>> {
    let mut bounds: Vec<_> = (1..parts).filter_map(|n| sample.get(n * sample.len() / parts)).cloned().collect();
    bounds.dedup();
    // Nothing comes before MinKey, and servers refuse an empty range.
    bounds.retain(|bound| document::id(bound).is_none_or(|id| id.kind != kind::MIN_KEY));
    bounds
}

/// The parts between these bounds, which are in the order of the index: they cover everything.
pub(crate) fn between(bounds: Vec<Vec<u8>>) -> Vec<Bounds> {
    let lowers = std::iter::once(None).chain(bounds.iter().cloned().map(Some));
    let uppers = bounds.iter().cloned().map(Some).chain(std::iter::once(None));
    lowers.zip(uppers).map(|(lower, upper)| Bounds { lower, upper }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::RawBuilder;

    #[test]
    fn parts_cover_everything_and_do_not_overlap() {
        let sample: Vec<Vec<u8>> = (0..100_u8).map(|n| vec![n]).collect();
        let parts = between(every(&sample, 4));
        assert_eq!(parts.len(), 4);
        assert_eq!((&parts[0].lower, &parts[3].upper), (&None, &None));
        for pair in parts.windows(2) {
            assert_eq!(pair[0].upper, pair[1].lower);
        }
        assert_eq!(parts[1].lower, Some(vec![25]));
    }

    #[test]
    fn no_part_ends_at_min_key() {
        let bound = |kind| RawBuilder::new().append_element(kind, "_id", &[]).finish();
        let sample = [bound(kind::MIN_KEY), bound(kind::MIN_KEY), bound(kind::NULL), bound(kind::NULL)];
        assert_eq!(every(&sample, 4), [bound(kind::NULL)]);
    }

    #[test]
    fn a_poor_sample_gives_fewer_parts() {
        assert_eq!(between(every(&[], 4)), vec![Bounds::default()]);
        assert_eq!(between(every(&[vec![1], vec![1], vec![1], vec![1]], 4)).len(), 2);
    }
}
