//! Indexes that are built before the documents come: they cost no document, and what becomes of them meanwhile is
//! made good at the end.

use bson::doc;
use transload::{
    catalog::sidecar::sidecar_path,
    sandbox::{Release, ReplicaSet},
};

use crate::{
    copy::{Archive, Side, assert_equal, assert_whole},
    odd_documents::numbered,
    servers::{own, shared},
};

/// How often the server was given a command.
async fn count(set: &ReplicaSet, command: &str) -> i64 {
    let status = Side::new(set, "admin").run(doc! { "serverStatus": 1 }).await;
    let commands = status.get_document("metrics").unwrap().get_document("commands").unwrap();
    commands.get_document(command).unwrap().get_i64("total").unwrap()
}

/// Whether a profiled collection was given indexes before documents. A build that finds them all is not profiled.
async fn came_early(side: &Side<'_>, collection: &str) -> bool {
    let built = doc! { "op": "command", "command.createIndexes": collection };
    let inserted = doc! { "op": "insert", "ns": format!("{}.{collection}", side.database) };
    let find = doc! { "find": "system.profile", "filter": { "$or": [built, inserted] }, "sort": { "$natural": 1 } };
    let found = side.run(find).await;
    let first = found.get_document("cursor").unwrap().get_array("firstBatch").unwrap()[0].as_document().unwrap();
    first.get_str("op").unwrap() == "command"
}

async fn names(side: &Side<'_>, collection: &str) -> Vec<String> {
    let listed = side.run(doc! { "listIndexes": collection }).await;
    let specs = listed.get_document("cursor").unwrap().get_array("firstBatch").unwrap();
    specs.iter().map(|spec| spec.as_document().unwrap().get_str("name").unwrap().to_owned()).collect()
}

/// Documents that no index on both `a` and `b` can hold, among others.
async fn fill(side: &Side<'_>) {
    let document = |id: i32| {
        numbered(id, |doc| {
            doc.int32("a", id).int32("b", id);
            if id % 100 == 7 {
                for name in ["x", "y"] {
                    doc.embed_array(name, |array| {
                        array.int32("0", 1);
                    });
                }
            }
        })
    };
    side.insert("orders", &(0..500).map(document).collect::<Vec<_>>()).await;
    let index = doc! { "key": { "a": 1 }, "name": "a_1" };
    side.run(doc! { "createIndexes": "orders", "indexes": [index] }).await;
}

/// Such documents, with an index, and their archive.
async fn archive(database: &str) -> (Side<'_>, Archive) {
    let source = Side::new(shared(Release::V6_0_5).await, database);
    fill(&source).await;
    let archive = Archive::new();
    archive.dump(&source).await.unwrap();
    (source, archive)
}

#[tokio::test]
async fn an_early_index_that_refuses_documents_is_the_one_that_goes() {
    for release in [Release::V4_2_6, Release::V6_0_5] {
        let source = Side::new(shared(Release::V6_0_5).await, "refused_early");
        source.run(doc! { "dropDatabase": 1 }).await;
        fill(&source).await;
        let archive = Archive::new();
        archive.dump(&source).await.unwrap();
        let path = sidecar_path(&archive.path());
        let sidecar = std::fs::read_to_string(&path).unwrap();
        let line = sidecar.lines().find(|line| line.contains("\"a_1\"")).unwrap();
        let parallel = format!("{line},\n{{ \"spec\": {{ \"key\": {{ \"x\": 1, \"y\": 1 }} }} }}");
        std::fs::write(&path, sidecar.replace(line, &parallel)).unwrap();
        let set = own(release).await;
        let target = Side::new(&set, "refused_early");
        let before = count(&set, "dropIndexes").await;
        let restored = archive.restore(&target).await.unwrap();
        assert!(!restored.is_whole(), "{release}");
        assert_eq!((restored.inserted, restored.refused, restored.duplicates), (500, 0, 0), "{release}");
        let failed: Vec<_> = restored.failed_indexes.iter().map(|failed| failed.index.as_str()).collect();
        assert_eq!(failed, ["x_1_y_1"], "{release}");
        // Once to see whether that is allowed, and once for the documents.
        assert_eq!(count(&set, "dropIndexes").await - before, 2, "{release}: they were not there early");
        assert_eq!(names(&target, "orders").await, ["_id_", "a_1"], "{release}");
        assert!(source.state().await.hashes == target.state().await.hashes, "{release}");
    }
}

