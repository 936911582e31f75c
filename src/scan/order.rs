//! In which order the documents of a collection are read: by `_id`, or as a member of the replica set keeps them.

use std::{fmt, str::FromStr};

use super::{
    Bounds,
    parts::{self, PART_BYTES, between, bounds, parts_of, sample},
    records::{self, Records},
};
use crate::{
    catalog::Entry,
    connect::{Member, Server, Version},
    error::{Error, ErrorKind, Result},
};

/// The first release that was seen to go on behind a record, and that reads as of one time.
const SINCE: Version = Version::new(5, 0, 0);
/// Bytes from which on it matters in which order a collection is read: what is smaller is in the cache of any server.
const LARGE: u64 = 2 * PART_BYTES;
/// Documents whose records are looked up, at most.
const MOST_LOOKED_UP: usize = 2000;
/// And the bytes of what is known of them, which have to fit into a command.
const MOST_BYTES_LOOKED_UP: usize = 1024 * 1024;
/// Documents of a sample that tell anything.
const FEWEST: usize = 16;

/// In which order ordinary collections are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReadOrder {
    /// By `_id`; in natural order where a collection is large and its `_id`s come in no order.
    #[default]
    Auto,
    /// By `_id`, along its index: any member can go on where another one has stopped.
    Id,
    /// In natural order, wherever there is more than one part, and the server can go on in it: from one member alone.
    Natural,
}

impl FromStr for ReadOrder {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "auto" => Ok(ReadOrder::Auto),
            "id" => Ok(ReadOrder::Id),
            "natural" => Ok(ReadOrder::Natural),
            _ => Err(Error::new(ErrorKind::Usage, "is no order of reading; wanted: auto, id or natural")),
        }
    }
}

impl fmt::Display for ReadOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ReadOrder::Auto => "auto",
            ReadOrder::Id => "id",
            ReadOrder::Natural => "natural",
        })
    }
}

/// What a part is a range of.
#[derive(Clone, Debug)]
pub(crate) enum Range {
    /// Of `_id`s.
    Ids(Bounds),
    /// Of records.
    Records(Records),
}

/// The parts of a collection, of about `part_bytes` each: ranges of what it is to be read by. They cover it whatever the sample was,
/// whatever is written meanwhile, and do not overlap.
///
/// # Errors
/// When the server cannot be reached or does not permit to read. If only the sample fails, the collection is one part.
pub(crate) async fn ranges(server: &Server, entry: &Entry, part_bytes: u64, order: ReadOrder) -> Result<Vec<Range>> {
    let Some(parts) = parts_of(entry, part_bytes) else {
        return Ok(vec![Range::Ids(Bounds::default())]);
    };
    let sample = sample(server, entry, parts).await?;
    let records = match order {
        ReadOrder::Id => None,
        ReadOrder::Auto if entry.bytes.is_none_or(|bytes| bytes < LARGE) => None,
        ReadOrder::Auto | ReadOrder::Natural => match of_records(server, entry, &sample, parts, order).await {
            // By `_id` another member may go on.
            Err(error) if order == ReadOrder::Auto && error.kind() == ErrorKind::Unreachable => None,
            records => records?,
        },
    };
    Ok(match records {
        Some(records) => records.into_iter().map(Range::Records).collect(),
        None => between(bounds(&sample, parts)).into_iter().map(Range::Ids).collect(),
    })
}

/// All of a collection by its records, where they can be gone on with.
///
/// # Errors
/// When the server cannot be reached or does not permit to read.
pub(crate) async fn all_records(server: &Server, entry: &Entry) -> Result<Option<Records>> {
    let Some(member) = member(server, entry).await? else { return Ok(None) };
    let is_told = records::are_told(&member, entry, None).await?;
    Ok(is_told.then(|| Records::between(member, &[], &[]).pop()).flatten())
}

/// The member whose records a collection may be read by.
async fn member(server: &Server, entry: &Entry) -> Result<Option<Member>> {
    // Of what is read in part, a filter says which part.
    match server.version() >= SINCE && entry.of_database.is_none() {
        true => server.one_member().await,
        false => Ok(None),
    }
}

