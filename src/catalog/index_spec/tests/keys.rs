//! Key values: what a server took them for is what they are made.

use std::f64::consts::PI;

use bson::{Bson, DateTime, Decimal128, Regex, bson, doc, oid::ObjectId};

use super::*;

fn decimal(text: &str) -> Bson {
    text.parse::<Decimal128>().unwrap().into()
}

/// What becomes of `{a: VALUE, b: -1}`.
fn direction(value: Bson, context: &Context<'_>) -> (Bson, Vec<RepairKind>) {
    let sanitized = one(doc! { "v": 2, "key": { "a": value, "b": -1 }, "name": "n" }, context);
    let kinds = sanitized.repairs.iter().map(|repair| repair.kind).collect();
    assert!(sanitized.repairs.iter().all(|repair| repair.field == "key.a"));
    let key = built(&sanitized).get_document("key").unwrap().clone();
    assert_eq!(key.get("b"), Some(&bson!(-1)));
    (key.get("a").unwrap().clone(), kinds)
}

#[test]
fn numbers_that_servers_take_stay_as_they_are() {
    let numbers =
        [bson!(1), bson!(-1), bson!(1.0), bson!(1_i64), bson!(5), bson!(-7_i64), bson!(PI), bson!(f64::INFINITY)];
    for value in numbers.into_iter().chain([decimal("1"), decimal("-2.5"), decimal("1E-100")]) {
        assert_eq!(direction(value.clone(), &CONTEXT), (value, vec![]));
    }
}

#[test]
fn values_that_only_old_servers_took_become_the_direction_they_had() {
    let of = |value: Bson, expected: i32| {
        assert_eq!(direction(value.clone(), &CONTEXT), (bson!(expected), vec![RepairKind::KeyValue]), "{value}");
    };
    for value in [bson!(0), bson!(0_i64), bson!(0.0), bson!(-0.0), bson!(f64::NAN), bson!(1e-300)] {
        of(value, 1);
    }
    for value in ["0", "-0", "NaN", "1E-400", "-1E-400"].map(decimal) {
        of(value, 1);
    }
    of(bson!(-1e-300), -1);
    of(bson!(-1e-10), -1);
    let others = [bson!(true), bson!(false), bson!(null), bson!(""), bson!({}), bson!({ "a": -1 }), bson!([-1])];
    let rare = [
        Bson::Undefined,
        Bson::MinKey,
        Bson::MaxKey,
        DateTime::MIN.into(),
        ObjectId::from_bytes([0; 12]).into(),
        Bson::Symbol("text".to_owned()),
        Bson::JavaScriptCode("-1".to_owned()),
        Regex { pattern: "^a".try_into().unwrap(), options: "".try_into().unwrap() }.into(),
    ];
    others.into_iter().chain(rare).for_each(|value| of(value, 1));
}

/// Servers before 2.4 took a word for a plugin that is missing, and built an ascending index.
#[test]
fn words_are_ascending_where_a_server_listed_them_and_what_they_say_where_a_person_wrote_them() {
    for (word, by_person) in [("1", 1), ("asc", 1), ("ascending", 1), ("-1", -1), ("desc", -1), ("descending", -1)] {
        assert_eq!(direction(bson!(word), &CONTEXT), (bson!(1), vec![RepairKind::KeyValue]), "{word}");
        assert_eq!(direction(bson!(word), &PERSON), (bson!(by_person), vec![RepairKind::KeyValue]), "{word}");
    }
}

#[test]
fn a_field_that_the_key_names_twice_counts_the_first_time() {
    let mut key = RawBuilder::new();
    let key = key.int32("a", -1).int32("b", 1).int32("a", 1).finish();
    let spec = RawBuilder::new().document("key", &key).string("name", "n").finish();
    let sanitized = &sanitize(&[spec], &CONTEXT)[0];
    assert_eq!(built(sanitized), doc! { "key": { "a": -1, "b": 1 }, "name": "n" });
    assert_eq!(repairs(sanitized), [(RepairKind::KeyTwice, "key.a")]);
}

#[test]
fn keys_that_no_server_indexes_are_refused_with_the_reason() {
    for (key, reason) in [
        (doc! {}, "its key pattern is empty"),
        (doc! { "": 1 }, "its key names an empty field: \"\""),
        (doc! { "a..b": 1 }, "its key names an empty field: \"a..b\""),
        (doc! { "a.": 1 }, "its key names an empty field: \"a.\""),
        (doc! { "$a": 1 }, "its key names a field that begins with $: \"$a\""),
        (doc! { "a.$**": "text" }, "its key names a field that begins with $: \"a.$**\""),
        (doc! { "$**.a": 1 }, "its key names a field that begins with $: \"$**.a\""),
        (doc! { "_fts": 1 }, "its key names the field _fts, which is of text indexes alone"),
        (doc! { "a": "btree" }, "servers know no index type \"btree\""),
        (doc! { "$**": "wildcard" }, "servers know no index type \"wildcard\""),
    ] {
        let sanitized = one(doc! { "key": key, "name": "n" }, &CONTEXT);
        assert_eq!(refusal(&sanitized), reason);
        assert_eq!(sanitized.name, "n");
        assert!(sanitized.is_bad());
    }
    for (spec, reason) in [
        (doc! { "name": "n" }, "it has no key pattern"),
        (doc! { "key": "a", "name": "n" }, "its key pattern is no document"),
        (doc! { "key": null, "name": "n" }, "its key pattern is no document"),
    ] {
        assert_eq!(refusal(&one(spec, &CONTEXT)), reason);
    }
}

#[test]
fn kinds_of_indexes_and_the_paths_of_references_stay() {
    for key in [
        doc! { "a": "hashed" },
        doc! { "a": "2d", "b": 1 },
        doc! { "a": "2dsphere" },
        doc! { "$**": 1 },
        doc! { "a.$**": 1 },
        doc! { "$**": "text" },
        doc! { "a.$ref": 1, "a.$id": 1, "a.$db": -1 },
        doc! { "é.日本": 1 },
    ] {
        let sanitized = one(doc! { "key": key.clone(), "name": "n" }, &PERSON);
        assert_eq!((built(&sanitized), sanitized.repairs.len()), (doc! { "key": key, "name": "n" }, 0));
    }
}

#[test]
fn a_missing_or_impossible_name_is_made_of_the_key() {
    let key = doc! { "a": 1, "b.c": -1.0, "d": "hashed", "e": true };
    for name in [None, Some(bson!("")), Some(bson!("*")), Some(bson!("a\0b")), Some(bson!(5)), Some(bson!(null))] {
        let mut spec = doc! { "key": key.clone() };
        name.clone().map(|name| spec.insert("name", name));
        let sanitized = one(spec, &CONTEXT);
        assert_eq!(built(&sanitized).get("name"), Some(&bson!("a_1_b.c_-1_d_hashed_e_1")), "{name:?}");
        assert!(sanitized.repairs.iter().any(|repair| (repair.kind, &*repair.field) == (RepairKind::Name, "name")));
    }
    let long = "n".repeat(300);
    assert_eq!(one(doc! { "key": { "a": 1 }, "name": &long }, &CONTEXT).repairs, []);
}
