//! Targets that hold something already, refuse documents or indexes, or go away.

use std::time::Duration;

use mongodb::{
    IndexModel,
    bson::{Document, doc},
    options::IndexOptions,
};
use transload::sandbox::Release;

use super::{
    data::{ORDERS, archive, client, collections, empty, fail_point, uri},
    terminal::{Terminal, finish, snapshot},
};
use crate::{
    eventually::eventually,
    servers::{own, shared},
};

#[tokio::test]
async fn a_target_that_has_the_collections_is_left_alone_without_a_flag() {
    let (terminal, uri) = (Terminal::new(), empty("cli_existing").await);
    archive(&terminal, "cli_existing").await;
    terminal.run(&["restore", "a.tlz", &uri]).ends_with(0);
    let orders = client().await.database("cli_existing").collection::<Document>("orders");
    orders.delete_one(doc! { "_id": 5 }).await.unwrap();
    let refused = terminal.run(&["restore", "a.tlz", &uri]).ends_with(1);
    assert_eq!(orders.count_documents(doc! {}).await.unwrap(), ORDERS - 1);

    let plan = terminal.run(&["restore", "a.tlz", &uri, "--drop", "--dry-run"]).ends_with(0);
    assert_eq!(orders.count_documents(doc! {}).await.unwrap(), ORDERS - 1);
    let appended = terminal.run(&["--json", "restore", "a.tlz", &uri, "--append"]).ends_with(3);
    let summary = appended.lines().pop().unwrap();
    assert_eq!((summary["inserted"].as_u64(), summary["duplicates"].as_u64()), (Some(1), Some(122)));
    assert_eq!(orders.count_documents(doc! {}).await.unwrap(), ORDERS);
    orders.insert_one(doc! { "_id": "mine" }).await.unwrap();
    terminal.run(&["restore", "a.tlz", &uri, "--drop"]).ends_with(0);
    assert_eq!(orders.count_documents(doc! {}).await.unwrap(), ORDERS);
    snapshot("existing", &[refused, plan]);
}

#[tokio::test]
async fn documents_that_an_old_server_refuses_are_counted_and_named() {
    let (terminal, source) = (Terminal::new(), empty("cli_refused").await);
    let odd = client().await.database("cli_refused").collection::<Document>("odd");
    odd.insert_many([doc! { "_id": 1, "a": 1 }, doc! { "_id": 2, "$a": 1 }, doc! { "_id": "three", "a.b": 1 }])
        .await
        .unwrap();
    terminal.run(&["dump", &source, "a.tlz"]).ends_with(0);
    let old = shared(Release::V4_2_6).await;
    let ran = terminal.run(&["restore", "a.tlz", &uri(old, "cli_refused")]).ends_with(3);
    let left = old.client().await.unwrap().database("cli_refused").collection::<Document>("odd");
    let left = left.count_documents(doc! {}).await.unwrap();
    assert!(ran.stderr.contains("_id {\"$numberInt\":\"2\"}"), "{ran}");
    assert!(left < 3);
    snapshot("refused", &[ran]);
}

#[tokio::test]
async fn documents_that_clash_on_a_unique_index_are_counted_and_named() {
    let (terminal, uri) = (Terminal::new(), empty("cli_clash").await);
    archive(&terminal, "cli_clash").await;
    let orders = client().await.database("cli_clash").collection::<Document>("orders");
    let unique = IndexOptions::builder().unique(true).build();
    orders.create_index(IndexModel::builder().keys(doc! { "code": 1 }).options(unique).build()).await.unwrap();
    orders.insert_one(doc! { "_id": 1000, "code": 7_i64 }).await.unwrap();
    let ran = terminal.run(&["restore", "a.tlz", &uri, "--append"]).ends_with(3);
    assert_eq!(orders.count_documents(doc! {}).await.unwrap(), ORDERS);
    snapshot("clash", &[ran]);
}

#[tokio::test]
async fn an_index_that_cannot_be_built_is_named_and_costs_no_other() {
    let (terminal, uri) = (Terminal::new(), empty("cli_index").await);
    let orders = client().await.database("cli_index").collection::<Document>("orders");
    orders.insert_one(doc! { "_id": 1, "email": "ann@example.com", "name": "ann" }).await.unwrap();
    let unique = IndexOptions::builder().unique(true).build();
    orders.create_index(IndexModel::builder().keys(doc! { "email": 1 }).options(unique).build()).await.unwrap();
    orders.create_index(IndexModel::builder().keys(doc! { "name": 1 }).build()).await.unwrap();
    terminal.run(&["dump", &uri, "a.tlz"]).ends_with(0);
    orders.drop().await.unwrap();
    orders.insert_one(doc! { "_id": 2, "email": "ann@example.com" }).await.unwrap();
    let ran = terminal.run(&["restore", "a.tlz", &uri, "--append"]).ends_with(3);
    assert!(!ran.stderr.contains("ann@example"), "{ran}");
    assert_eq!(orders.list_index_names().await.unwrap(), ["_id_", "name_1"]);
    snapshot("failed-index", &[ran]);
}

#[tokio::test]
async fn a_target_that_goes_away_ends_the_restore() {
    let terminal = Terminal::new();
    archive(&terminal, "cli_gone").await;
    let set = own(Release::V6_0_5).await;
    let data = doc! { "failCommands": ["insert"], "blockConnection": true, "blockTimeMS": 20_000 };
    let held = fail_point(&set, "cli_gone", doc! { "times": 4 }, data).await;
    let target = format!("{}&serverSelectionTimeoutMS=500&appName=cli_gone", uri(&set, "cli_gone"));
    let restore = terminal.command(&["restore", "a.tlz", &target, "--retry-for", "1"]).spawn().unwrap();
    let database = set.client().await.unwrap().database("cli_gone");
    eventually("two collections are there", async || database.list_collection_names().await.unwrap().len() >= 2).await;
    held.begun().await;
    set.kill(0).unwrap();
    let ran = finish(restore, "transload restore a.tlz URI --retry-for 1").ends_with(1);
    assert!(ran.took > Duration::from_millis(500) && ran.took < Duration::from_secs(20), "{ran}");
    assert_eq!(collections("cli_gone").await, Vec::<String>::new(), "it wrote to another server");
    // Which of the inserts, or looks at what has arrived, is the first to give up is chance.
    let text = super::terminal::redacted(&ran.to_string()).replace("cli_gone.events", "cli_gone.orders");
    let text = text.replace("read back from", "insert into");
    super::terminal::snapshot_text("target-gone", &text);
}
