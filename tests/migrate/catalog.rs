//! What happens to whole collections while a database moves, and what no change stream tells of.

use bson::{Document, doc};
use transload::sandbox::Release;

use super::{Migration, status::stage_of};
use crate::{bad_indexes::careless, copy::Side, servers::shared};

/// So many documents that a copy at [`SLOWLY`] takes a few seconds.
async fn fill(side: &Side<'_>, collection: &str, documents: i32) {
    let text = "x".repeat(20_000);
    for first in (0..documents).step_by(500) {
        let some = (first..(first + 500).min(documents)).map(|id| doc! { "_id": id, "text": format!("{id} {text}") });
        side.open().await.collection(collection).insert_many(some).await.unwrap();
    }
}

/// A copy of 20 MB takes two seconds.
const SLOWLY: [&str; 2] = ["--max-rate", "10MB"];

async fn sides(from: Release, name: &str) -> (Side<'static>, Side<'static>) {
    let source: &'static str = Box::leak(name.to_owned().into_boxed_str());
    let target: &'static str = Box::leak(format!("{name}_moved").into_boxed_str());
    (Side::new(shared(from).await, source), Side::new(shared(Release::V6_0_5).await, target))
}

/// Waits until the copy is under way.
async fn copying(migration: &mut Migration<'_>) {
    migration.until("copying", |status| status["bytes"].as_u64().is_some_and(|bytes| bytes > 2_000_000)).await;
}

async fn what_becomes_of_collections_while_they_are_copied(from: Release, name: &str) {
    let (source, target) = sides(from, name).await;
    for collection in ["dropped", "renamed", "made_anew", "stays"] {
        fill(&source, collection, 400).await;
    }
    let database = source.open().await;
    database.run_command(doc! { "create": "view", "viewOn": "stays", "pipeline": [] }).await.unwrap();
    let mut migration = Migration::new(source, target);
    migration.start(&SLOWLY);
    copying(&mut migration).await;
    database.run_command(doc! { "drop": "dropped" }).await.unwrap();
    let (from, to) = (format!("{name}.renamed"), format!("{name}.under_another_name"));
    let admin = migration.source.set.client().await.unwrap().database("admin");
    admin.run_command(doc! { "renameCollection": from, "to": to }).await.unwrap();
    database.run_command(doc! { "drop": "made_anew" }).await.unwrap();
    database.run_command(doc! { "create": "made_anew", "collation": { "locale": "fr" } }).await.unwrap();
    database.collection("made_anew").insert_one(doc! { "_id": 1 }).await.unwrap();
    let validator = doc! { "a": { "$gte": 0 } };
    // Servers list what a collMod has set in full.
    let (level, action) = ("strict", "error");
    let born = doc! { "create": "born", "validator": validator, "validationLevel": level, "validationAction": action };
    database.run_command(born).await.unwrap();
    let index = doc! { "key": { "a": 1 }, "name": "a_1", "unique": true };
    database.run_command(doc! { "createIndexes": "stays", "indexes": [index] }).await.unwrap_err();
    let index = doc! { "key": { "a": 1 }, "name": "a_1", "sparse": true, "unique": true };
    database.run_command(doc! { "createIndexes": "stays", "indexes": [index] }).await.unwrap();
    database.run_command(doc! { "drop": "view" }).await.unwrap();
    database.run_command(doc! { "create": "another_view", "viewOn": "born", "pipeline": [] }).await.unwrap();
    migration.until_following().await;
    database.collection::<Document>("under_another_name").delete_one(doc! { "_id": 5 }).await.unwrap();
    database.collection("born").insert_one(doc! { "_id": 1, "a": 1 }).await.unwrap();
    migration.arrives().await;
}

#[tokio::test]
async fn what_becomes_of_collections_while_they_are_copied_becomes_of_the_copies() {
    what_becomes_of_collections_while_they_are_copied(Release::V6_0_5, "becomes").await;
}

#[tokio::test]
async fn what_becomes_of_collections_of_4_2_while_they_are_copied_becomes_of_the_copies() {
    what_becomes_of_collections_while_they_are_copied(Release::V4_2_6, "becomes_4_2").await;
}

/// A name that comes into the selection, and one that leaves it; and what is outside stays as it is on the target.
#[tokio::test]
async fn a_rename_across_the_selection_joins_or_leaves_and_the_rest_is_not_touched() {
    let (source, target) = sides(Release::V6_0_5, "across").await;
    for collection in ["shop_a", "shop_b", "other", "aside"] {
        fill(&source, collection, 50).await;
    }
    for collection in ["other", "aside", "precious"] {
        target.open().await.collection(collection).insert_one(doc! { "_id": "precious" }).await.unwrap();
    }
    let mut migration = Migration::new(source, target);
    migration.start(&["--include", "shop_*"]);
    migration.until_following().await;
    let admin = migration.source.set.client().await.unwrap().database("admin");
    for (from, to) in [("other", "shop_other"), ("shop_b", "left")] {
        let rename = doc! { "renameCollection": format!("across.{from}"), "to": format!("across.{to}") };
        admin.run_command(rename).await.unwrap();
    }
    let database = migration.source.open().await;
    database.collection("shop_other").insert_one(doc! { "_id": "later" }).await.unwrap();
    database.collection("aside").insert_one(doc! { "_id": "later" }).await.unwrap();
    migration.until_following().await;
    migration.cut_over().await;
    let arrived = migration.target.state().await;
    let names: Vec<&String> = arrived.options.keys().collect();
    assert_eq!(names, ["aside", "other", "precious", "shop_a", "shop_other"]);
    let there = migration.source.state().await;
    for name in ["shop_a", "shop_other"] {
        assert_eq!(there.hashes[name], arrived.hashes[name], "{name}");
    }
    for name in ["aside", "other", "precious"] {
        assert_eq!(migration.target.documents(name).await.len(), 1, "{name}");
    }
}

