//! Everything that a database can hold, from one server to another: equal by the servers' own hashes, and by `verify`.

use bson::{Binary, Bson, Document, Timestamp, doc, oid::ObjectId, spec::BinarySubtype};
use mongodb::options::GridFsBucketOptions;
use transload::sandbox::Release;

use crate::{
    copy::{Archive, Side, assert_equal, assert_whole},
    odd_documents::{deep, document, every_type, ids, largest, numbered, odd_names},
    servers::shared,
    verify::equal,
};

/// Files in chunks, as GridFS has them.
async fn files(side: &Side<'_>) {
    let options = GridFsBucketOptions::builder().chunk_size_bytes(10_000).build();
    let bucket = side.open().await.gridfs_bucket(options);
    for number in 0..5_u8 {
        let mut upload = bucket.open_upload_stream(format!("file {number}")).await.unwrap();
        futures_util::AsyncWriteExt::write_all(&mut upload, &vec![number; 35_000]).await.unwrap();
        futures_util::AsyncWriteExt::close(&mut upload).await.unwrap();
    }
}

/// A document whose field names alone take more than 64 KiB.
fn long_names(id: i32) -> Vec<u8> {
    numbered(id, |fields| {
        for n in 0..100 {
            fields.int32(format!("{n}{}", "name".repeat(250)), n);
        }
        fields.int32("x".repeat(70_000), 1);
    })
}

/// What all releases can hold.
async fn animals(side: &Side<'_>, release: Release) {
    side.run(doc! { "dropDatabase": 1 }).await;
    let identified: Vec<Vec<u8>> = ids().iter().map(|id| document(id, |_| {})).collect();
    side.insert("types", &every_type()).await;
    side.insert("ids", &identified).await;
    side.insert("large", &[largest(1), largest(2)]).await;
    side.insert("deep", &[deep(1, 100)]).await;
    side.insert("long names", &[long_names(1), long_names(2)]).await;
    let empty =
        doc! { "_id": 1, "t": Timestamp { time: 0, increment: 0 }, "in": { "t": Timestamp { time: 0, increment: 0 } } };
    side.run(doc! { "insert": "timestamps", "documents": [{ "_id": 1 }] }).await;
    let stages =
        vec![doc! { "$set": { "t": Timestamp { time: 0, increment: 0 }, "u": Timestamp { time: 0, increment: 0 } } }];
    side.run(doc! { "update": "timestamps", "updates": [{ "q": { "_id": 1 }, "u": stages }] }).await;
    side.run(doc! { "insert": "timestamps nested", "documents": [{ "_id": 2, "in": empty }] }).await;
    for create in [
        doc! { "create": "empty" },
        doc! { "create": "capped", "capped": true, "size": 100_000, "max": 20 },
        doc! { "create": "collated", "collation": { "locale": "de", "strength": 1, "numericOrdering": true } },
        doc! {
            "create": "valid", "validationLevel": "moderate", "validationAction": "warn",
            "validator": { "$jsonSchema": { "required": ["z", "a"], "properties": { "z": { "bsonType": "int" }, "a": { "minimum": 1 } } } },
        },
        doc! { "create": "engine", "storageEngine": { "wiredTiger": { "configString": "block_compressor=zlib" } } },
        doc! { "create": "defaults", "indexOptionDefaults": { "storageEngine": { "wiredTiger": { "configString": "prefix_compression=false" } } } },
        doc! { "create": "view", "viewOn": "another view", "pipeline": [{ "$match": { "z": 1, "a": 2 } }, { "$project": { "z": 1, "a": 1 } }] },
        doc! { "create": "another view", "viewOn": "valid", "pipeline": [] },
    ] {
        side.run(create).await;
    }
    side.insert("capped", &(0..50).map(|id| numbered(id * 7 % 50, |_| {})).collect::<Vec<_>>()).await;
    side.run(
        doc! { "insert": "valid", "bypassDocumentValidation": true, "documents": [{ "_id": 1, "a": "none of it" }] },
    )
    .await;
    let words: Vec<Vec<u8>> = (0..100)
        .map(|n| doc! { "_id": format!("Wört {n}") })
        .map(|word| bson::serialize_to_vec(&word).unwrap())
        .collect();
    side.insert("collated", &words).await;
    let unique = doc! { "key": { "n": 1, "a": -1 }, "name": "n_a", "unique": true, "partialFilterExpression": { "n": { "$gt": 1 } } };
    let ttl = doc! { "key": { "at": 1 }, "name": "at", "expireAfterSeconds": 1_000_000_000 };
    side.run(doc! { "createIndexes": "valid", "indexes": [unique, ttl, { "key": { "$**": 1 }, "name": "wild" }] })
        .await;
    let name = "🦀 /%.\n".repeat(8);
    side.run(doc! { "insert": &name, "documents": [{ "_id": ObjectId::new() }] }).await;
    side.run(doc! { "insert": "l".repeat(if release == Release::V4_2_6 { 90 } else { 210 }), "documents": [{ "_id": Bson::Null }] }).await;
    side.run(doc! { "insert": "system.js", "documents": [{ "_id": "f", "value": Bson::JavaScriptCode("function () {}".to_owned()) }] }).await;
    files(side).await;
}

