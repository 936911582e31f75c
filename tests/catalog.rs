//! What a database holds besides documents arrives too: options, views, indexes, and names of all sorts.

use bson::{Bson, doc};
use transload::sandbox::Release;

use crate::{
    copy::{Archive, Side, assert_equal, assert_whole, copy},
    odd_documents::numbered,
    servers::{own, shared},
};

#[tokio::test]
async fn every_option_of_a_collection_arrives() {
    let set = shared(Release::V6_0_5).await;
    let (source, target) = (Side::new(set, "options"), Side::new(set, "options_copy"));
    for create in [
        doc! { "create": "plain" },
        doc! { "create": "collation", "collation": { "locale": "de", "strength": 1, "numericOrdering": true } },
        doc! { "create": "capped", "capped": true, "size": 5_000_000_000_i64, "max": 1000 },
        doc! { "create": "capped_small", "capped": true, "size": 4096 },
        doc! { "create": "clustered", "clusteredIndex": { "key": { "_id": 1 }, "unique": true, "name": "my own name" } },
        doc! {
            "create": "clustered_expiring", "expireAfterSeconds": 1_000_000_000_i64,
            "clusteredIndex": { "key": { "_id": 1 }, "unique": true },
        },
        doc! { "create": "images", "changeStreamPreAndPostImages": { "enabled": true } },
        doc! {
            "create": "strict", "validationLevel": "strict", "validationAction": "error",
            "validator": { "$jsonSchema": { "required": ["x"], "properties": { "x": { "bsonType": "int" } } } },
        },
        doc! { "create": "moderate", "validationLevel": "moderate", "validationAction": "warn", "validator": { "x": { "$gt": 5 } } },
        doc! { "create": "engine", "storageEngine": { "wiredTiger": { "configString": "block_compressor=zlib" } } },
        doc! { "create": "index_defaults", "indexOptionDefaults": { "storageEngine": { "wiredTiger": { "configString": "prefix_compression=false" } } } },
        doc! {
            "create": "encrypted",
            "encryptedFields": { "fields": [{ "path": "secret", "bsonType": "string", "keyId": Bson::Binary(bson::Binary {
                subtype: bson::spec::BinarySubtype::Uuid, bytes: vec![1; 16],
            }) }] },
        },
    ] {
        source.run(create).await;
    }
    // Documents that their own validator refuses, as after collMod.
    for name in ["strict", "moderate"] {
        let insert = doc! {
            "insert": name, "bypassDocumentValidation": true, "documents": [{ "_id": 1, "x": "text" }, { "_id": 2 }, { "_id": 3, "x": 7 }],
        };
        source.run(insert).await;
    }
    for name in ["collation", "clustered", "images", "engine", "index_defaults"] {
        let documents: Vec<_> = (0..500).map(|id| numbered(id * 7 % 500, |_| {})).collect();
        source.insert(name, &documents).await;
    }
    copy(&source, &target).await;
}

#[tokio::test]
async fn a_full_capped_collection_keeps_its_order_and_its_limits() {
    for (release, database) in [(Release::V6_0_5, "capped_order"), (Release::V4_2_6, "capped_order_old")] {
        let set = shared(release).await;
        let source = Side::new(set, database);
        let target = Side::new(shared(Release::V6_0_27).await, database);
        source.run(doc! { "create": "by_size", "capped": true, "size": 100_000 }).await;
        source.run(doc! { "create": "by_max", "capped": true, "size": 10_000_000, "max": 100 }).await;
        let text = "x".repeat(100);
        let documents: Vec<_> = (0..3000_i32)
            .map(|id| {
                numbered(id.wrapping_mul(7919) % 3000, |doc| {
                    doc.string("text", &text);
                })
            })
            .collect();
        for name in ["by_size", "by_max"] {
            source.insert(name, &documents).await;
            let left = source.documents(name).await;
            assert!(left.len() < 1000, "it did not roll over");
            assert_eq!(left, documents[documents.len() - left.len()..]);
        }
        copy(&source, &target).await;
        for name in ["by_size", "by_max"] {
            assert!(source.documents(name).await == target.documents(name).await, "{name}");
        }
    }
}

