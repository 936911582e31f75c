//! Captures over everything that a server does to a cursor: nothing is lost, nothing is doubled.

use std::{sync::Arc, time::Duration};

use bson::{Document, doc};
use tokio_util::sync::CancellationToken;
use transload::{
    changes::capture::{CaptureOptions, capture},
    progress::Silent,
    sandbox::Release,
};

use super::{Capture, assert_recorded, now, privileges::Warnings};
use crate::{
    copy::Side,
    eventually::eventually,
    held_reads::{HeldReads, Hold},
    servers::{own, three_members},
};

/// Writes for a few seconds, in two collections.
async fn write(side: &Side<'_>, rounds: i32) {
    let database = side.open().await;
    for round in 0..rounds {
        let name = if round % 2 == 0 { "orders" } else { "events" };
        let documents = (0..100).map(|id| doc! { "_id": round * 100 + id, "text": "x".repeat(200) });
        // An election in between is not what this is about.
        for _ in 0..100 {
            let inserted = database.collection::<Document>(name).insert_many(documents.clone()).ordered(false).await;
            match inserted {
                Err(error) if !error.to_string().contains("E11000") => {
                    tokio::time::sleep(Duration::from_millis(100)).await
                }
                _ => break,
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_capture_goes_on_over_broken_connections_and_killed_cursors() {
    let set = own(Release::V6_0_5).await;
    let side = Side::new(&set, "capture_breaks");
    let capture = Capture::new();
    let begin = capture.begin(&side).await;
    let options = CaptureOptions { duration: Some(Duration::from_secs(11)), ..capture.options(&side) };
    let disturb = async {
        for data in [
            doc! { "closeConnection": true },
            doc! { "errorCode": 43 },
            doc! { "errorCode": 11601 },
            doc! { "errorCode": 189 },
            doc! { "errorCode": 91 },
        ] {
            side.fail(&["getMore", "aggregate"], doc! { "times": 2 }, data).await;
            tokio::time::sleep(Duration::from_millis(1500)).await;
        }
        side.fail_no_more().await;
        let kill = set.client().await.unwrap().database("admin");
        kill.run_command(doc! { "killAllSessions": [] }).await.unwrap();
    };
    let (report, (), ()) = tokio::join!(capture.run(&side, options), write(&side, 150), disturb);
    let retries = report.unwrap().retries;
    assert!(retries >= 8, "{retries}");
    capture.catch_up(&side).await;
    assert_recorded(&capture, &side, begin).await;
    assert!(capture.recorded(1).lanes["capture_breaks.orders"].len() > 7000);
}

#[tokio::test]
async fn a_capture_goes_on_with_another_primary() {
    let set = three_members().await;
    let side = Side::new(&set, "capture_steps_down");
    let into = Capture::new();
    let begin = into.begin(&side).await;
    let (stop, server) = (CancellationToken::new(), side.server().await);
    let disturb = async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        let first = set.primary().await.unwrap();
        // A cursor outlives a step-down, so that it is killed as well.
        let reads = HeldReads::new(&set, side.database, 1000, Hold::For(Duration::from_millis(100))).await;
        reads.begun(1).await;
        set.step_down().await.unwrap();
        reads.release().await;
        let is_killed = async || reads.kill_cursors(side.database, "$cmd.aggregate").await > 0;
        eventually("a cursor is killed", is_killed).await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        let second = set.primary().await.unwrap();
        assert_ne!(first, second);
        set.kill(second).unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        set.restart(second).await.unwrap();
    };
    // However long the elections take.
    let disturbed = async {
        tokio::join!(write(&side, 200), disturb);
        stop.cancel();
    };
    let captured = capture(&server, into.options(&side), Arc::new(Silent), stop.clone());
    let (report, ()) = tokio::join!(captured, disturbed);
    // Where another primary is there at once, the stream is opened again without having to wait for one: no retry is counted.
    report.unwrap();
    let end = now(&side).await;
    let options = CaptureOptions { until: Some(end), ..into.options(&side) };
    into.run(&side, options).await.unwrap();
    assert_recorded(&into, &side, begin).await;
}

/// The secondaries stay, and get nothing any more: so the primary stays too, and takes writes that no majority has.
#[tokio::test]
async fn a_capture_that_stands_still_for_want_of_a_majority_says_so_and_goes_on_after_it() {
    let set = three_members().await;
    let side = Side::new(&set, "capture_stalls");
    let capture_into = Capture::new();
    let begin = capture_into.begin(&side).await;
    let primary = set.primary().await.unwrap();
    let hold = async |mode: &str| {
        for member in (0..set.members()).filter(|member| *member != primary) {
            let admin = set.member_client(member).await.unwrap().database("admin");
            admin.run_command(doc! { "configureFailPoint": "stopReplProducer", "mode": mode }).await.unwrap();
        }
    };
    let warnings = Arc::new(Warnings::default());
    let (options, stop) = (capture_into.options(&side), CancellationToken::new());
    let server = side.server().await;
    let stall = async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        hold("alwaysOn").await;
        for id in 0..45 {
            let insert = doc! { "insert": "orders", "documents": [{ "_id": id }], "writeConcern": { "w": 1 } };
            side.run(insert).await;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        hold("off").await;
        let recorded = async || capture_into.recorded(1).lanes.get("capture_stalls.orders").map_or(0, Vec::len) >= 45;
        eventually("all is recorded", recorded).await;
        stop.cancel();
    };
    let captured = capture(&server, options, Arc::clone(&warnings) as _, stop.clone());
    let (report, ()) = tokio::join!(captured, stall);
    let warnings = warnings.0.lock().unwrap().clone();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("the stream of the database capture_stalls has been standing at"), "{warnings:?}");
    assert!(report.unwrap().events >= 45);
    capture_into.catch_up(&side).await;
    assert_recorded(&capture_into, &side, begin).await;
}
