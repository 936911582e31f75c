//! Dead letters, tried once more: an index may have been dropped since, room made, or the source may be at hand now. Where
//! documents are fetched from the source, they may be of a later time than others, and find a place once these have come to
//! that time too.

use std::{collections::BTreeMap, sync::Arc};

use super::{Shared, dead_letter::DeadLetter, journal::LaneRecord, lane::Lane};
use crate::{
    error::{Error, Result},
    hex::from_hex,
    namespace::Namespace,
};

/// Fetches what a lane still owes; it may have found its place meanwhile. No run of the lane may be under way.
///
/// # Errors
/// When a server cannot be reached.
pub(super) async fn pay(
    shared: &Arc<Shared>,
    log: u32,
    namespace: &Namespace,
    record: LaneRecord,
) -> Result<LaneRecord> {
    let Some(target) = shared.target_of(namespace)? else {
        return Ok(record);
    };
    let mut lane = Lane::open(Arc::clone(shared), log, namespace.clone(), target, record).await?;
    lane.pay().await?;
    if !lane.record.owed.is_empty() {
        let count = lane.record.owed.len();
        shared.warn(format!(
            "{count} documents of {namespace} could not be fetched from the source after it was renamed; a replay with --source tries again"
        ));
    }
    Ok(lane.record)
}

/// Tries the letters about one collection all at once, each document's in their order; those that succeed are taken back.
/// Gives the record of the lane, which knows what was fetched. As long as a run of the lane is under way, none is tried.
///
/// # Errors
/// When a server cannot be reached, or a letter is no event.
pub(super) async fn retry(
    shared: &Arc<Shared>,
    log: u32,
    namespace: &Namespace,
    letters: Vec<DeadLetter>,
    record: LaneRecord,
) -> Result<LaneRecord> {
    // What it is about to do comes first, and is done as it was written down.
    let is_under_way = record.end > record.next;
    let Some(target) = shared.target_of(namespace)?.filter(|_| !is_under_way) else {
        return Ok(record);
    };
    let mut by_document: BTreeMap<String, Vec<DeadLetter>> = BTreeMap::new();
    // What concerns a whole collection may be wrong by now: only the operator knows.
    for letter in letters.into_iter().filter(|letter| !letter.is_of_collection()) {
        by_document.entry(letter.id.clone()).or_default().push(letter);
    }
    let mut lane = Lane::open(Arc::clone(shared), log, namespace.clone(), target, record).await?;
    let all = by_document.values().flatten().flat_map(|letter| &letter.events);
    let raw: Vec<Vec<u8>> = all.map(|text| from_hex(text)).collect();
    let events = raw.iter().map(|raw| shared.event(raw)).collect::<Result<Vec<_>>>();
    let events = events.map_err(|error: Error| error.at("dead-letters.jsonl"))?;
    let failed = lane.try_again(events).await?;
    let whole = by_document.into_iter().filter(|(id, _)| !failed.contains(id));
    lane.write_down().await?;
    shared
        .keep(whole.filter_map(|(_, letters)| letters.into_iter().next_back()).map(DeadLetter::healed).collect())
        .await?;
    Ok(lane.record)
}
