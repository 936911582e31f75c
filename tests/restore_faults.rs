//! Restores that are interrupted by everything a target does, and end exact all the same.

use std::time::Duration;

use bson::{Document, doc};
use transload::{
    error::{ErrorKind, Result},
    report::RestoreReport,
    sandbox::{Release, ReplicaSet},
};

use crate::{
    copy::{Archive, Side, assert_equal, assert_whole},
    odd_documents::{document, every_type, ids, numbered, odd_names},
    servers::{own, shared, three_members},
};

/// An archive of some replies' worth of documents, of every `_id`, and of a capped collection whose order is no
/// `_id`'s.
async fn archive(database: &str) -> (Side<'_>, Archive) {
    let source = Side::new(shared(Release::V6_0_5).await, database);
    let text = "x".repeat(10_000);
    let many = (0..800).map(|id| {
        numbered(id, |doc| {
            doc.string("text", &text);
        })
    });
    source.insert("many", &many.collect::<Vec<_>>()).await;
    source.insert("ids", &ids().iter().map(|id| document(id, |_| {})).collect::<Vec<_>>()).await;
    source.insert("types", &every_type()).await;
    source.insert("names", &odd_names()).await;
    source.run(doc! { "create": "capped", "capped": true, "size": 10 << 20 }).await;
    let text = "x".repeat(1000);
    let capped = (0..3000_i32).map(|id| {
        numbered(id.wrapping_mul(7919) % 3000, |doc| {
            doc.string("text", &text);
        })
    });
    source.insert("capped", &capped.collect::<Vec<_>>()).await;
    source.run(doc! { "createIndexes": "many", "indexes": [{ "key": { "text": 1 }, "name": "text_1" }] }).await;
    let archive = Archive::new();
    archive.dump(&source).await.unwrap();
    (source, archive)
}

/// The copy is exact, and nothing of it was doubled, refused or in another order.
async fn assert_exact(restored: Result<RestoreReport>, source: &Side<'_>, target: &Side<'_>) -> RestoreReport {
    let restored = restored.unwrap();
    assert_whole(&restored);
    assert_eq!(restored.inserted, restored.documents);
    assert_equal(source, target).await;
    assert!(source.documents("capped").await == target.documents("capped").await, "the order differs");
    restored
}

#[tokio::test]
async fn a_lost_reply_to_an_insert_loses_and_doubles_nothing() {
    let (source, archive) = archive("lost_reply").await;
    let set = own(Release::V6_0_5).await;
    let target = Side::new(&set, "lost_reply");
    for data in [
        // Before the insert.
        doc! { "closeConnection": true },
        doc! { "errorCode": 189 },
        doc! { "errorCode": 11600 },
        // After it: it was carried out, and the reply does not say so.
        doc! { "writeConcernError": { "code": 91, "errmsg": "shutdown" } },
        doc! { "writeConcernError": { "code": 11602, "errmsg": "stepped down" } },
    ] {
        // The first commands, then some of all.
        for mode in [doc! { "times": 4 }, doc! { "activationProbability": 0.3 }] {
            target.run(doc! { "dropDatabase": 1 }).await;
            target.fail(&["insert"], mode.clone(), data.clone()).await;
            let restored = archive.restore(&target).await;
            target.fail_no_more().await;
            let restored = assert_exact(restored, &source, &target).await;
            assert!(restored.retries > 0 || !mode.contains_key("times"), "{data}");
        }
    }
}

#[tokio::test]
async fn regression_a_capped_collection_survives_a_lost_reply() {
    let source = Side::new(shared(Release::V6_0_5).await, "capped_lost_reply");
    source.run(doc! { "create": "capped", "capped": true, "size": 10 << 20 }).await;
    source.insert("capped", &(0..500).map(|id| numbered(500 - id, |_| {})).collect::<Vec<_>>()).await;
    let archive = Archive::new();
    archive.dump(&source).await.unwrap();
    let set = own(Release::V6_0_5).await;
    let target = Side::new(&set, "capped_lost_reply");
    let error = doc! { "writeConcernError": { "code": 91, "errmsg": "shutdown" } };
    target.fail(&["insert"], doc! { "times": 1 }, error).await;
    assert_exact(archive.restore(&target).await, &source, &target).await;
}

