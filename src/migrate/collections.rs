//! The collections of a migration, and where each of them stands.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use super::{meter::Meter, parts::Parts, status::NamespaceStatus};
use crate::{
    namespace::Namespace,
    progress::{AtWork, Moment, News},
};

/// Collections at work that a moment tells of.
const TOLD: usize = 4;

/// The collections, by their names on the source.
#[derive(Debug, Default)]
pub(super) struct Collections {
    all: BTreeMap<Namespace, Collection>,
    /// Their names, in the order of their ids in the archive.
    ids: Vec<Namespace>,
}

/// Where a collection stands.
#[derive(Debug, Default)]
struct Collection {
    copy: CopyState,
    now: Now,
    /// Whether its changes are not followed.
    is_left: bool,
    /// Whether the copy has nothing of it.
    is_born: bool,
    documents: u64,
    bytes: u64,
    total_documents: Option<u64>,
    total_bytes: Option<u64>,
    events: u64,
    /// When its copy was begun, by this process.
    begun: Option<Instant>,
    rate: Meter,
}

/// How far a copy is.
#[derive(Debug, Default, PartialEq, Eq)]
enum CopyState {
    #[default]
    Waiting,
    Begun,
    Whole,
}

/// What is done to a collection just now, besides what is done to all of them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) enum Now {
    /// Nothing.
    #[default]
    Nothing,
    /// These indexes are built.
    Indexing(String),
    /// It is copied once more.
    CopyingAnew,
    /// It is compared.
    Comparing,
}

/// A copy that is complete.
#[derive(Debug)]
pub(super) struct Whole {
    pub(super) namespace: Namespace,
    pub(super) documents: u64,
    pub(super) bytes: u64,
    pub(super) took: Duration,
}

impl Collections {
    /// Those of a copy; whether it is there already.
    pub(super) fn of(parts: &Parts, is_copied: bool) -> Self {
        let mut collections = Collections::default();
        for (name, total_documents, total_bytes) in parts.namespaces() {
            let Ok(namespace) = Namespace::parse(name) else { continue };
            let copy = if is_copied { CopyState::Whole } else { CopyState::Waiting };
            let one = Collection { copy, total_documents, total_bytes, ..Collection::default() };
            collections.ids.push(namespace.clone());
            collections.all.insert(namespace, one);
        }
        collections
    }

    /// So much of the copy of a collection is there, as is known from before; one that is not known joins them.
    pub(super) fn copied(&mut self, namespace: Namespace, documents: u64, bytes: u64) {
        let one = self.all.entry(namespace).or_insert_with(born);
        (one.copy, one.documents, one.bytes) = (CopyState::Whole, documents, bytes);
    }

    /// Those that are left are the ones that `is_there` says of.
    pub(super) fn retain(&mut self, mut is_there: impl FnMut(&Namespace) -> bool) {
        self.all.retain(|namespace, _| is_there(namespace));
    }

    /// The names of all.
    pub(super) fn names(&self) -> Vec<Namespace> {
        self.all.keys().cloned().collect()
    }

    /// The target has more of a collection; its name, if that is the first of it.
    pub(super) fn loaded(&mut self, id: u32, documents: u64, bytes: u64) -> Option<Namespace> {
        let namespace = self.name(id)?;
        let one = self.all.get_mut(&namespace)?;
        one.documents += documents;
        one.bytes += bytes;
        let is_first = one.copy == CopyState::Waiting;
        if is_first {
            (one.copy, one.begun) = (CopyState::Begun, Some(Instant::now()));
        }
        is_first.then_some(namespace)
    }

    /// The target has all of a collection; none if that is known.
    pub(super) fn whole(&mut self, id: u32) -> Option<Whole> {
        let namespace = self.name(id)?;
        let one = self.all.get_mut(&namespace).filter(|one| one.copy != CopyState::Whole)?;
        one.copy = CopyState::Whole;
        let took = one.begun.map(|begun| begun.elapsed()).unwrap_or_default();
        Some(Whole { namespace, documents: one.documents, bytes: one.bytes, took })
    }

    /// The name of a collection of the archive.
    pub(super) fn name(&self, id: u32) -> Option<Namespace> {
        self.ids.get(usize::try_from(id).ok()?.checked_sub(1)?).cloned()
    }

    /// What is done to some collections now.
    pub(super) fn set(&mut self, namespaces: &[Namespace], now: impl Fn() -> Now) {
        for namespace in namespaces {
            if let Some(one) = self.all.get_mut(namespace) {
                one.now = now();
            }
        }
    }

    /// Nothing is done to any of them but what is done to all.
    pub(super) fn rest(&mut self) {
        self.all.values_mut().for_each(|one| one.now = Now::Nothing);
    }

