//! Dumps that are to be of one cluster time, while money moves between two collections: it is all there, or there is no
//! archive.

mod catalog;
pub(crate) mod mover;

use std::time::Duration;

use bson::doc;
use transload::{
    dump::DumpOptions, error::ErrorKind, inspect::inspect, rate::Rate, report::PointInTime, sandbox::Release,
};

use crate::{
    copy::{Archive, Side, assert_whole},
    dump_faults::{self, MANY},
    held_reads::{HeldReads, Hold},
    odd_documents::numbered,
    servers::{own, shared, three_members},
};
use mover::{Mover, fill, sum};

/// Bytes of an account's text: with the smaller one there are many parts, with the larger one many replies.
const SMALL: usize = 500;
const LARGE: usize = 10_000;
/// Transactions that are committed while a dump runs, or the test has shown nothing.
const MOVES: u64 = 5;

/// Dumps as of one time, and wants the archive to say so in every way.
async fn dump_consistently(side: &Side<'_>) -> (Archive, u64) {
    let archive = Archive::new();
    let mut options = archive.options();
    (options.consistent, options.part_bytes) = (true, 50_000);
    let dumped = archive.dump_as(side, options).await.unwrap();
    assert_eq!(dumped.consistency.is, PointInTime::PointInTime, "{dumped:?}");
    let file = archive.open();
    assert_eq!(inspect(&file).unwrap().consistency, dumped.consistency);
    let contents = file.contents();
    let since = contents.checkpoint().unwrap().cluster_time;
    for part in contents.namespaces().iter().flat_map(|namespace| &namespace.parts) {
        assert_eq!((part.begun.low, part.finished.unwrap().high), (since, since));
    }
    (archive, dumped.retries)
}

/// A dump that takes a few seconds: parts that begin within one are of the same time.
fn slowly(archive: &Archive) -> DumpOptions {
    let mut options = archive.options();
    (options.part_bytes, options.max_rate) = (50_000, Some(Rate::Bytes(500_000)));
    options
}

/// The money in a copy of the archive.
async fn sum_of_copy(archive: &Archive, name: &str) -> i64 {
    let target = Side::new(shared(Release::V6_0_5).await, name);
    target.run(doc! { "dropDatabase": 1 }).await;
    assert_whole(&archive.restore(&target).await.unwrap());
    sum(&target).await
}

async fn a_consistent_dump_has_all_the_money(release: Release, name: &str) {
    let side = Side::new(shared(release).await, name);
    let all = fill(&side, 2000, SMALL).await;
    let mover = Mover::start(&side, 2000).await;
    for _ in 0..4 {
        let before = mover.moves();
        let (archive, _) = dump_consistently(&side).await;
        assert!(mover.moves() >= before + MOVES, "only {} moves in a dump", mover.moves() - before);
        let parts: Vec<_> = archive.open().contents().namespaces().iter().map(|found| found.parts.len()).collect();
        assert!(parts.iter().all(|parts| *parts > 10), "{parts:?}");
        assert_eq!(sum_of_copy(&archive, &format!("{name}_copy")).await, all);
    }
    mover.stop().await;
    assert_eq!(sum(&side).await, all, "the mover itself makes money");
}

#[tokio::test]
async fn a_consistent_dump_of_5_0_has_all_the_money() {
    a_consistent_dump_has_all_the_money(Release::V5_0_4, "consistent_5_0").await;
}

#[tokio::test]
async fn a_consistent_dump_of_6_0_has_all_the_money() {
    a_consistent_dump_has_all_the_money(Release::V6_0_5, "consistent_6_0").await;
}

#[tokio::test]
async fn without_the_flag_the_archive_says_that_it_is_no_point_in_time() {
    for release in [Release::V4_2_6, Release::V5_0_4, Release::V6_0_5] {
        let side = Side::new(shared(release).await, "inconsistent");
        fill(&side, 2000, SMALL).await;
        let mover = Mover::start(&side, 2000).await;
        let archive = Archive::new();
        let dumped = archive.dump_as(&side, slowly(&archive)).await.unwrap();
        mover.stop().await;
        assert_eq!(dumped.consistency.is, PointInTime::ConsistentAfterReplay, "{dumped:?}");
        let file = archive.open();
        let inspected = inspect(&file).unwrap();
        assert_eq!(inspected.consistency, dumped.consistency);
        let lows: std::collections::BTreeSet<_> = inspected.namespaces[0].read_in.iter().map(|part| part.low).collect();
        assert!(lows.len() > 1, "{lows:?}");
        let (seconds, increment) =
            inspected.namespaces.iter().flat_map(|of| &of.read_in).map(|part| part.high).max().unwrap().unwrap();
        assert_eq!(dumped.consistency.time.clone().unwrap(), format!("{seconds},{increment}"));
        assert!(dumped.consistency.to_string().contains("until then no point in time"));
    }
}

