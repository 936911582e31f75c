//! Whatever an application does meanwhile, the target has it in the end, byte for byte.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use transload::sandbox::Release;

use super::{
    moving::Move,
    workload::{Allowed, Catalog, Workload},
};
use crate::{copy::Side, servers::shared};

/// Moves a database while an application writes at random, stops the replay in the middle, and compares.
async fn move_under_load(from: Release, seed: u64, steps: u64, through_target: bool) {
    let (source, target) = (format!("load_{seed}"), format!("load_{seed}_copy_{}", from as usize));
    let source = Side::new(shared(from).await, &source);
    let target = Side::new(shared(Release::V6_0_5).await, &target);
    let allowed = Allowed { odd_names: from != Release::V4_2_6, catalog: Catalog::of(from), extremes: true };
    let client = source.set.client().await.unwrap();
    let mut workload = Workload::begin(client, source.database, seed, allowed).await;
    let moved = Move { through_target, ..Move::new(source, target) };
    let capture = moved.capture().await;
    workload.steps(steps / 4).await;
    let ((), ()) = tokio::join!(workload.steps(steps / 4), moved.copy());
    let stop = CancellationToken::new();
    let writes = async {
        workload.steps(steps / 4).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        stop.cancel();
    };
    let ((), replayed) = tokio::join!(writes, moved.replay(None, stop.clone()));
    replayed.unwrap();
    workload.steps(steps / 4).await;
    workload.expire().await;
    let end = moved.now().await;
    let report = moved.replay(Some(end), CancellationToken::new()).await.unwrap();
    assert!(report.is_whole(), "{report:?}");
    assert_eq!(report.dead_letters, 0, "{report:?}");
    assert!(report.reached_end);
    capture.stop().await;
    moved.assert_equal().await;
}

#[tokio::test]
async fn changes_of_a_4_2_source_arrive_exactly() {
    move_under_load(Release::V4_2_6, 1, 1200, false).await;
}

#[tokio::test]
async fn changes_of_a_5_0_source_arrive_exactly() {
    move_under_load(Release::V5_0_4, 2, 1200, false).await;
}

#[tokio::test]
async fn changes_of_a_6_0_source_arrive_exactly() {
    move_under_load(Release::V6_0_5, 3, 1200, false).await;
}

/// The target is not the source's set, which would record itself.
#[tokio::test]
async fn changes_that_go_through_the_target_arrive_exactly() {
    move_under_load(Release::V4_2_6, 5, 800, true).await;
    move_under_load(Release::V5_0_4, 4, 800, true).await;
}
