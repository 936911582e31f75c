//! Folds a run of events of one lane into one effect for each document.
//!
//! A document that changed a thousand times is written once. What is folded is what the server holds to be one document
//! (its [`Key`]), so a delete under `_id: 1` and an insert under `_id: 1.0` meet; the order of the source stays in the
//! order of the effects: each stands where its document's last event stood.

use std::{borrow::Cow, collections::HashMap};

use crate::{
    changes::{
        delta::{Applied, Chain, Delta, Paths},
        event::{Event, Operation},
        key::Key,
    },
    cpu,
    document::{self, Element},
    error::{Error, ErrorKind, Result},
};

/// Parts in which the documents of a long run are folded side by side.
const SHARDS: usize = 16;

/// What a run of events comes to for one document.
#[derive(Clone, Debug)]
pub enum Effect<'a> {
    /// The document is now this one: an upsert.
    Put(Cow<'a, [u8]>),
    /// The document is gone.
    Delete,
    /// Changes of whatever document the target has. Never an upsert: it would bring half a document back.
    Change(Chain<'a>),
    /// The events do not tell what the document is now; the source does.
    Refetch,
}

/// One document's part in a run of events.
#[derive(Clone, Debug)]
pub struct Folded<'a> {
    /// Its `_id`, as the server compares it.
    pub id: Key,
    /// The document key of its last event: `_id`, and the shard key before it where there is one.
    pub key: &'a [u8],
    /// What its events come to.
    pub effect: Effect<'a>,
    /// Whether its `_id` was written in more than one way in this run, as 1 and 1.0. What the target has may then have other
    /// bytes, which no update or replacement can change: a [`Put`](Effect::Put), or what is fetched for a
    /// [`Refetch`](Effect::Refetch), must be a delete and an insert.
    pub reinsert: bool,
    /// The place of its first event in the run.
    pub first: usize,
    /// The place of its last event in the run.
    pub last: usize,
    /// The number of its events.
    pub events: usize,
}

/// Folds the events of a run, in the order in which the source gave them. The effects are in the order of each document's
/// last event.
///
/// A whole document takes the place of what came before it, and so does a delete. Updates of a document that the run
/// itself put are made in it. Nothing is guessed: an update that may mean two things, does not fit its document, or follows
/// a delete, makes the document one to be fetched, until an event behind it tells the whole document again.
///
/// # Errors
/// When an event is not about one document, or its key has no `_id`: it would be lost here.
pub fn fold<'a>(events: &[Event<'a>], paths: Paths) -> Result<Vec<Folded<'a>>> {
    let mut folded = fold_each(events, paths, |folded| folded)?;
    cpu::sort_by(&mut folded, |one, other| one.last.cmp(&other.last));
    Ok(folded)
}

/// The same, with something made of each document's part, in no order; a long run on all cores.
///
/// # Errors
/// As [`fold`].
pub(crate) fn fold_each<'a, R: Send>(
    events: &[Event<'a>],
    paths: Paths,
    make: impl Fn(Folded<'a>) -> R + Send + Sync,
) -> Result<Vec<R>> {
    let all = 0..events.len();
    if all.len() < cpu::MANY {
        return fold_those(events, all, paths, &make);
    }
    let mut shards: Vec<Vec<usize>> = vec![Vec::new(); SHARDS];
    for (at, shard) in cpu::map(all.collect(), |at| (at, shard_of(events.get(at)))) {
        if let Some(shard) = shards.get_mut(shard) {
            shard.push(at);
        }
    }
    let mut folded = Vec::new();
    for shard in cpu::share(shards, |shard| fold_those(events, shard, paths, &make)) {
        folded.extend(shard?);
    }
    Ok(folded)
}

/// The shard of an event's document: the same one for all its events.
fn shard_of(event: Option<&Event<'_>>) -> usize {
    let id = event.and_then(|event| event.key).and_then(document::id);
    id.map_or(0, |id| crc32fast::hash(Key::of(&id).as_bytes()) as usize % SHARDS)
}

/// Folds the events at these places, which are all of some documents.
fn fold_those<'a, R>(
    events: &[Event<'a>],
    places: impl IntoIterator<Item = usize>,
    paths: Paths,
    make: impl Fn(Folded<'a>) -> R,
) -> Result<Vec<R>> {
    let mut documents: HashMap<Key, History<'a>> = HashMap::new();
    let mut key = Vec::new();
    for (at, event) in places.into_iter().filter_map(|at| Some((at, events.get(at)?))) {
        let document_key = event.key.filter(|_| event.operation.is_of_a_document());
        let id = document_key.and_then(document::id);
        let (Some(document_key), Some(id)) = (document_key, id) else {
            let why = format!("an event '{}' is not about a document that it names", event.name);
            return Err(Error::new(ErrorKind::Server, why));
        };
        key.clear();
        Key::write(&id, &mut key);
        if let Some(document) = documents.get_mut(key.as_slice()) {
            document.reinsert |= (id.kind, id.value) != (document.id.kind, document.id.value);
            document.next(event, document_key, at, paths);
        } else {
            let mut document = History::new(id, at);
            document.next(event, document_key, at, paths);
            documents.insert(Key::from(key.as_slice()), document);
        }
    }
    Ok(documents.into_iter().map(|(id, document)| make(document.end(id))).collect())
}

/// What is known of a document so far.
struct History<'a> {
    id: Element<'a>,
    key: &'a [u8],
    state: State<'a>,
    reinsert: bool,
    first: usize,
    last: usize,
    events: usize,
}

enum State<'a> {
    /// This document, with these changes to be made: at the end, as later ones may make earlier ones needless.
    Put(&'a [u8], Chain<'a>),
    Delete,
    Change(Chain<'a>),
    Refetch,
}

impl<'a> History<'a> {
    fn new(id: Element<'a>, at: usize) -> Self {
        let state = State::Change(Chain::new());
        History { id, key: &[], state, reinsert: false, first: at, last: at, events: 0 }
    }

    fn next(&mut self, event: &Event<'a>, key: &'a [u8], at: usize, paths: Paths) {
        self.key = key;
        self.last = at;
        self.events += 1;
        match (event.operation, event.document, event.update) {
            (Operation::Insert | Operation::Replace, Some(document), _) => {
                self.state = State::Put(document, Chain::new());
            }
            (Operation::Delete, ..) => self.state = State::Delete,
            (_, _, update) => self.update(update.and_then(|update| Delta::parse(update, paths).ok())),
        }
    }

    fn update(&mut self, delta: Option<Delta<'a>>) {
        let known = match (&mut self.state, delta) {
            (State::Put(_, chain) | State::Change(chain), Some(delta)) => {
                chain.push(&delta);
                !chain.is_ambiguous()
            }
            _ => false,
        };
        if !known {
            self.state = State::Refetch;
        }
    }

    fn end(self, id: Key) -> Folded<'a> {
        let effect = match self.state {
            State::Put(document, chain) if chain.is_empty() => Effect::Put(Cow::Borrowed(document)),
            State::Put(document, chain) => match chain.apply(document) {
                Applied::Document(document) => Effect::Put(Cow::Owned(document)),
                Applied::Ambiguous | Applied::Inapplicable(_) => Effect::Refetch,
            },
            State::Delete => Effect::Delete,
            State::Change(chain) => Effect::Change(chain),
            State::Refetch => Effect::Refetch,
        };
        let History { key, reinsert, first, last, events, .. } = self;
        Folded { id, key, effect, reinsert, first, last, events }
    }
}

#[cfg(test)]
mod tests;
