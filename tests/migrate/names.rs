//! Collections that lose their names, or get those of others, and replays that are killed just then.

use std::time::Duration;

use bson::{Bson, Document, doc};
use transload::sandbox::Release;

use super::{
    Migration,
    not_followed::{differs, is_balancer, ticking, watched},
};
use crate::{copy::Side, router::Router, servers::shared};

async fn rename(side: &Side<'_>, from: &str, to: &str) {
    let [from, to] = [from, to].map(|name| format!("{}.{name}", side.database));
    let command = doc! { "renameCollection": from, "to": to, "dropTarget": true };
    side.set.client().await.unwrap().database("admin").run_command(command).await.unwrap();
}

/// Where only single collections can be watched, the streams of both tell of it, and neither knows how far the other is.
#[tokio::test]
async fn a_rename_onto_a_collection_that_has_a_stream_of_its_own_arrives() {
    let source = Side::new(shared(Release::V6_0_5).await, "names_apart");
    let database = source.open().await;
    for name in ["orders", "events", "sums"] {
        let some = (0..100).map(|id| doc! { "_id": id, "of": name });
        database.collection(name).insert_many(some).await.unwrap();
    }
    let _ticking = ticking(source.set);
    let router = Router::before(source.set, |command| match watched(command) {
        Some(Bson::Int32(1)) => differs("all of them"),
        _ => is_balancer(command),
    })
    .await;
    let mut migration = Migration::new(source, Side::new(shared(Release::V6_0_27).await, "names_apart"));
    migration.source_uri = Some(router.uri("names_apart"));
    migration.start(&[]);
    migration.until_following().await;
    rename(&migration.source, "orders", "events").await;
    database.collection("events").insert_one(doc! { "_id": "new" }).await.unwrap();
    database.collection::<Document>("events").delete_one(doc! { "_id": 7 }).await.unwrap();
    // An aggregation puts what it has made in its place in the same way.
    let sums = [doc! { "$match": { "_id": { "$lt": 5 } } }, doc! { "$out": "sums" }];
    database.collection::<Document>("events").aggregate(sums).await.unwrap();
    migration.until_following().await;
    // What is not empty passes for something that is whole.
    for name in ["events", "sums"] {
        database.collection(name).insert_one(doc! { "_id": "later" }).await.unwrap();
    }
    migration.until_following().await;
    migration.kill();
    migration.start(&[]);
    migration.arrives().await;
    assert_eq!(migration.target.documents("sums").await.len(), 6);
    assert_eq!(migration.target.documents("events").await.len(), 101);
}

/// The drop was of another one, of which nobody had told, whenever it is read.
#[tokio::test]
async fn a_drop_that_was_ignored_takes_nothing_from_what_has_its_name_later() {
    let source = Side::new(shared(Release::V4_2_6).await, "names_later");
    let database = source.open().await;
    database.collection("orders").insert_many((0..100).map(|id| doc! { "_id": id })).await.unwrap();
    let mut migration = Migration::new(source, Side::new(shared(Release::V6_0_5).await, "names_later"));
    migration.start(&[]);
    migration.until_following().await;
    for (old, new) in [("orders", "later"), ("later", "orders")] {
        assert!(migration.about("pause", &[]).status.success());
        migration.until("held", |status| status["stage"] == "paused").await;
        if new == "later" {
            // Servers before 6.0 tell of its end only.
            database.run_command(doc! { "create": new }).await.unwrap();
            database.collection::<Document>(new).drop().await.unwrap();
        }
        rename(&migration.source, old, new).await;
        assert!(migration.about("resume", &[]).status.success());
        let target = migration.target.open().await;
        // Where the log is, is not written down at once.
        let (log, told) = (format!("logs/names_later.{new}.log"), format!("it was names_later.{old} before"));
        while !std::fs::read_to_string(migration.directory().join(&log)).is_ok_and(|said| said.contains(&told)) {
            assert!(migration.runs(), "{}", migration.said());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        migration.kill();
        migration.start(&[]);
        migration.until_following().await;
        assert_eq!(target.collection::<Document>(new).count_documents(doc! {}).await.unwrap(), 100);
    }
    migration.arrives().await;
}