#[tokio::test]
async fn time_series_arrive_bucket_by_bucket() {
    for release in [Release::V5_0_4, Release::V6_0_5] {
        let set = shared(release).await;
        let (source, target) = (Side::new(set, "series"), Side::new(set, "series_copy"));
        for create in [
            doc! { "create": "plain", "timeseries": { "timeField": "t" } },
            doc! { "create": "meta", "timeseries": { "timeField": "t", "metaField": "m", "granularity": "hours" }, "expireAfterSeconds": 1_000_000_000_i64 },
            doc! { "create": "empty", "timeseries": { "timeField": "t", "metaField": "m" } },
        ] {
            source.run(create).await;
        }
        for name in ["plain", "meta"] {
            let start = bson::DateTime::now().timestamp_millis();
            let measurements: Vec<_> = (0..5000_i64)
                .map(|n| {
                    let t = bson::DateTime::from_millis(start + n * 60_000);
                    doc! { "t": t, "m": { "sensor": n % 7 }, "x": n as f64 / 3.0, "text": format!("n {n}") }
                })
                .collect();
            source.run(doc! { "insert": name, "documents": measurements, "ordered": false }).await;
        }
        let indexes = vec![
            doc! { "key": { "m.sensor": 1, "t": -1 }, "name": "m.sensor_1_t_-1" },
            doc! { "key": { "t": 1 }, "name": "t_1", "hidden": true },
        ];
        source.run(doc! { "createIndexes": "meta", "indexes": indexes }).await;
        let (dumped, _) = copy(&source, &target).await;
        assert!(dumped.documents > 50, "{}", dumped.documents);
        let count = doc! { "aggregate": "meta", "pipeline": [{ "$count": "n" }], "cursor": {} };
        let reply = target.run(count).await.to_string();
        assert!(reply.contains("\"n\": 5000"), "{reply}");
    }
}

#[tokio::test]
async fn views_on_views_arrive_whatever_their_order() {
    let set = shared(Release::V6_0_5).await;
    let (source, target) = (Side::new(set, "views"), Side::new(set, "views_copy"));
    let collation = doc! { "locale": "fr", "strength": 2 };
    source.run(doc! { "create": "base", "collation": collation.clone() }).await;
    source.insert("base", &[numbered(1, |_| {})]).await;
    // The server lists views by name, so these names are against the order in which they need each other.
    for (name, on, pipeline) in [
        ("z1", "base", vec![doc! { "$match": { "from": "a5" } }]),
        ("m2", "z1", vec![doc! { "$lookup": { "from": "z1", "pipeline": [], "as": "other" } }]),
        ("k3", "m2", vec![doc! { "$unionWith": "z1" }]),
        ("b4", "k3", vec![doc! { "$unionWith": { "coll": "m2", "pipeline": [{ "$unionWith": "k3" }] } }]),
        (
            "a5",
            "b4",
            vec![
                doc! { "$facet": { "x": [{ "$graphLookup": { "from": "k3", "startWith": "$_id", "connectFromField": "_id", "connectToField": "_id", "as": "y" } }] } },
            ],
        ),
        ("0 on nothing", "not there", vec![]),
    ] {
        let mut create = doc! { "create": name, "viewOn": on, "pipeline": pipeline };
        if !name.starts_with('0') {
            create.insert("collation", collation.clone());
        }
        source.run(create).await;
    }
    copy(&source, &target).await;
}

