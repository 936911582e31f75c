//! Whether an index that is there is the one that should be: the same, or one that does all that it did.

use std::slice;

use super::guard::{PREFIX, is_unique};
use crate::{
    catalog::{
        index_spec::{Author, Context, Sanitized, Verdict, sanitize},
        sidecar::index_name,
    },
    connect::Version,
    document,
};

/// What an index that is there is for one that should be.
#[derive(Debug, PartialEq)]
pub(super) enum Held {
    /// The same one, clean or as it was, or one that does all that it did.
    Same,
    /// The one of this name, which does less, and beside which the server does not take it.
    Other(String),
}

/// Whether an index that is there is this clean one, or the bad one that it is made of.
pub(super) fn held_by(live: &Vec<u8>, clean: &Vec<u8>, target: Version) -> Option<Held> {
    let name = index_name(live);
    if name.starts_with(PREFIX) {
        return None;
    }
    let context = Context { options: &document::EMPTY, target, author: Author::Server };
    let is_namesake = name == index_name(clean);
    let alone = sanitize(slice::from_ref(live), &context);
    let is_built = |spec: &Vec<u8>| sanitize(slice::from_ref(spec), &context).iter().all(|it| it.to_build().is_some());
    let Some(own) = alone.first().and_then(Sanitized::to_build).filter(|_| is_built(clean)) else {
        return is_namesake.then_some(Held::Same);
    };
    // A bad one is as it was before the repair, whatever else was modified since: servers take no new one.
    let is_bad = alone.iter().any(Sanitized::is_bad);
    if is_namesake && is_bad && (is_unique(own) || !is_unique(clean)) {
        return Some(Held::Same);
    }
    let pair = sanitize(&[live.clone(), clean.clone()], &context);
    match pair.iter().find(|it| it.to_build().is_none()).map(|it| &it.verdict) {
        // Whatever else differs, the server is asked: where it sees no difference, it has nothing to build.
        None => (is_namesake && is_unique(clean) && !is_unique(own)).then_some(Held::Other(name)),
        Some(Verdict::Refused(_)) => Some(Held::Other(name)),
        // The clean one would serve for it, and not the other way round.
        Some(_) if pair.last().is_some_and(|clean| clean.to_build().is_some()) => Some(Held::Other(name)),
        Some(_) => Some(Held::Same),
    }
}

#[cfg(test)]
mod tests {
    use bson::{RawDocumentBuf, raw::RawBsonRef, rawdoc};

    use super::*;

    fn held(live: RawDocumentBuf, target: Version) -> Option<Held> {
        let clean = rawdoc! { "v": 1, "key": { "a": 1 }, "name": "a_1", "unique": true };
        held_by(&live.into_bytes(), &clean.into_bytes(), target)
    }

    #[test]
    fn an_index_of_the_same_key_is_taken_for_the_one_that_was_dropped() {
        let (old, new) = (Version::new(4, 2, 6), Version::new(6, 0, 5));
        for target in [old, new] {
            let bad = rawdoc! { "v": 1, "key": { "a": true }, "name": "a_1", "unique": true, "safe": RawBsonRef::Null };
            assert_eq!(held(bad, target), Some(Held::Same));
            let by_hand = rawdoc! { "v": 2, "key": { "a": 1.0 }, "name": "mine", "unique": true };
            assert_eq!(held(by_hand, target), Some(Held::Same));
            let guard = rawdoc! { "v": 1, "key": { "a": -1 }, "name": "transload_guard_a_1", "unique": true };
            assert_eq!(held(guard, target), None);
            assert_eq!(held(rawdoc! { "v": 2, "key": { "_id": 1 }, "name": "_id_" }, target), None);
            assert_eq!(held(rawdoc! { "v": 2, "key": { "a": 1, "b": 1 }, "name": "a_b" }, target), None);
            // Two indexes of one name no release takes.
            let in_its_way = Some(Held::Other("a_1".to_owned()));
            assert_eq!(held(rawdoc! { "v": 2, "key": { "a": 1, "b": 1 }, "name": "a_1" }, target), in_its_way);
            assert_eq!(held(rawdoc! { "v": 2, "key": { "a": 1 }, "name": "a_1" }, target), in_its_way);
            let unique = rawdoc! { "v": 2, "key": { "a": 1, "b": 1 }, "name": "a_1", "unique": true };
            assert_eq!(held(unique, target), None);
            // Only what a repair has not come to has words that servers do not take.
            let bad = rawdoc! { "v": 1, "key": { "a": 1 }, "name": "a_1", "unique": true, "expireAfterSeconds": "9" };
            assert_eq!(held(bad, target), Some(Held::Same));
        }
        let plain = || rawdoc! { "v": 2, "key": { "a": 1 }, "name": "plain" };
        assert_eq!(held(plain(), old), Some(Held::Other("plain".to_owned())));
        // From 5.0 on the two stand side by side.
        assert_eq!(held(plain(), new), None);
    }
}
