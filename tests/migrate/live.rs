//! A database that is written to all the while.

use bson::doc;
use transload::sandbox::Release;

use super::{Migration, has};
use crate::{
    changes::workload::{Allowed, Catalog, Workload},
    copy::Side,
    servers::shared,
};

async fn moves(from: Release, seed: u64) {
    let (source, target) = (format!("live_{seed}"), format!("live_{seed}_moved"));
    let source = Side::new(shared(from).await, &source);
    let target = Side::new(shared(Release::V6_0_5).await, &target);
    let allowed = Allowed { odd_names: from != Release::V4_2_6, catalog: Catalog::of(from), extremes: true };
    let mut workload = Workload::begin(source.set.client().await.unwrap(), source.database, seed, allowed).await;
    source.run(doc! { "create": "empty", "validator": { "a": 1 } }).await;
    let mut migration = Migration::new(source, target);
    migration.start(&[]);
    workload.steps(300).await;
    migration.until_following().await;
    workload.steps(300).await;
    let paused = migration.about("pause", &[]);
    assert!(paused.status.success());
    migration.until("paused", |status| status["stage"] == "paused" && status["paused"] == true).await;
    workload.steps(100).await;
    let resumed = migration.about("resume", &[]);
    assert!(resumed.status.success());
    workload.steps(100).await;
    workload.expire().await;
    let status = migration.until_following().await;
    assert_eq!(status["copy_complete"], true, "{status}");
    migration.cut_over().await;
    migration.assert_equal().await;
    let directory = migration.directory();
    let name = migration.source.database;
    assert!(has(&directory, "copy.tlz") && has(&directory, "copy.indexes.json"));
    assert!(has(&directory, &format!("{name}.plain.done")) && has(&directory, &format!("logs/{name}.plain.log")));
    assert_eq!(migration.status().unwrap()["stage"], "done");
}

#[tokio::test]
async fn a_live_database_arrives_exactly() {
    moves(Release::V6_0_5, 501).await;
}

#[tokio::test]
async fn a_live_database_of_4_2_arrives_exactly() {
    moves(Release::V4_2_6, 502).await;
}