#[tokio::test]
async fn collections_of_any_name_arrive_empty_or_not() {
    let set = shared(Release::V6_0_5).await;
    let (source, target) = (Side::new(set, "names"), Side::new(set, "names_copy"));
    let long = "n".repeat(230);
    for name in [
        "a.b.c",
        " ",
        "a b",
        "/",
        "x/../up",
        "%41",
        "100%",
        "🦀",
        "new\nline",
        "tab\t",
        "quote\"'`",
        "\\",
        "*",
        "?",
        "[a]",
        "é",
        "e\u{301}",
        "system",
        "systemic",
        "a.systems.b",
        "-",
        "=",
        "a=b",
        ",",
        "#",
        &long,
    ] {
        source.run(doc! { "create": name }).await;
        source
            .insert(
                name,
                &[numbered(1, |doc| {
                    doc.string("name", name);
                })],
            )
            .await;
        source.run(doc! { "create": format!("{name} empty") }).await;
    }
    source.run(doc! { "insert": "system.js", "documents": [{ "_id": "f", "value": Bson::JavaScriptCode("function () {}".to_owned()) }] }).await;
    let (dumped, _) = copy(&source, &target).await;
    assert_eq!(dumped.namespaces.len(), 53);
}

#[tokio::test]
async fn every_kind_of_index_arrives() {
    let set = shared(Release::V6_0_5).await;
    let (source, target) = (Side::new(set, "indexes"), Side::new(set, "indexes_copy"));
    source.run(doc! { "create": "all", "collation": { "locale": "sv" } }).await;
    source
        .insert(
            "all",
            &[numbered(1, |doc| {
                doc.string("t", "some text").int32("u", 1);
            })],
        )
        .await;
    let indexes = vec![
        doc! { "key": { "a": 1, "b": -1, "c.d": 1 }, "name": "compound" },
        doc! { "key": { "u": 1 }, "name": "unique", "unique": true, "sparse": true },
        doc! { "key": { "p": 1 }, "name": "partial", "partialFilterExpression": { "p": { "$gt": 5 }, "q": { "$exists": true } } },
        doc! { "key": { "ttl": 1 }, "name": "ttl", "expireAfterSeconds": 2_000_000_000 },
        doc! { "key": { "t": "text", "z": "text" }, "name": "text", "weights": { "t": 3 }, "default_language": "german", "language_override": "lang", "collation": { "locale": "simple" } },
        doc! { "key": { "h": "hashed" }, "name": "hashed" },
        doc! { "key": { "g": "2dsphere", "x": 1 }, "name": "sphere", "collation": { "locale": "simple" } },
        doc! { "key": { "g2": "2d" }, "name": "flat", "min": -500.0, "max": 500.0, "bits": 20, "collation": { "locale": "simple" } },
        doc! { "key": { "$**": 1 }, "name": "wild", "wildcardProjection": { "a": 1, "b.c": 1 } },
        doc! { "key": { "w.$**": 1 }, "name": "wild below" },
        doc! { "key": { "hid": 1 }, "name": "hidden", "hidden": true },
        doc! { "key": { "col": 1 }, "name": "collation", "collation": { "locale": "fr", "strength": 2, "backwards": true } },
        doc! { "key": { "a": 1, "b": -1, "c.d": 1 }, "name": "the same keys", "collation": { "locale": "simple" } },
        doc! { "key": { "engine": 1 }, "name": "engine", "storageEngine": { "wiredTiger": { "configString": "prefix_compression=false" } } },
        doc! { "key": { "odd": 1.5, "odd2": -7_i64 }, "name": "odd directions" },
    ];
    source.run(doc! { "createIndexes": "all", "indexes": indexes }).await;
    let (_, restored) = copy(&source, &target).await;
    assert_eq!(restored.namespaces[0].indexes_built, 15);
}

