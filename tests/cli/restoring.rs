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
    // Which of the inserts, or looks at what has arrived, is the first to give up is chance, and how it hears that nobody is there.
    let gone = regex::Regex::new(
        r"(no server answered|the connection was lost) when trying to (insert into|read back from) cli_gone\.\w+: .*",
    );
    let text = super::terminal::redacted(&ran.to_string());
    let text = gone.unwrap().replace(&text, "nobody is there when trying to insert into cli_gone.orders");
    super::terminal::snapshot_text("target-gone", &text);
}

/// The drop of a restore that was killed comes late: it must not take what the next one has restored.
#[tokio::test]
async fn what_a_killed_restore_has_under_way_is_over_before_the_next_one_writes() {
    // 4.2 knows no commands that are blocked.
    for release in [Release::V5_0_4, Release::V6_0_5] {
        let (terminal, set) = (Terminal::new(), own(release).await);
        let database = set.client().await.unwrap().database("cli_late_drop");
        let orders = database.collection::<Document>("orders");
        orders.insert_many((0..10).map(|id| doc! { "_id": id })).await.unwrap();
        let uri = uri(&set, "cli_late_drop");
        terminal.run(&["dump", &uri, "a.tlz"]).ends_with(0);
        let data = doc! { "failCommands": ["drop"], "blockConnection": true, "blockTimeMS": 5000 };
        let held = fail_point(&set, "first", doc! { "times": 1 }, data).await;
        let first = format!("{uri}&appName=first");
        let mut killed = terminal.command(&["restore", "a.tlz", &first, "--drop"]).spawn().unwrap();
        held.begun().await;
        killed.kill().unwrap();
        killed.wait().unwrap();
        let ran = terminal.run(&["restore", "a.tlz", &uri, "--drop"]).ends_with(0);
        let ran = ran.says("the target is at writes to the same databases");
        tokio::time::sleep(Duration::from_secs(6)).await;
        assert_eq!(orders.count_documents(doc! {}).await.unwrap(), 10, "{release}: {ran}");
    }
}

#[tokio::test]
async fn writes_that_are_under_way_are_seen_on_every_release() {
    for release in [Release::V4_2_6, Release::V5_0_4, Release::V6_0_27] {
        let (terminal, set) = (Terminal::new(), own(release).await);
        let database = set.client().await.unwrap().database("cli_hung");
        let orders = database.collection::<Document>("orders");
        orders.insert_many((0..10).map(|id| doc! { "_id": id })).await.unwrap();
        let uri = uri(&set, "cli_hung");
        terminal.run(&["dump", &uri, "a.tlz"]).ends_with(0);
        let hang = |mode: &str| doc! { "configureFailPoint": "hangDuringBatchInsert", "mode": mode };
        set.fail_point(hang("alwaysOn")).await.unwrap();
        let late = tokio::spawn(async move { orders.insert_one(doc! { "_id": "late" }).await });
        let is_hung = async || {
            let asked = doc! { "currentOp": 1, "active": true, "ns": "cli_hung.orders" };
            let reply = set.client().await.unwrap().database("admin").run_command(asked).await.unwrap();
            !reply.get_array("inprog").unwrap().is_empty()
        };
        eventually("an insert hangs", is_hung).await;
        let restore = terminal.command(&["restore", "a.tlz", &uri, "--drop"]).spawn().unwrap();
        tokio::time::sleep(Duration::from_secs(5)).await;
        set.fail_point(hang("off")).await.unwrap();
        late.await.unwrap().unwrap();
        finish(restore, "transload restore a.tlz URI --drop")
            .ends_with(0)
            .says("the target is at writes to the same databases");
        assert_eq!(database.collection::<Document>("orders").count_documents(doc! {}).await.unwrap(), 10, "{release}");
    }
}
