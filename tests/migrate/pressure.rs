//! Servers that say that they have too much to do, and the rate that the user wants: what is held, and what is said then.
//!
//! A stand-in in front of the server says it in its place, as no test can wait for a server to be that busy.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use bson::{Bson, Document, doc};
use serde_json::Value;
use transload::sandbox::Release;

use super::{
    Migration,
    not_followed::{differs, is_balancer, said, ticking, watched},
};
use crate::{copy::Side, router::Router, servers::shared};

/// What is said by a server that has too much to do.
fn busy(command: &Document, is_busy: &AtomicBool) -> Option<Document> {
    let asked = command.contains_key("serverStatus") && is_busy.load(Ordering::Relaxed);
    asked.then(|| doc! { "globalLock": { "currentQueue": { "total": 250 } }, "ok": 1.0 })
}

fn is_held(status: &Value, what: &str) -> bool {
    let why = format!("100 operations and more are queued: {what} is held until that is over");
    status["error"].as_str().is_some_and(|error| error.contains(&why))
}

/// 12 MB, in the collection `large`.
async fn fill(side: &Side<'_>) {
    let text = "x".repeat(20_000);
    let some = (0..600).map(|id| doc! { "_id": id, "text": format!("{id} {text}") });
    side.open().await.collection("large").insert_many(some).await.unwrap();
}

/// The collection is copied anew at the cutover, since its stream cannot be opened.
#[tokio::test]
async fn a_busy_source_holds_the_copy_and_what_is_copied_anew_at_the_cutover() {
    let set = shared(Release::V6_0_5).await;
    let source = Side::new(set, "held_copy");
    fill(&source).await;
    source.open().await.collection("small").insert_one(doc! { "_id": 1 }).await.unwrap();
    let is_busy = Arc::new(AtomicBool::new(false));
    let says_so = Arc::clone(&is_busy);
    let router = Router::before(set, move |command| match watched(command) {
        Some(Bson::String(collection)) if collection == "large" => differs("large"),
        Some(Bson::Int32(1)) => differs("all of them"),
        _ => busy(command, &says_so).or_else(|| is_balancer(command)),
    })
    .await;
    let _ticking = ticking(set);
    let mut migration = Migration::new(source, Side::new(shared(Release::V6_0_27).await, "held_copy"));
    migration.source_uri = Some(router.uri("held_copy"));
    migration.start(&["--max-rate", "2MB", "--parallel", "1"]);
    migration.until("copying", |status| status["bytes"].as_u64().is_some_and(|bytes| bytes > 500_000)).await;
    is_busy.store(true, Ordering::Relaxed);
    let held = migration.until("held", |status| is_held(status, "the copy")).await;
    // What was read before arrives yet.
    let mut arrived = None;
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let bytes = migration.status().unwrap()["bytes"].as_u64();
        if std::mem::replace(&mut arrived, bytes) == bytes {
            break;
        }
    }
    let (before, asked) = (migration.status().unwrap(), router.asked().len());
    tokio::time::sleep(Duration::from_secs(3)).await;
    let after = migration.status().unwrap();
    assert_eq!(before["bytes"], after["bytes"], "{before} {after}");
    assert!(after["stage"] == "copying" && after["bytes"].as_u64() < after["total_bytes"].as_u64(), "{held} {after}");
    // Hardly anybody else asks for the time now: it is asked for as often as the status is written down.
    let times = router.asked().iter().skip(asked).filter(|command| command.contains_key("ping")).count();
    assert!(times >= 4, "the source was asked {times} times for its time in three seconds");
    is_busy.store(false, Ordering::Relaxed);
    let status = migration.until_following().await;
    assert!(status["error"].is_null() && status["warnings"].to_string().contains("the copy is held"), "{status}");
    is_busy.store(true, Ordering::Relaxed);
    let mut cutover = migration.about_command("cutover", &["--yes", "--json"]);
    let cutover = tokio::task::spawn_blocking(move || cutover.output().unwrap());
    let is_anew = |status: &Value| status["step"] == "copying anew" && is_held(status, "the copy");
    migration.until("held once more", is_anew).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let status = migration.status().unwrap();
    assert!(is_anew(&status) && !cutover.is_finished(), "{status}");
    is_busy.store(false, Ordering::Relaxed);
    let output = cutover.await.unwrap();
    assert_eq!(output.status.code(), Some(3), "{}\n{}", said(&output), migration.said());
    assert!(String::from_utf8_lossy(&output.stdout).contains("held_copy.large"), "{}", said(&output));
    migration.assert_equal().await;
    migration.kill();
}

