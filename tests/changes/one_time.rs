//! Dumps as of one cluster time beside a log: the log gives back the same moment, and goes on from it.

use bson::doc;
use tokio_util::sync::CancellationToken;
use transload::{
    changes::replay::ReplayOptions,
    dump::DumpOptions,
    report::PointInTime,
    sandbox::Release,
    selection::{Selection, SelectionOptions},
};

use super::{
    moving::Move,
    workload::{Allowed, Catalog, Workload},
};
use crate::{
    consistent::mover::{Mover, fill, sum},
    copy::{Archive, Side, State, assert_whole},
    servers::shared,
};

/// What is compared: without what no server reads as of one time, and what goes by itself.
async fn state(side: &Side<'_>) -> State {
    let mut state = side.state().await;
    state.hashes.retain(|name, _| !["capped", "expiring"].contains(&name.as_str()));
    state
}

fn options(archive: &Archive, exclude: &[&str]) -> DumpOptions {
    let exclude = exclude.iter().map(|pattern| (*pattern).to_owned()).collect();
    let selection = Selection::new(&SelectionOptions { exclude, ..SelectionOptions::default() }).unwrap();
    DumpOptions { selection, consistent: true, part_bytes: 10_000, ..archive.options() }
}

#[tokio::test]
async fn a_consistent_dump_is_the_moment_that_another_archive_and_its_log_give_back() {
    let set = shared(Release::V6_0_5).await;
    let allowed = Allowed { odd_names: false, catalog: Catalog::Still, extremes: false };
    let mut workload = Workload::begin(set.client().await.unwrap(), "one_time", 12, allowed).await;
    let moved = Move::new(Side::new(set, "one_time"), Side::new(set, "one_time_copy"));
    let capture = moved.capture().await;
    let ((), ()) = tokio::join!(workload.steps(100), moved.copy());
    let mut dumps = Vec::new();
    for _ in 0..4 {
        let archive = Archive::new();
        let (dumped, ()) =
            tokio::join!(archive.dump_as(&moved.source, options(&archive, &["*.capped"])), workload.steps(150));
        assert_eq!(dumped.unwrap().consistency.is, PointInTime::PointInTime);
        dumps.push(archive);
    }
    workload.steps(50).await;
    moved.recorded_now().await;
    capture.stop().await;
    for archive in dumps {
        let time = archive.open().contents().checkpoint().unwrap().cluster_time;
        let options = ReplayOptions { follow: false, keep_log: true, ..moved.options(Some(time)) };
        let report = moved.replay_as(options, false, CancellationToken::new()).await.unwrap();
        assert!(report.reached_end && report.is_whole(), "{report:?}");
        let dumped = Side::new(set, "one_time_dumped");
        dumped.run(doc! { "dropDatabase": 1 }).await;
        assert_whole(&archive.restore(&dumped).await.unwrap());
        assert_eq!(state(&dumped).await.hashes, state(&moved.target).await.hashes);
    }
}

#[tokio::test]
async fn a_replay_goes_on_from_a_consistent_dump() {
    for release in [Release::V5_0_4, Release::V6_0_5] {
        let moved = Move::new(
            Side::new(shared(release).await, "one_time_on"),
            Side::new(shared(Release::V6_0_5).await, "one_time_on_copy"),
        );
        moved.target.run(doc! { "dropDatabase": 1 }).await;
        let all = fill(&moved.source, 1000, 500).await;
        let mover = Mover::start(&moved.source, 1000).await;
        let capture = moved.capture().await;
        moved.archive.dump_as(&moved.source, options(&moved.archive, &[])).await.unwrap();
        assert_whole(&moved.archive.restore(&moved.target).await.unwrap());
        assert_eq!(sum(&moved.target).await, all);
        mover.stop().await;
        moved.recorded_now().await;
        capture.stop().await;
        let options = ReplayOptions { follow: false, ..moved.options(None) };
        let report = moved.replay_as(options, false, CancellationToken::new()).await.unwrap();
        assert!(report.reached_end && report.is_whole(), "{report:?}");
        moved.assert_equal().await;
    }
}
