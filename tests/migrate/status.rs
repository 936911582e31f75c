//! What `status` says while a migration is at work, killed, and over: it never lies, and never keeps anybody waiting.

mod told;

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

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
    assert!(now["events"].as_u64() >= before["events"].as_u64(), "{before} {now}");
    for one in now["namespaces"].as_array().unwrap() {
        check_collection(now, one);
        let earlier = before["namespaces"].as_array().unwrap().iter().find(|it| it["namespace"] == one["namespace"]);
        let Some(earlier) = earlier.filter(|_| now["stage"] == before["stage"] && now["stage"] == "copying") else {
            continue;
        };
        for field in ["documents", "bytes"] {
            assert!(one[field].as_u64() >= earlier[field].as_u64(), "{before} {now}");
        }
    }
}

/// What a status may take on a machine that is busy with programs and their servers. What keeps somebody waiting has no end.
const PROMPT: Duration = Duration::from_secs(4);

/// Looks at the status of a migration again and again, from a thread of its own, whatever is done to it and its servers.
pub(super) struct Looker {
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<usize>>,
}

impl Looker {
    pub(super) fn at(directory: PathBuf) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&is_over);
        let look = move || {
            let (mut before, mut looks) = (Value::Null, 0);
            while !stop.load(Ordering::Relaxed) {
                let asked = Instant::now();
                let now = transload::migrate::status(&directory).ok();
                assert!(asked.elapsed() < PROMPT, "{:?}", asked.elapsed());
                let now = now.map_or(Value::Null, |now| serde_json::to_value(now).unwrap());
                if now["running"] == true && before["running"] == true && now["applied"].is_array() {
                    check(&before, &now);
                    looks += 1;
                }
                before = now;
                std::thread::sleep(Duration::from_millis(20));
            }
            looks
        };
        Looker { is_over, thread: Some(std::thread::spawn(look)) }
    }

    /// Has seen no lie, and enough to say so.
    pub(super) fn has_seen_no_lie(mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        let looks = self.thread.take().unwrap().join().expect("a status lied, or kept somebody waiting");
        assert!(looks > 50, "it has hardly looked: {looks} times");
    }
}

impl Drop for Looker {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

/// What must hold of a collection, whatever was before.
fn check_collection(now: &Value, one: &Value) {
    let stages: &[&str] = match now["stage"].as_str().unwrap() {
        "starting" => &["waiting", "copied"],
        "copying" => &["waiting", "copying", "copied"],
        "building indexes" => &["copied", "indexing"],
        "catching up" => &["catching up", "copied", "indexing"],
        "building unique indexes" => &["catching up", "copied", "indexing"],
        "following" => &["following", "copied", "indexing", "waiting"],
        "paused" => &["paused", "copied", "waiting"],
        "done" => &["done"],
        "cutting over" => &["following", "copied", "indexing", "copying anew", "comparing"],
        other => panic!("what is {other}?"),
    };
    assert!(stages.contains(&one["stage"].as_str().unwrap()), "{one} {now}");
    assert_eq!(one["index"].is_string(), one["stage"] == "indexing", "{one} {now}");
    assert!(one["stage"] == "copying" || one["bytes_per_second"] == 0 && one["seconds_left"].is_null(), "{one} {now}");
    assert!(!["waiting"].contains(&one["stage"].as_str().unwrap()) || one["documents"] == 0, "{one} {now}");
}

/// The stage of a collection, if it is told of.
pub(super) fn stage_of<'a>(status: &'a Value, name: &str) -> Option<&'a str> {
    let all = status["namespaces"].as_array()?;
    all.iter().find(|one| one["namespace"] == name).and_then(|one| one["stage"].as_str())
}

