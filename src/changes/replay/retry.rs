//! Dead letters, tried once more: an index may have been dropped since, room made, or the source may be at hand now.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    Shared,
    dead_letter::{DeadLetter, from_hex},
    journal::LaneRecord,
    lane::Lane,
};
use crate::{
    changes::Event,
    error::{Error, Result},
    namespace::Namespace,
};

/// Tries the letters about one collection, each document's in their order; those that succeed are taken back. Gives the
/// record of the lane, which knows what was fetched.
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
    let Some(target) = shared.target_of(namespace)? else {
        return Ok(record);
    };
    let mut by_document: BTreeMap<String, Vec<DeadLetter>> = BTreeMap::new();
    for letter in letters {
        by_document.entry(letter.id.clone()).or_default().push(letter);
    }
    let mut lane = Lane::open(Arc::clone(shared), log, namespace.clone(), target, record).await?;
    for letters in by_document.into_values() {
        let raw: Vec<Vec<u8>> = letters.iter().flat_map(|letter| &letter.events).map(|text| from_hex(text)).collect();
        let events = raw.iter().map(|raw| Event::parse(raw)).collect::<Result<Vec<_>>>();
        let events = events.map_err(|error: Error| error.at("dead-letters.jsonl"))?;
        if lane.try_again(events).await? {
            let healed = letters.into_iter().next_back().map(DeadLetter::healed);
            lane.keep(healed.into_iter().collect()).await?;
        }
    }
    lane.write_down().await?;
    Ok(lane.record)
}
