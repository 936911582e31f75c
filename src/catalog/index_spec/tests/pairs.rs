//! Words that are fine one by one, and that no server takes together.

use bson::{Bson, bson, doc};

use super::*;

/// A spec with this key and these options.
fn spec(key: Document, options: Document) -> Document {
    let mut spec = doc! { "key": key, "name": "n" };
    spec.extend(options);
    spec
}

fn filter() -> Document {
    doc! { "partialFilterExpression": { "a": { "$gt": 1 } } }
}

fn fields(number: usize) -> Document {
    (0..number).map(|number| (format!("f{number}"), Bson::from(1))).collect()
}

#[test]
fn what_no_server_builds_is_refused_with_the_reason() {
    let sparse = doc! { "sparse": true, "partialFilterExpression": {} };
    for (key, options, reason) in [
        (doc! { "a": "hashed" }, doc! { "unique": 1 }, "servers keep no keys unique by a hashed index"),
        (doc! { "$**": 1 }, doc! { "unique": true }, "servers keep no keys unique by a wildcard index"),
        (
            doc! { "a.$**": 1 },
            doc! { "wildcardProjection": { "b": 1 } },
            "servers take a wildcardProjection only where the key has the field $**",
        ),
        (doc! { "a": 1 }, sparse, "servers take sparse and partialFilterExpression only one without the other"),
        (
            doc! { "a": "text" },
            doc! { "collation": { "locale": "fr" } },
            "servers build text indexes with the simple collation alone",
        ),
        (
            doc! { "a": "hashed", "b": "2d" },
            doc! {},
            "its key names two kinds of index, hashed and 2d, and an index is of one",
        ),
        (doc! { "a": "hashed", "b": "hashed" }, doc! {}, "servers hash one field of a key alone"),
        (fields(33), doc! {}, "its key has more than the 32 fields that servers index together"),
        (doc! { "a": 1, "b": "2d" }, doc! {}, "a 2d index has one place, and that first in its key"),
        (doc! { "a": "2d" }, doc! { "bits": 33 }, "its bits are not between 1 and 32"),
        (doc! { "a": "2d" }, doc! { "min": 200 }, "its min is not below its max"),
        (
            doc! { "a": "2dsphere" },
            doc! { "2dsphereIndexVersion": 2.5 },
            "its 2dsphereIndexVersion is not a whole number",
        ),
        (doc! { "a": "2dsphere" }, doc! { "finestIndexedLevel": 31 }, "its finestIndexedLevel is not between 0 and 30"),
        (doc! { "a": "text", "b": 1, "c": "text" }, doc! {}, "the text fields of its key do not stand side by side"),
        (doc! { "_fts": "text" }, doc! { "weights": { "a": 1 } }, "its key has no \"_ftsx\": 1 behind _fts"),
        (doc! { "_fts": "text", "_ftsx": 1 }, doc! {}, "its key names no field, and neither do its weights"),
        (doc! { "a": "text" }, doc! { "weights": { "a": 0.5 } }, "its weight of \"a\" is not between 0 and 100000"),
        (doc! { "a": "text" }, doc! { "textIndexVersion": 0 }, "servers know no textIndexVersion 0"),
        (doc! { "a": "text" }, doc! { "language_override": "a.b" }, "its language_override is not the name of a field"),
    ] {
        for context in [PERSON, on(NEWEST), on(V5_0)] {
            let sanitized = one(spec(key.clone(), options.clone()), &context);
            assert_eq!(refusal(&sanitized), reason, "{key} {options}");
            assert!(sanitized.is_bad());
        }
    }
}

#[test]
fn what_goes_together_is_left_alone() {
    for (key, options) in [
        (doc! { "a": "hashed" }, doc! { "sparse": true, "expireAfterSeconds": 5, "collation": { "locale": "fr" } }),
        (doc! { "$**": 1 }, filter()),
        (doc! { "a": "2dsphere", "b": "2dsphere" }, doc! { "unique": true }),
        (doc! { "a": "2d", "b": 1, "c": 1 }, doc! { "bits": 32.5, "min": -500 }),
        (
            doc! { "a": 1, "b": "text", "c": "text", "d": 1 },
            doc! { "unique": true, "collation": { "locale": "simple" } },
        ),
        (fields(32), doc! { "unique": true, "partialFilterExpression": {}, "sparse": false }),
        (doc! { "$**": "text", "a": "text" }, doc! { "weights": { "b": 99_999 }, "textIndexVersion": 2.5 }),
    ] {
        let spec = spec(key, options);
        let sanitized = one(spec.clone(), &PERSON);
        assert_eq!((built(&sanitized), repairs(&sanitized)), (spec, vec![]));
    }
}

