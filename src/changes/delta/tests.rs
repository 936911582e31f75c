//! What the changes of an event do to a document, as tables of documents before and after.

use bson::{RawDocumentBuf, rawdoc};

use super::*;
use crate::document::RawBuilder;

const TRUST: Paths = Paths::Maybe(Nested::Trust);
const REFETCH: Paths = Paths::Maybe(Nested::Refetch);

fn applied(paths: Paths, before: &RawDocumentBuf, update: &RawDocumentBuf) -> Applied {
    Delta::parse(update.as_bytes(), paths).unwrap().apply(before.as_bytes())
}

fn document(doc: &RawDocumentBuf) -> Applied {
    Applied::Document(doc.as_bytes().to_vec())
}

/// Sets, removals and truncations as an event of a server before 5.0 has them.
fn update(sets: RawDocumentBuf, removed: &[&str]) -> RawDocumentBuf {
    let mut names = bson::RawArrayBuf::new();
    removed.iter().for_each(|name| names.push(*name));
    rawdoc! { "updatedFields": sets, "removedFields": names }
}

fn cut(field: &str, size: i32, sets: RawDocumentBuf) -> RawDocumentBuf {
    rawdoc! { "updatedFields": sets, "truncatedArrays": [{ "field": field, "newSize": size }] }
}

#[test]
fn fields_keep_their_place_and_new_ones_go_to_the_end_in_the_events_order() {
    let before = rawdoc! { "_id": 1, "b": 1, "a": "x", "c": 3 };
    for paths in [Paths::Plain, TRUST, REFETCH, Paths::Told] {
        for (sets, removed, after) in [
            (rawdoc! {}, &[][..], rawdoc! { "_id": 1, "b": 1, "a": "x", "c": 3 }),
            (rawdoc! { "a": 2 }, &[], rawdoc! { "_id": 1, "b": 1, "a": 2, "c": 3 }),
            (rawdoc! { "z": 1, "y": 2, "b": {} }, &[], rawdoc! { "_id": 1, "b": {}, "a": "x", "c": 3, "z": 1, "y": 2 }),
            (rawdoc! {}, &["a", "none"], rawdoc! { "_id": 1, "b": 1, "c": 3 }),
            (rawdoc! { "z": 1 }, &["b", "c"], rawdoc! { "_id": 1, "a": "x", "z": 1 }),
            (
                rawdoc! { "$p": 1, "": 2, "0": 3 },
                &[],
                rawdoc! { "_id": 1, "b": 1, "a": "x", "c": 3, "$p": 1, "": 2, "0": 3 },
            ),
        ] {
            assert_eq!(applied(paths, &before, &update(sets, removed)), document(&after), "{paths:?} {after:?}");
        }
    }
}

#[test]
fn dots_separate_where_no_name_can_have_one() {
    let before = rawdoc! { "_id": 1, "a": { "b": 1, "0": 2, "c": { "d": 3 } }, "l": [1, { "m": 2 }], "s": 5 };
    for (sets, removed, after) in [
        (
            rawdoc! { "a.b": 9 },
            &[][..],
            Some(rawdoc! { "_id": 1, "a": { "b": 9, "0": 2, "c": { "d": 3 } }, "l": [1, { "m": 2 }], "s": 5 }),
        ),
        (
            rawdoc! { "a.0": 9 },
            &["a.c.d"],
            Some(rawdoc! { "_id": 1, "a": { "b": 1, "0": 9, "c": {} }, "l": [1, { "m": 2 }], "s": 5 }),
        ),
        (
            rawdoc! { "a.e": 9, "a.c.f": 8 },
            &["a.b"],
            Some(rawdoc! { "_id": 1, "a": { "0": 2, "c": { "d": 3, "f": 8 }, "e": 9 }, "l": [1, { "m": 2 }], "s": 5 }),
        ),
        (
            rawdoc! { "l.0": "x", "l.1.m": 3, "l.1.$ref": 4 },
            &[],
            Some(
                rawdoc! { "_id": 1, "a": { "b": 1, "0": 2, "c": { "d": 3 } }, "l": ["x", { "m": 3, "$ref": 4 }], "s": 5 },
            ),
        ),
        (
            rawdoc! { "l.4": 1, "l.2": 2 },
            &["l.0", "l.9"],
            Some(
                rawdoc! { "_id": 1, "a": { "b": 1, "0": 2, "c": { "d": 3 } }, "l": [bson::RawBson::Null, { "m": 2 }, 2, bson::RawBson::Null, 1], "s": 5 },
            ),
        ),
        (rawdoc! { "s.x": 1 }, &[], None),
        (rawdoc! { "l.x": 1 }, &[], None),
        (rawdoc! { "l.01": 1 }, &[], None),
        (rawdoc! { "l.2000000": 1 }, &[], None),
        (rawdoc! { "l.99999999999": 1 }, &[], None),
        (rawdoc! {}, &["s.x"], None),
    ] {
        for paths in [Paths::Plain, TRUST] {
            let result = applied(paths, &before, &update(sets.clone(), removed));
            match &after {
                Some(after) => assert_eq!(result, document(after), "{paths:?} {sets:?}"),
                None if paths == TRUST => assert_eq!(result, Applied::Ambiguous, "{sets:?}"),
                None => assert!(matches!(result, Applied::Inapplicable(_)), "{sets:?} {result:?}"),
            }
        }
        assert_eq!(applied(REFETCH, &before, &update(sets.clone(), removed)), Applied::Ambiguous);
    }
}