/// No server gives change events of time series: they are copied anew while nothing is written to them.
#[tokio::test]
async fn a_time_series_that_is_written_to_meanwhile_arrives() {
    let (source, target) = sides(Release::V6_0_5, "written_series").await;
    let create = doc! { "create": "weather", "timeseries": { "timeField": "at", "metaField": "place" } };
    source.run(create.clone()).await;
    let database = source.open().await;
    let at =
        |n: i64| doc! { "at": bson::DateTime::from_millis(1_700_000_000_000 + n * 60_000), "place": n % 3, "n": n };
    database.collection("weather").insert_many((0..100).map(at)).await.unwrap();
    database.collection("plain").insert_one(doc! { "_id": 1 }).await.unwrap();
    let mut migration = Migration::new(source, target);
    migration.start(&[]);
    migration.until_following().await;
    database.collection("weather").insert_many((100..200).map(at)).await.unwrap();
    let born = doc! { "create": "born", "timeseries": { "timeField": "at" } };
    database.run_command(born).await.unwrap();
    database.collection("born").insert_many((0..10).map(at)).await.unwrap();
    // Nobody is told that they are followed.
    let status = migration.until_following().await;
    for (collection, stage) in [("weather", "copied"), ("born", "waiting"), ("plain", "following")] {
        assert_eq!(stage_of(&status, &format!("written_series.{collection}")), Some(stage), "{status}");
    }
    migration.arrives().await;
    assert!(migration.said().contains("copied anew"), "{}", migration.said());
}

/// Mongoose's bad indexes, and unique ones, and such that expire documents, all arrive as they are meant.
#[tokio::test]
async fn bad_indexes_of_4_2_are_repaired_and_unique_and_expiring_ones_come_in_the_end() {
    let set = careless(Release::V4_2_6).await;
    let source = Side::new(&set, "bad_moved");
    let target = Side::new(shared(Release::V6_0_5).await, "bad_moved");
    let database = source.open().await;
    database.collection("orders").insert_one(doc! { "_id": 1, "a": 1, "u": 1 }).await.unwrap();
    let bad = doc! { "key": { "a": 1 }, "name": "a_1", "v": 1, "safe": null };
    database.run_command(doc! { "createIndexes": "orders", "indexes": [bad] }).await.unwrap();
    let index = doc! { "key": { "u": 1 }, "name": "u_1", "unique": true };
    database.run_command(doc! { "createIndexes": "orders", "indexes": [index] }).await.unwrap();
    let index = doc! { "key": { "at": 1 }, "name": "at_1", "expireAfterSeconds": 3600 };
    database.run_command(doc! { "createIndexes": "orders", "indexes": [index] }).await.unwrap();
    let mut migration = Migration::new(source, target);
    migration.start(&[]);
    let status = migration.until_following().await;
    assert!(status["repaired_indexes"][0].as_str().unwrap().contains("safe"), "{status}");
    let held = migration.target.state().await.indexes["orders"].join(" ");
    assert!(held.contains("2147483647") && held.contains("u_1"), "{held}");
    migration.cut_over().await;
    let arrived = migration.target.state().await.indexes["orders"].join(" ");
    assert!(arrived.contains("3600") && arrived.contains("u_1") && !arrived.contains("safe"), "{arrived}");
    assert!(migration.said().contains("repaired"), "{}", migration.said());
}

/// A name that is free when the check looks, and somebody's when something is to be written under it: of a collection that is
/// born, as servers before 6.0 do not tell, and of one that is renamed.
#[tokio::test]
async fn what_others_put_under_a_name_meanwhile_is_not_written_into() {
    for from in [Release::V4_2_6, Release::V6_0_5] {
        let (source, target) = sides(from, &format!("others_{}", from.version().replace('.', "_"))).await;
        fill(&source, "stays", 10).await;
        fill(&source, "renamed", 10).await;
        let mut migration = Migration::new(source, target);
        migration.start(&[]);
        migration.until_following().await;
        let others = migration.target.open().await;
        for name in ["born", "under_another_name"] {
            others.collection(name).insert_one(doc! { "_id": "precious" }).await.unwrap();
        }
        let database = migration.source.open().await;
        database.collection("born").insert_one(doc! { "_id": 1 }).await.unwrap();
        assert_eq!(migration.end().await, 1, "{}", migration.said());
        assert!(migration.said().contains("born, which is none of this migration's"), "{}", migration.said());
        others.collection::<Document>("born").drop().await.unwrap();
        migration.start(&[]);
        migration.until_following().await;
        let [from, to] = ["renamed", "under_another_name"].map(|name| format!("{}.{name}", migration.source.database));
        let admin = migration.source.set.client().await.unwrap().database("admin");
        admin.run_command(doc! { "renameCollection": from, "to": to }).await.unwrap();
        assert_eq!(migration.end().await, 1, "{}", migration.said());
        assert_eq!(migration.target.documents("under_another_name").await.len(), 1);
        others.collection::<Document>("under_another_name").drop().await.unwrap();
        migration.start(&[]);
        migration.arrives().await;
    }
}