/// What came with 5.0.
async fn newer_animals(side: &Side<'_>) {
    side.insert("names", &odd_names()).await;
    // The buckets' name is as long as a name may be.
    let series = "s".repeat(255 - "system.buckets.".len() - side.database.len() - 1);
    for name in ["weather", &series] {
        side.run(doc! { "create": name, "timeseries": { "timeField": "t", "metaField": "m" }, "expireAfterSeconds": 1_000_000_000 }).await;
        let now = bson::DateTime::now().timestamp_millis();
        let measured =
            (0..300_i64).map(|n| doc! { "t": bson::DateTime::from_millis(now + n * 1000), "m": n % 3, "v": n });
        side.open().await.collection::<Document>(name).insert_many(measured).await.unwrap();
    }
}

/// What came with 6.0.
async fn newest_animals(side: &Side<'_>) {
    let secret = Binary { subtype: BinarySubtype::Uuid, bytes: vec![1; 16] };
    for create in [
        doc! { "create": "clustered", "clusteredIndex": { "key": { "_id": 1 }, "unique": true, "name": "mine" }, "expireAfterSeconds": 1_000_000_000 },
        doc! { "create": "images", "changeStreamPreAndPostImages": { "enabled": true } },
        doc! { "create": "encrypted", "encryptedFields": { "fields": [{ "path": "secret", "bsonType": "string", "keyId": secret }] } },
    ] {
        side.run(create).await;
    }
    side.insert("clustered", &(0..500).map(|id| numbered(id * 7 % 500, |_| {})).collect::<Vec<_>>()).await;
}

/// The zoo of a release moves to another one, and is the same there.
async fn moves(from: Release, to: Release, database: &str) {
    let (source, target) = (Side::new(shared(from).await, database), Side::new(shared(to).await, database));
    let copied = format!("{database}_copy");
    let target = Side { database: &copied, ..target };
    animals(&source, from).await;
    if from >= Release::V5_0_4 {
        newer_animals(&source).await;
    }
    if from >= Release::V6_0_5 {
        newest_animals(&source).await;
    }
    moved(&source, &target).await;
    if from == to {
        assert_equal(&source, &target).await;
    }
}

/// Copies a database between servers that may list options and specs in another way, so that they are held against each
/// other by what they say.
async fn moved(source: &Side<'_>, target: &Side<'_>) {
    let archive = Archive::new();
    archive.dump(source).await.unwrap();
    assert_whole(&archive.restore(target).await.unwrap());
    assert_eq!(target.state().await.hashes, source.state().await.hashes);
    equal(source, target).await;
}

#[tokio::test]
async fn the_zoo_of_4_2_moves_to_6_0() {
    moves(Release::V4_2_6, Release::V6_0_5, "zoo_4_2").await;
}

#[tokio::test]
async fn the_zoo_of_5_0_moves_to_6_0() {
    moves(Release::V5_0_4, Release::V6_0_5, "zoo_5_0").await;
}

#[tokio::test]
async fn the_zoo_of_6_0_moves_to_6_0() {
    moves(Release::V6_0_5, Release::V6_0_5, "zoo_6_0").await;
    moves(Release::V6_0_5, Release::V6_0_27, "zoo_6_0").await;
}

#[tokio::test]
async fn buckets_of_several_types_that_only_5_0_makes_move_too() {
    for to in [Release::V5_0_4, Release::V6_0_5, Release::V6_0_27] {
        let source = Side::new(shared(Release::V5_0_4).await, "zoo_mixed");
        let copied = format!("zoo_mixed_{}", to as usize);
        let target = Side::new(shared(to).await, &copied);
        source.run(doc! { "dropDatabase": 1 }).await;
        source.run(doc! { "create": "mixed", "timeseries": { "timeField": "t", "metaField": "m" } }).await;
        let now = bson::DateTime::now();
        let values = [Bson::Int32(1), "text".into(), Bson::Array(vec![1.into()]), Bson::Document(doc! { "a": 1 })];
        let measured = values.into_iter().map(|v| doc! { "t": now, "m": 1, "v": v }).collect::<Vec<_>>();
        source.open().await.collection::<Document>("mixed").insert_many(measured).await.unwrap();
        assert_eq!(source.documents("system.buckets.mixed").await.len(), 1, "all of them in one bucket");
        moved(&source, &target).await;
        // The server must not take its index for granted that knows one type alone.
        let found = doc! { "find": "mixed", "filter": { "v": "text" } };
        assert!(target.run(found).await.to_string().contains("\"v\": \"text\""));
    }
}
