//! Indexes that a server takes for one: which of them is built, and serves for the others.
//!
//! Specs that no server lets stand side by side come from repairs alone (a key value of `true` that is 1 now), from
//! a newer server than the target, or from a person.

use super::{Author, Context, Sanitized, Verdict, key, number::Number, repair::RepairKind, value, work::Work};
use crate::{
    connect::Version,
    document::{self, kind},
};

/// The first release that tells indexes apart by more than their keys and collations: by the filter, the projection,
/// and by whether they are unique or sparse.
const TELLS_APART: Version = Version::new(5, 0, 0);

/// An index that another one serves for, by their places.
pub(super) struct Served {
    pub(super) index: usize,
    pub(super) by: usize,
}

/// What a server goes by.
struct Meaning {
    key: Vec<u8>,
    collation: Option<Vec<u8>>,
    filter: Option<Vec<u8>>,
    projection: Option<Vec<u8>>,
    is_sparse: bool,
    is_unique: bool,
    prepares_unique: bool,
    is_hidden: bool,
    expiry: Option<i64>,
}

impl Meaning {
    fn of(spec: &[u8], context: &Context<'_>) -> Self {
        let option = |name: &[u8]| document::find(spec, name);
        let bytes = |name: &[u8]| option(name).map(|option| option.value.to_vec());
        let is = |name: &[u8]| option(name).is_some_and(|option| value::is_true(&option));
        Meaning {
            key: option(b"key").map(|key| key::normal(key.value)).unwrap_or_default(),
            collation: collation(spec, context),
            filter: bytes(b"partialFilterExpression"),
            projection: bytes(b"wildcardProjection"),
            is_sparse: is(b"sparse"),
            is_unique: is(b"unique"),
            prepares_unique: is(b"prepareUnique"),
            is_hidden: is(b"hidden"),
            expiry: option(b"expireAfterSeconds").and_then(|expiry| Number::of(&expiry)).map(Number::truncated),
        }
    }

    /// Whether a server does not let the two stand side by side.
    fn is_same(&self, other: &Self, target: Version) -> bool {
        let narrow = |meaning: &Self| (meaning.is_unique, meaning.is_sparse);
        let same = self.key == other.key && self.collation == other.collation;
        same && (target < TELLS_APART || (self.holds_same(other) && narrow(self) == narrow(other)))
    }

    /// Whether both hold the same documents.
    fn holds_same(&self, other: &Self) -> bool {
        let held = |meaning: &Self| (meaning.filter.clone(), meaning.projection.clone(), meaning.is_sparse);
        held(self) == held(other)
    }

    fn holds_all(&self) -> bool {
        self.filter.is_none() && self.projection.is_none() && !self.is_sparse
    }

    /// Whether nothing is missing without the other one. What is unique on all documents is so on some of them.
    fn serves_for(&self, other: &Self) -> bool {
        let expires = other.expiry.is_none_or(|expiry| self.expiry.is_some_and(|own| own <= expiry));
        let is_unique = self.is_unique || !other.is_unique;
        let prepares_unique = self.is_unique || self.prepares_unique || !other.prepares_unique;
        (self.holds_all() || self.holds_same(other)) && expires && is_unique && prepares_unique
    }
}

/// The collation that an index will have; none for the simple one.
fn collation(spec: &[u8], context: &Context<'_>) -> Option<Vec<u8>> {
    let is_first = document::find(spec, b"v").and_then(|v| Number::of(&v)).is_some_and(|v| v.truncated() == 1);
    let own = document::find(spec, b"collation");
    let inherited = document::find(context.options, b"collation");
    let inherited = inherited.filter(|_| context.author == Author::Person && !is_first);
    let collation = own.or(inherited).filter(|collation| collation.kind == kind::DOCUMENT)?;
    (!value::is_simple(&collation)).then(|| collation.value.to_vec())
}

/// Finds the indexes that another one serves for, and refuses those that cannot stand beside another one although it
/// does not serve for them.
///
/// Of two that serve for each other the visible one stays, else the first.
pub(super) fn find(all: &mut [Sanitized], context: &Context<'_>) -> Vec<Served> {
    let mut kept: Vec<(usize, Meaning)> = Vec::new();
    let mut served: Vec<Served> = Vec::new();
    for (place, sanitized) in all.iter_mut().enumerate() {
        let Some(spec) = sanitized.to_build() else { continue };
        let own = Meaning::of(spec, context);
        let Some((kept_place, other)) = kept.iter_mut().find(|(_, other)| own.is_same(other, context.target)) else {
            kept.push((place, own));
            continue;
        };
        let (serves, is_served) = (own.serves_for(other), other.serves_for(&own));
        if is_served && !(serves && other.is_hidden && !own.is_hidden) {
            served.push(Served { index: place, by: *kept_place });
        } else if serves {
            served.iter_mut().filter(|served| served.by == *kept_place).for_each(|served| served.by = place);
            served.push(Served { index: *kept_place, by: place });
            (*kept_place, *other) = (place, own);
        } else {
            let reason = "the target holds one index of its key and collation, and another one is built";
            sanitized.verdict = Verdict::Refused(reason.to_owned());
        }
    }
    served.sort_by_key(|served| served.index);
    for served in &served {
        if let Some(sanitized) = all.get_mut(served.index) {
            sanitized.verdict = Verdict::Merged(String::new());
        }
    }
    served
}

/// Names the index that serves, now that it has its own name.
pub(super) fn merge(all: &mut [Sanitized], served: &[Served]) {
    for served in served {
        let Some(by) = all.get(served.by).map(|by| by.name.clone()) else { continue };
        let Some(sanitized) = all.get_mut(served.index) else { continue };
        let key = document::find(&sanitized.original, b"key");
        let mut work = Work::default();
        let reason = format!("it is the same index as {by}, which serves for both");
        work.repair(RepairKind::Merged, "key", key.as_ref(), None, reason);
        sanitized.repairs.append(&mut work.repairs);
        sanitized.verdict = Verdict::Merged(by);
    }
}