#[test]
fn a_wildcard_index_need_not_be_told_to_be_sparse() {
    let sanitized = one(spec(doc! { "a.$**": 1 }, doc! { "sparse": true }), &PERSON);
    assert_eq!(built(&sanitized), doc! { "key": { "a.$**": 1 }, "name": "n" });
    assert_eq!((repairs(&sanitized), sanitized.is_bad()), (vec![(RepairKind::Target, "sparse")], true));
}

#[test]
fn texts_and_flat_places_of_a_collection_with_a_collation_are_simple() {
    let options = bytes(doc! { "collation": { "locale": "fr" } });
    for author in [Author::Server, Author::Person] {
        let context = Context { options: &options, author, ..CONTEXT };
        for (kind, option) in [("text", "textIndexVersion"), ("2d", "bits")] {
            let mut spec = spec(doc! { "a": kind }, doc! {});
            spec.insert(option, 3);
            let sanitized = one(spec, &context);
            assert_eq!(built(&sanitized).get("collation"), Some(&bson!({ "locale": "simple" })));
            assert!(!sanitized.is_bad());
        }
    }
}

#[test]
fn newer_versions_of_texts_and_spheres_are_for_newer_servers() {
    for (kind, option) in [("2dsphere", "2dsphereIndexVersion"), ("text", "textIndexVersion")] {
        let spec = spec(doc! { "a": kind }, [(option.to_owned(), bson!(4))].into_iter().collect());
        assert_eq!(refusal(&one(spec.clone(), &on(V7_0))), format!("servers before 8.0 know no {option} 4"));
        assert_eq!(built(&one(spec.clone(), &on(V8_0))), spec);
    }
}

#[test]
fn kinds_of_indexes_are_for_the_servers_that_know_them() {
    for (kind, since, before) in [("columnstore", V7_0, "6.1.0"), ("2dsphere_bucket", V6_0, "5.1.0")] {
        let spec = spec(doc! { "a": kind }, doc! {});
        let reason = format!("servers before {before} know no index type \"{kind}\"");
        assert_eq!(refusal(&one(spec.clone(), &on(V5_0))), reason);
        assert_eq!(built(&one(spec.clone(), &on(since))), spec);
    }
}

#[test]
fn a_time_series_has_not_every_index() {
    let options = bytes(doc! { "timeseries": { "timeField": "t", "metaField": "m" } });
    let on = |target: Version| Context { options: &options, target, ..CONTEXT };
    for (key, more, reason) in [
        (doc! { "m": 1 }, doc! { "unique": true }, "servers keep no keys unique in a time series"),
        (doc! { "m": "text" }, doc! {}, "servers build no text indexes on a time series"),
        (doc! { "x": "2d" }, doc! {}, "servers build no 2d indexes on the measurements of a time series"),
        (
            doc! { "x": 1 },
            doc! { "sparse": true },
            "servers build no sparse indexes on the measurements of a time series",
        ),
    ] {
        assert_eq!(refusal(&one(spec(key, more), &on(V6_0))), reason);
    }
    for key in [doc! { "x": 1 }, doc! { "_id": 1 }, doc! { "m": 1, "t.a": 1 }] {
        let reason = refusal(&one(spec(key.clone(), doc! {}), &on(V5_0))).to_owned();
        assert!(reason.starts_with("servers before 6.0 index only the times of a time series"), "{reason}");
        assert!(one(spec(key, doc! {}), &on(V6_0)).to_build().is_some());
    }
    for (key, more) in [(doc! { "m.a": "2d", "t": 1 }, doc! {}), (doc! { "m": 1 }, doc! { "sparse": true })] {
        assert!(one(spec(key, more), &on(V5_0)).to_build().is_some());
    }
    let expiring = spec(doc! { "t": 1 }, doc! { "expireAfterSeconds": 5, "partialFilterExpression": { "m": 1 } });
    assert_eq!(repairs(&one(expiring.clone(), &on(V6_0))), [(RepairKind::Expiry, "expireAfterSeconds")]);
    assert_eq!(built(&one(expiring.clone(), &on(V7_0))), expiring);
}
