//! Updates that a copy may hold already, made again.
//!
//! A document that was read between two times is in one of the states that it had in between, and nobody can say in which.
//! Without a source to ask, its updates of that time are made again, from the first to the last, which leaves what they left
//! on the source: the last value of a field is the one that counts, a field that is there keeps its place, and new ones come
//! into being in their order. A field that was removed and set again is the exception: it goes to the end, behind fields that
//! came later and are there already. Such a document, and one whose updates say more than values (5.0 and later), is not
//! guessed at.
//!
//! Servers before 5.0 alone have such documents: where a part can be read as of one time, nothing is in between.

use std::collections::BTreeSet;

use crate::changes::{Delta, Event, Operation, Paths};

/// What the updates of a document come to that its copy may hold, made again.
#[derive(Clone, Debug, Default)]
pub(super) struct Retold {
    /// The paths that were removed.
    removed: BTreeSet<Vec<u8>>,
    /// Whether they may leave something else than on the source.
    is_other: bool,
    /// Whether the copy may hold the last event as well: then the document may be gone on it, to be deleted later.
    pub(super) may_be_gone: bool,
}

impl Retold {
    /// What earlier runs have removed.
    pub(super) fn behind(removed: BTreeSet<Vec<u8>>) -> Self {
        Retold { removed, ..Retold::default() }
    }

    /// One more event that the copy may hold.
    pub(super) fn next(&mut self, event: &Event<'_>, paths: Paths) {
        self.may_be_gone = true;
        let delta = event.update.filter(|_| event.operation == Operation::Update && !event.refetch);
        match delta.map(|update| Delta::parse(update, paths)) {
            Some(Ok(delta)) => self.is_other |= self.update(&delta).is_none(),
            _ => self.is_other = true,
        }
    }

    /// Whether the updates, made again, leave what they left on the source.
    pub(super) fn is_exact(&self) -> bool {
        !self.is_other
    }

    /// The paths that were removed, for the runs to come.
    pub(super) fn removed(self) -> BTreeSet<Vec<u8>> {
        self.removed
    }

    /// None when it is not known what they leave.
    fn update(&mut self, delta: &Delta<'_>) -> Option<()> {
        for (path, is_set) in delta.plain()? {
            if !is_set {
                self.removed.insert(path.to_vec());
            } else if !self.removed.is_empty() && self.has_removed(path) {
                return None;
            }
        }
        Some(())
    }

    /// Whether this path, or what it is in, was removed.
    fn has_removed(&self, path: &[u8]) -> bool {
        let dots = path.iter().enumerate().filter(|(_, byte)| **byte == b'.').map(|(at, _)| at);
        dots.chain([path.len()]).filter_map(|end| path.get(..end)).any(|parent| self.removed.contains(parent))
    }
}

#[cfg(test)]
mod tests {
    use bson::{RawDocumentBuf, rawdoc};

    use super::*;
    use crate::changes::{Applied, Chain};

    fn event(update: &RawDocumentBuf) -> Event<'_> {
        Event {
            raw: &[],
            operation: Operation::Update,
            name: "update",
            token: &[],
            time: 1,
            database: "shop",
            collection: Some("orders"),
            key: None,
            document: None,
            update: Some(update.as_bytes()),
            refetch: false,
        }
    }

    fn retold(updates: &[RawDocumentBuf]) -> Retold {
        let mut retold = Retold::default();
        for update in updates {
            retold.next(&event(update), Paths::Plain);
        }
        retold
    }

    /// The updates made in `document`, one after the other.
    fn made(document: &[u8], updates: &[RawDocumentBuf]) -> Vec<u8> {
        let mut chain = Chain::new();
        for update in updates {
            chain.push(&Delta::parse(update.as_bytes(), Paths::Plain).unwrap());
        }
        match chain.apply(document) {
            Applied::Document(document) => document,
            other => panic!("{other:?}"),
        }
    }

    fn set(fields: RawDocumentBuf) -> RawDocumentBuf {
        rawdoc! { "updatedFields": fields, "removedFields": [] }
    }

    fn unset(name: &str) -> RawDocumentBuf {
        rawdoc! { "updatedFields": {}, "removedFields": [name] }
    }

    #[test]
    fn updates_made_again_in_any_state_leave_the_last_one() {
        let histories = [
            vec![set(rawdoc! { "n": 1 }), set(rawdoc! { "x": 1 }), set(rawdoc! { "n": 2, "y": 1 }), unset("x")],
            vec![unset("a"), set(rawdoc! { "b.c": 1 }), set(rawdoc! { "b": { "c": 3 } }), set(rawdoc! { "b.d": 4 })],
            vec![set(rawdoc! { "list.2": 1 }), set(rawdoc! { "list.3": 1 }), set(rawdoc! { "list": [0] }), unset("n")],
        ];
        let first = rawdoc! { "_id": 1, "a": 1, "n": 0, "b": { "z": 1 }, "list": [7, 8] };
        for updates in histories {
            let last = made(first.as_bytes(), &updates);
            assert!(retold(&updates).is_exact(), "{updates:?}");
            for state in (0..=updates.len()).filter_map(|some| updates.get(..some)) {
                assert_eq!(made(&made(first.as_bytes(), state), &updates), last, "{updates:?}");
            }
        }
    }

    #[test]
    fn a_field_that_was_removed_and_comes_again_may_stand_elsewhere() {
        let updates = [unset("a"), set(rawdoc! { "a": 2 }), set(rawdoc! { "f": 1 })];
        let first = rawdoc! { "_id": 1, "a": 1 };
        let last = made(first.as_bytes(), &updates);
        assert_ne!(made(&last, &updates), last, "so it is not guessed at");
        assert!(!retold(&updates).is_exact());
        assert!(!retold(&[unset("a"), set(rawdoc! { "a.b.c": 1 })]).is_exact());
        assert!(!retold(&[unset("a.b"), set(rawdoc! { "a.b": 1 })]).is_exact());
        assert!(retold(&[unset("a.b"), set(rawdoc! { "a": 1 }), set(rawdoc! { "ab": 1 })]).is_exact());
        // In whatever run it was removed.
        let mut later = Retold::behind(retold(&[unset("a")]).removed());
        later.next(&event(&set(rawdoc! { "a": 2 })), Paths::Plain);
        assert!(!later.is_exact());
    }

    #[test]
    fn what_says_more_than_values_is_not_made_again() {
        let cut = rawdoc! { "truncatedArrays": [{ "field": "a", "newSize": 1 }] };
        assert!(!retold(&[cut]).is_exact());
        let (mut dotted, update) = (Retold::default(), set(rawdoc! { "a": 2 }));
        dotted.next(&event(&update), Paths::Told);
        assert!(!dotted.is_exact());
        let mut lost = Retold::default();
        lost.next(&Event { refetch: true, ..event(&update) }, Paths::Plain);
        assert!(!lost.is_exact());
    }
}
