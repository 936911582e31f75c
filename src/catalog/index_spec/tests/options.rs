//! Options: unknown ones, empty ones, and those of another type than servers take.

use bson::{Bson, Decimal128, bson, doc};

use super::*;

fn decimal(text: &str) -> Bson {
    text.parse::<Decimal128>().unwrap().into()
}

#[test]
fn what_mongoose_left_is_taken_out_by_name() {
    let spec = doc! { "v": 1, "key": { "a": 1 }, "name": "a_1", "safe": null, "background": null };
    let sanitized = one(spec, &CONTEXT);
    assert_eq!(built(&sanitized), doc! { "v": 1, "key": { "a": 1 }, "name": "a_1" });
    assert_eq!(repairs(&sanitized), [(RepairKind::UnknownOption, "safe"), (RepairKind::Null, "background")]);
    assert!(sanitized.is_bad());
    let shown = sanitized.repairs[0].to_string();
    assert_eq!(shown, "safe null removed: an option of a driver's writes, which servers refuse in a spec");
}

#[test]
fn unknown_options_are_removed_whatever_they_hold() {
    for name in ["safe", "w", "j", "wtimeout", "_id", "Unique", "", "é", "expireafterseconds", "key.a", "name\u{1}"] {
        for value in [bson!(null), bson!(1), bson!(false), bson!({ "a": [] })] {
            assert_option(name, value, None, Some(RepairKind::UnknownOption), &CONTEXT);
        }
    }
}

#[test]
fn options_that_do_nothing_are_dropped_and_that_alone_is_not_bad() {
    for (name, value) in [
        ("ns", bson!("shop.orders")),
        ("ns", bson!(5)),
        ("background", bson!(true)),
        ("background", bson!(1.0)),
        ("dropDups", bson!(false)),
        ("v", bson!(0)),
        ("v", bson!(3)),
        ("v", bson!(1.5)),
    ] {
        assert_option(name, value, None, Some(RepairKind::Outdated), &CONTEXT);
    }
    for (name, value) in [("background", bson!("true")), ("dropDups", bson!({})), ("v", bson!("1"))] {
        assert_option(name, value, None, Some(RepairKind::Type), &CONTEXT);
    }
}

#[test]
fn null_says_nothing() {
    for option in ["unique", "sparse", "background", "hidden", "weights", "collation", "partialFilterExpression", "v"] {
        for nothing in [Bson::Null, Bson::Undefined] {
            assert_option(option, nothing, None, Some(RepairKind::Null), &CONTEXT);
        }
    }
}

#[test]
fn what_servers_take_for_true_or_false_is_written_so() {
    for name in ["unique", "sparse"] {
        for truth in [true, false] {
            assert_option(name, truth.into(), Some(truth.into()), None, &CONTEXT);
        }
        for (value, truth) in [(bson!(1), true), (bson!(1.0), true), (bson!(-5_i64), true), (bson!(f64::NAN), true)] {
            assert_option(name, value, Some(truth.into()), Some(RepairKind::Form), &CONTEXT);
        }
        for value in [bson!(0), bson!(0.0), bson!(0_i64), decimal("0"), decimal("-0.00")] {
            assert_option(name, value, Some(false.into()), Some(RepairKind::Form), &CONTEXT);
        }
        for value in [bson!("true"), bson!("false"), bson!(""), bson!({}), bson!([]), Bson::MinKey] {
            assert_option(name, value, Some(true.into()), Some(RepairKind::Type), &CONTEXT);
        }
    }
    assert_option("hidden", bson!(1), Some(true.into()), Some(RepairKind::Type), &CONTEXT);
}

#[test]
fn a_filter_that_is_empty_stays_and_one_that_is_none_had_no_effect() {
    for filter in [bson!({}), bson!({ "a": { "$gt": 5 } })] {
        assert_option("partialFilterExpression", filter.clone(), Some(filter), None, &CONTEXT);
    }
    for name in ["partialFilterExpression", "collation"] {
        assert_option(name, bson!("x"), None, Some(RepairKind::Type), &CONTEXT);
        let reason = format!("its {name} is no document, and without it the index would be another");
        assert_eq!(refusal(&one(with(name, "x"), &PERSON)), reason);
    }
}

#[test]
fn a_collation_stays_unless_it_is_empty_or_of_rules_that_no_server_has() {
    let french = doc! { "locale": "fr", "strength": 2 };
    assert_option("collation", french.clone().into(), Some(french.clone().into()), None, &CONTEXT);
    assert_option("collation", bson!({}), None, Some(RepairKind::Null), &CONTEXT);
    assert_option("collation", bson!({ "version": "50.1" }), None, Some(RepairKind::Null), &CONTEXT);
    let versioned = |version: &str| {
        let mut collation = french.clone();
        collation.insert("version", version);
        Bson::from(collation)
    };
    assert_option("collation", versioned("57.1"), Some(versioned("57.1")), None, &CONTEXT);
    assert_option("collation", versioned("50.1"), Some(french.into()), Some(RepairKind::Target), &CONTEXT);
}