#[test]
fn parents_that_are_missing_are_made_as_documents_before_5_0_only() {
    let before = rawdoc! { "_id": 1, "l": [] };
    let sets = update(rawdoc! { "b.c.d": 1, "a.0": 2, "b.c.e": 3 }, &["x.y"]);
    let after = rawdoc! { "_id": 1, "l": [], "b": { "c": { "d": 1, "e": 3 } }, "a": { "0": 2 } };
    assert_eq!(applied(Paths::Plain, &before, &sets), document(&after));
    assert_eq!(applied(TRUST, &before, &sets), Applied::Ambiguous);
    let nested = update(rawdoc! { "l.1.a": 1 }, &[]);
    let after = rawdoc! { "_id": 1, "l": [bson::RawBson::Null, { "a": 1 }] };
    assert_eq!(applied(Paths::Plain, &before, &nested), document(&after));
}

#[test]
fn arrays_are_cut_before_fields_are_set() {
    let before = rawdoc! { "_id": 1, "l": [1, 2, 3, 4], "a": { "l": [1, 2] } };
    let after = |l: bson::RawArrayBuf| document(&rawdoc! { "_id": 1, "l": l, "a": { "l": [1, 2] } });
    let array = |values: &[i32]| {
        let mut array = bson::RawArrayBuf::new();
        values.iter().for_each(|value| array.push(*value));
        array
    };
    assert_eq!(applied(REFETCH, &before, &cut("l", 2, rawdoc! {})), after(array(&[1, 2])));
    assert_eq!(applied(REFETCH, &before, &cut("l", 0, rawdoc! {})), after(array(&[])));
    assert_eq!(applied(REFETCH, &before, &cut("l", 4, rawdoc! {})), after(array(&[1, 2, 3, 4])));
    assert_eq!(applied(Paths::Told, &before, &cut("l", 1, rawdoc! {})), after(array(&[1])));
    assert_eq!(applied(TRUST, &before, &cut("l", 2, rawdoc! { "l.1": 9, "l.2": 8 })), after(array(&[1, 9, 8])));
    assert!(matches!(applied(REFETCH, &before, &cut("l", 5, rawdoc! {})), Applied::Inapplicable(_)));
    assert!(matches!(applied(REFETCH, &before, &cut("a", 0, rawdoc! {})), Applied::Inapplicable(_)));
    assert!(matches!(applied(REFETCH, &before, &cut("none", 0, rawdoc! {})), Applied::Inapplicable(_)));
    assert_eq!(applied(REFETCH, &before, &cut("a.l", 0, rawdoc! {})), Applied::Ambiguous);
    let nested = rawdoc! { "_id": 1, "l": [1, 2, 3, 4], "a": { "l": [1] } };
    assert_eq!(applied(TRUST, &before, &cut("a.l", 1, rawdoc! {})), document(&nested));
}

