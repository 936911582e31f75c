//! What is to be done for one document of a run.

use std::borrow::Cow;

use super::needs::Needs;
use crate::changes::{
    Event, Operation,
    fold::{Effect, Folded},
    replay::{lane::Lane, retold::Retold, run::Run},
    write::Write,
};

/// What is to be done for a document.
pub(super) enum Plan<'a> {
    /// Its changes come to nothing.
    Nothing,
    /// It is deleted: the one of this key.
    Delete(&'a [u8]),
    /// What is there becomes another document.
    Change(Write<'a>),
    /// It is new.
    Insert(Cow<'a, [u8]>),
    /// The one of this key is deleted, and it is inserted.
    Anew(&'a [u8], Cow<'a, [u8]>),
    /// Its changes are made in what the target has.
    OnTarget(Needs<'a>),
    /// The source is asked what it is.
    OnSource(Needs<'a>),
}

/// Plans the effects of a run.
pub(super) struct Planner<'a, 'b> {
    pub(super) lane: &'b Lane,
    pub(super) run: &'b Run<'a>,
    /// Whether changes are sent as modifiers where these do. Nothing tells after a kill whether one has arrived, so a second
    /// change of the document must not follow in the same run.
    pub(super) plainly: bool,
}

impl<'a> Planner<'a, '_> {
    /// What is to be done, and for which key.
    pub(super) fn plan(&self, folded: Folded<'a>) -> (Vec<u8>, Plan<'a>) {
        let key = folded.id.into_bytes();
        let place = |index| u32::try_from(index).unwrap_or(u32::MAX);
        let needs = |chain| Needs {
            key: key.clone(),
            raw: folded.key,
            chain,
            first: place(folded.first),
            last: place(folded.last),
            reinsert: folded.reinsert,
            may_be_gone: self.uncertain(&key).is_some_and(|retold| retold.may_be_gone),
        };
        let target = &self.lane.target;
        let plan = match folded.effect {
            Effect::Delete => Plan::Delete(folded.key),
            // What has this `_id` may be elsewhere in a cluster, where it refuses nothing.
            Effect::Put(document) if folded.reinsert || target.is_scattered() => Plan::Anew(folded.key, document),
            Effect::Put(document) if is_new(&self.run.events, folded.first) => Plan::Insert(document),
            Effect::Put(document) if target.must_insert(&document) => Plan::Anew(folded.key, document),
            Effect::Put(document) => Plan::Change(Write::Put(document)),
            Effect::Change(chain) if !self.lane.shared.patches() => Plan::OnSource(needs(chain)),
            Effect::Change(chain) if self.uncertain(&key).is_some_and(|retold| !self.is_made_again(retold)) => {
                Plan::OnSource(needs(chain))
            }
            Effect::Change(chain) if self.uncertain(&key).is_some() => Plan::OnTarget(needs(chain)),
            // A router changes no field of a shard key by the `_id` alone.
            Effect::Change(chain) => match chain.simple().filter(|_| self.plainly && !target.is_scattered()) {
                Some(simple) if simple.is_empty() => Plan::Nothing,
                Some(simple) => Plan::Change(Write::Modify(folded.key, simple.modifiers())),
                None => Plan::OnTarget(needs(chain)),
            },
            Effect::Refetch => Plan::OnSource(needs(Default::default())),
        };
        (key, plan)
    }

    /// What is known of a document that the target may have in a later state.
    fn uncertain(&self, key: &[u8]) -> Option<&Retold> {
        // Where only the server knows which documents are one, all of a lane are.
        let known_as = if self.lane.has_collation { &[] } else { key };
        self.run.uncertain.get(known_as)
    }

    /// Whether updates that the target may have are made again: the source, if it may be asked, knows better.
    fn is_made_again(&self, retold: &Retold) -> bool {
        let shared = &self.lane.shared;
        shared.source.is_none() && !shared.tells_documents && retold.is_exact()
    }
}

/// Whether a document was not there before the event at this place.
fn is_new(events: &[Event<'_>], first: usize) -> bool {
    events.get(first).is_some_and(|event| event.operation == Operation::Insert)
}
