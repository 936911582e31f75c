//! The events of a run, and what is to become of each: the copy has it, it is applied, or it joins a dead letter.

use std::collections::HashSet;

use transload_format::{Documents, Problem};

use super::{dead_letter::DeadLetter, journal::Span, lane::Lane, queue::Block, windows::Standing};
use crate::{
    changes::{Event, Operation, key::Key, log::EventPlace},
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
    pub(super) uncertain: HashSet<Vec<u8>>,
    /// From the first to the last time as of which documents were fetched, where only the server knows which are one.
    pub(super) fetched: Option<Span>,
    /// Dead documents that the run makes whole, by their keys.
    pub(super) healed: HashSet<Vec<u8>>,
    /// Changes that cannot be applied, and documents that are whole again.
    pub(super) letters: Vec<DeadLetter>,
    /// How many events the copy has.
    pub(super) skipped: u64,
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
        let id = || event.key.and_then(document::id);
        let fetched = match &run.fetched {
            _ if self.record.fetched.is_empty() => None,
            Some(span) => Some(*span),
            None => self.record.fetched.get(&own_key(id().as_ref())).map(|fetched| fetched.span),
        };
        let by_fetch = fetched.map(|span| self.standing(span, event.time));
        let standing = by_fetch.unwrap_or_else(|| self.shared.standing(&self.source, &event));
        if standing == Standing::Before {
            run.skipped += 1;
            return;
        }
        let tells_all = event.operation != Operation::Update && !event.refetch;
        if !self.shared.dead_letters.is_empty() {
            let key = own_key(id().as_ref());
            if self.shared.dead_letters.has(&self.source, &key) && !run.healed.contains(&key) {
                let reason = "an earlier change of the document was not applied";
                let letter = self.letter(std::slice::from_ref(&event), &key, reason);
                if !tells_all {
                    run.letters.push(letter);
                    return;
                }
                run.letters.push(letter.healed());
                run.healed.insert(key);
            }
        }
        // The documents before it were of some later time.
        if !tells_all && (standing == Standing::Within || self.shared.tells_documents) {
            run.uncertain.extend(id().map(|id| self.key(&id)));
        }
        run.events.push(event);
    }

    /// From the first to the last time as of which documents were fetched, where only the server knows which are one.
    pub(super) fn widest(&self) -> Option<Span> {
        let spans = self.record.fetched.values().map(|fetched| fetched.span);
        let widest = spans.reduce(|one, other| Span { low: one.low.min(other.low), high: one.high.max(other.high) });
        widest.filter(|_| self.has_collation)
    }

    /// Where a change stands to a document that was fetched. Where all documents of a lane share one span, it says of none
    /// that it has the change.
    fn standing(&self, span: Span, time: u64) -> Standing {
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
