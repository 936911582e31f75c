//! What of the changes a copy holds already: the cluster-time windows of its parts.
//!
//! A part of a collection was read between two times, low and high. What happened to a document up to its part's low is in
//! the copy; what happened after high is not; in between nobody can say. Where a part was read as of one time (5.0+), low
//! is high, and there is nothing in between.

use std::{cmp::Ordering, collections::HashMap};

use transload_format::Contents;

use crate::{
    catalog,
    changes::key::compare,
    document::{self, Element, kind},
    error::{Error, ErrorKind, Result},
    namespace::Namespace,
    scan::is_of_natural_order,
};

/// Where a change stands to a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is in the copy.
    Before,
    /// It may be in the copy.
    Within,
    /// It is not in the copy.
    After,
}

/// Collections that were made besides an archive: each with the cluster times between which it was copied, if it was.
pub(crate) type Made = HashMap<Namespace, Option<(u64, u64)>>;

/// The windows of an archive.
#[derive(Debug)]
pub(super) struct Windows {
    /// The cluster time before the catalog was read: what is not in the archive was not there after it.
    since: u64,
    namespaces: HashMap<Namespace, Parts>,
    /// The collections that were made besides, by their names, each with the times between which it was copied, if it was.
    made: Made,
    /// The collections without change events.
    untold: Vec<Namespace>,
}

/// The parts of one collection.
#[derive(Debug)]
struct Parts {
    /// In the order of their bounds.
    parts: Vec<Window>,
    /// From the first low to the last high.
    widest: (u64, u64),
    /// Whether it cannot be told in which part a document is: only the server knows the order of its `_id`s, or the parts are none of
    /// `_id`s.
    is_unplaced: bool,
}

#[derive(Debug)]
struct Window {
    /// The first `_id` behind the part, as `{_id: …}`; none at the end of the index.
    upper: Option<Vec<u8>>,
    low: u64,
    high: u64,
}

impl Windows {
    /// The windows of a finished archive.
    ///
    /// # Errors
    /// When it does not say from when on changes have to be replayed: it was written by an older version, salvaged, or
    /// taken from a server without cluster times.
    pub(super) fn read(contents: &Contents, archive: &str) -> Result<Self> {
        let since = contents.checkpoint().map_or(0, |checkpoint| checkpoint.cluster_time);
        let untimed =
            contents.namespaces().iter().flat_map(|namespace| &namespace.parts).any(|part| part.begun.low == 0);
        if since == 0 || untimed {
            let message = "does not tell the cluster times of its parts, so it cannot be said which changes it holds";
            return Err(Error::new(ErrorKind::Usage, message)
                .with_hint("take the dump anew, from a replica set, while the capture runs")
                .at(archive));
        }
        let (mut namespaces, mut untold) = (HashMap::new(), Vec::new());
        for namespace in contents.namespaces() {
            let name = Namespace::parse(&namespace.collection.namespace)?;
            if catalog::is_untold(&namespace.collection) {
                untold.push(name.clone());
            }
            namespaces.insert(name, Parts::of(namespace, since));
        }
        Ok(Windows { since, namespaces, made: Made::new(), untold })
    }

    /// With collections that were made, or copied once more, since.
    #[must_use]
    pub(super) fn with(self, made: Made) -> Self {
        Windows { made, ..self }
    }

    /// Of a copy that has everything up to a time, and nothing later.
    pub(super) fn until(time: u64) -> Self {
        Windows { since: time, namespaces: HashMap::new(), made: Made::new(), untold: Vec::new() }
    }

    /// The cluster time from which on changes are needed.
    pub(super) fn since(&self) -> u64 {
        self.since
    }

    /// The last cluster time of which the copy may have a change: it is the copy of no earlier moment.
    pub(super) fn last(&self) -> u64 {
        self.namespaces.values().map(|parts| parts.widest.1).max().unwrap_or(self.since)
    }