#[tokio::test]
async fn regression_empty_timestamps_survive_a_lost_reply() {
    let source = Side::new(shared(Release::V6_0_27).await, "times_lost_reply");
    let times = (0..50).map(|id| {
        numbered(id, |doc| {
            doc.append_element(transload::document::kind::TIMESTAMP, "t", &[0; 8]);
        })
    });
    source.insert_literally("times", &times.collect::<Vec<_>>()).await;
    let archive = Archive::new();
    archive.dump(&source).await.unwrap();
    let set = own(Release::V6_0_5).await;
    let target = Side::new(&set, "times_lost_reply");
    let error = doc! { "writeConcernError": { "code": 91, "errmsg": "shutdown" } };
    target.fail(&["insert", "update"], doc! { "times": 3 }, error).await;
    let restored = archive.restore(&target).await.unwrap();
    assert_whole(&restored);
    assert!(restored.retries >= 3);
    assert_equal(&source, &target).await;
}

#[tokio::test]
async fn every_other_command_of_a_restore_is_tried_again() {
    let (source, archive) = archive("other_commands").await;
    let set = own(Release::V6_0_5).await;
    let target = Side::new(&set, "other_commands");
    for command in ["create", "createIndexes", "drop", "listCollections"] {
        for data in [
            doc! { "closeConnection": true },
            doc! { "errorCode": 189 },
            doc! { "writeConcernError": { "code": 91, "errmsg": "shutdown" } },
        ] {
            if command == "listCollections" && data.contains_key("writeConcernError") {
                continue;
            }
            target.fail(&[command], doc! { "times": 2 }, data.clone()).await;
            let mut options = archive.restore_options(&target);
            options.existing = transload::restore::Existing::Drop;
            let restored = archive.restore_as(&target, options).await;
            target.fail_no_more().await;
            let restored = assert_exact(restored, &source, &target).await;
            assert!(restored.retries > 0, "{command} {data}");
        }
    }
}

#[tokio::test]
async fn a_slow_target_is_waited_for() {
    let (source, archive) = archive("slow_target").await;
    let set = own(Release::V6_0_5).await;
    let target = Side::new(&set, "slow_target");
    target.fail(&["insert"], doc! { "times": 4 }, doc! { "blockConnection": true, "blockTimeMS": 700 }).await;
    assert_exact(archive.restore(&target).await, &source, &target).await;
}

#[tokio::test]
async fn an_error_that_stays_ends_the_restore() {
    let (_, archive) = archive("stays_broken").await;
    let set = own(Release::V6_0_5).await;
    let target = Side::new(&set, "stays_broken");
    target.fail(&["insert"], doc! { "skip": 2 }, doc! { "errorCode": 2 }).await;
    let error = archive.restore(&target).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Server, "{error:?}");
}

/// Slows inserts down, and waits until some have been made.
async fn in_the_middle(target: &Side<'_>) {
    let count = async || target.run(doc! { "count": "many" }).await.get_i32("n").unwrap_or(0);
    while count().await == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn slow_inserts(target: &Side<'_>) {
    let block: Document = doc! { "blockConnection": true, "blockTimeMS": 300 };
    target.fail(&["insert"], doc! { "times": 1000 }, block).await;
}

async fn disturbed(set: &ReplicaSet, source: &Side<'_>, archive: &Archive, kill: bool) {
    let target = Side::new(set, source.database);
    target.run(doc! { "dropDatabase": 1 }).await;
    slow_inserts(&target).await;
    let (restored, ()) = tokio::join!(archive.restore(&target), async {
        in_the_middle(&target).await;
        if kill {
            set.kill(set.primary().await.unwrap()).unwrap();
        } else {
            set.step_down().await.unwrap();
        }
    });
    let restored = assert_exact(restored, source, &target).await;
    assert!(restored.retries > 0);
}

#[tokio::test]
async fn a_restore_goes_on_after_its_only_member_stepped_down() {
    let (source, archive) = archive("target_stepped_down").await;
    let set = own(Release::V6_0_5).await;
    disturbed(&set, &source, &archive, false).await;
}

#[tokio::test]
async fn a_restore_goes_on_with_another_primary_when_one_steps_down_or_dies() {
    let (source, archive) = archive("target_primary").await;
    let set = three_members().await;
    disturbed(&set, &source, &archive, false).await;
    disturbed(&set, &source, &archive, true).await;
}
