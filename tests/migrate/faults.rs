//! Servers that go and come back, members that step down, privileges that are withdrawn, a disk that is full.
//!
//! `TRANSLOAD_TEST_OUTAGE=60 cargo test --test main -- migrate::faults` is the long form: so many seconds without a server.

use std::time::Duration;

use bson::doc;
use transload::sandbox::{Release, ReplicaSet};

use super::Migration;
use crate::{
    changes::{
        kills::set_by,
        workload::{Allowed, Catalog, Workload},
    },
    copy::Side,
    servers::{own, shared, three_members},
};

const ALLOWED: Allowed = Allowed { odd_names: true, catalog: Catalog::Expanded, extremes: false };

async fn outage(set: &ReplicaSet) {
    let primary = set.primary().await.unwrap();
    set.kill(primary).unwrap();
    tokio::time::sleep(Duration::from_secs(set_by("TRANSLOAD_TEST_OUTAGE", 3))).await;
    set.restart(primary).await.unwrap();
}

/// Less than the outage lasts, so that what waits is the migration and not one command.
const IMPATIENT: [&str; 2] = ["--retry-for", "1"];

#[tokio::test]
async fn a_target_that_is_gone_for_a_while_is_waited_for() {
    let (source, target) = (shared(Release::V6_0_5).await, own(Release::V6_0_5).await);
    let (source, target) = (Side::new(source, "target_gone"), Side::new(&target, "target_gone"));
    let mut workload = Workload::begin(source.set.client().await.unwrap(), source.database, 521, ALLOWED).await;
    let mut migration = Migration::new(source, target);
    migration.start(&IMPATIENT);
    migration.until_following().await;
    let set = migration.target.set;
    tokio::join!(workload.steps(300), outage(set));
    workload.steps(50).await;
    migration.until_following().await;
    let status = migration.until("well again", |status| status["error"].is_null()).await;
    // The driver itself looks for a server for half a minute.
    if set_by("TRANSLOAD_TEST_OUTAGE", 3) > 40 {
        assert!(status["warnings"].to_string().contains("tried again"), "{status}");
    }
    migration.cut_over().await;
    migration.assert_equal().await;
}

#[tokio::test]
async fn a_source_that_is_gone_for_a_while_is_waited_for() {
    let (source, target) = (own(Release::V6_0_5).await, shared(Release::V6_0_5).await);
    let (source, target) = (Side::new(&source, "source_gone"), Side::new(target, "source_gone"));
    let mut workload = Workload::begin(source.set.client().await.unwrap(), source.database, 522, ALLOWED).await;
    let mut migration = Migration::new(source, target);
    migration.start(&IMPATIENT);
    migration.until_following().await;
    workload.steps(100).await;
    outage(migration.source.set).await;
    workload.steps(100).await;
    migration.until_following().await;
    migration.cut_over().await;
    migration.assert_equal().await;
}

/// With a copy under way, and again while the changes are followed.
#[tokio::test]
async fn members_that_step_down_on_both_sides_cost_nothing() {
    let (source, target) = tokio::join!(three_members(), three_members());
    let (source, target) = (Side::new(&source, "step_downs"), Side::new(&target, "step_downs"));
    let mut workload = Workload::begin(source.set.client().await.unwrap(), source.database, 523, ALLOWED).await;
    let text = "x".repeat(20_000);
    let some = (0..1500).map(|id| doc! { "_id": id, "text": format!("{id} {text}") });
    source.open().await.collection("large").insert_many(some).await.unwrap();
    let mut migration = Migration::new(source, target);
    migration.start(&["--max-rate", "10MB"]);
    migration.until("copying", |status| status["bytes"].as_u64().is_some_and(|bytes| bytes > 2_000_000)).await;
    migration.target.set.step_down().await.unwrap();
    migration.source.set.step_down().await.unwrap();
    workload.steps(50).await;
    migration.until_following().await;
    migration.source.set.step_down().await.unwrap();
    migration.target.set.step_down().await.unwrap();
    workload.steps(50).await;
    migration.until_following().await;
    migration.cut_over().await;
    migration.assert_equal().await;
}
