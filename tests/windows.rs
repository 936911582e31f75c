//! The cluster times that an archive has of its parts: what a replay of changes onto the copy relies on.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use bson::doc;
use transload::sandbox::Release;

use crate::{
    copy::{Archive, Side},
    servers::{faulty, shared},
};

/// Dumps in small parts while another client counts up the field `n` of every document, in the order of `_id`.
async fn dump_while_counting(side: &Side<'_>, documents: i32) -> Archive {
    let collection = side.open().await.collection::<bson::Document>("counters");
    let text = "x".repeat(500);
    let documents: Vec<_> = (0..documents).map(|id| doc! { "_id": id, "n": 0, "text": &text }).collect();
    collection.insert_many(documents).await.unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let writer = tokio::spawn({
        let (stop, collection) = (Arc::clone(&stop), collection.clone());
        async move {
            while !stop.load(Ordering::Relaxed) {
                collection.update_many(doc! {}, doc! { "$inc": { "n": 1 } }).await.unwrap();
            }
        }
    });
    let archive = Archive::new();
    let mut options = archive.options();
    options.part_bytes = 100_000;
    archive.dump_as(side, options).await.unwrap();
    stop.store(true, Ordering::Relaxed);
    writer.await.unwrap();
    archive
}

fn windows(archive: &Archive) -> Vec<(u64, u64)> {
    let file = archive.open();
    let since = file.contents().checkpoint().unwrap().cluster_time;
    let parts: Vec<_> = file.contents().namespaces()[0].parts.iter().collect();
    assert!(parts.len() > 4, "{} parts", parts.len());
    assert!(parts.iter().all(|part| since <= part.begun.low));
    parts.iter().map(|part| (part.begun.low, part.finished.unwrap().high)).collect()
}

#[tokio::test]
async fn a_part_is_of_one_cluster_time_where_the_server_can() {
    for release in [Release::V5_0_4, Release::V6_0_5] {
        let side = Side::new(shared(release).await, "windows");
        let archive = dump_while_counting(&side, 2000).await;
        assert!(windows(&archive).iter().all(|(low, high)| low == high), "{:?}", windows(&archive));
    }
}

#[tokio::test]
async fn a_part_has_the_time_before_and_after_its_read_on_older_servers() {
    let side = Side::new(shared(Release::V4_2_6).await, "windows");
    let archive = dump_while_counting(&side, 2000).await;
    assert!(windows(&archive).iter().all(|(low, high)| low < high), "{:?}", windows(&archive));
}

#[tokio::test]
async fn a_part_whose_history_is_gone_is_read_on_and_says_so() {
    let (_turn, set) = faulty().await;
    let side = Side::new(set, "windows_too_old");
    // SnapshotTooOld, once: a part that meets it twice has failed. So many documents are sampled by an aggregate.
    side.fail(&["find"], doc! { "times": 1 }, doc! { "errorCode": 239 }).await;
    let archive = dump_while_counting(&side, 21_000).await;
    side.fail_no_more().await;
    let windows = windows(&archive);
    assert!(windows.iter().any(|(low, high)| low < high), "{windows:?}");
    assert!(windows.iter().any(|(low, high)| low == high), "{windows:?}");
}
