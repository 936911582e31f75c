//! Replays over everything that a target and a source do to their commands: nothing is lost, and nothing that is done twice
//! shows.

use std::time::Duration;

use bson::{Document, doc};
use tokio_util::sync::CancellationToken;
use transload::{
    changes::replay::ReplayReport,
    error::ErrorKind,
    sandbox::{Release, ReplicaSet},
};

use super::{
    moving::Move,
    workload::{Allowed, Catalog, Workload},
};
use crate::{
    copy::Side,
    servers::{faulty, shared, three_members},
};

const ALLOWED: Allowed = Allowed { odd_names: true, catalog: Catalog::Expanded, extremes: false };

/// Some hundred changes of every kind in a log, and the archive of before.
async fn recorded<'a>(source: Side<'a>, target: Side<'a>, seed: u64) -> Move<'a> {
    let client = source.set.client().await.unwrap();
    let mut workload = Workload::begin(client, source.database, seed, ALLOWED).await;
    let moved = Move::new(source, target);
    let capture = moved.capture().await;
    workload.steps(50).await;
    moved.copy().await;
    workload.steps(300).await;
    moved.recorded_now().await;
    capture.stop().await;
    moved
}

/// The copy as the archive has it, and no replay that has begun.
async fn anew(moved: &Move<'_>) {
    for name in ["replay.json", "replay.journal", "dead-letters.jsonl"] {
        // It may not be there.
        let _ = std::fs::remove_file(moved.directory().join(name));
    }
    moved.target.run(doc! { "dropDatabase": 1 }).await;
    moved.archive.restore(&moved.target).await.unwrap();
}

/// Replays all of the log, from the beginning.
async fn replay(moved: &Move<'_>, with_archive: bool) -> ReplayReport {
    let mut options = moved.options(None);
    (options.follow, options.keep_log) = (false, true);
    options.archive = options.archive.filter(|_| with_archive);
    moved.replay_as(options, true, CancellationToken::new()).await.unwrap()
}

fn faults() -> [Document; 4] {
    [
        // Before the command is carried out.
        doc! { "closeConnection": true },
        doc! { "errorCode": 10107 },
        // After it: it was carried out, and the reply does not say so.
        doc! { "writeConcernError": { "code": 91, "errmsg": "shutdown" } },
        doc! { "blockConnection": true, "blockTimeMS": 100 },
    ]
}

#[tokio::test]
async fn a_write_whose_reply_is_lost_is_done_once_in_effect() {
    let (_turn, set) = faulty().await;
    let source = Side::new(shared(Release::V6_0_5).await, "replay_faults");
    let moved = recorded(source, Side::new(set, "replay_faults_copy"), 31).await;
    for fault in faults() {
        anew(&moved).await;
        moved.target.fail(&["insert", "update", "delete"], doc! { "activationProbability": 0.1 }, fault.clone()).await;
        let report = replay(&moved, true).await;
        moved.target.fail_no_more().await;
        assert_eq!(report.dead_letters, 0, "{fault}: {report:?}");
        assert!(report.retries > 0 || fault.contains_key("blockConnection"), "{fault}: {report:?}");
        moved.assert_equal().await;
    }
}

#[tokio::test]
async fn a_read_of_the_source_or_the_target_that_fails_is_done_again() {
    let (_turn, set) = faulty().await;
    let moved = recorded(Side::new(set, "replay_reads"), Side::new(set, "replay_reads_copy"), 32).await;
    let mut retries = 0;
    for fault in faults().into_iter().filter(|fault| !fault.contains_key("writeConcernError")) {
        for (side, with_archive) in [(&moved.target, true), (&moved.source, false)] {
            anew(&moved).await;
            side.fail(&["find", "getMore"], doc! { "activationProbability": 0.2 }, fault.clone()).await;
            let report = replay(&moved, with_archive).await;
            side.fail_no_more().await;
            // Which changes a capped collection has only the archive tells.
            let left = if with_archive { "" } else { "capped" };
            assert!(report.dead.iter().all(|letter| letter.namespace.collection() == left), "{fault}: {report:?}");
            retries += report.retries;
            moved.assert_equal_but(left).await;
        }
    }
    assert!(retries > 0, "nothing failed");
}

