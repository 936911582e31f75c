//! Rows about changes: those that killed the scripts' replay, or were lost by it.

use std::time::{Duration, Instant};

use bson::doc;
use transload::sandbox::Release;

use super::{moving, moving_from};
use crate::{migrate::Migration, servers::own};

/// A status of the replay that does not move while it is held.
async fn held(migration: &mut Migration<'_>) {
    migration.until_following().await;
    assert!(migration.about("pause", &[]).status.success());
    migration.until("paused", |status| status["stage"] == "paused").await;
}

/// `updateLookup` gave null for such a document, and their replay died of it at every start.
#[tokio::test]
async fn updates_of_documents_that_are_gone_are_no_dead_end() {
    let mut migration = moving(Release::V4_2_6, "old_gone", 100).await;
    migration.start(&[]);
    held(&mut migration).await;
    let orders = migration.source.open().await.collection::<bson::Document>("orders");
    for id in 0..50 {
        orders.update_one(doc! { "_id": id }, doc! { "$set": { "a": { "b": 1 } } }).await.unwrap();
        orders.update_one(doc! { "_id": id }, doc! { "$set": { "a.b": 2 } }).await.unwrap();
        orders.delete_one(doc! { "_id": id }).await.unwrap();
    }
    assert!(migration.about("resume", &[]).status.success());
    migration.arrives().await;
}

/// By them, an update of what was deleted right after it made a document of fields that nobody had.
#[tokio::test]
async fn what_is_fetched_and_gone_from_the_source_is_counted_and_stays_away() {
    let set = own(Release::V6_0_5).await;
    let mut migration = moving_from(&set, "old_fetched", 10).await;
    let uri = migration.source.set.uri().replace("/?", "/old_fetched?");
    migration.source_uri = Some(format!("{uri}&appName=old_fetched"));
    migration.start(&[]);
    migration.until_following().await;
    let of = doc! { "_id": 3 };
    migration.target.open().await.collection::<bson::Document>("orders").delete_one(of.clone()).await.unwrap();
    // It is deleted between the update and the moment as of which it is fetched, which is asked for before.
    let slow = doc! { "blockConnection": true, "blockTimeMS": 2000 };
    migration.source.fail(&["ping"], doc! { "times": 1000 }, slow).await;
    let orders = migration.source.open().await.collection::<bson::Document>("orders");
    orders.update_one(of.clone(), doc! { "$set": { "a": 1 } }).await.unwrap();
    tokio::time::sleep(Duration::from_millis(700)).await;
    orders.delete_one(of).await.unwrap();
    migration.source.fail_no_more().await;
    migration.until_following().await;
    assert_eq!(migration.target.documents("orders").await.len(), 9);
    let output = migration.about_later("cutover", &["--yes"]).await;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}");
    let line = "1 documents whose changes did not tell what they are; 1 of them were gone from the source by then";
    assert!(said.contains(line), "{said}");
    migration.assert_equal().await;
}

/// They updated without `upsert`: what was not there stayed away without a word.
#[tokio::test]
async fn a_document_that_the_target_has_lost_comes_back_with_its_next_update() {
    let mut migration = moving(Release::V6_0_5, "old_lost", 10).await;
    migration.start(&[]);
    migration.until_following().await;
    let of = doc! { "_id": 3 };
    migration.target.open().await.collection::<bson::Document>("orders").delete_one(of.clone()).await.unwrap();
    let orders = migration.source.open().await.collection::<bson::Document>("orders");
    orders.update_one(of, doc! { "$set": { "a": 1 } }).await.unwrap();
    migration.arrives().await;
}

/// A clash on a unique index was an "exception" in their log, and "Done".
#[tokio::test]
async fn a_clash_on_a_unique_index_is_never_silent() {
    let mut migration = moving(Release::V6_0_5, "old_clash", 10).await;
    let index = doc! { "key": { "n": 1 }, "name": "n_1", "unique": true };
    migration.source.run(doc! { "createIndexes": "orders", "indexes": [index] }).await;
    migration.start(&[]);
    migration.until_following().await;
    let target = migration.target.open().await.collection("orders");
    target.insert_one(doc! { "_id": "in the way", "n": 99 }).await.unwrap();
    migration.source.open().await.collection("orders").insert_one(doc! { "_id": 99, "n": 99 }).await.unwrap();
    migration.until("told", |status| status["dead_letters"] == 1).await;
    let output = migration.about_later("cutover", &["--yes"]).await;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!([Some(3), Some(4)].contains(&output.status.code()), "{said}");
    assert!(
        said.contains("old_clash.orders, 1 times: another document has the same key of the unique index"),
        "{said}"
    );
    target.delete_one(doc! { "_id": "in the way" }).await.unwrap();
    migration.arrives().await;
}

/// 382 events a second were captured, and 265 replayed.
#[tokio::test]
async fn thousands_of_changes_a_second_are_applied() {
    const CHANGES: i32 = 20_000;
    let mut migration = moving(Release::V6_0_5, "old_slow", 10).await;
    migration.start(&[]);
    held(&mut migration).await;
    let orders = migration.source.open().await.collection("orders");
    orders.insert_many((1000..1000 + CHANGES).map(|id| doc! { "_id": id, "n": id })).await.unwrap();
    let begun = Instant::now();
    assert!(migration.about("resume", &[]).status.success());
    migration.until_following().await;
    let took = begun.elapsed();
    // The program of a test is not optimised, and shares the machine with other tests.
    assert!(took < Duration::from_secs(40), "{CHANGES} changes in {took:?}");
    migration.cut_over().await;
    migration.assert_equal().await;
}

/// Their replay polled without a pause: half a core for nothing.
#[tokio::test]
async fn a_migration_that_has_nothing_to_do_takes_no_core() {
    let mut migration = moving(Release::V6_0_5, "old_idle", 10).await;
    migration.start(&[]);
    migration.until_following().await;
    let process = migration.process_id();
    // In hundredths of a second, of the user and of the system.
    let spent = || {
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
        let fields: Vec<u64> = stat.rsplit(')').next().unwrap().split(' ').filter_map(|one| one.parse().ok()).collect();
        fields[9..=10].iter().sum::<u64>()
    };
    let (before, begun) = (spent(), Instant::now());
    tokio::time::sleep(Duration::from_secs(4)).await;
    let share = (spent() - before) as f64 / 100.0 / begun.elapsed().as_secs_f64();
    assert!(share < 0.25, "{share} of a core");
    migration.cut_over().await;
}

/// A time limit of 5 s on their sockets struck just when the source was busy.
#[tokio::test]
async fn a_source_that_takes_its_time_is_waited_for() {
    let set = own(Release::V6_0_5).await;
    let mut migration = moving_from(&set, "old_busy", 10).await;
    let uri = migration.source.set.uri().replace("/?", "/old_busy?");
    migration.source_uri = Some(format!("{uri}&appName=old_busy"));
    migration.start(&[]);
    migration.until_following().await;
    let slow = doc! { "blockConnection": true, "blockTimeMS": 7000 };
    migration.source.fail(&["getMore", "aggregate"], doc! { "times": 1 }, slow).await;
    let orders = migration.source.open().await.collection("orders");
    orders.insert_many((100..200).map(|id| doc! { "_id": id })).await.unwrap();
    migration.until_following().await;
    migration.source.fail_no_more().await;
    migration.cut_over().await;
    migration.assert_equal().await;
}