#[test]
fn a_path_is_followed_as_the_server_tells() {
    let mut before = rawdoc! { "_id": 1, "a.b": 1, "a": { "b": 2, "0": 3, "c.d": { "e": 4 } }, "l": [{ "0": 5 }] };
    let told = |sets: RawDocumentBuf, paths: RawDocumentBuf| {
        rawdoc! { "updatedFields": sets, "removedFields": [], "disambiguatedPaths": paths }
    };
    for (sets, paths, after) in [
        (
            rawdoc! { "a.b": 9 },
            rawdoc! { "a.b": ["a.b"] },
            Some(rawdoc! { "_id": 1, "a.b": 9, "a": { "b": 2, "0": 3, "c.d": { "e": 4 } }, "l": [{ "0": 5 }] }),
        ),
        (
            rawdoc! { "a.b": 9 },
            rawdoc! {},
            Some(rawdoc! { "_id": 1, "a.b": 1, "a": { "b": 9, "0": 3, "c.d": { "e": 4 } }, "l": [{ "0": 5 }] }),
        ),
        (
            rawdoc! { "a.0": 9, "a.c.d.e": 8 },
            rawdoc! { "a.0": ["a", "0"], "a.c.d.e": ["a", "c.d", "e"] },
            Some(rawdoc! { "_id": 1, "a.b": 1, "a": { "b": 2, "0": 9, "c.d": { "e": 8 } }, "l": [{ "0": 5 }] }),
        ),
        (
            rawdoc! { "l.0.0": 9 },
            rawdoc! { "l.0.0": ["l", 0, "0"] },
            Some(rawdoc! { "_id": 1, "a.b": 1, "a": { "b": 2, "0": 3, "c.d": { "e": 4 } }, "l": [{ "0": 9 }] }),
        ),
        (
            rawdoc! { "l.0": 9 },
            rawdoc! {},
            Some(rawdoc! { "_id": 1, "a.b": 1, "a": { "b": 2, "0": 3, "c.d": { "e": 4 } }, "l": [9] }),
        ),
        // What the document does not have as it is told.
        (rawdoc! { "a.0": 9 }, rawdoc! { "a.0": ["a", 0] }, None),
        (rawdoc! { "l.0": 9 }, rawdoc! { "l.0": ["l", "0"] }, None),
        (rawdoc! { "n.m": 9 }, rawdoc! {}, None),
    ] {
        for paths_of_source in [Paths::Told, Paths::Plain, REFETCH] {
            let result = applied(paths_of_source, &before, &told(sets.clone(), paths.clone()));
            match &after {
                Some(after) => assert_eq!(result, document(after), "{sets:?}"),
                None => assert!(matches!(result, Applied::Inapplicable(_)), "{sets:?} {result:?}"),
            }
        }
    }
    for paths in [
        rawdoc! { "a.b": ["a"] },
        rawdoc! { "a.b": ["a", "c"] },
        rawdoc! { "a.b": [] },
        rawdoc! { "a.b": 1 },
        rawdoc! { "a.b": ["a", 0] },
    ] {
        assert_eq!(applied(Paths::Told, &before, &told(rawdoc! { "a.b": 9 }, paths)), Applied::Ambiguous);
    }
    // Both fields of that name changed: the list tells of one of them.
    let mut twice = RawBuilder::new();
    let twice = RawDocumentBuf::from_bytes(twice.int32("a.b", 1).int32("a.b", 2).finish()).unwrap();
    assert_eq!(applied(Paths::Told, &before, &told(twice, rawdoc! { "a.b": ["a.b"] })), Applied::Ambiguous);
    // Nothing told, though the server should.
    before.append(bson::cstr!("x"), 1);
    assert_eq!(applied(Paths::Told, &before, &update(rawdoc! { "a.b": 9 }, &[])), Applied::Ambiguous);
}