#[tokio::test]
async fn a_unique_index_that_cannot_be_built_is_named_and_costs_the_others_nothing() {
    let set = shared(Release::V6_0_5).await;
    let (source, target) = (Side::new(set, "not_unique"), Side::new(set, "not_unique_copy"));
    let with = |id: i32, u: i32| {
        numbered(id, |doc| {
            doc.int32("u", u);
        })
    };
    source.insert("items", &[with(1, 1), with(2, 2)]).await;
    let indexes =
        vec![doc! { "key": { "u": 1 }, "name": "u_1", "unique": true }, doc! { "key": { "v": 1 }, "name": "v_1" }];
    source.run(doc! { "createIndexes": "items", "indexes": indexes }).await;
    let archive = Archive::new();
    archive.dump(&source).await.unwrap();
    target.insert("items", &[with(3, 1)]).await;
    let mut options = archive.restore_options(&target);
    options.existing = transload::restore::Existing::Append;
    let restored = archive.restore_as(&target, options).await.unwrap();
    assert_eq!((restored.inserted, restored.duplicates), (2, 0));
    assert!(!restored.is_whole());
    assert_eq!(restored.failed_indexes.len(), 1, "{:?}", restored.failed_indexes);
    assert_eq!(restored.failed_indexes[0].index, "u_1");
    assert_eq!(target.state().await.indexes["items"].len(), 2);
}

#[tokio::test]
async fn regression_a_conflict_of_one_index_after_a_retry_is_not_the_success_of_all() {
    let (source, set) = (Side::new(shared(Release::V6_0_5).await, "conflict"), own(Release::V6_0_5).await);
    let target = Side::new(&set, "conflict");
    source.insert("items", &[numbered(1, |_| {})]).await;
    let index = |field: &str, name: &str| doc! { "key": { field: 1 }, "name": name };
    source.run(doc! { "createIndexes": "items", "indexes": [index("a", "a_1"), index("b", "b_1")] }).await;
    target.insert("items", &[numbered(2, |_| {})]).await;
    target.run(doc! { "createIndexes": "items", "indexes": [index("a", "another name")] }).await;
    let archive = Archive::new();
    archive.dump(&source).await.unwrap();
    let of_the_items = doc! { "closeConnection": true, "namespace": "conflict.items" };
    target.fail(&["createIndexes"], doc! { "times": 1 }, of_the_items).await;
    let mut options = archive.restore_options(&target);
    options.existing = transload::restore::Existing::Append;
    let restored = archive.restore_as(&target, options).await.unwrap();
    let failed: Vec<_> = restored.failed_indexes.iter().map(|failed| failed.index.as_str()).collect();
    assert_eq!((failed, restored.namespaces[0].indexes_built), (vec!["a_1"], 1));
    assert!(target.state().await.indexes["items"].iter().any(|spec| spec.contains("b_1")));
}

#[tokio::test]
async fn several_databases_arrive_in_one_archive() {
    let (source_set, target_set) = (own(Release::V6_0_5).await, own(Release::V6_0_5).await);
    let databases = ["several_a", "several_b"];
    for name in databases {
        Side::new(&source_set, name)
            .insert(
                "items",
                &[numbered(1, |doc| {
                    doc.string("in", name);
                })],
            )
            .await;
    }
    let connect = async |uri: String| {
        transload::connect::connect(&transload::connect::Uri::read(&uri).unwrap().0, 2).await.unwrap()
    };
    let (archive, silent) = (Archive::new(), std::sync::Arc::new(transload::progress::Silent));
    let server = connect(source_set.uri()).await;
    let cancel = tokio_util::sync::CancellationToken::new();
    let dumped = transload::dump::dump(&server, archive.options(), silent.clone(), cancel.clone()).await.unwrap();
    assert_eq!(dumped.namespaces.len(), 2);
    let mut options = archive.restore_options(&Side::new(&target_set, "several_a"));
    options.selection.rename.clear();
    let from = transload::restore::Source::File(archive.open());
    let server = connect(target_set.uri()).await;
    assert_whole(&transload::restore::restore(from, &server, options, silent, cancel).await.unwrap());
    for name in databases {
        assert_equal(&Side::new(&source_set, name), &Side::new(&target_set, name)).await;
    }
}