#[test]
fn an_index_that_a_server_listed_without_a_collation_does_not_get_that_of_its_collection() {
    let options = bytes(doc! { "collation": { "locale": "fr" } });
    let (server, person) = (Context { options: &options, ..CONTEXT }, Context { options: &options, ..PERSON });
    let simple = bson!({ "locale": "simple" });
    for spec in [with("v", 2), with("v", 0), with("collation", Bson::Null), with("collation", doc! {})] {
        let sanitized = one(spec.clone(), &server);
        assert_eq!(built(&sanitized).get("collation"), Some(&simple), "{spec}");
        assert!(repairs(&sanitized).contains(&(RepairKind::Explicit, "collation")));
    }
    assert_eq!(built(&one(with("v", 1), &server)).get("collation"), None, "version 1 must not name one");
    assert_eq!(built(&one(with("v", 2), &person)).get("collation"), None, "a person leaves it to the target");
    assert!(!one(with("v", 2), &server).is_bad());
}

#[test]
fn options_of_other_storage_engines_are_taken_out() {
    let own = doc! { "wiredTiger": { "configString": "prefix_compression=false" } };
    let mut both = own.clone();
    both.insert("mmapv1", doc! {});
    let kept = Some(Bson::from(own.clone()));
    assert_option("storageEngine", own.into(), kept.clone(), None, &CONTEXT);
    assert_option("storageEngine", both.into(), kept, Some(RepairKind::Target), &CONTEXT);
    for other in [bson!({ "mmapv1": {} }), bson!({ "inMemory": {} }), bson!({ "wiredTiger": 5 })] {
        assert_option("storageEngine", other, None, Some(RepairKind::Target), &CONTEXT);
    }
    assert_option("storageEngine", bson!({}), None, Some(RepairKind::Null), &CONTEXT);
    assert_option("storageEngine", bson!("wiredTiger"), None, Some(RepairKind::Type), &CONTEXT);
}

/// 4.2 takes `weights` for a plain index, 5.0 does not; 6.0.5 takes no `bucketSize`, 6.0.27 does.
#[test]
fn options_of_another_kind_of_index_are_dropped() {
    for (name, value) in [
        ("weights", bson!({ "a": 1 })),
        ("textIndexVersion", bson!(3)),
        ("2dsphereIndexVersion", bson!(3)),
        ("bits", bson!(26)),
        ("min", bson!(-180)),
        ("max", bson!(180)),
        ("bucketSize", bson!(5)),
        ("wildcardProjection", bson!({ "a": 1 })),
    ] {
        assert_option(name, value, None, Some(RepairKind::Outdated), &CONTEXT);
    }
    let text = doc! { "v": 2, "key": { "_fts": "text", "_ftsx": 1 }, "name": "t", "weights": { "a": 1 }, "default_language": "english", "language_override": "language", "textIndexVersion": 3 };
    let flat = doc! { "v": 2, "key": { "p": "2d" }, "name": "p", "bits": 20, "min": -500.0, "max": 500.0 };
    let wild = doc! { "v": 2, "key": { "$**": 1 }, "name": "w", "wildcardProjection": { "a": 1 } };
    let sphere = doc! { "v": 2, "key": { "p": "2dsphere", "a": 1 }, "name": "s", "2dsphereIndexVersion": 3, "finestIndexedLevel": 23, "coarsestIndexedLevel": 0 };
    for spec in [text, flat, wild, sphere] {
        let sanitized = one(spec.clone(), &CONTEXT);
        assert_eq!((built(&sanitized), repairs(&sanitized)), (spec, vec![]));
    }
}

/// Servers passed over what is no number: 20 in a text is not 20.
#[test]
fn numbers_in_texts_are_dropped() {
    let spec = doc! { "key": { "p": "2d" }, "name": "p", "bits": "20", "min": { "a": 1 } };
    let sanitized = one(spec, &CONTEXT);
    assert_eq!(built(&sanitized), doc! { "key": { "p": "2d" }, "name": "p" });
    assert_eq!(repairs(&sanitized), [(RepairKind::Type, "bits"), (RepairKind::Type, "min")]);
    let spec =
        doc! { "key": { "t": "text" }, "name": "t", "weights": "t", "default_language": 5, "textIndexVersion": 3 };
    let sanitized = one(spec, &CONTEXT);
    assert_eq!(built(&sanitized), doc! { "key": { "t": "text" }, "name": "t", "textIndexVersion": 3 });
    let all_fields = doc! { "key": { "$**": "text" }, "name": "t", "weights": "$**" };
    assert_eq!(built(&one(all_fields.clone(), &PERSON)), all_fields);
}

#[test]
fn an_option_that_stands_there_twice_counts_the_first_time() {
    let mut spec = RawBuilder::new();
    let key = RawBuilder::new().int32("a", 1).finish();
    let other = RawBuilder::new().int32("b", 1).finish();
    spec.document("key", &key).string("name", "n").bool("unique", false).bool("unique", true).document("key", &other);
    let sanitized = &sanitize(&[spec.finish()], &CONTEXT)[0];
    assert_eq!(built(sanitized), doc! { "key": { "a": 1 }, "name": "n", "unique": false });
    assert_eq!(repairs(sanitized), [(RepairKind::UnknownOption, "unique"), (RepairKind::UnknownOption, "key")]);
}

#[test]
fn the_order_of_options_stays() {
    let spec =
        doc! { "unique": true, "w": 1, "name": "n", "sparse": 1, "ns": "a.b", "key": { "b": 1, "a": 0 }, "v": 2 };
    let clean = built(&one(spec, &CONTEXT));
    assert_eq!(clean.keys().collect::<Vec<_>>(), ["unique", "name", "sparse", "key", "v"]);
    assert_eq!(clean.get("key"), Some(&bson!({ "b": 1, "a": 1 })));
    let key = clean.get_document("key").unwrap();
    assert_eq!(key.keys().collect::<Vec<_>>(), ["b", "a"]);
}