/// What the tests here stand on: money is lost in a dump of several times, and they see it.
#[tokio::test]
async fn without_the_flag_a_dump_has_the_wrong_sum() {
    let side = Side::new(shared(Release::V6_0_5).await, "wrong_sum");
    let all = fill(&side, 2000, SMALL).await;
    let mover = Mover::start(&side, 2000).await;
    let mut sums = Vec::new();
    while sums.iter().all(|found| *found == all) {
        assert!(sums.len() < 20, "{sums:?}");
        let archive = Archive::new();
        archive.dump_as(&side, slowly(&archive)).await.unwrap();
        sums.push(sum_of_copy(&archive, "wrong_sum_copy").await);
    }
    mover.stop().await;
}

#[tokio::test]
async fn a_consistent_dump_whose_cursors_break_is_still_of_one_time() {
    let set = own(Release::V6_0_5).await;
    let side = Side::new(&set, "consistent_broken");
    let all = fill(&side, 1500, LARGE).await;
    let mover = Mover::start(&side, 1500).await;
    for (command, data) in [
        ("getMore", doc! { "closeConnection": true }),
        ("getMore", doc! { "errorCode": 43 }),
        ("getMore", doc! { "errorCode": 11600 }),
        ("find", doc! { "closeConnection": true }),
        ("find", doc! { "errorCode": 189 }),
    ] {
        let archive = Archive::new();
        let mut options = archive.options();
        options.consistent = true;
        side.fail(&[command], doc! { "times": 4 }, data.clone()).await;
        let dumped = archive.dump_as(&side, options).await.unwrap();
        side.fail_no_more().await;
        assert!(dumped.retries >= 4, "{command} {data}: {}", dumped.retries);
        assert_eq!(dumped.consistency.is, PointInTime::PointInTime);
        assert_eq!(sum_of_copy(&archive, "consistent_broken_copy").await, all, "{command} {data}");
    }
    mover.stop().await;
}

#[tokio::test]
async fn a_consistent_dump_of_secondaries_has_all_the_money() {
    let set = three_members().await;
    let side = Side::new(&set, "consistent_secondaries");
    let all = fill(&side, 2000, SMALL).await;
    let mover = Mover::start(&side, 2000).await;
    let server = side.server_with("&readPreference=secondary").await;
    for _ in 0..2 {
        let archive = Archive::new();
        let mut options = archive.options();
        (options.consistent, options.part_bytes) = (true, 50_000);
        let (progress, cancel) = (std::sync::Arc::new(transload::progress::Silent), Default::default());
        let dumped = transload::dump::dump(&server, options, progress, cancel).await.unwrap();
        assert_eq!(dumped.consistency.is, PointInTime::PointInTime);
        assert_eq!(sum_of_copy(&archive, "consistent_secondaries_copy").await, all);
    }
    mover.stop().await;
}

#[tokio::test]
async fn a_consistent_dump_goes_on_with_another_member_as_of_the_same_time() {
    let set = three_members().await;
    let side = Side::new(&set, "consistent_other_member");
    dump_faults::fill(&side, "many").await;
    let reads = HeldReads::new(&set, side.database, 1000, Hold::For(Duration::from_secs(4))).await;
    let archive = Archive::new();
    let mut options = archive.options();
    options.consistent = true;
    let (dumped, ()) = tokio::join!(archive.dump_as(&side, options), async {
        reads.begun(1).await;
        set.step_down().await.unwrap();
        set.primary().await.unwrap();
        side.insert("many", &(MANY..MANY + 100).map(|id| numbered(id, |_| {})).collect::<Vec<_>>()).await;
        assert_eq!(reads.kill_cursors(side.database, "many").await, 1, "the dump was not in the middle");
        reads.release().await;
    });
    let dumped = dumped.unwrap();
    assert!(dumped.retries > 0);
    assert_eq!((dumped.documents, dumped.consistency.is), (MANY as u64, PointInTime::PointInTime));
}

#[tokio::test]
async fn when_the_history_window_passes_it_fails_and_says_how_to_widen_it() {
    let set = own(Release::V6_0_5).await;
    let side = Side::new(&set, "consistent_too_old");
    fill(&side, 1500, LARGE).await;
    let reads = HeldReads::new(&set, side.database, 1000, Hold::For(Duration::from_secs(2))).await;
    let archive = Archive::new();
    let mut options = archive.options();
    options.consistent = true;
    let admin = set.client().await.unwrap().database("admin");
    let (dumped, ()) = tokio::join!(archive.dump_as(&side, options), async {
        reads.begun(1).await;
        admin.run_command(doc! { "setParameter": 1, "minSnapshotHistoryWindowInSeconds": 0 }).await.unwrap();
        for _ in 0..4 {
            side.run(doc! { "insert": "other", "documents": [{}], "writeConcern": { "w": "majority" } }).await;
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        reads.release().await;
    });
    let error = dumped.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Server, "{error:?}");
    let text = error.to_string();
    assert!(text.contains("the server no longer keeps what consistent_too_old."), "{error:?}");
    assert!(text.ends_with(" s ago"), "{error:?}");
    let hint = error.hint().unwrap();
    assert!(hint.contains("db.adminCommand({setParameter: 1, minSnapshotHistoryWindowInSeconds: N})"), "{error:?}");
    assert!(hint.contains("archive.tlz.partial stays"), "{error:?}");
    assert!(!archive.path().exists());
}
