//! What depends on the target's release, and what servers mean by a version that is not there.

use bson::{bson, doc};

use super::*;

#[test]
fn an_option_that_the_target_does_not_know_is_dropped() {
    for (name, since) in [("hidden", V5_0), ("prepareUnique", V6_0)] {
        for target in [V4_2, V5_0, V6_0, V8_0, NEWEST] {
            let (after, repair) = match target >= since {
                true => (Some(bson!(true)), None),
                false => (None, Some(RepairKind::Target)),
            };
            assert_option(name, bson!(true), after, repair, &on(target));
        }
    }
    let wild = doc! { "key": { "$**": 1 }, "name": "w", "wildcardProjection": { "a": 1 } };
    let reason = "the target (4.0.0) does not know the option wildcardProjection";
    assert_eq!(refusal(&one(wild, &on(Version::new(4, 0, 0)))), reason);
}

#[test]
fn what_a_time_series_was_asked_for_stays_with_what_is_built() {
    let asked = bson!({ "key": { "x": 1 }, "name": "x_1", "v": 2 });
    assert_option("originalSpec", asked.clone(), Some(asked.clone()), None, &CONTEXT);
    assert_option("originalSpec", asked, None, Some(RepairKind::Target), &on(V5_0));
    assert_option("originalSpec", bson!({}), None, Some(RepairKind::Null), &CONTEXT);
    assert_option("originalSpec", bson!(1), None, Some(RepairKind::Type), &CONTEXT);
}

#[test]
fn a_haystack_is_refused_by_servers_from_5_0_on() {
    let spec = doc! { "v": 2, "key": { "p": "geoHaystack", "t": 1 }, "name": "h", "bucketSize": 5.0 };
    for target in [V4_2, Version::new(4, 4, 0)] {
        let sanitized = one(spec.clone(), &on(target));
        assert_eq!((built(&sanitized), sanitized.is_bad()), (spec.clone(), false));
    }
    for target in [V5_0, V6_0, V8_0, NEWEST] {
        assert_eq!(refusal(&one(spec.clone(), &on(target))), "servers from 5.0 on have no geoHaystack indexes");
    }
}

#[test]
fn kinds_of_keys_that_the_target_does_not_build_are_refused() {
    let hashed = doc! { "key": { "a": "hashed", "b": 1 }, "name": "h" };
    assert_eq!(
        refusal(&one(hashed.clone(), &on(V4_2))),
        "servers before 4.4 build no hashed indexes on several fields"
    );
    assert_eq!(built(&one(hashed.clone(), &on(V5_0))), hashed);
    let wild = doc! { "key": { "a": 1, "b.$**": 1 }, "name": "w" };
    let reason = "servers before 7.0 build no wildcard indexes on several fields";
    assert_eq!(refusal(&one(wild.clone(), &on(V6_0))), reason);
    assert_eq!(built(&one(wild.clone(), &on(V7_0))), wild);
    let falling = doc! { "key": { "$**": -1 }, "name": "$**_-1" };
    let sanitized = one(falling.clone(), &on(V6_0));
    assert_eq!(built(&sanitized), doc! { "key": { "$**": 1 }, "name": "$**_-1" });
    assert_eq!(repairs(&sanitized), [(RepairKind::KeyValue, "key.$**")]);
    let in_words = one(doc! { "key": { "$**": "desc" }, "name": "w" }, &PERSON);
    assert_eq!(built(&in_words), doc! { "key": { "$**": 1 }, "name": "w" });
    assert_eq!(built(&one(falling.clone(), &on(V7_0))), falling);
}

/// Servers since 2.6 write the version down. What has none is of a 2.4 server; made anew without one it would be of
/// the target's newest.
#[test]
fn a_special_index_without_a_version_stays_of_the_first_unless_a_person_wrote_it() {
    for (kind, option) in [("2dsphere", "2dsphereIndexVersion"), ("text", "textIndexVersion")] {
        let spec = doc! { "v": 1, "key": { "a": kind }, "name": "n" };
        let sanitized = one(spec.clone(), &CONTEXT);
        assert_eq!(built(&sanitized).get(option), Some(&bson!(1)));
        assert_eq!((repairs(&sanitized), sanitized.is_bad()), (vec![(RepairKind::Explicit, option)], false));
        assert_eq!(built(&one(spec.clone(), &PERSON)), spec);
        for version in 1..=3 {
            let mut spec = spec.clone();
            spec.insert(option, version);
            let sanitized = one(spec.clone(), &CONTEXT);
            assert_eq!((built(&sanitized), repairs(&sanitized)), (spec, vec![]));
        }
    }
}

#[test]
fn versions_of_indexes_that_servers_build_stay() {
    for v in [bson!(1), bson!(2), bson!(1.0), bson!(2_i64)] {
        assert_option("v", v.clone(), Some(v), None, &CONTEXT);
    }
}

#[test]
fn what_version_1_cannot_be_is_of_version_2() {
    let wild = one(doc! { "v": 1, "key": { "$**": 1 }, "name": "w" }, &CONTEXT);
    assert_eq!((built(&wild).get("v"), repairs(&wild)), (None, vec![(RepairKind::Type, "v")]));
    let french = doc! { "locale": "fr" };
    let sanitized = one(doc! { "v": 1, "key": { "a": 1 }, "name": "n", "collation": french.clone() }, &CONTEXT);
    assert_eq!(built(&sanitized), doc! { "key": { "a": 1 }, "name": "n", "collation": french });
    // As servers of 9.0 list it.
    let simple = one(doc! { "v": 1, "key": { "a": 1 }, "name": "n", "collation": { "locale": "simple" } }, &CONTEXT);
    assert_eq!(built(&simple), doc! { "v": 1, "key": { "a": 1 }, "name": "n" });
    assert!(!simple.is_bad());
}

#[test]
fn an_index_that_is_unique_need_not_become_so() {
    let spec = doc! { "key": { "a": 1 }, "name": "n", "unique": true, "prepareUnique": true };
    let sanitized = one(spec, &CONTEXT);
    assert_eq!(built(&sanitized), doc! { "key": { "a": 1 }, "name": "n", "unique": true });
    assert_eq!((repairs(&sanitized), sanitized.is_bad()), (vec![(RepairKind::Outdated, "prepareUnique")], false));
}