#[test]
fn trust_ends_where_a_name_could_be_mistaken() {
    for before in [rawdoc! { "a": { "b": 1 }, "c.d": 1 }, rawdoc! { "a": { "b": 1 }, "l": [{ "": 1 }] }] {
        assert_eq!(applied(TRUST, &before, &update(rawdoc! { "a.b": 2 }, &[])), Applied::Ambiguous);
        assert!(matches!(applied(TRUST, &before, &update(rawdoc! { "a": 2 }, &[])), Applied::Document(_)));
    }
    // A name that an earlier event of the row brought.
    let (dotted, nested) = (update(rawdoc! { "x": { "c.d": 1 } }, &[]), update(rawdoc! { "a.b": 2 }, &[]));
    let [dotted, nested] = [&dotted, &nested].map(|event| Delta::parse(event.as_bytes(), TRUST).unwrap());
    for (row, known) in [([dotted, nested], false), ([nested, dotted], true)] {
        let mut chain = Chain::new();
        row.iter().for_each(|delta| chain.push(delta));
        let applied = chain.apply(rawdoc! { "a": { "b": 1 } }.as_bytes());
        assert_eq!(matches!(applied, Applied::Document(_)), known);
    }
    for path in ["a..b", ".a", "a.", "."] {
        let mut sets = RawDocumentBuf::new();
        let name: bson::raw::CString = path.try_into().unwrap();
        sets.append(name, 1);
        for paths in [Paths::Plain, TRUST, REFETCH] {
            assert_eq!(applied(paths, &rawdoc! { "a": {} }, &update(sets.clone(), &[])), Applied::Ambiguous, "{path}");
        }
    }
}

#[test]
fn a_chain_is_as_its_events_one_by_one_and_simple_only_if_modifiers_do_the_same() {
    let event = |sets: RawDocumentBuf, removed: &[&str]| update(sets, removed);
    let before = rawdoc! { "_id": 1, "b": 1, "d": { "e": 1 } };
    for (events, simple) in [
        (vec![event(rawdoc! { "a": 1, "b": 2 }, &[]), event(rawdoc! { "b": 3, "c": 4 }, &[])], true),
        (vec![event(rawdoc! { "b": 2 }, &[]), event(rawdoc! { "a": 3 }, &[])], false),
        (vec![event(rawdoc! { "b": 2 }, &[]), event(rawdoc! { "a": 3 }, &["b"])], true),
        (vec![event(rawdoc! {}, &["b"]), event(rawdoc! { "b": 3 }, &[])], false),
        (vec![event(rawdoc! { "z": 1 }, &["b"]), event(rawdoc! { "b": 3 }, &[]), event(rawdoc! {}, &["b"])], true),
        (vec![event(rawdoc! { "d.e": 1 }, &[]), event(rawdoc! { "d.e": 2, "d.f": 3 }, &[])], false),
        (vec![event(rawdoc! { "d.e": 1 }, &[]), event(rawdoc! { "d": 2 }, &[]), event(rawdoc! {}, &["d"])], false),
        (
            vec![
                event(rawdoc! { "x.y": 1 }, &[]),
                event(rawdoc! {}, &["x.y"]),
                event(rawdoc! { "w": 1, "x.z": 2 }, &[]),
            ],
            false,
        ),
        (vec![event(rawdoc! {}, &["x.y"]), event(rawdoc! { "w": 1 }, &[]), event(rawdoc! { "x.z": 2 }, &[])], false),
        (vec![event(rawdoc! { "7": 1 }, &[])], false),
        (vec![event(rawdoc! { "$a": 1 }, &[])], false),
        (vec![event(rawdoc! { "": 1 }, &[])], false),
        (vec![event(rawdoc! {}, &[])], true),
        (vec![cut("b", 0, rawdoc! {})], false),
    ] {
        let (mut chain, mut one_by_one) = (Chain::new(), document(&before));
        for event in &events {
            let delta = Delta::parse(event.as_bytes(), Paths::Plain).unwrap();
            chain.push(&delta);
            if let Applied::Document(doc) = &one_by_one {
                one_by_one = delta.apply(doc);
            }
        }
        assert_eq!(chain.apply(before.as_bytes()), one_by_one, "{events:?}");
        assert_eq!(chain.simple().is_some(), simple, "{events:?}");
    }
}