#[tokio::test]
async fn an_early_index_that_is_lost_meanwhile_is_there_at_the_end() {
    let (source, archive) = archive("lost_early").await;
    let set = own(Release::V6_0_5).await;
    let target = Side::new(&set, "lost_early");
    target.fail(&["insert"], doc! { "times": 100 }, doc! { "blockConnection": true, "blockTimeMS": 1000 }).await;
    let (restored, ()) = tokio::join!(archive.restore(&target), async {
        target.failing().await;
        assert_eq!(names(&target, "orders").await, ["_id_", "a_1"]);
        target.run(doc! { "dropIndexes": "orders", "index": "a_1" }).await;
    });
    assert_whole(&restored.unwrap());
    assert_equal(&source, &target).await;
}

#[tokio::test]
async fn what_is_unique_or_deletes_is_not_there_before_the_documents() {
    let source = Side::new(shared(Release::V6_0_5).await, "late_ones");
    fill(&source).await;
    let unique = doc! { "key": { "b": 1 }, "name": "b_1", "unique": true };
    source.run(doc! { "createIndexes": "orders", "indexes": [unique] }).await;
    source.insert("sessions", &[numbered(1, |_| {})]).await;
    let expiring = doc! { "key": { "at": 1 }, "name": "at_1", "expireAfterSeconds": 3600 };
    source.run(doc! { "createIndexes": "sessions", "indexes": [expiring] }).await;
    let archive = Archive::new();
    archive.dump(&source).await.unwrap();
    let set = own(Release::V6_0_5).await;
    let target = Side::new(&set, "late_ones");
    target.fail(&["insert"], doc! { "times": 100 }, doc! { "blockConnection": true, "blockTimeMS": 1000 }).await;
    let (restored, ()) = tokio::join!(archive.restore(&target), async {
        target.failing().await;
        for collection in ["orders", "sessions"] {
            assert_eq!(names(&target, collection).await, ["_id_"]);
        }
    });
    assert_whole(&restored.unwrap());
    assert_equal(&source, &target).await;
}

#[tokio::test]
async fn what_a_validator_refuses_is_no_matter_of_indexes() {
    let source = Side::new(shared(Release::V6_0_5).await, "invalid_early");
    fill(&source).await;
    source.run(doc! { "collMod": "orders", "validator": { "a": { "$gte": 10 } } }).await;
    let archive = Archive::new();
    archive.dump(&source).await.unwrap();
    let set = own(Release::V6_0_5).await;
    let target = Side::new(&set, "invalid_early");
    // As a user who may not pass the validator by.
    target.fail(&["insert"], doc! { "times": 1 }, doc! { "errorCode": 13 }).await;
    target.run(doc! { "profile": 2 }).await;
    let before = count(&set, "dropIndexes").await;
    let restored = archive.restore(&target).await.unwrap();
    assert_eq!((restored.inserted, restored.refused, restored.failed_indexes.len()), (490, 10, 0));
    assert_eq!(count(&set, "dropIndexes").await - before, 1);
    assert!(came_early(&target, "orders").await);
    assert_eq!(names(&target, "orders").await, ["_id_", "a_1"]);
}

#[tokio::test]
async fn who_may_not_drop_indexes_gets_none_early() {
    let (source, archive) = archive("undroppable_early").await;
    let set = own(Release::V6_0_5).await;
    let target = Side::new(&set, "undroppable_early");
    target.fail(&["dropIndexes"], doc! { "times": 1 }, doc! { "errorCode": 13 }).await;
    target.run(doc! { "profile": 2 }).await;
    assert_whole(&archive.restore(&target).await.unwrap());
    assert!(!came_early(&target, "orders").await);
    assert_eq!(source.state().await.hashes["orders"], target.state().await.hashes["orders"]);
    assert_eq!(names(&target, "orders").await, ["_id_", "a_1"]);
}

#[tokio::test]
async fn large_documents_come_before_their_indexes() {
    let source = Side::new(shared(Release::V6_0_5).await, "large_early");
    let text = "x".repeat(200_000);
    let large = |id: i32| {
        numbered(id, |doc| {
            doc.string("text", &text);
        })
    };
    source.insert("orders", &(0..10).map(large).collect::<Vec<_>>()).await;
    source.run(doc! { "createIndexes": "orders", "indexes": [{ "key": { "a": 1 }, "name": "a_1" }] }).await;
    let archive = Archive::new();
    archive.dump(&source).await.unwrap();
    let set = own(Release::V6_0_5).await;
    let target = Side::new(&set, "large_early");
    target.run(doc! { "profile": 2 }).await;
    assert_whole(&archive.restore(&target).await.unwrap());
    assert!(!came_early(&target, "orders").await);
    assert_eq!(names(&target, "orders").await, ["_id_", "a_1"]);
}
