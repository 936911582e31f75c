//! The events of a run, and what is to become of each: the copy has it, it is applied, or it joins a dead letter.

use std::collections::{HashMap, HashSet};

use transload_format::{Documents, Problem};

use super::{dead_letter::DeadLetter, lane::Lane, queue::Block, retold::Retold, windows::Standing};
use crate::{
    changes::{Event, Operation, key::Key, log::EventPlace, shelf::Span},
    cpu,
    document::{self, Element},
    error::{Error, ErrorKind, Result},
};

/// The events of a run, by what is to become of them.
#[derive(Default)]
pub(super) struct Run<'a> {
    /// To be applied.
    pub(super) events: Vec<Event<'a>>,
    /// The documents that the target may have in a later state than their updates were made to, by their keys.
    pub(super) uncertain: HashMap<Vec<u8>, Retold>,
    /// From the first to the last time as of which documents were fetched, where only the server knows which are one.
    pub(super) fetched: Option<Span>,
    /// Dead documents that the run makes whole, by their keys.
    pub(super) healed: HashSet<Vec<u8>>,
    /// Changes that cannot be applied, and documents that are whole again.
    pub(super) letters: Vec<DeadLetter>,
    /// How many events the copy has.
    pub(super) skipped: u64,
    /// How many of these are deletes.
    pub(super) skipped_deletes: u64,
}

impl<'a> Run<'a> {
    /// Takes an event that is to be applied; `is_uncertain` where the target may have its document in a later state.
    pub(super) fn take(&mut self, lane: &Lane, event: Event<'a>, is_uncertain: bool) {
        self.events.push(event);
        if !is_uncertain && self.uncertain.is_empty() && lane.record.removed.is_empty() {
            return;
        }
        let Some(key) = event.key.and_then(document::id).map(|id| lane.key(&id)) else { return };
        let known = self.uncertain.get_mut(&key);
        if tells_all(&event) {
            // Of several documents, as where only the server knows them, it tells one.
            let is_removed = || lane.record.removed.contains_key(&key);
            if !lane.has_collation && (known.is_some() || is_removed()) {
                self.uncertain.insert(key, Retold::default());
            }
        } else if is_uncertain {
            let removed = || lane.record.removed.get(&key).cloned().unwrap_or_default();
            let mut retold = known.map_or_else(|| Retold::behind(removed()), std::mem::take);
            retold.next(&event, lane.shared.paths());
            self.uncertain.insert(key, retold);
        } else if let Some(known) = known {
            known.may_be_gone = false;
        }
    }
}

impl Lane {
    /// The events of some blocks, and where they stand.
    pub(super) fn events<'a>(
        &self,
        blocks: &'a [Block],
    ) -> impl Iterator<Item = Result<(EventPlace, Event<'a>)>> + use<'a> {
        let parse = |raw: std::result::Result<&'a [u8], Problem>| {
            let raw = raw.map_err(|problem| Error::new(ErrorKind::Damaged, problem.to_string()))?;
            self.shared.event(raw).map_err(|error| error.at(self.source.to_string()))
        };
        let of_block = |block: &'a Block| {
            let places = (block.place.ordinal..).map(|ordinal| EventPlace { segment: block.place.segment, ordinal });
            let parsed = places.zip(Documents::new(&block.events)).map(|(place, raw)| Ok((place, parse(raw)?)));
            parsed.collect::<Vec<_>>()
        };
        cpu::share(blocks.iter().collect(), of_block).into_iter().flatten()
    }

    /// Puts an event to those that are to be applied, unless the copy has it.
    pub(super) fn place<'a>(&self, event: Event<'a>, run: &mut Run<'a>) {
        let standing = self.standing(&event, run.fetched);
        if standing == Standing::Before {
            run.skipped += 1;
            run.skipped_deletes += u64::from(event.operation == Operation::Delete);
            return;
        }
        if !self.shared.dead_letters.is_empty() {
            let key = own_key(event.key.and_then(document::id).as_ref());
            if self.shared.dead_letters.has(&self.source, &key) && !run.healed.contains(&key) {
                let reason = "an earlier change of the document was not applied";
                let letter = self.letter(std::slice::from_ref(&event), &key, reason);
                if !tells_all(&event) {
                    run.letters.push(letter);
                    return;
                }
                run.letters.push(letter.healed());
                run.healed.insert(key);
            }
        }
        // The documents before it were of some later time.
        run.take(self, event, standing == Standing::Within || self.shared.tells_documents);
    }

    /// From the first to the last time as of which documents were fetched, where only the server knows which are one.
    pub(super) fn widest(&self) -> Option<Span> {
        let spans = self.record.fetched.values().map(|fetched| fetched.span);
        let widest = spans.reduce(|one, other| Span { low: one.low.min(other.low), high: one.high.max(other.high) });
        widest.filter(|_| self.has_collation)
    }

    /// Where a change stands to its document; `widest` where all documents of the lane that were fetched share one span.
    pub(super) fn standing(&self, event: &Event<'_>, widest: Option<Span>) -> Standing {
        let fetched = match widest {
            _ if self.record.fetched.is_empty() => None,
            Some(span) => Some(span),
            None => {
                let key = own_key(event.key.and_then(document::id).as_ref());
                self.record.fetched.get(&key).map(|fetched| fetched.span)
            }
        };
        // What was fetched before the collection was copied once more is not there any more.
        let fetched = fetched.filter(|span| !self.shared.was_made_after(&self.source, span.high));
        if fetched.is_some() && self.shared.was_made_after(&self.source, event.time) {
            return Standing::Before;
        }
        let by_fetch = fetched.map(|span| self.standing_by(span, event.time));
        by_fetch.unwrap_or_else(|| self.shared.standing(&self.source, event))
    }

    /// Where a change stands to a document that was fetched. Where all documents of a lane share one span, it says of none
    /// that it has the change.
    fn standing_by(&self, span: Span, time: u64) -> Standing {
        if time > span.high {
            Standing::After
        } else if time > span.low || self.has_collation {
            Standing::Within
        } else {
            Standing::Before
        }
    }

    /// What a document is known by where it must be known whether two are one. Where only the server knows, all are.
    pub(super) fn key(&self, id: &Element<'_>) -> Vec<u8> {
        if self.has_collation { Vec::new() } else { own_key(Some(id)) }
    }
}

/// The key of a document by its own bytes.
fn own_key(id: Option<&Element<'_>>) -> Vec<u8> {
    id.map(|id| Key::of(id).into_bytes()).unwrap_or_default()
}

/// Whether it tells all of its document, whatever that was before.
fn tells_all(event: &Event<'_>) -> bool {
    event.operation != Operation::Update && !event.refetch
}