/// Whether the target has the unique index of a collection.
async fn is_unique(side: &Side<'_>, collection: &str) -> bool {
    let list = doc! { "listIndexes": collection };
    let Ok(listed) = side.open().await.run_command(list).await else { return false };
    listed.to_string().contains("\"u_1\"")
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
            assert!(asked.elapsed() < PROMPT, "{:?}", asked.elapsed());
            if stage_of(&now, "asked.unique") == Some("following") {
                assert!(is_unique(&migration.target, "unique").await, "{now}");
            }
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
    // What is born joins, what is dropped goes, and each tells what was applied to it.
    migration.source.run(doc! { "create": "young" }).await;
    migration.until("born", |status| stage_of(status, "asked.young") == Some("following")).await;
    migration.source.run(doc! { "insert": "young", "documents": [{ "_id": 1 }, { "_id": 2 }] }).await;
    let events = |status: &Value| {
        let all = status["namespaces"].as_array().unwrap();
        all.iter().find(|one| one["namespace"] == "asked.young").map_or(0, |one| one["events"].as_u64().unwrap())
    };
    let status = migration.until("written to", |status| events(status) == 2).await;
    assert!(status["events_per_second"].is_u64(), "{status}");
    migration.source.run(doc! { "drop": "young" }).await;
    migration.until("dropped", |status| stage_of(status, "asked.young").is_none()).await;
    // Another process knows them as well.
    migration.source.run(doc! { "create": "younger" }).await;
    migration.until_following().await;
    migration.kill();
    migration.start(&["--progress-interval", "50ms"]);
    let status = migration.until_following().await;
    let mut there = migration.source.open().await.list_collection_names().await.unwrap();
    there.sort();
    let told = status["namespaces"].as_array().unwrap().iter();
    let told: Vec<&str> = told.map(|one| one["namespace"].as_str().unwrap().trim_start_matches("asked.")).collect();
    assert_eq!(told, there, "{status}");
    let documents = |name: &str| {
        let all = status["namespaces"].as_array().unwrap();
        all.iter().find(|one| one["namespace"] == name).unwrap()["documents"].as_u64().unwrap()
    };
    assert_eq!(documents("asked.large"), 1500, "{status}");
    // While the target takes no writes, nothing is said to be applied that is not.
    let applied = time(&migration.until_following().await);
    migration.about("pause", &[]);
    migration.until("paused", |status| status["stage"] == "paused").await;
    workload.steps(100).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let held = migration.status().unwrap();
    assert!(held["lag_seconds"].as_u64().is_some_and(|lag| lag >= 1) && time(&held) >= applied, "{held}");
    // Whoever looks sees that it is alive, though nothing happens.
    migration.until("alive", |status| status["updated"].as_str() > held["updated"].as_str()).await;
    migration.about("resume", &[]);
    migration.arrives().await;
    let over = migration.status().unwrap();
    assert!(over["stage"] == "done" && over["running"] == false && over["documents"].as_u64().unwrap() > 0, "{over}");
    assert_eq!((stage_of(&over, "asked.large"), stage_of(&over, "asked.young")), (Some("done"), None), "{over}");
    assert!(over["step"].is_null() && over["bytes_per_second"] == 0 && over["events_per_second"] == 0, "{over}");
}

/// Each collection has a log of what was done to it, and no key and no document is in any.
#[tokio::test]
async fn the_log_of_a_collection_tells_its_story() {
    let set = shared(Release::V6_0_5).await;
    let (source, target) = (Side::new(set, "told"), Side::new(set, "told_moved"));
    let orders = source.open().await.collection("orders");
    orders.insert_many((0..100).map(|id| doc! { "_id": id, "u": format!("secret {id}") })).await.unwrap();
    let plain = doc! { "key": { "a": 1 }, "name": "a_1" };
    let unique = doc! { "key": { "u": 1 }, "name": "u_1", "unique": true };
    source.run(doc! { "createIndexes": "orders", "indexes": [plain, unique] }).await;
    source.run(doc! { "create": "moving" }).await;
    let mut migration = Migration::new(source, target);
    migration.start(&[]);
    migration.until_following().await;
    // One that is there already on the target, by somebody else's hand: its change has no place.
    migration.target.run(doc! { "insert": "orders", "documents": [{ "_id": "foreign", "u": "secret too" }] }).await;
    orders.insert_one(doc! { "_id": "secret key", "u": "secret too" }).await.unwrap();
    migration.until("dead", |status| status["dead_letters"] == 1).await;
    let delete = doc! { "q": { "_id": "foreign" }, "limit": 1 };
    migration.target.run(doc! { "delete": "orders", "deletes": [delete] }).await;
    migration.source.run(doc! { "collMod": "orders", "validationLevel": "off" }).await;
    let late = doc! { "key": { "b": 1 }, "name": "b_1" };
    migration.source.run(doc! { "createIndexes": "orders", "indexes": [late] }).await;
    migration.source.run(doc! { "dropIndexes": "orders", "index": "a_1" }).await;
    let admin = set.client().await.unwrap().database("admin");
    admin.run_command(doc! { "renameCollection": "told.moving", "to": "told.moved" }).await.unwrap();
    migration.source.run(doc! { "create": "short" }).await;
    migration.source.run(doc! { "drop": "short" }).await;
    migration.arrives().await;
    let log =
        |name: &str| std::fs::read_to_string(migration.directory().join(format!("logs/told.{name}.log"))).unwrap();
    let said = log("orders");
    let mut rest = said.as_str();
    for line in [
        "a part is read: 100 documents",
        "copied, 100 documents, ",
        "indexes are being built: a_1",
        "indexes are built: a_1; it took ",
        "indexes are being built: u_1",
        "indexes are built: u_1; it took ",
        "caught up with what happened",
        "changes could not be applied (1): another document has the same key of the unique index on u",
        "as on the source, its options are changed",
        "indexes are built: b_1; it took ",
        "as on the source, the index a_1 is dropped",
        "compared, 101 documents, 0 differ",
        "the cutover is clean",
    ] {
        let at = rest.find(line).unwrap_or_else(|| panic!("{line:?} is not said, or not in its place: {said}"));
        rest = &rest[at + line.len()..];
    }
    assert!(
        log("moving").contains("renamed on the source to told.moved") && log("moved").contains("told.moving before")
    );
    assert!(log("short").contains("was created on the source") && log("short").contains("is gone from the source"));
    for file in std::fs::read_dir(migration.directory().join("logs")).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        assert!(!text.contains("secret"), "{text}");
    }
}
