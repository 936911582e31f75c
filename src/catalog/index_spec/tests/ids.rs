//! Indexes that look like the one on `_id`.

use bson::{Bson, bson, doc};

use super::*;

fn verdict(spec: Document) -> Verdict {
    one(spec, &CONTEXT).verdict
}

#[test]
fn the_index_on_id_comes_with_its_collection() {
    for spec in [
        doc! { "v": 2, "key": { "_id": 1 }, "name": "_id_" },
        doc! { "v": 1, "key": { "_id": 1 }, "name": "_id_", "ns": "a.b", "unique": true },
        doc! { "v": 2, "key": { "_id": 1.0 }, "name": "_id_", "background": true, "storageEngine": { "wiredTiger": {} } },
        doc! { "v": 2, "key": { "_id": 1_i64 }, "name": "_id_", "collation": { "locale": "fr" } },
    ] {
        let sanitized = one(spec, &CONTEXT);
        assert_eq!((&sanitized.verdict, sanitized.is_bad()), (&Verdict::Inherent, false), "{sanitized:?}");
    }
}

#[test]
fn what_does_not_belong_into_the_index_on_id_is_named() {
    let spec =
        doc! { "v": 1, "key": { "_id": 1 }, "name": "_id_", "safe": null, "sparse": null, "hidden": true, "ns": "a.b" };
    let sanitized = one(spec, &CONTEXT);
    let named = [(RepairKind::UnknownOption, "safe"), (RepairKind::Null, "sparse"), (RepairKind::Target, "hidden")];
    assert_eq!((&sanitized.verdict, repairs(&sanitized)), (&Verdict::Inherent, named.to_vec()));
    assert!(sanitized.is_bad());
    let clean = doc! { "v": 1, "key": { "_id": 1 }, "name": "_id_", "ns": "a.b" };
    assert_eq!(sanitized.without_removed(), bytes(clean));
    // One that is merged into it loses what it had besides, and that is said.
    let expiring = one(doc! { "key": { "_id": 1 }, "name": "ttl", "expireAfterSeconds": 5 }, &PERSON);
    assert_eq!(expiring.verdict, Verdict::Merged("_id_".to_owned()));
    assert_eq!(repairs(&expiring), [(RepairKind::Target, "expireAfterSeconds"), (RepairKind::Merged, "key")]);
}

#[test]
fn what_servers_take_for_the_index_on_id_is_merged_into_it() {
    let values = [bson!(1), bson!(-1), bson!(1.5), bson!(true), bson!(null), bson!(""), bson!(0), bson!("asc")];
    for value in values {
        let sanitized = one(doc! { "v": 2, "key": { "_id": value.clone() }, "name": "second" }, &CONTEXT);
        assert_eq!(sanitized.verdict, Verdict::Merged("_id_".to_owned()), "{value}");
        assert!(repairs(&sanitized).contains(&(RepairKind::Merged, "key")), "{value}");
        assert!(sanitized.is_bad());
    }
    assert_eq!(verdict(doc! { "key": { "_id": -1 }, "name": "_id_" }), Verdict::Merged("_id_".to_owned()));
}

#[test]
fn other_indexes_on_id_are_built() {
    for key in [doc! { "_id": "hashed" }, doc! { "_id": 5 }, doc! { "_id": 1, "a": 1 }, doc! { "_id.a": 1 }] {
        let sanitized = one(doc! { "v": 2, "key": key.clone(), "name": "n" }, &CONTEXT);
        assert_eq!((built(&sanitized).get("key"), sanitized.is_bad()), (Some(&Bson::from(key)), false));
    }
}

#[test]
fn the_name_of_the_index_on_id_is_for_it_alone() {
    let sanitized = one(doc! { "key": { "a": 1 }, "name": "_id_" }, &CONTEXT);
    assert_eq!(built(&sanitized), doc! { "key": { "a": 1 }, "name": "_id__2" });
    assert_eq!(repairs(&sanitized), [(RepairKind::Name, "name")]);
}

#[test]
fn what_a_clustered_collection_is_ordered_by_comes_with_it() {
    let clustered = doc! { "v": 2, "key": { "_id": 1 }, "name": "my own", "unique": true };
    let options = bytes(doc! { "clusteredIndex": clustered.clone() });
    let context = Context { options: &options, ..CONTEXT };
    let mut listed = clustered;
    listed.insert("clustered", true);
    let specs = [listed, doc! { "key": { "_id": 1 }, "name": "b" }, doc! { "key": { "a": 1 }, "name": "my own" }];
    let sanitized = all(&specs, &context);
    assert_eq!(sanitized[0].verdict, Verdict::Inherent);
    assert_eq!(sanitized[1].verdict, Verdict::Merged("my own".to_owned()));
    assert_eq!(built(&sanitized[2]), doc! { "key": { "a": 1 }, "name": "my own_2" });
}

/// Servers before 5.3 took it for one more unknown word.
#[test]
fn a_clustered_entry_of_a_collection_that_is_not_clustered_is_an_index_like_others() {
    let sanitized = one(doc! { "key": { "a": 1 }, "name": "n", "clustered": true }, &CONTEXT);
    assert_eq!(built(&sanitized), doc! { "key": { "a": 1 }, "name": "n" });
    assert_eq!(repairs(&sanitized), [(RepairKind::UnknownOption, "clustered")]);
    let in_vain = doc! { "key": { "a": 1 }, "name": "n", "clustered": Bson::Null };
    assert_eq!(built(&one(in_vain, &CONTEXT)), doc! { "key": { "a": 1 }, "name": "n" });
}