/// 12 MB at 1 MB a second, from the second megabyte to the eleventh: as much as is read at once is a tenth of that at most.
#[tokio::test]
async fn a_copy_goes_at_the_rate_that_is_wanted() {
    fill(&Side::new(shared(Release::V6_0_5).await, "rated_copy")).await;
    // A machine that is busy with something else may hold one up, but not three.
    for target in ["rated_copy_1", "rated_copy_2", "rated_copy_3"] {
        let rate = rate_of_a_copy(target).await;
        assert!(rate < 1.1e6, "{rate} bytes a second");
        if rate > 0.9e6 {
            return;
        }
        eprintln!("{rate} bytes a second");
    }
    panic!("it is always too slow");
}

/// At 1 MB a second.
async fn rate_of_a_copy(target: &'static str) -> f64 {
    let set = shared(Release::V6_0_5).await;
    let mut migration = Migration::new(Side::new(set, "rated_copy"), Side::new(set, target));
    migration.start(&["--max-rate", "1MB"]);
    let mut at = async |least: u64| {
        let status = migration.until("copying", |status| status["bytes"].as_u64().is_some_and(|bytes| bytes >= least));
        let bytes = status.await["bytes"].as_u64().unwrap();
        (Instant::now(), bytes as f64)
    };
    let (begun, before) = at(1_000_000).await;
    let (ended, after) = at(11_000_000).await;
    migration.until_following().await;
    migration.kill();
    (after - before) / (ended - begun).as_secs_f64()
}

/// Of a time series nobody tells what changes.
#[tokio::test]
async fn what_is_copied_anew_goes_at_the_rate_that_is_wanted() {
    let set = shared(Release::V6_0_5).await;
    let source = Side::new(set, "rated_anew");
    let series = doc! { "create": "weather", "timeseries": { "timeField": "at" } };
    source.run(series).await;
    let text = "x".repeat(20_000);
    let some =
        (0..400).map(|n| doc! { "at": bson::DateTime::from_millis(n * 4_000_000), "text": format!("{n} {text}") });
    source.open().await.collection("weather").insert_many(some).await.unwrap();
    let mut migration = Migration::new(source, Side::new(set, "rated_anew_moved"));
    migration.start(&["--max-rate", "2MB"]);
    migration.until_following().await;
    let begun = Instant::now();
    migration.cut_over().await;
    // 8 MB at 2 MB a second, less what may run ahead.
    assert!(begun.elapsed() > Duration::from_millis(3700), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_busy_target_holds_catching_up_and_is_not_asked_when_it_follows() {
    let set = shared(Release::V6_0_27).await;
    let (source, target) =
        (Side::new(shared(Release::V6_0_5).await, "held_catching_up"), Side::new(set, "held_catching_up"));
    let orders = source.open().await.collection("orders");
    orders.insert_many((0..100).map(|id| doc! { "_id": id })).await.unwrap();
    let is_busy = Arc::new(AtomicBool::new(false));
    let says_so = Arc::clone(&is_busy);
    let member = Router::as_the_member(set, move |command| busy(command, &says_so)).await;
    let mut migration = Migration::new(source, target);
    migration.target_uri = Some(format!("{}?directConnection=true", member.uri("held_catching_up")));
    migration.start(&["--pause-after-copy"]);
    migration.until("paused", |status| status["stage"] == "paused" && status["copy_complete"] == true).await;
    orders.insert_many((100..200).map(|id| doc! { "_id": id })).await.unwrap();
    is_busy.store(true, Ordering::Relaxed);
    migration.until("held", |status| is_held(status, "catching up")).await;
    assert!(migration.about("resume", &[]).status.success());
    migration.until("catching up", |status| status["stage"] == "catching up").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let status = migration.status().unwrap();
    assert!(status["stage"] == "catching up" && is_held(&status, "catching up") && status["events"] == 0, "{status}");
    assert_eq!(migration.target.documents("orders").await.len(), 100);
    is_busy.store(false, Ordering::Relaxed);
    let status = migration.until_following().await;
    assert!(status["error"].is_null(), "{status}");
    // It would only fall behind.
    is_busy.store(true, Ordering::Relaxed);
    let asked = member.asked().len();
    orders.insert_many((200..300).map(|id| doc! { "_id": id })).await.unwrap();
    migration.until_following().await;
    assert!(!member.asked().iter().skip(asked).any(|command| command.contains_key("serverStatus")));
    migration.cut_over().await;
    migration.assert_equal().await;
}