/// The same as ranges of records, if it is to be read by them, and can be.
async fn of_records(
    server: &Server,
    entry: &Entry,
    sample: &[Vec<u8>],
    parts: u64,
    order: ReadOrder,
) -> Result<Option<Vec<Records>>> {
    let Some(member) = member(server, entry).await? else { return Ok(None) };
    let mut bytes = 0;
    let fits = |id: &&[u8]| {
        bytes += id.len();
        bytes <= MOST_BYTES_LOOKED_UP
    };
    let every = sample.len().div_ceil(MOST_LOOKED_UP).max(1);
    let some: Vec<&[u8]> = sample.iter().step_by(every).map(Vec::as_slice).take_while(fits).collect();
    let Some(mut found) = records::of_ids(&member, entry, &some).await? else { return Ok(None) };
    if order == ReadOrder::Auto && !is_scattered(&found.iter().map(|(record, _)| *record).collect::<Vec<_>>()) {
        return Ok(None);
    }
    found.sort_unstable();
    let known: Vec<i64> = found.iter().map(|(record, _)| *record).collect();
    // One of them may be gone by now.
    let tried = [known.first(), known.get(known.len() / 2), known.last()].into_iter().flatten();
    let mut is_told = false;
    for record in tried {
        is_told = is_told || records::are_told(&member, entry, Some(*record)).await?;
    }
    if !is_told {
        return Ok(None);
    }
    let weighted = found.into_iter().map(|(record, at)| (record, some.get(at).map_or(1, |one| parts::bytes(one))));
    let ends = parts::every(&weighted.collect::<Vec<_>>(), parts);
    Ok(Some(Records::between(member, &ends, &known)))
}

/// Whether `_id`s come in no order, by the records of some documents in the order of their `_id`s: where each is far from the one before,
/// an index leads back to each page many times. Of a series without any order three of four are farther away than an eighth of all;
/// what several have inserted at once, as a restore does, is near its place.
fn is_scattered(records: &[i64]) -> bool {
    let mut sorted = records.to_vec();
    sorted.sort_unstable();
    let places: Vec<usize> = records.iter().map(|record| sorted.partition_point(|other| other < record)).collect();
    let is_far = |pair: &&[usize]| matches!(pair, [one, other] if one.abs_diff(*other) > records.len() / 8);
    records.len() >= FEWEST && places.windows(2).filter(is_far).count() * 4 > records.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_told_from_none() {
        let rising: Vec<i64> = (0..400).collect();
        let falling: Vec<i64> = rising.iter().rev().copied().collect();
        // Four tenants, each with a counter of its own in its `_id`s.
        let tenants: Vec<i64> = (0..4).flat_map(|tenant| (0..100).map(move |n| n * 4 + tenant)).collect();
        // Four have inserted a block after the other, and each time another one was first.
        let restored: Vec<i64> = (0..100).flat_map(|n| [2, 0, 3, 1].map(|first| n * 4 + first)).collect();
        for records in [rising, falling, tenants, restored, vec![3, 1, 2]] {
            assert!(!is_scattered(&records), "{records:?}");
        }
        let hashed: Vec<i64> = (0..400_u64).map(|n| (n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 33) as i64).collect();
        assert!(is_scattered(&hashed));
        // A thousand tenants, of which a sample has few documents each.
        let many: Vec<i64> = hashed.iter().flat_map(|first| [*first, first + 1]).collect();
        assert!(is_scattered(&many));
    }

    #[test]
    fn an_order_of_reading_has_a_name() {
        for order in [ReadOrder::Auto, ReadOrder::Id, ReadOrder::Natural] {
            assert_eq!(order.to_string().parse::<ReadOrder>().unwrap(), order);
        }
        assert_eq!("_id".parse::<ReadOrder>().unwrap_err().kind(), ErrorKind::Usage);
    }
}
