//! What `status` says while a migration is at work, killed, and over: it never lies, and never keeps anybody waiting.

use std::time::{Duration, Instant};

use bson::doc;
use serde_json::Value;
use transload::sandbox::Release;

use super::Migration;
use crate::{
    changes::workload::{Allowed, Catalog, Workload},
    copy::Side,
    servers::shared,
};

fn time(status: &Value) -> u64 {
    status["applied"][0].as_u64().unwrap_or(0) << 32 | status["applied"][1].as_u64().unwrap_or(0)
}

/// What must hold of any two statuses, one after the other.
fn check(before: &Value, now: &Value) {
    assert!(time(now) >= time(before), "{before} {now}");
    assert!(now["copy_complete"] == true || before["copy_complete"] == false, "{before} {now}");
    assert!(now["copy_complete"] == false || now["copy_end"].is_array(), "{now}");
    // What is followed has the whole copy.
    assert!(now["stage"] != "following" || now["copy_complete"] == true, "{now}");
    assert!(now["dead_letters"] == 0, "{now}");
}

#[tokio::test]
async fn a_status_never_lies_and_keeps_nobody_waiting() {
    let set = shared(Release::V6_0_5).await;
    let (source, target) = (Side::new(set, "asked"), Side::new(set, "asked_moved"));
    let allowed = Allowed { odd_names: true, catalog: Catalog::Expanded, extremes: false };
    let mut workload = Workload::begin(set.client().await.unwrap(), source.database, 531, allowed).await;
    let text = "x".repeat(20_000);
    let some = (0..1500).map(|id| doc! { "_id": id, "text": format!("{id} {text}") });
    source.open().await.collection("large").insert_many(some).await.unwrap();
    let mut migration = Migration::new(source, target);
    let mut before = Value::Null;
    for run in 0..3 {
        migration.start(&["--max-rate", "10MB", "--progress-interval", "50ms"]);
        let until = Instant::now() + Duration::from_millis(if run == 2 { 4000 } else { 1200 });
        while Instant::now() < until {
            workload.steps(5).await;
            let asked = Instant::now();
            let Some(now) = migration.status() else { continue };
            assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
            if now["running"] == true && before["running"] == true && now["applied"].is_array() {
                check(&before, &now);
            }
            before = now;
        }
        if run < 2 {
            migration.kill();
            let dead = migration.status().unwrap();
            assert!(dead["running"] == false && dead["lag_seconds"].is_null(), "{dead}");
            before = Value::Null;
        }
    }
    // While the target takes no writes, nothing is said to be applied that is not.
    let applied = time(&migration.until_following().await);
    migration.about("pause", &[]);
    migration.until("paused", |status| status["stage"] == "paused").await;
    workload.steps(100).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let held = migration.status().unwrap();
    assert!(held["lag_seconds"].as_u64().is_some_and(|lag| lag >= 1) && time(&held) >= applied, "{held}");
    migration.about("resume", &[]);
    migration.arrives().await;
    let over = migration.status().unwrap();
    assert!(over["stage"] == "done" && over["running"] == false && over["documents"].as_u64().unwrap() > 0, "{over}");
}
