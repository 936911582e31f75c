//! A log whose updates came with their documents needs no source, and no archive either.

use tokio_util::sync::CancellationToken;
use transload::{changes::replay::ReplayOptions, error::ErrorKind, sandbox::Release};

use super::{
    moving::Move,
    workload::{Allowed, Catalog, Workload},
};
use crate::{copy::Side, servers::shared};

/// Replays twice, with the archive and without, onto the same copy. Nothing is renamed or dropped: the documents of a
/// collection that has another name when they are looked up are not found.
async fn move_without_a_source(from: Release, name: &str) {
    let copy = format!("{name}_copy");
    let source = Side::new(shared(from).await, name);
    let target = Side::new(shared(Release::V6_0_5).await, &copy);
    let allowed = Allowed { odd_names: from != Release::V4_2_6, catalog: Catalog::Still, extremes: false };
    let client = source.set.client().await.unwrap();
    let mut workload = Workload::begin(client, source.database, 21, allowed).await;
    let moved = Move { full_documents: true, ..Move::new(source, target) };
    let capture = moved.capture().await;
    workload.steps(100).await;
    let ((), ()) = tokio::join!(workload.steps(200), moved.copy());
    workload.steps(400).await;
    let end = moved.recorded_now().await;
    capture.stop().await;
    for archive in [Some(moved.archive.path()), None] {
        let options = ReplayOptions { follow: false, keep_log: true, archive: archive.clone(), ..moved.options(None) };
        if options.archive.is_none() {
            for file in ["replay.json", "replay.journal"] {
                std::fs::remove_file(moved.directory().join(file)).unwrap();
            }
        }
        let report = moved.replay_as(options, false, CancellationToken::new()).await.unwrap();
        // Which changes a capped collection has only the archive tells; it is equal by the replay before.
        let left: Vec<&str> = report.dead.iter().map(|letter| letter.namespace.collection()).collect();
        assert_eq!(left, if archive.is_some() { vec![] } else { vec!["capped"] }, "{report:?}");
        assert!(report.reached_end, "{report:?}");
        moved.assert_equal().await;
    }
    // At an earlier moment the documents may have been others.
    let options = ReplayOptions { follow: false, ..moved.options(Some(end)) };
    let options = ReplayOptions { archive: None, ..options };
    let error = moved.replay_as(options, true, CancellationToken::new()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage, "{error}");
}

#[tokio::test]
async fn whole_documents_of_a_4_2_source_need_no_source() {
    move_without_a_source(Release::V4_2_6, "whole_4_2").await;
}

#[tokio::test]
async fn whole_documents_of_a_5_0_source_need_no_source() {
    move_without_a_source(Release::V5_0_4, "whole_5_0").await;
}

#[tokio::test]
async fn whole_documents_of_a_6_0_source_need_no_source() {
    move_without_a_source(Release::V6_0_5, "whole_6_0").await;
}
