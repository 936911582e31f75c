//! Cuts a collection into parts: ranges of `_id`s of about as many bytes each, or of as many documents where there are few or the
//! server does not tell their bytes, each for a cursor of its own.

use bson::{raw::cstr, rawdoc};

use crate::{
    catalog::{Entry, Order},
    connect::{Doing, Server, Version},
    document::{self, RawBuilder, kind},
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
/// The most `_id`s that are read where a server counts few documents.
const MOST_IDS: i64 = 100_000;
/// The first release that tells the bytes of a document.
const TELLS_SIZES: Version = Version::new(4, 4, 0);
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

impl Bounds {
    /// Those of a part that is read in natural order: from the least `_id` that there can be, at which no other part begins.
    pub(crate) fn of_natural_order() -> Self {
        Bounds { lower: Some(RawBuilder::new().append_element(kind::MIN_KEY, "_id", &[]).finish()), upper: None }
    }
}

/// Whether a part that begins at this `_id` was read in natural order.
pub(crate) fn is_of_natural_order(lower: Option<&[u8]>) -> bool {
    lower.and_then(document::id).is_some_and(|id| id.kind == kind::MIN_KEY)
}

/// The parts of a collection, of about `part_bytes` each, in the order of the index. They cover it whatever the sample
/// was, whatever is written meanwhile: each begins where the one before it ends, and the outer ends are open.
///
/// # Errors
/// When the server cannot be reached or does not permit to read. If only the sample fails, the collection is one part.
pub async fn split(server: &Server, entry: &Entry, part_bytes: u64) -> Result<Vec<Bounds>> {
    match parts_of(entry, part_bytes) {
        Some(parts) => Ok(between(bounds(&sample(server, entry, parts).await?, parts))),
        None => Ok(vec![Bounds::default()]),
    }
}

/// How many parts of about `part_bytes` there should be; none where a collection is not to be cut.
pub(super) fn parts_of(entry: &Entry, part_bytes: u64) -> Option<u64> {
    let parts = (entry.bytes.unwrap_or(0) / part_bytes.max(1)).min(MOST_PARTS);
    (entry.order == Order::Id && parts >= 2).then_some(parts)
}

/// The size of the parts of a collection that is to have so many, if that is said, else `part_bytes`.
pub(crate) fn part_bytes_of(entry: &Entry, part_bytes: u64, parts: Option<u16>) -> u64 {
    parts.map_or(part_bytes, |parts| (entry.bytes.unwrap_or(0) / u64::from(parts.max(1))).max(LEAST_PART_BYTES))
}

/// Some documents in the order of the index, sorted by the server, with the collection's own collation: of each its `_id`, and of a
/// sample its bytes as `bytes`, where the server tells them. All `_id`s of a few documents come without: they stand in the index, and for
/// the bytes the server would have to read the documents. None of them, if only the sample fails.
///
/// # Errors
/// When the server cannot be reached or does not permit to read.
pub(super) async fn sample(server: &Server, entry: &Entry, parts: u64) -> Result<Vec<Vec<u8>>> {
    match sampled(server, entry, parts).await {
        // A server gives up on a sample of random documents that comes upon the same ones again and again
        // (SERVER-57860), as where its count is far from the truth.
        Err(error) if error.kind() == ErrorKind::Server => Ok(Vec::new()),
        sample => sample,
    }
}

async fn sampled(server: &Server, entry: &Entry, parts: u64) -> Result<Vec<Vec<u8>>> {
    let (database, name) = (entry.data.database(), entry.data.collection());
    let doing = Doing::new(format!("sample {}", entry.data), "find", database);
    let count = entry.documents.unwrap_or(0);
    if count <= FEW_DOCUMENTS {
        let (ids, along) = (rawdoc! { "_id": 1 }, rawdoc! { "_id": 1 });
        let order = along.clone();
        let all = rawdoc! { "find": name, "projection": ids, "hint": along, "sort": order, "batchSize": 100_000, "limit": MOST_IDS };
        let ids = server.documents(database, all, &doing).await?;
        // The count of a server that has crashed may be far too low.
        if ids.len() < usize::try_from(MOST_IDS).unwrap_or(usize::MAX) {
            return Ok(ids);
        }
    }
    let most = (count / LARGEST_SAMPLE).max(FEW_DOCUMENTS / LARGEST_SAMPLE);
    let size = i64::try_from((parts * SAMPLES_PER_PART).min(most)).unwrap_or(i64::MAX);
    let mut shown = rawdoc! { "_id": 1 };
    if server.version() >= TELLS_SIZES {
        shown.append(cstr!("bytes"), rawdoc! { "$bsonSize": "$$ROOT" });
    }
    let sample = rawdoc! {
        "aggregate": name,
        "pipeline": [{ "$sample": { "size": size } }, { "$project": shown }, { "$sort": { "_id": 1 } }],
        "cursor": { "batchSize": 100_000 },
        "allowDiskUse": true,
    };
    server.documents(database, sample, &doing).await
}

/// The `parts - 1` `_id`s of a sample that have equal shares of its bytes between them.
pub(super) fn bounds(sample: &[Vec<u8>], parts: u64) -> Vec<Vec<u8>> {
    let id = |document: &Vec<u8>| {
        document::id(document).map_or(document.clone(), |id| RawBuilder::new().append(&id).finish())
    };
    let sample: Vec<_> = sample.iter().map(|document| (id(document), bytes(document))).collect();
    let mut bounds = every(&sample, parts);
    // Nothing comes before MinKey, and servers refuse an empty range.
    bounds.retain(|bound| document::id(bound).is_none_or(|id| id.kind != kind::MIN_KEY));
    bounds
}

/// The `parts - 1` places in a sample, each with its bytes, that have equal shares of the bytes between them, or of the documents where
/// nothing tells their bytes. A sample may hold a place twice: what is given does not.
pub(super) fn every<T: Clone + PartialEq>(sample: &[(T, u64)], parts: u64) -> Vec<T> {
    let total: u64 = sample.iter().map(|(_, bytes)| bytes).sum();
    let mut rest = sample.iter();
    let (mut places, mut before) = (Vec::new(), 0);
    let Some((mut place, mut bytes)) = rest.next().map(|(place, bytes)| (place, *bytes)) else {
        return places;
    };
    for n in 1..parts {
        // The document in which the part before should end.
        while before + bytes <= total * n / parts {
            let Some(next) = rest.next() else { break };
            before += bytes;
            (place, bytes) = (&next.0, next.1);
        }
        places.push(place.clone());
    }
    places.dedup();
    places
}

/// The bytes of a document that stands in a sample; 1 for each, where they are not told.
pub(super) fn bytes(sampled: &[u8]) -> u64 {
    let told = document::find(sampled, b"bytes").filter(|told| told.kind == kind::INT32);
    let told = told.and_then(|told| Some(i32::from_le_bytes(told.value.try_into().ok()?)));
    told.and_then(|told| u64::try_from(told).ok()).map_or(1, |told| told.max(1))
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

    #[test]
    fn parts_cover_everything_and_do_not_overlap() {
        let sample: Vec<Vec<u8>> = (0..100_u8).map(|n| vec![n]).collect();
        let parts = between(bounds(&sample, 4));
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
        assert_eq!(bounds(&sample, 4), [bound(kind::NULL)]);
    }

    #[test]
    fn parts_have_equal_shares_of_the_bytes() {
        let of = |n: i32, bytes| RawBuilder::new().int32("_id", n).int32("bytes", bytes).finish();
        // The last tenth has half of the bytes.
        let sample: Vec<_> = (0..90).map(|n| of(n, 10)).chain((90..100).map(|n| of(n, 90))).collect();
        let numbers = |bounds: Vec<Vec<u8>>| -> Vec<i32> {
            let number = |bound: &Vec<u8>| i32::from_le_bytes(document::id(bound).unwrap().value.try_into().unwrap());
            assert!(bounds.iter().all(|bound| bound.len() == 14), "nothing but the `_id`");
            bounds.iter().map(number).collect()
        };
        assert_eq!(numbers(bounds(&sample, 4)), [45, 90, 95]);
        assert_eq!(numbers(bounds(&sample, 2)), [90]);
        // A document of more than a share begins a part.
        let sample: Vec<_> = (0..10).map(|n| of(n, if n == 4 { 91 } else { 1 })).collect();
        assert_eq!(numbers(bounds(&sample, 10)), [4]);
    }

    #[test]
    fn a_poor_sample_gives_fewer_parts() {
        assert_eq!(between(bounds(&[], 4)), vec![Bounds::default()]);
        assert_eq!(between(bounds(&[vec![1], vec![1], vec![1], vec![1]], 4)).len(), 2);
    }
}
