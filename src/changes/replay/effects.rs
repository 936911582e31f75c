//! What a run comes to, written: documents as a whole, fields, deletes; computed from what the target has where fields
//! alone would not give the source's bytes; fetched from the source where the events do not tell.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
};

use transload_format::document_digest;

use super::{
    fetch::Shelf,
    journal::{Fetched, Span},
    lane::{Lane, Run},
    write::{DUPLICATE_KEY, Write},
};
use crate::{
    changes::{
        Event, Operation,
        delta::{Applied, Chain},
        fold::{Effect, Folded, fold},
        key::Key,
    },
    document,
    error::Result,
};

/// Documents fetched with one command: even of large ones not too many bytes.
const FETCHED_AT_ONCE: usize = 500;
/// Why a document without a source stays as it is.
const NO_SOURCE: &str = "the events do not tell what the document is now, and there is no source to fetch it from";

/// A document whose change was not applied.
#[derive(Clone, Debug)]
pub(super) struct Failed {
    /// Its key, in canonical bytes.
    pub(super) key: Vec<u8>,
    /// The server's code; 0 for a reason of ours.
    code: i32,
    /// Why.
    pub(super) reason: String,
}

/// What the writes of a run have left.
#[derive(Debug, Default)]
struct Unsettled {
    failed: Vec<Failed>,
    /// Those whose whole documents a unique index refuses, for the sake of each other or of others, and these documents.
    stuck: Vec<Failed>,
    documents: Vec<Vec<u8>>,
}

/// A document of a run that needs more than its events.
struct Needs<'a> {
    /// Its key, in canonical bytes and raw.
    key: Vec<u8>,
    raw: &'a [u8],
    /// The changes that are to be made in it, and the places in the run of the first and the last event of them.
    chain: Chain<'a>,
    first: u32,
    last: u32,
    /// Whether the target's `_id` may have other bytes.
    reinsert: bool,
}

impl Lane {
    /// Applies the events of a run; gives back what could not be applied.
    pub(super) async fn apply(&mut self, run: &Run<'_>) -> Result<Vec<Failed>> {
        let (failed, by_index) = if self.folds() {
            let folded = fold(&run.events, self.shared.paths())?;
            let failed = self.effects(run, folded, true).await?;
            failed.into_iter().partition(|failed| failed.code != DUPLICATE_KEY)
        } else {
            (self.one_by_one(run, |_| true).await?, Vec::new())
        };
        if by_index.is_empty() {
            return Ok(failed);
        }
        // A value of a unique index that wandered from document to document stands in its own way when each document is
        // written once. In the order of the events it does not, as it did not on the source.
        let by_index: HashMap<Vec<u8>, Failed> =
            by_index.into_iter().map(|failed| (failed.key.clone(), failed)).collect();
        let again = self.one_by_one(run, |key| by_index.contains_key(key)).await?;
        Ok(failed.into_iter().chain(again).collect())
    }

