//! What is large, short-lived, or many: documents of 15 MB and events over 16 MB, documents that expire on both sides, and
//! thousands of collections.

use bson::{Binary, DateTime, Document, doc, spec::BinarySubtype};
use tokio_util::sync::CancellationToken;
use transload::{
    changes::replay::{ReplayOptions, ReplayReport},
    sandbox::{Release, ReplicaSet, ReplicaSetOptions},
};

use super::moving::Move;
use crate::{
    copy::Side,
    eventually::eventually,
    servers::{binary, shared},
};

/// Replays all that is recorded.
async fn replay(moved: &Move<'_>, with_source: bool) -> ReplayReport {
    moved.recorded_now().await;
    let options = ReplayOptions { follow: false, ..moved.options(None) };
    let report = moved.replay_as(options, with_source, CancellationToken::new()).await.unwrap();
    assert!(report.is_whole() && report.reached_end, "{report:?}");
    report
}

/// So many bytes that do not compress.
fn noise(megabytes: usize, seed: u64) -> Binary {
    let mut state = seed;
    let mut bytes = Vec::with_capacity(megabytes << 20);
    while bytes.len() < megabytes << 20 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    Binary { subtype: BinarySubtype::Generic, bytes }
}

/// A set with a cache in which such documents find room.
async fn roomy(release: Release) -> ReplicaSet {
    let options = ReplicaSetOptions { cache_gb: 1.0, ..ReplicaSetOptions::new(binary(release).await) };
    ReplicaSet::start(&options).await.unwrap()
}

/// Documents of up to 15 MB, inserted, changed and replaced. With `full_documents` an update and its document are over 16 MB.
async fn move_large(from: &ReplicaSet, copy: &str, full_documents: bool, with_source: bool) -> ReplayReport {
    let source = Side::new(from, "large");
    source.run(doc! { "dropDatabase": 1 }).await;
    let target = Side::new(shared(Release::V6_0_5).await, copy);
    let large = source.open().await.collection::<Document>("large");
    large.insert_one(doc! { "_id": 0, "a": noise(15, 1) }).await.unwrap();
    let moved = Move { full_documents, ..Move::new(source, target) };
    let capture = moved.capture().await;
    moved.copy().await;
    for id in 1..4 {
        large.insert_one(doc! { "_id": id, "a": noise(7, 2), "b": noise(8, 3) }).await.unwrap();
    }
    large.update_one(doc! { "_id": 0 }, doc! { "$set": { "n": 1 } }).await.unwrap();
    large.update_one(doc! { "_id": 1 }, doc! { "$set": { "b": noise(8, 4), "n": 1 } }).await.unwrap();
    large.replace_one(doc! { "_id": 2 }, doc! { "c": noise(15, 5) }).await.unwrap();
    large.delete_one(doc! { "_id": 3 }).await.unwrap();
    let report = replay(&moved, with_source).await;
    capture.stop().await;
    moved.assert_equal().await;
    report
}

#[tokio::test]
async fn large_documents_arrive() {
    let report = move_large(&roomy(Release::V6_0_5).await, "large_copy", false, false).await;
    assert_eq!(report.refetched, 0, "{report:?}");
}

/// A server that does not split it, and one that does.
#[tokio::test]
async fn an_event_over_16_mb_is_fetched_or_its_document_will_do() {
    for (release, copy) in [(Release::V4_2_6, "large_4_2_copy"), (Release::V6_0_27, "large_6_0_copy")] {
        let source = roomy(release).await;
        let report = move_large(&source, copy, true, true).await;
        assert!(report.refetched > 0, "{report:?}");
        move_large(&source, copy, true, false).await;
    }
}

/// The target's own TTL monitor deletes what the source has given a longer life since.
#[tokio::test]
async fn a_document_that_expires_on_the_target_first_is_fetched() {
    let mut options = ReplicaSetOptions::new(binary(Release::V6_0_5).await);
    options.set_parameters = vec![("ttlMonitorSleepSecs".to_owned(), "1".to_owned())];
    let set = ReplicaSet::start(&options).await.unwrap();
    let (source, target) = (Side::new(&set, "expiring"), Side::new(&set, "expiring_copy"));
    let index = doc! { "key": { "at": 1 }, "name": "at_1", "expireAfterSeconds": 3 };
    source.run(doc! { "createIndexes": "items", "indexes": [index] }).await;
    let items = source.open().await.collection::<Document>("items");
    let moved = Move::new(source, target);
    let capture = moved.capture().await;
    // All of them are there until they are copied, and given a longer life.
    let soon = DateTime::from_millis(DateTime::now().timestamp_millis() + 8000);
    items.insert_many((0..40).map(|id| doc! { "_id": id, "at": soon })).await.unwrap();
    moved.copy().await;
    let later = DateTime::from_millis(DateTime::now().timestamp_millis() + 3_600_000);
    let longer = doc! { "$set": { "at": later } };
    items.update_many(doc! { "_id": { "$lt": 20 } }, longer).await.unwrap();
    let copied = moved.target.open().await.collection::<Document>("items");
    for items in [&items, &copied] {
        let gone = async || items.count_documents(doc! { "_id": { "$gte": 20 } }).await.unwrap() == 0;
        eventually("they have expired", gone).await;
    }
    assert_eq!(copied.count_documents(doc! {}).await.unwrap(), 0);
    let report = replay(&moved, true).await;
    assert_eq!(report.refetched, 20, "{report:?}");
    capture.stop().await;
    moved.assert_equal().await;
}

#[tokio::test]
async fn a_thousand_collections_are_a_thousand_lanes() {
    const COUNT: i32 = 1_000;
    let (from, to) = (shared(Release::V4_2_6).await, shared(Release::V6_0_5).await);
    let (source, target) = (Side::new(from, "many"), Side::new(to, "many_copy"));
    source.run(doc! { "dropDatabase": 1 }).await;
    target.run(doc! { "dropDatabase": 1 }).await;
    source.run(doc! { "create": "empty" }).await;
    let moved = Move::new(source, target);
    let capture = moved.capture().await;
    moved.copy().await;
    let database = moved.source.open().await;
    for number in 0..COUNT {
        let items = database.collection::<Document>(&format!("items{number}"));
        items.insert_many((0..3).map(|id| doc! { "_id": id, "n": number })).await.unwrap();
    }
    let report = replay(&moved, false).await;
    capture.stop().await;
    assert_eq!(report.events, 3 * COUNT as u64);
    moved.assert_equal().await;
    for side in [&moved.source, &moved.target] {
        side.run(doc! { "dropDatabase": 1 }).await;
    }
}
