//! What a run comes to, written: documents as a whole, fields, deletes; computed from what the target has where fields
//! alone would not give the source's bytes; fetched from the source where the events do not tell.
//!
//! ```text
//! events ─▶ fold ─▶ plan: what is to be done for each document ─▶ settle: deletes, changes, inserts
//!                                                              └▶ needs: documents of the target, or of the source
//! ```

mod needs;
mod plan;
mod settle;

use std::{borrow::Cow, collections::HashMap};

use self::{
    plan::{Plan, Planner},
    settle::Unsettled,
};
use super::{lane::Lane, run::Run};
use crate::{
    changes::{
        Event,
        fold::{Folded, fold_each},
        key::Key,
        shelf::FETCHED_AT_ONCE,
        write::{DUPLICATE_KEY, Write},
    },
    cpu, document,
    error::Result,
};

/// A document whose change was not applied.
#[derive(Clone, Debug)]
pub(super) struct Failed {
    /// Its key, in canonical bytes.
    pub(super) key: Vec<u8>,
    /// The server's code; 0 for a reason of ours.
    code: i32,
    /// Why.
    pub(super) reason: String,
    /// The place in the run of the first of its events that were not applied.
    pub(super) first: usize,
}

impl Failed {
    fn new(key: Vec<u8>, code: i32, reason: String) -> Self {
        Failed { key, code, reason, first: 0 }
    }
}

impl Lane {
    /// Applies the events of a run; gives back what could not be applied.
    pub(super) async fn apply(&mut self, run: &Run<'_>) -> Result<Vec<Failed>> {
        if !self.makes_room(run).await? {
            return Ok(Vec::new());
        }
        self.make_sharded(run).await?;
        let (failed, by_index) = if self.folds() {
            let planner = Planner { lane: self, run, plainly: true };
            let planned = fold_each(&run.events, self.shared.paths(), |folded| planner.plan(folded))?;
            let failed = self.effects(planned).await?;
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
            // Nothing tells after a kill which of several changes by modifiers have arrived.
            let planner = Planner { lane: self, run, plainly: false };
            let plan = |folded| planner.plan(Folded { first, last: index, ..folded });
            let planned = fold_each(&events, self.shared.paths(), plan)?;
            if let Some(still) = self.effects(planned).await?.into_iter().next() {
                missed.insert(key, (first, events, why.unwrap_or(still)));
            }
        }
        Ok(missed.into_values().map(|(first, _, why)| Failed { first, ..why }).collect())
    }

    /// Does what is planned: deletes first, so that they are in nobody's way, then changes, then new documents.
    async fn effects<'a>(&mut self, planned: Vec<(Vec<u8>, Plan<'a>)>) -> Result<Vec<Failed>> {
        let (mut deletes, mut changes, mut inserts) = (Vec::new(), Vec::new(), Vec::new());
        let (mut on_target, mut on_source) = (Vec::new(), Vec::new());
        for (key, plan) in planned {
            match plan {
                Plan::Nothing => {}
                Plan::Delete(raw) => deletes.push((key, Write::Delete(Cow::Borrowed(raw)))),
                Plan::Change(write) => changes.push((key, write)),
                Plan::Insert(document) => inserts.push((key, Write::Insert(document))),
                Plan::Anew(raw, document) => {
                    deletes.push((key.clone(), Write::Delete(Cow::Borrowed(raw))));
                    inserts.push((key, Write::Insert(document)));
                }
                Plan::OnTarget(needs) => on_target.push(needs),
                Plan::OnSource(needs) => on_source.push(needs),
            }
        }
        // In the order of the index on `_id`, in which neighbours are cheap to find.
        for kind in [&mut deletes, &mut changes, &mut inserts] {
            cpu::sort_by(kind, |(one, _), (other, _)| one.cmp(other));
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
        let failed = self.exchange(unsettled).await?;
        for failed in &failed {
            // What it was fetched for has not come to the target, nor what happened until then.
            self.record.fetched.remove(&failed.key);
        }
        Ok(failed)
    }
}