#[test]
fn modifiers_leave_out_what_would_be_empty() {
    let event = update(rawdoc! { "a": 1, "b": "x" }, &["c"]);
    let delta = Delta::parse(event.as_bytes(), Paths::Plain).unwrap();
    let mut chain = Chain::new();
    assert!(chain.simple().unwrap().is_empty());
    chain.push(&delta);
    let modifiers = rawdoc! { "$set": { "a": 1, "b": "x" }, "$unset": { "c": true } };
    assert_eq!(chain.simple().unwrap().modifiers(), modifiers.as_bytes());
    let event = update(rawdoc! { "c": 1 }, &[]);
    let mut chain = Chain::new();
    chain.push(&Delta::parse(event.as_bytes(), REFETCH).unwrap());
    assert_eq!(chain.simple().unwrap().modifiers(), rawdoc! { "$set": { "c": 1 } }.as_bytes());
}

#[test]
fn a_hundred_thousand_updates_of_one_document_are_few_changes() {
    let events: Vec<RawDocumentBuf> =
        (0..1000).map(|n| update(rawdoc! { "a.n": n, "a.m": "x", "b": n, "l.3": n }, &[])).collect();
    let mut chain = Chain::new();
    for event in events.iter().cycle().take(100_000) {
        chain.push(&Delta::parse(event.as_bytes(), Paths::Plain).unwrap());
    }
    let after = rawdoc! { "a": { "n": 999, "m": "x" }, "b": 999, "l": [1, 2, 3, 999] };
    assert_eq!(chain.apply(rawdoc! { "a": {}, "b": 0, "l": [1, 2, 3] }.as_bytes()), document(&after));
}

#[test]
fn hostile_events_overflow_nothing() {
    let deep = vec!["a"; 10_000].join(".");
    let mut sets = RawBuilder::new();
    let sets = sets.int32(&deep, 1).finish();
    let event = RawBuilder::new().document("updatedFields", &sets).finish();
    let mut nested = rawdoc! {}.into_bytes();
    for _ in 0..3_000 {
        nested = RawBuilder::new().document("a", &nested).finish();
    }
    for paths in [Paths::Plain, TRUST, REFETCH, Paths::Told] {
        assert_eq!(Delta::parse(&event, paths).unwrap().apply(&nested), Applied::Ambiguous);
    }
    let deep = vec!["a"; 256].join(".");
    let sets = RawBuilder::new().int32(&deep, 1).finish();
    let event = RawBuilder::new().document("updatedFields", &sets).finish();
    for paths in [Paths::Plain, TRUST] {
        assert!(matches!(Delta::parse(&event, paths).unwrap().apply(&nested), Applied::Document(_)));
    }
    // Every path pads an array of its own as far as a server would.
    let mut sets = RawBuilder::new();
    let mut arrays = RawBuilder::new();
    for n in 0..100 {
        sets.int32(format!("a{n}.1400000"), 1);
        arrays.embed_array(format!("a{n}"), |_| {});
    }
    let event = RawBuilder::new().document("updatedFields", &sets.finish()).finish();
    let result = Delta::parse(&event, Paths::Plain).unwrap().apply(&arrays.finish());
    assert!(matches!(result, Applied::Inapplicable(_)));
}

mod any_bytes {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn panic_nothing(update in prop::collection::vec(any::<u8>(), 0..80), doc in prop::collection::vec(any::<u8>(), 0..40), at in 0..200usize, byte in any::<u8>()) {
            for paths in [Paths::Plain, TRUST, REFETCH, Paths::Told] {
                if let Ok(delta) = Delta::parse(&update, paths) {
                    delta.apply(&doc);
                }
                // A good one with one byte changed, on a good document with one byte changed.
                let mut event = rawdoc! { "updatedFields": { "a.b": 1, "l.2": 2 }, "removedFields": ["a.c"], "truncatedArrays": [{ "field": "l", "newSize": 1 }] }.into_bytes();
                let mut before = rawdoc! { "_id": 1, "a": { "b": 2, "c": 3 }, "l": [1, 2], "x": "text" }.into_bytes();
                for bytes in [&mut event, &mut before] {
                    let place = at % bytes.len();
                    bytes[place] = byte;
                }
                if let Ok(delta) = Delta::parse(&event, paths) {
                    delta.apply(&before);
                }
            }
        }
    }
}
