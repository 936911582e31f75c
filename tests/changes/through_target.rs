//! Events that go through the target, over everything that the target does to them.

use std::time::Duration;

use bson::{Document, doc};
use tokio_util::sync::CancellationToken;
use transload::{
    changes::capture::Scope,
    error::{Error, ErrorKind},
    sandbox::{Release, ReplicaSet},
};

use super::{
    moving::{Capture, Move},
    workload::{Allowed, Catalog, Workload},
};
use crate::{
    copy::Side,
    servers::{faulty, own, shared, three_members},
};

const STILL: Allowed = Allowed { odd_names: true, catalog: Catalog::Still, extremes: false };

/// Copies while an application writes and `disturb` does something to the target, and compares.
async fn move_through(moved: &Move<'_>, workload: &mut Workload, disturb: impl AsyncFnOnce()) {
    let capture = moved.capture().await;
    moved.copy().await;
    workload.steps(100).await;
    disturb().await;
    workload.steps(200).await;
    arrive(moved, capture).await;
}

async fn arrive(moved: &Move<'_>, capture: Capture) {
    let end = moved.now().await;
    let replayed = async {
        let report = moved.replay(Some(end), CancellationToken::new()).await;
        capture.stop().await;
        report.unwrap()
    };
    // A capture that has failed must not be waited for.
    let report = tokio::time::timeout(Duration::from_secs(60), replayed).await.expect("the events come");
    assert!(report.is_whole() && report.reached_end, "{report:?}");
    moved.assert_equal().await;
}

async fn application(source: &Side<'_>, seed: u64) -> Workload {
    Workload::begin(source.set.client().await.unwrap(), source.database, seed, STILL).await
}

/// A move of an application's database through a target that has no events yet.
async fn through<'a>(set: &'a ReplicaSet, name: &'a str, copy: &'a str, seed: u64) -> (Move<'a>, Workload) {
    let source = Side::new(shared(Release::V5_0_4).await, name);
    let workload = application(&source, seed).await;
    let moved = Move { through_target: true, ..Move::new(source, Side::new(set, copy)) };
    Side::new(set, &moved.database_of_events()).run(doc! { "dropDatabase": 1 }).await;
    (moved, workload)
}

#[tokio::test]
async fn events_survive_a_target_that_fails_and_forgets() {
    let (_turn, set) = faulty().await;
    let (moved, mut workload) = through(set, "through_faults", "through_faults_copy", 51).await;
    let database = moved.database_of_events();
    let events = Side::new(set, &database);
    let capture = moved.capture().await;
    moved.copy().await;
    for fault in [
        doc! { "closeConnection": true },
        doc! { "errorCode": 10107 },
        doc! { "writeConcernError": { "code": 91, "errmsg": "shutdown" } },
    ] {
        events.fail(&["insert", "update", "delete", "find"], doc! { "activationProbability": 0.3 }, fault).await;
        workload.steps(80).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        events.fail_no_more().await;
    }
    arrive(&moved, capture).await;
}

#[tokio::test]
async fn events_survive_an_election_at_the_target() {
    let set = three_members().await;
    let (moved, mut workload) = through(&set, "through_steps", "through_steps_copy", 52).await;
    move_through(&moved, &mut workload, async || set.step_down().await.unwrap()).await;
}

/// The target's disk is full, and then it is not: the capture waits.
#[tokio::test]
async fn events_wait_for_room_at_the_target() {
    let (_turn, set) = faulty().await;
    let (moved, mut workload) = through(set, "through_full", "through_full_copy", 53).await;
    let database = moved.database_of_events();
    let events = Side::new(set, &database);
    let capture = moved.capture().await;
    moved.copy().await;
    events.fail(&["insert"], doc! { "times": 1000 }, doc! { "errorCode": 14031 }).await;
    workload.steps(100).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    events.fail_no_more().await;
    arrive(&moved, capture).await;
}

/// A target that takes no writes of this user ends the capture, which goes on where it was when it may write again.
#[tokio::test]
async fn a_target_that_takes_no_events_ends_the_capture_and_costs_nothing() {
    let (_turn, set) = faulty().await;
    let (moved, mut workload) = through(set, "through_refused", "through_refused_copy", 54).await;
    let database = moved.database_of_events();
    let events = Side::new(set, &database);
    let capture = moved.capture().await;
    moved.copy().await;
    events.fail(&["insert"], doc! { "times": 1000 }, doc! { "errorCode": 13 }).await;
    workload.steps(100).await;
    let error: Error = capture.end().await.unwrap_err();
    events.fail_no_more().await;
    assert_eq!(error.kind(), ErrorKind::Authorization, "{error}");
    arrive(&moved, moved.capture().await).await;
}

/// One stream for each collection, all of them in one `_cdc`, in the database of the copy itself.
#[tokio::test]
async fn several_streams_share_the_database_of_the_copy() {
    let set = own(Release::V6_0_5).await;
    let source = Side::new(shared(Release::V5_0_4).await, "through_one");
    let mut workload = application(&source, 55).await;
    let moved = Move {
        through_target: true,
        in_copy: true,
        scope: Some(Scope::Collection),
        ..Move::new(source, Side::new(&set, "through_one_copy"))
    };
    move_through(&moved, &mut workload, async || ()).await;
    let positions = moved.target.open().await.collection::<Document>("_cdc_positions");
    assert!(positions.distinct("_id.stream", doc! {}).await.unwrap().len() > 3);
}