    /// Their changes are followed again, as nothing is missing of them any more.
    pub(super) fn follow_again(&mut self, namespaces: &[Namespace]) {
        for namespace in namespaces {
            if let Some(one) = self.all.get_mut(namespace) {
                (one.is_left, one.is_born) = (false, false);
            }
        }
    }

    /// Takes the news of a collection. Whether it is news.
    pub(super) fn hear(&mut self, namespace: &Namespace, news: &News<'_>) -> bool {
        match news {
            News::Indexing { indexes } => {
                self.set(std::slice::from_ref(namespace), || Now::Indexing(indexes.join(", ")))
            }
            News::Indexed { .. } => self.set(std::slice::from_ref(namespace), Now::default),
            News::Applied { events } => self.known(namespace).events += events,
            News::Created if self.all.contains_key(namespace) => return false,
            News::Created => drop(self.known(namespace)),
            News::Dropped => return self.all.remove(namespace).is_some(),
            News::Renamed { to } => {
                let one = self.all.remove(namespace).unwrap_or_else(born);
                self.all.insert((*to).clone(), one);
            }
            News::NotFollowed => {
                let one = self.known(namespace);
                // Of what has come into the selection since, the target has nothing.
                if one.is_born && one.documents + one.events == 0 {
                    one.copy = CopyState::Waiting;
                }
                return !std::mem::replace(&mut one.is_left, true);
            }
            News::PartRead { .. } | News::Changed { .. } | News::DeadLetters { .. } => {}
        }
        true
    }

    /// A collection; one that was born since the copy has no more of it than its changes.
    fn known(&mut self, namespace: &Namespace) -> &mut Collection {
        self.all.entry(namespace.clone()).or_insert_with(born)
    }

    /// Where each stands, in a migration that is at `stage`.
    pub(super) fn told(&mut self, stage: &str, now: Instant) -> Vec<NamespaceStatus> {
        self.all.iter_mut().map(|(namespace, one)| one.told(namespace, stage, now)).collect()
    }
}

/// A collection that the copy has nothing of, and need not.
fn born() -> Collection {
    Collection { copy: CopyState::Whole, is_born: true, ..Collection::default() }
}

impl Collection {
    fn told(&mut self, namespace: &Namespace, stage: &str, now: Instant) -> NamespaceStatus {
        let mut told = NamespaceStatus {
            namespace: namespace.to_string(),
            stage: self.stage(stage).to_owned(),
            documents: self.documents,
            bytes: self.bytes,
            total_documents: self.total_documents,
            total_bytes: self.total_bytes,
            events: self.events,
            ..NamespaceStatus::default()
        };
        if self.copy == CopyState::Begun {
            told.bytes_per_second = self.rate.grows(now, self.bytes);
            let left = self.total_bytes.map(|total| total.saturating_sub(self.bytes));
            told.seconds_left = left.and_then(|left| left.checked_div(told.bytes_per_second));
        }
        if let Now::Indexing(indexes) = &self.now {
            told.index = Some(indexes.clone());
        }
        told
    }

    fn stage(&self, of_all: &str) -> &'static str {
        match (&self.now, &self.copy) {
            (Now::Indexing(_), _) => "indexing",
            (Now::CopyingAnew, _) => "copying anew",
            (Now::Comparing, _) => "comparing",
            (Now::Nothing, CopyState::Waiting) => "waiting",
            (Now::Nothing, CopyState::Begun) => "copying",
            (Now::Nothing, CopyState::Whole) => match of_all {
                "done" => "done",
                _ if self.is_left => "copied",
                "catching up" | "building unique indexes" => "catching up",
                // It is followed to the very end.
                "following" | "cutting over" => "following",
                "paused" => "paused",
                _ => "copied",
            },
        }
    }
}

/// What is going on, as far as it is about collections.
pub(super) fn moment(told: &[NamespaceStatus], events_per_second: u64) -> Moment {
    let is_at_work = |one: &&NamespaceStatus| ["copying", "indexing", "copying anew"].contains(&one.stage.as_str());
    let mut at_work: Vec<AtWork> = Vec::new();
    let mut more = 0;
    for one in told.iter().filter(is_at_work) {
        if at_work.len() == TOLD {
            more += 1;
            continue;
        }
        let index = one.index.as_ref().map_or_else(String::new, |index| format!(" {index}"));
        at_work.push(AtWork {
            namespace: one.namespace.clone(),
            stage: format!("{}{index}", one.stage),
            bytes: one.bytes,
            total_bytes: one.total_bytes,
        });
    }
    Moment { events_per_second, at_work, more }
}

#[cfg(test)]
mod tests;