    /// Applies the events of some documents one after the other. What a document has missed because an event failed is made up
    /// for with its next one, or still stands in the end.
    async fn one_by_one(&mut self, run: &Run<'_>, takes: impl Fn(&[u8]) -> bool) -> Result<Vec<Failed>> {
        let mut missed: HashMap<Vec<u8>, (usize, Vec<Event<'_>>, Failed)> = HashMap::new();
        for (index, event) in run.events.iter().enumerate() {
            let Some(id) = event.key.and_then(document::id) else { continue };
            let key = Key::of(&id).as_bytes().to_vec();
            if !takes(&key) {
                continue;
            }
            let (first, mut events, why) = match missed.remove(&key) {
                Some((first, events, why)) => (first, events, Some(why)),
                None => (index, Vec::new(), None),
            };
            events.push(*event);
            let alone = fold(&events, self.shared.paths())?;
            let alone = alone.into_iter().map(|folded| Folded { first, last: index, ..folded }).collect();
            if let Some(still) = self.effects(run, alone, false).await?.into_iter().next() {
                missed.insert(key, (first, events, why.unwrap_or(still)));
            }
        }
        Ok(missed.into_values().map(|(_, _, why)| why).collect())
    }

    /// Applies the effects of a run: deletes first, so that they are in nobody's way, then changes, then new documents.
    /// `plainly` sends changes as modifiers where these do: then nothing tells after a kill whether one has arrived, so a
    /// second change of the document must not follow in the same run.
    async fn effects<'a>(&mut self, run: &Run<'a>, folded: Vec<Folded<'a>>, plainly: bool) -> Result<Vec<Failed>> {
        let (mut deletes, mut changes, mut inserts) = (Vec::new(), Vec::new(), Vec::new());
        let (mut on_target, mut on_source) = (Vec::new(), Vec::new());
        for folded in folded {
            let Some(id) = document::id(folded.key) else { continue };
            let key = Key::of(&id).as_bytes().to_vec();
            let place = |index| u32::try_from(index).unwrap_or(u32::MAX);
            let (first, last) = (place(folded.first), place(folded.last));
            let needs = |key, chain| Needs { key, raw: folded.key, chain, first, last, reinsert: folded.reinsert };
            match folded.effect {
                Effect::Delete => deletes.push((key, Write::Delete(Cow::Borrowed(folded.key)))),
                Effect::Put(document) if folded.reinsert => {
                    deletes.push((key.clone(), Write::Delete(Cow::Borrowed(folded.key))));
                    inserts.push((key, Write::Insert(document)));
                }
                Effect::Put(document) if is_new(&run.events, folded.first) => {
                    inserts.push((key, Write::Insert(document)));
                }
                Effect::Put(document) if must_be_inserted(&document) => {
                    deletes.push((key.clone(), Write::Delete(Cow::Borrowed(folded.key))));
                    inserts.push((key, Write::Insert(document)));
                }
                Effect::Put(document) => changes.push((key, Write::Put(document))),
                Effect::Change(chain) if !self.shared.patches() || run.uncertain.contains(&self.key(&id)) => {
                    on_source.push(needs(key, chain));
                }
                Effect::Change(chain) => match chain.simple().filter(|_| plainly) {
                    Some(simple) if simple.is_empty() => {}
                    Some(simple) => changes.push((key, Write::Modify(folded.key, simple.modifiers()))),
                    None => on_target.push(needs(key, chain)),
                },
                Effect::Refetch => on_source.push(needs(key, Chain::new())),
            }
        }
        // In the order of the index on `_id`, in which neighbours are cheap to find.
        for kind in [&mut deletes, &mut changes, &mut inserts] {
            kind.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        }
        let modified = changes.iter().filter_map(|(key, write)| match write {
            Write::Modify(raw, _) => Some((key.clone(), *raw)),
            _ => None,
        });
        let modified: Vec<(Vec<u8>, &'a [u8])> = modified.collect();
        let mut unsettled = Unsettled::default();
        let all: Vec<_> = deletes.into_iter().chain(changes).chain(inserts).collect();
        if self.settle(all, &mut unsettled).await? > 0 {
            self.not_found(modified, &mut on_source).await?;
        }
        while !on_target.is_empty() {
            let rest = on_target.split_off(on_target.len().min(FETCHED_AT_ONCE));
            self.compute(std::mem::replace(&mut on_target, rest), &mut on_source, &mut unsettled).await?;
        }
        while !on_source.is_empty() {
            let rest = on_source.split_off(on_source.len().min(FETCHED_AT_ONCE));
            self.refetch(std::mem::replace(&mut on_source, rest), &mut unsettled).await?;
        }
        self.exchange(unsettled).await
    }

    /// Exchanges what stands in each other's way; gives back what could not be applied.
    async fn exchange(&self, unsettled: Unsettled) -> Result<Vec<Failed>> {
        let Unsettled { mut failed, stuck, documents } = unsettled;
        for place in self.target.exchange(&documents).await? {
            failed.extend(stuck.get(place).cloned());
        }
        Ok(failed)
    }

    /// Sends writes until each has succeeded or has no hope, and gives how many changes met no document. What a unique
    /// index refuses is tried again as long as that gets on: another write of the run may have made room. Whole documents
    /// that then still stand in each other's way are left to be exchanged.
    async fn settle(&self, writes: Vec<(Vec<u8>, Write<'_>)>, unsettled: &mut Unsettled) -> Result<usize> {
        let (mut keys, mut pending): (Vec<_>, Vec<_>) = writes.into_iter().unzip();
        let (mut unmatched, mut refused_before) = (0, usize::MAX);
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
                    Write::Insert(document) if refused.on_id && must_be_inserted(&document) => {
                        again_keys.push(key.clone());
                        again.push(Write::Delete(Cow::Owned(document.to_vec())));
                        Write::Insert(document)
                    }
                    Write::Insert(document) if refused.on_id => Write::Put(document),
                    write if refused.code == DUPLICATE_KEY && count < refused_before => write,
                    Write::Put(document) | Write::Insert(document) if refused.code == DUPLICATE_KEY => {
                        unsettled.stuck.push(Failed { key, code: refused.code, reason: refused.reason });
                        unsettled.documents.push(document.into_owned());
                        continue;
                    }
                    // What rolls over here has rolled over there: servers before 5.0 do not let it be deleted.
                    Write::Delete(_) if self.is_capped => continue,
                    _ => {
                        unsettled.failed.push(Failed { key, code: refused.code, reason: refused.reason });
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

    /// Of documents that were to be modified, those that the target does not have.
    async fn not_found<'a>(&self, modified: Vec<(Vec<u8>, &'a [u8])>, on_source: &mut Vec<Needs<'a>>) -> Result<()> {
        for some in modified.chunks(FETCHED_AT_ONCE) {
            let keys: Vec<&[u8]> = some.iter().map(|(_, raw)| *raw).collect();
            let there = self.on_target().documents(&keys).await?;
            let missing = some.iter().filter(|(key, _)| !there.contains_key(key));
            on_source.extend(missing.map(|(key, raw)| Needs {
                key: key.clone(),
                raw,
                chain: Chain::new(),
                first: 0,
                last: 0,
                reinsert: false,
            }));
        }
        Ok(())
    }

    /// Makes changes in documents of the target, and puts those back as a whole.
    async fn compute<'a>(
        &mut self,
        needs: Vec<Needs<'a>>,
        on_source: &mut Vec<Needs<'a>>,
        unsettled: &mut Unsettled,
    ) -> Result<()> {
        let keys: Vec<&[u8]> = needs.iter().map(|needs| needs.raw).collect();
        let there = self.on_target().documents(&keys).await?;
        let mut writes = Vec::new();
        for needs in needs {
            let Some(base) = there.get(&needs.key) else {
                on_source.push(needs);
                continue;
            };
            match self.written(&needs.key, document_digest(base)) {
                // A run that was killed has written it already.
                Some(last) if last >= needs.last => continue,
                // It has written a part of it, in the order of the events.
                Some(last) if last >= needs.first => {
                    unsettled.failed.push(Failed { key: needs.key, code: DUPLICATE_KEY, reason: String::new() });
                    continue;
                }
                _ => {}
            }
            match needs.chain.apply(base) {
                Applied::Document(document) if document == *base => {}
                Applied::Document(document) => {
                    let digest = document_digest(&document);
                    self.record.computed.insert((needs.key.clone(), needs.last), digest);
                    if must_be_inserted(&document) {
                        // Between the two writes the document is nowhere else.
                        self.record.parked.push(document.clone());
                    }
                    push_put(&mut writes, needs.key, Cow::Owned(document));
                }
                Applied::Ambiguous | Applied::Inapplicable(_) => on_source.push(needs),
            }
        }
        if writes.is_empty() {
            return Ok(());
        }
        self.write_down().await?;
        self.settle(writes, unsettled).await.map(drop)
    }

    /// The place in the run of the last event that is in a document with this digest, if the run has computed it.
    fn written(&self, key: &[u8], digest: u64) -> Option<u32> {
        let of_key = self.record.computed.range((key.to_vec(), 0)..=(key.to_vec(), u32::MAX));
        of_key.filter(|(_, computed)| **computed == digest).map(|((_, last), _)| *last).next_back()
    }

    /// Puts documents as the source has them now. What happened up to then is not applied to them again.
    async fn refetch(&mut self, needs: Vec<Needs<'_>>, unsettled: &mut Unsettled) -> Result<()> {
        let shared = std::sync::Arc::clone(&self.shared);
        let Some(source) = &shared.source else {
            let lost = |needs: Needs<'_>| Failed { key: needs.key, code: 0, reason: NO_SOURCE.to_owned() };
            unsettled.failed.extend(needs.into_iter().map(lost));
            return Ok(());
        };
        let keys: Vec<&[u8]> = needs.iter().map(|needs| needs.raw).collect();
        let shelf = Shelf { server: source, namespace: &self.source, has_collation: self.has_collation };
        let (mut there, span) = shelf.documents_and_time(&keys).await?;
        shared.counts.refetch(needs.len() as u64);
        let (mut deletes, mut puts) = (Vec::new(), Vec::new());
        for needs in &needs {
            let document = there.remove(&needs.key);
            if needs.reinsert || document.is_none() {
                deletes.push((needs.key.clone(), Write::Delete(Cow::Borrowed(needs.raw))));
            }
            if let Some(document) = document {
                push_put(&mut puts, needs.key.clone(), Cow::Owned(document));
            }
            self.note_fetched(needs.raw, span);
        }
        self.settle(deletes.into_iter().chain(puts).collect(), unsettled).await.map(drop)
    }

    fn note_fetched(&mut self, raw: &[u8], span: Span) {
        let Some(id) = document::id(raw) else { return };
        let key = self.key(&id);
        let known = self.record.fetched.entry(key).or_insert(Fetched { span, key: raw.to_vec() });
        known.span = Span { low: known.span.low.max(span.low), high: known.span.high.max(span.high) };
    }

    /// Does what has to be done before anything else: documents that a kill has left nowhere, and those to be fetched.
    pub(super) async fn pay(&mut self) -> Result<()> {
        let mut puts = Vec::new();
        for document in std::mem::take(&mut self.record.parked) {
            let key = document::id(&document).map(|id| Key::of(&id).as_bytes().to_vec());
            push_put(&mut puts, key.unwrap_or_default(), Cow::Owned(document));
        }
        self.settle(puts, &mut Unsettled::default()).await?;
        let owed = std::mem::take(&mut self.record.owed);
        if owed.is_empty() {
            return Ok(());
        }
        let key = |raw: &[u8]| document::id(raw).map(|id| Key::of(&id).as_bytes().to_vec());
        let mut unsettled = Unsettled::default();
        for some in owed.chunks(FETCHED_AT_ONCE) {
            let needs = some.iter().filter_map(|raw| {
                Some(Needs { key: key(raw)?, raw, chain: Chain::new(), first: 0, last: 0, reinsert: false })
            });
            self.refetch(needs.collect(), &mut unsettled).await?;
        }
        // What has no place yet is owed on.
        let refused: HashSet<Vec<u8>> = self.exchange(unsettled).await?.into_iter().map(|failed| failed.key).collect();
        self.record.owed =
            owed.iter().filter(|raw| key(raw).is_some_and(|key| refused.contains(&key))).cloned().collect();
        self.write_down().await
    }

    fn on_target(&self) -> Shelf<'_> {
        Shelf { server: &self.target.server, namespace: &self.target.namespace, has_collation: self.has_collation }
    }
}

/// Whether a server takes the document by an insert, and not in the place of another one: 5.0 and later want no top-level
/// name with a `$` at its front in a replacement. A pipeline could do it, but not safely (`load::timestamps`).
fn must_be_inserted(document: &[u8]) -> bool {
    document::elements(document).map_while(std::result::Result::ok).any(|element| element.name.starts_with(b"$"))
}

/// The writes that put a document in the place of the one with its `_id`.
fn push_put<'a>(writes: &mut Vec<(Vec<u8>, Write<'a>)>, key: Vec<u8>, document: Cow<'a, [u8]>) {
    if must_be_inserted(&document) {
        writes.push((key.clone(), Write::Delete(Cow::Owned(document.to_vec()))));
        writes.push((key, Write::Insert(document)));
    } else {
        writes.push((key, Write::Put(document)));
    }
}

/// Whether a document was not there before the event at this place.
fn is_new(events: &[Event<'_>], first: usize) -> bool {
    events.get(first).is_some_and(|event| event.operation == Operation::Insert)
}
