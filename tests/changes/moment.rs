//! An archive and a log are any moment that the log covers, without any access to the source.

use std::time::Duration;

use bson::{Document, doc};
use mongodb::Collection;
use tokio_util::sync::CancellationToken;
use transload::{changes::replay::ReplayOptions, error::ErrorKind, sandbox::Release};

use super::{
    moving::Move,
    workload::{Allowed, Catalog, Workload},
};
use crate::{copy::Side, servers::shared};

#[tokio::test]
async fn an_archive_and_a_log_give_back_a_moment_without_the_source() {
    let source = Side::new(shared(Release::V6_0_5).await, "moments");
    let target = Side::new(shared(Release::V6_0_5).await, "moments_copy");
    let allowed = Allowed { odd_names: false, catalog: Catalog::Expanded, extremes: false };
    let client = source.set.client().await.unwrap();
    let mut workload = Workload::begin(client, source.database, 11, allowed).await;
    let moved = Move::new(source, target);
    let capture = moved.capture().await;
    let ((), ()) = tokio::join!(workload.steps(200), moved.copy());
    let mut moments = Vec::new();
    for _ in 0..3 {
        workload.steps(150).await;
        moments.push((moved.now().await, moved.source.state().await));
    }
    workload.steps(100).await;
    // Everything is recorded once the capture has come to the end.
    moved.recorded_now().await;
    capture.stop().await;
    for (time, state) in moments {
        let options = ReplayOptions { follow: false, keep_log: true, ..moved.options(Some(time)) };
        let report = moved.replay_as(options, false, CancellationToken::new()).await.unwrap();
        assert!(report.reached_end && report.is_whole(), "{report:?}");
        let copy = moved.target.state().await;
        assert_eq!(copy.hashes, state.hashes);
    }
    // Beyond the end of the log nothing is known: what is there is applied, and it is said that this is not all.
    let options = ReplayOptions { follow: false, ..moved.options(Some(u64::MAX)) };
    let report = moved.replay_as(options, false, CancellationToken::new()).await.unwrap();
    assert!(!report.reached_end && !report.is_whole(), "{report:?}");
    assert_eq!(moved.target.state().await.hashes, moved.source.state().await.hashes);
}

/// Documents that are changed while they are read: more of them than there are in one batch.
const READ_AND_CHANGED: i32 = 6000;

/// Changes all documents over and over, in every way that tells values alone, until it is stopped.
async fn change_all(documents: Collection<Document>, stop: CancellationToken) {
    for round in 0.. {
        for chunk in 0..20 {
            if stop.is_cancelled() {
                return;
            }
            let these = doc! { "_id": { "$mod": [20, chunk] } };
            let change = match (round + chunk) % 6 {
                0 => doc! { "$inc": { "n": 1 }, "$set": { format!("new_{round}"): round } },
                1 => doc! { "$push": { "list": round } },
                2 => doc! { "$set": { "in.n": round, "in.new": { "n": round } } },
                3 => doc! { "$pop": { "list": -1 }, "$unset": { format!("gone_{}", round % 5): 1 } },
                4 => doc! { "$rename": { "old": "renamed" }, "$mul": { "n": 3_i64 } },
                _ => doc! { "$set": { "in": { "round": round } } },
            };
            documents.update_many(these, change).await.unwrap();
            let id = READ_AND_CHANGED + round * 20 + chunk;
            documents.insert_one(doc! { "_id": id, "n": 0_i64 }).await.unwrap();
            documents.delete_one(doc! { "_id": round * 20 + chunk }).await.unwrap();
        }
    }
}

#[tokio::test]
async fn documents_that_changed_while_an_old_server_was_read_need_no_source() {
    let source = Side::new(shared(Release::V4_2_6).await, "changed");
    let target = Side::new(shared(Release::V6_0_5).await, "changed_copy");
    source.run(doc! { "dropDatabase": 1 }).await;
    let documents = source.open().await.collection::<Document>("documents");
    let first =
        |id| doc! { "_id": id, "n": 0_i64, "gone_0": 1, "gone_3": 2, "old": "x".repeat(2000), "list": [1, 2, 3] };
    documents.insert_many((0..READ_AND_CHANGED).map(first)).await.unwrap();
    let moved = Move::new(source, target);
    let capture = moved.capture().await;
    let before = moved.now().await;
    let stop = CancellationToken::new();
    let changing = tokio::spawn(change_all(documents, stop.clone()));
    tokio::time::sleep(Duration::from_millis(200)).await;
    moved.copy().await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    stop.cancel();
    changing.await.unwrap();
    moved.recorded_now().await;
    capture.stop().await;
    // No moment before the copy was whole can be had from it.
    let early = ReplayOptions { follow: false, ..moved.options(Some(before)) };
    let refused = moved.replay_as(early, false, CancellationToken::new()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Usage, "{refused}");
    let options = ReplayOptions { follow: false, ..moved.options(None) };
    let report = moved.replay_as(options, false, CancellationToken::new()).await.unwrap();
    assert!(report.is_whole() && report.reached_end, "{report:?}");
    moved.assert_equal().await;
}

/// A barrier behind the moment that is wanted must not let the lanes go on behind it, past what they have left undone.
#[tokio::test]
async fn regression_what_stands_between_a_moment_and_a_rename_is_not_lost() {
    let set = shared(Release::V6_0_5).await;
    let (source, target) = (Side::new(set, "before_renames"), Side::new(set, "before_renames_copy"));
    source.run(doc! { "dropDatabase": 1 }).await;
    source.run(doc! { "insert": "counts", "documents": [{ "_id": 1, "list": [] }, { "_id": 2, "list": [] }] }).await;
    source.run(doc! { "insert": "name_0", "documents": [{ "_id": 1 }] }).await;
    let moved = Move::new(source, target);
    let capture = moved.capture().await;
    moved.copy().await;
    let admin = set.client().await.unwrap().database("admin");
    let mut times = Vec::new();
    for round in 0..4 {
        for step in 0..6 {
            let push = doc! { "q": { "_id": 1 + step % 2 }, "u": { "$push": { "list": round * 10 + step } } };
            let reply = moved.source.run(doc! { "update": "counts", "updates": [push] }).await;
            let time = reply.get_timestamp("operationTime").unwrap();
            times.push(u64::from(time.time) << 32 | u64::from(time.increment));
        }
        let name = |number: i32| format!("before_renames.name_{number}");
        let rename = doc! { "renameCollection": name(round), "to": name(round + 1) };
        admin.run_command(rename).await.unwrap();
    }
    moved.recorded_now().await;
    capture.stop().await;
    for time in times {
        let options = ReplayOptions { follow: false, keep_log: true, ..moved.options(Some(time)) };
        let report = moved.replay_as(options, false, CancellationToken::new()).await.unwrap();
        assert!(report.reached_end && report.is_whole(), "{report:?}");
    }
    let options = ReplayOptions { follow: false, ..moved.options(None) };
    moved.replay_as(options, false, CancellationToken::new()).await.unwrap();
    moved.assert_equal().await;
}
