//! An archive and a log are any moment that the log covers, without any access to the source.

use tokio_util::sync::CancellationToken;
use transload::{changes::replay::ReplayOptions, sandbox::Release};

use super::{
    moving::Move,
    workload::{Allowed, Catalog, Workload},
};
use crate::{copy::Side, servers::shared};

#[tokio::test]
async fn an_archive_and_a_log_give_back_a_moment_without_the_source() {
    let source = Side::new(shared(Release::V6_0_5).await, "moments");
    let target = Side::new(shared(Release::V6_0_5).await, "moments_copy");
    let allowed = Allowed { odd_names: false, catalog: Catalog::Expanded };
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
