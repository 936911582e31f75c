//! What a status tells at some moments: its fields, how old it is, and what goes on while the replay is held.

use std::{
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use bson::doc;
use serde_json::Value;
use transload::sandbox::Release;

use crate::{
    cli::{schema, snapshot_text},
    copy::Side,
    migrate::Migration,
    servers::shared,
};

/// Of one moment while it copies, and one while it follows: what is null in the one may be known in the other.
fn both(copying: &str, following: &str) -> String {
    let mut lines: Vec<&str> = copying.lines().chain(following.lines()).collect();
    lines.sort_unstable();
    lines.dedup();
    let is_known = |field: &str| {
        let ways = [format!("{field}: "), format!("{field}[]")];
        lines
            .iter()
            .any(|line| ways.iter().any(|way| line.starts_with(way) && line.len() > way.len() && !is_nothing(line)))
    };
    let is_news = |line: &&str| !(is_nothing(line) && is_known(line.trim_end_matches(": null").trim_end_matches("[]")));
    lines.iter().copied().filter(is_news).collect::<Vec<_>>().join("\n")
}

/// Whether a line of a schema tells of a field without a value.
fn is_nothing(line: &str) -> bool {
    line.ends_with(": null") || line.ends_with("[]")
}

/// From 4.2, with an index that 6.0 has not.
#[tokio::test]
async fn the_fields_of_a_status_the_time_that_is_left_and_the_indexes_that_failed() {
    let source = Side::new(shared(Release::V4_2_6).await, "told_fields");
    let text = "x".repeat(20_000);
    let some = (0..400).map(|id| doc! { "_id": id, "text": format!("{id} {text}") });
    source.open().await.collection("large").insert_many(some).await.unwrap();
    let hay = doc! { "key": { "at": "geoHaystack", "kind": 1 }, "name": "hay", "bucketSize": 1 };
    source.run(doc! { "createIndexes": "large", "indexes": [hay] }).await;
    let mut migration = Migration::new(source, Side::new(shared(Release::V6_0_5).await, "told_fields"));
    migration.start(&["--max-rate", "2MB"]);
    let is_known = |status: &Value| {
        status["stage"] == "copying"
            && status["seconds_left"].is_u64()
            && status["namespaces"][0]["seconds_left"].is_u64()
    };
    let copying = migration.until("known when it will be over", is_known).await;
    // 8 MB at 2 MB a second, on a machine that may have been busy with something else in the first of them.
    for left in [&copying["seconds_left"], &copying["namespaces"][0]["seconds_left"]] {
        assert!(left.as_u64().unwrap() <= 24, "{copying}");
    }
    migration.until_following().await;
    let is_known = |status: &Value| status["lag_seconds"].is_u64();
    let following = migration.until("known how far it is behind", is_known).await;
    assert!(following["seconds_left"].is_null() && following["bytes_per_second"] == 0, "{following}");
    let failed = following["failed_indexes"].as_array().unwrap();
    assert!(failed.len() == 1 && failed[0].as_str().unwrap().starts_with("told_fields.large hay: "), "{following}");
    snapshot_text("json-status", &both(&schema(&copying), &schema(&following)));
    // A person sees it as well.
    let shown = migration.about("status", &[]);
    assert!(String::from_utf8_lossy(&shown.stdout).contains("not built: told_fields.large hay: "));
    let output = migration.about_later("cutover", &["--yes"]).await;
    // The index is missing.
    assert_eq!(output.status.code(), Some(4), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Bytes of the change log.
fn log_bytes(directory: &Path) -> u64 {
    let mut bytes = 0;
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let data = entry.metadata().unwrap();
        bytes += if data.is_dir() { log_bytes(&entry.path()) } else { data.len() };
    }
    bytes
}

#[tokio::test]
async fn changes_are_recorded_while_the_replay_is_held_and_nothing_of_them_is_applied() {
    let set = shared(Release::V6_0_5).await;
    let (source, target) = (Side::new(set, "told_held"), Side::new(set, "told_held_moved"));
    let orders = source.open().await.collection("orders");
    orders.insert_many((0..10).map(|id| doc! { "_id": id })).await.unwrap();
    let mut migration = Migration::new(source, target);
    migration.start(&[]);
    migration.until_following().await;
    assert!(migration.about("pause", &[]).status.success());
    let paused = migration.until("paused", |status| status["stage"] == "paused").await;
    let log = migration.directory().join("log");
    let mut before = log_bytes(&log);
    for round in 0..3 {
        // What does not compress takes its room.
        let some = (0..100).map(|_| doc! { "text": bson::oid::ObjectId::new().to_hex().repeat(20), "round": round });
        orders.insert_many(some).await.unwrap();
        let begun = Instant::now();
        while log_bytes(&log) < before + 1000 {
            assert!(begun.elapsed() < Duration::from_secs(20), "nothing is recorded in round {round}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        before = log_bytes(&log);
    }
    let still = migration.status().unwrap();
    assert!(still["stage"] == "paused" && still["events"] == paused["events"], "{paused} {still}");
    assert_eq!(migration.target.documents("orders").await.len(), 10);
    assert!(migration.about("resume", &[]).status.success());
    migration.arrives().await;
}

fn signal(process: u32, name: &str) {
    assert!(Command::new("kill").args([name, &process.to_string()]).status().unwrap().success());
}

#[tokio::test]
async fn a_status_that_is_not_written_any_more_says_how_old_it_is() {
    let set = shared(Release::V6_0_5).await;
    let (source, target) = (Side::new(set, "told_old"), Side::new(set, "told_old_moved"));
    source.open().await.collection("orders").insert_one(doc! { "_id": 1 }).await.unwrap();
    let mut migration = Migration::new(source, target);
    migration.start(&[]);
    let fresh = migration.until_following().await;
    assert!(fresh["seconds_old"].is_null() && fresh["progress_interval"] == 0.25, "{fresh}");
    // A process that hangs.
    signal(migration.process_id(), "-STOP");
    let is_old = |status: &Value| status["seconds_old"].as_u64().is_some_and(|old| old >= 5);
    let old = migration.until("old", is_old).await;
    assert!(old["lag_seconds"].is_null() && old["stage"] == "following", "{old}");
    let shown = String::from_utf8_lossy(&migration.about("status", &[]).stdout).into_owned();
    assert!(shown.contains("old: the process at work has written nothing since"), "{shown}");
    assert!(shown.contains("how far behind the source now, nobody knows"), "{shown}");
    signal(migration.process_id(), "-CONT");
    migration.until("fresh", |status| status["seconds_old"].is_null() && status["lag_seconds"].is_u64()).await;
    assert!(!migration.said().contains("tells what was written down before"), "{}", migration.said());
    // One that cannot write.
    let staged = migration.directory().join(".status.json");
    while std::fs::create_dir(&staged).is_err() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    migration.source.open().await.collection("orders").insert_one(doc! { "_id": 2 }).await.unwrap();
    migration.until("old", is_old).await;
    let said = migration.said();
    assert_eq!(said.matches(".status.json: Is a directory: 'transload status' tells what was").count(), 1, "{said}");
    std::fs::remove_dir(&staged).unwrap();
    let fresh = migration.until("fresh", |status| status["seconds_old"].is_null() && status["events"] == 1).await;
    assert!(fresh["warnings"].to_string().contains("Is a directory"), "{fresh}");
    migration.arrives().await;
}