    /// The collections of the archive of which no server gives change events.
    pub(super) fn untold(&self) -> &[Namespace] {
        &self.untold
    }

    /// The collections of the archive, and those that were made besides.
    pub(super) fn names(&self) -> impl Iterator<Item = &Namespace> {
        self.namespaces.keys().chain(self.made.keys())
    }

    /// Whether the copy has this collection.
    pub(super) fn has(&self, namespace: &Namespace) -> bool {
        self.namespaces.contains_key(namespace) || self.made.contains_key(namespace)
    }

    /// Where a change of the document with this `_id` stands; the `_id` is only looked for where it matters.
    pub(super) fn of_document<'a>(
        &self,
        namespace: &Namespace,
        id: impl FnOnce() -> Option<Element<'a>>,
        time: u64,
    ) -> Standing {
        if let Some(Some(window)) = self.made.get(namespace) {
            return standing(*window, time);
        }
        match self.namespaces.get(namespace) {
            Some(parts) => parts.standing(id, time),
            None => standing((self.since, self.since), time),
        }
    }

    /// Whether a collection was copied once more after that.
    pub(super) fn was_made_after(&self, namespace: &Namespace, time: u64) -> bool {
        self.made.get(namespace).copied().flatten().is_some_and(|(low, _)| time <= low)
    }

    /// Where a change of a collection as such stands.
    pub(super) fn of_collection(&self, namespace: &Namespace, time: u64) -> Standing {
        let copied = self.namespaces.get(namespace).map_or((self.since, self.since), |parts| parts.widest);
        standing(self.made.get(namespace).copied().flatten().unwrap_or(copied), time)
    }
}

impl Parts {
    fn of(namespace: &transload_format::Namespace, since: u64) -> Self {
        let one = |part: &transload_format::Part| Window {
            upper: part.begun.upper.clone(),
            low: part.begun.low,
            high: part.finished.map_or(u64::MAX, |finished| finished.high),
        };
        let mut parts: Vec<Window> = namespace.parts.iter().map(one).collect();
        parts.sort_by(|one, other| match (&one.upper, &other.upper) {
            (None, None) => Ordering::Equal,
            (None, Some(_)) => Ordering::Greater,
            (Some(_), None) => Ordering::Less,
            (Some(one), Some(other)) => by_id(one, other),
        });
        let low = parts.iter().map(|part| part.low).min().unwrap_or(since);
        let high = parts.iter().map(|part| part.high).max().unwrap_or(since);
        let collation = document::find(&namespace.collection.options, b"collation");
        let has_collation = collation.is_some_and(|collation| collation.kind == kind::DOCUMENT);
        let in_natural_order = namespace.parts.iter().any(|part| is_of_natural_order(part.begun.lower.as_deref()));
        Parts { parts, widest: (low, high), is_unplaced: has_collation || in_natural_order }
    }

    fn standing<'a>(&self, id: impl FnOnce() -> Option<Element<'a>>, time: u64) -> Standing {
        let of_all = standing(self.widest, time);
        if of_all != Standing::Within || self.is_unplaced {
            return of_all;
        }
        let Some(id) = id() else { return of_all };
        let is_behind = |part: &Window| {
            let upper = part.upper.as_deref().and_then(document::id);
            upper.is_some_and(|upper| compare(&upper, &id) != Ordering::Greater)
        };
        let at = self.parts.partition_point(is_behind);
        let window = self.parts.get(at).map_or(self.widest, |part| (part.low, part.high));
        standing(window, time)
    }
}

fn by_id(one: &[u8], other: &[u8]) -> Ordering {
    match (document::id(one), document::id(other)) {
        (Some(one), Some(other)) => compare(&one, &other),
        (one, other) => one.is_some().cmp(&other.is_some()),
    }
}

fn standing((low, high): (u64, u64), time: u64) -> Standing {
    if time <= low {
        Standing::Before
    } else if time <= high {
        Standing::Within
    } else {
        Standing::After
    }
}
