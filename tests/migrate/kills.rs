//! A migration that is killed at random moments and at every stage, and goes on.
//!
//! `TRANSLOAD_TEST_KILLS=100 TRANSLOAD_TEST_SEED=7 cargo test --test main -- migrate::kills` is the long form.

use std::time::Duration;

use transload::sandbox::Release;

use super::Migration;
use crate::{
    changes::{
        kills::set_by,
        workload::{Allowed, Catalog, Random, Workload},
    },
    copy::Side,
    servers::shared,
};

/// Bytes of a document of those that make the copy last.
const BYTES: usize = 20_000;

async fn killed_again_and_again(from: Release, seed: u64, kills: u64, more: &[&str]) {
    let source = format!("killed_{seed}_{}_{}", from as usize, more.len());
    let target = format!("{source}_moved");
    let source = Side::new(shared(from).await, &source);
    let target = Side::new(shared(Release::V6_0_5).await, &target);
    let allowed = Allowed { odd_names: from != Release::V4_2_6, catalog: Catalog::of(from), extremes: true };
    let mut workload = Workload::begin(source.set.client().await.unwrap(), source.database, seed, allowed).await;
    // So much that a copy at a limited rate takes several seconds, and is cut into parts.
    let filling = source.open().await;
    let text = "x".repeat(BYTES);
    for first in (0..6000).step_by(500) {
        let some = (first..first + 500).map(|id: i32| bson::doc! { "_id": id, "text": format!("{id} {text}") });
        filling.collection("large").insert_many(some).await.unwrap();
    }
    let mut migration = Migration::new(source, target);
    let mut random = Random::new(seed);
    let more = [&["--max-rate", "20MB"], more].concat();
    for _ in 0..kills {
        migration.start(&more);
        let until = tokio::time::Instant::now() + Duration::from_millis(150 + random.below(1500));
        while tokio::time::Instant::now() < until {
            workload.step().await;
        }
        migration.kill();
    }
    migration.start(&more);
    workload.steps(100).await;
    workload.expire().await;
    migration.arrives().await;
}

#[tokio::test]
async fn a_migration_that_is_killed_again_and_again_arrives_exactly() {
    let (kills, seed) = (set_by("TRANSLOAD_TEST_KILLS", 8), set_by("TRANSLOAD_TEST_SEED", 511));
    killed_again_and_again(Release::V6_0_5, seed, kills, &[]).await;
}

#[tokio::test]
async fn a_migration_from_4_2_that_is_killed_again_and_again_arrives_exactly() {
    let (kills, seed) = (set_by("TRANSLOAD_TEST_KILLS", 6), set_by("TRANSLOAD_TEST_SEED", 512));
    killed_again_and_again(Release::V4_2_6, seed, kills, &[]).await;
}

#[tokio::test]
async fn a_migration_with_its_events_in_the_target_that_is_killed_again_and_again_arrives_exactly() {
    let (kills, seed) = (set_by("TRANSLOAD_TEST_KILLS", 6), set_by("TRANSLOAD_TEST_SEED", 513));
    killed_again_and_again(Release::V4_2_6, seed, kills, &["--events-to", "target"]).await;
}