#[tokio::test]
async fn commands_about_whole_collections_are_tried_again() {
    let (_turn, set) = faulty().await;
    let source = Side::new(shared(Release::V6_0_5).await, "replay_barriers");
    let moved = recorded(source, Side::new(set, "replay_barriers_copy"), 33).await;
    let commands = ["create", "drop", "createIndexes", "dropIndexes", "collMod", "renameCollection", "listCollections"];
    for fault in faults() {
        anew(&moved).await;
        moved.target.fail(&commands, doc! { "activationProbability": 0.2 }, fault.clone()).await;
        let report = replay(&moved, true).await;
        moved.target.fail_no_more().await;
        assert!(report.barriers > 0 && report.dead_letters == 0, "{fault}: {report:?}");
        moved.assert_equal().await;
    }
}

/// An error that no attempt cures ends the replay; when it is gone, the next one goes on where that one was.
#[tokio::test]
async fn an_error_that_stays_ends_the_replay_and_costs_nothing() {
    let (_turn, set) = faulty().await;
    let source = Side::new(shared(Release::V6_0_5).await, "replay_stays");
    let moved = recorded(source, Side::new(set, "replay_stays_copy"), 34).await;
    let mut options = moved.options(None);
    options.follow = false;
    moved.target.fail(&["update"], doc! { "skip": 2 }, doc! { "errorCode": 2 }).await;
    let error = moved.replay_as(options.clone(), true, CancellationToken::new()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Server, "{error:?}");
    moved.target.fail_no_more().await;
    let report = moved.replay_as(options, true, CancellationToken::new()).await.unwrap();
    assert_eq!(report.dead_letters, 0, "{report:?}");
    moved.assert_equal().await;
}

/// Follows an application through what `disturb` does to the servers.
async fn follows_through(set: &ReplicaSet, seed: u64, name: (&str, &str), disturb: impl AsyncFnOnce()) {
    let (source, target) = (Side::new(set, name.0), Side::new(set, name.1));
    let client = source.set.client().await.unwrap();
    let mut workload = Workload::begin(client, source.database, seed, ALLOWED).await;
    let moved = Move::new(source, target);
    let capture = moved.capture().await;
    moved.copy().await;
    let cancel = CancellationToken::new();
    let stop = cancel.clone();
    let work = async {
        workload.steps(300).await;
        disturb().await;
        workload.steps(300).await;
        moved.recorded_now().await;
        stop.cancel();
    };
    let (report, ()) = tokio::join!(moved.replay(None, cancel), work);
    report.unwrap();
    let mut options = moved.options(None);
    options.follow = false;
    let report = moved.replay_as(options, true, CancellationToken::new()).await.unwrap();
    assert_eq!(report.dead_letters, 0, "{report:?}");
    capture.stop().await;
    moved.assert_equal().await;
}

/// Source and target are in one set, so that each election is one on either side.
#[tokio::test]
async fn a_replay_goes_on_when_either_side_elects_another_primary() {
    let set = three_members().await;
    let elected = async || {
        let client = set.client().await.unwrap();
        // The application's driver finds the new primary too.
        while client.database("admin").run_command(doc! { "hello": 1 }).await.is_err() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let step_down = async || {
        let before = set.primary().await.unwrap();
        set.step_down().await.unwrap();
        elected().await;
        assert_ne!(set.primary().await.unwrap(), before);
    };
    follows_through(&set, 35, ("replay_steps", "replay_steps_copy"), step_down).await;
    let kill = async || {
        let primary = set.primary().await.unwrap();
        set.kill(primary).unwrap();
        elected().await;
        set.restart(primary).await.unwrap();
    };
    follows_through(&set, 36, ("replay_dies", "replay_dies_copy"), kill).await;
}
