//! Documents of a run that need more than their events: computed from what the target has, where fields alone would not
//! give the source's bytes; fetched from the source, where the events do not tell.

use std::{borrow::Cow, collections::HashSet};

use transload_format::document_digest;

use super::{
    Failed,
    settle::{Unsettled, push_put},
};
use crate::{
    changes::{
        delta::{Applied, Chain},
        key::Key,
        replay::{journal::Fetched, lane::Lane},
        shelf::{FETCHED_AT_ONCE, Shelf, Span},
        write::{DUPLICATE_KEY, Write},
    },
    document,
    error::Result,
};

/// Why a document without a source stays as it is.
const NO_SOURCE: &str = "the events do not tell what the document is now, and there is no source to fetch it from";

/// A document of a run that needs more than its events.
pub(super) struct Needs<'a> {
    /// Its key, in canonical bytes and raw.
    pub(super) key: Vec<u8>,
    pub(super) raw: &'a [u8],
    /// The changes that are to be made in it, and the places in the run of the first and the last event of them.
    pub(super) chain: Chain<'a>,
    pub(super) first: u32,
    pub(super) last: u32,
    /// Whether the target's `_id` may have other bytes.
    pub(super) reinsert: bool,
    /// Whether the target may have none, as the copy was of a time after its end.
    pub(super) may_be_gone: bool,
}

impl<'a> Needs<'a> {
    /// As the source has it, whatever has happened to it.
    fn as_on_source(key: Vec<u8>, raw: &'a [u8]) -> Self {
        Needs { key, raw, chain: Chain::new(), first: 0, last: 0, reinsert: false, may_be_gone: false }
    }
}

impl Lane {
    /// Of documents that were to be modified, those that the target does not have.
    pub(super) async fn not_found<'a>(
        &self,
        modified: Vec<(Vec<u8>, &'a [u8])>,
        on_source: &mut Vec<Needs<'a>>,
    ) -> Result<()> {
        for some in modified.chunks(FETCHED_AT_ONCE) {
            let keys: Vec<&[u8]> = some.iter().map(|(_, raw)| *raw).collect();
            let there = self.on_target().documents(&keys).await?;
            let missing = some.iter().filter(|(key, _)| !there.contains_key(key));
            on_source.extend(missing.map(|(key, raw)| Needs::as_on_source(key.clone(), raw)));
        }
        Ok(())
    }

    /// Makes changes in documents of the target, and puts those back as a whole.
    pub(super) async fn compute<'a>(
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
                if !needs.may_be_gone {
                    on_source.push(needs);
                }
                continue;
            };
            match self.written(&needs.key, document_digest(base)) {
                // A run that was killed has written it already.
                Some(last) if last >= needs.last => continue,
                // It has written a part of it, in the order of the events.
                Some(last) if last >= needs.first => {
                    unsettled.failed.push(Failed::new(needs.key, DUPLICATE_KEY, String::new()));
                    continue;
                }
                _ => {}
            }
            match needs.chain.apply(base) {
                Applied::Document(document) if document == *base => {}
                Applied::Document(document) => {
                    let digest = document_digest(&document);
                    self.record.computed.insert((needs.key.clone(), needs.last), digest);
                    if self.target.must_insert(&document) {
                        // Between the two writes the document is nowhere else.
                        self.record.parked.push(document.clone());
                    }
                    push_put(&self.target, &mut writes, needs.key, Cow::Owned(document));
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
    pub(super) async fn refetch(&mut self, needs: Vec<Needs<'_>>, unsettled: &mut Unsettled) -> Result<()> {
        let shared = std::sync::Arc::clone(&self.shared);
        let Some(source) = &shared.source else {
            let lost = |needs: Needs<'_>| Failed::new(needs.key, 0, NO_SOURCE.to_owned());
            unsettled.failed.extend(needs.into_iter().map(lost));
            return Ok(());
        };
        let keys: Vec<&[u8]> = needs.iter().map(|needs| needs.raw).collect();
        let shelf = Shelf { server: source, namespace: &self.source, has_collation: self.has_collation };
        let (mut there, span) = shelf.documents_and_time(&keys).await?;
        let gone = needs.iter().filter(|needs| !there.contains_key(&needs.key)).count();
        shared.counts.refetch(needs.len() as u64, gone as u64);
        let (mut deletes, mut puts) = (Vec::new(), Vec::new());
        for needs in &needs {
            let document = there.remove(&needs.key);
            if needs.reinsert || document.is_none() {
                deletes.push((needs.key.clone(), Write::Delete(Cow::Borrowed(needs.raw))));
            }
            if let Some(document) = document {
                push_put(&self.target, &mut puts, needs.key.clone(), Cow::Owned(document));
            }
            self.note_fetched(needs.raw, span);
        }
        self.settle(deletes.into_iter().chain(puts).collect(), unsettled).await.map(drop)
    }

    fn note_fetched(&mut self, raw: &[u8], span: Span) {
        let Some(id) = document::id(raw) else { return };
        let known = self.record.fetched.entry(Key::of(&id).into_bytes()).or_insert(Fetched { span, key: raw.to_vec() });
        known.span = Span { low: known.span.low.max(span.low), high: known.span.high.max(span.high) };
    }

    /// Does what has to be done before anything else: documents that a kill has left nowhere, and those to be fetched.
    pub(in super::super) async fn pay(&mut self) -> Result<()> {
        let mut puts = Vec::new();
        for document in std::mem::take(&mut self.record.parked) {
            let key = document::id(&document).map(|id| Key::of(&id).as_bytes().to_vec());
            push_put(&self.target, &mut puts, key.unwrap_or_default(), Cow::Owned(document));
        }
        self.settle(puts, &mut Unsettled::default()).await?;
        let owed = std::mem::take(&mut self.record.owed);
        if owed.is_empty() {
            return Ok(());
        }
        let key = |raw: &[u8]| document::id(raw).map(|id| Key::of(&id).as_bytes().to_vec());
        let mut unsettled = Unsettled::default();
        for some in owed.chunks(FETCHED_AT_ONCE) {
            let needs = some.iter().filter_map(|raw| Some(Needs::as_on_source(key(raw)?, raw)));
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
