//! Restores that are refused or given up, and one that is warned of.

use mongodb::bson::{Document, doc};
use transload::sandbox::Release;

use super::{
    data::{ORDERS, archive, client, collections, empty, fail_point, shop, uri},
    terminal::{Ran, Terminal, snapshot},
};
use crate::servers::{faulty, shared};

#[tokio::test]
async fn writes_that_nobody_would_answer_for_are_refused() {
    let (terminal, uri) = (Terminal::new(), empty("cli_unanswered").await);
    archive(&terminal, "cli_unanswered").await;
    let refused = terminal.run(&["restore", "a.tlz", &format!("{uri}&w=0")]).ends_with(2);
    assert_eq!(collections("cli_unanswered").await, Vec::<String>::new());
    snapshot("unanswered", &[refused]);
}

#[tokio::test]
async fn what_a_server_keeps_for_itself_is_not_written_over() {
    let terminal = Terminal::new();
    archive(&terminal, "cli_kept").await;
    let target = shared(Release::V6_0_5).await.uri();
    let runs: Vec<Ran> = ["cli_kept.system.users", "config.orders", "local.orders", "admin.system.users"]
        .map(|name| {
            let rename = format!("cli_kept.orders={name}");
            terminal.run(&["restore", "a.tlz", &target, "--rename", &rename]).ends_with(2)
        })
        .into();
    assert_eq!(collections("cli_kept").await, Vec::<String>::new());
    snapshot("kept", &runs);
}

#[tokio::test]
async fn a_view_on_a_collection_that_gets_another_name_is_warned_of() {
    let (terminal, uri) = (Terminal::new(), shop("cli_view").await);
    let database = client().await.database("cli_view");
    for (view, on, pipeline) in [
        ("open", "orders", vec![doc! { "$match": { "status": "open" } }]),
        ("with_orders", "events", vec![doc! { "$unionWith": "orders" }]),
        ("untouched", "events", vec![]),
    ] {
        database.run_command(doc! { "create": view, "viewOn": on, "pipeline": pipeline }).await.unwrap();
    }
    terminal.run(&["dump", &uri, "a.tlz"]).ends_with(0);
    database.drop().await.unwrap();
    let restored = terminal.run(&["restore", "a.tlz", &uri, "--rename", "orders=old"]).ends_with(0);
    let view = database.list_collections().filter(doc! { "name": "open" }).await.unwrap();
    let view = futures_util::TryStreamExt::try_collect::<Vec<_>>(view).await.unwrap().remove(0);
    assert_eq!(view.options.view_on.as_deref(), Some("orders"), "the warning is not true");
    snapshot("view-of-renamed", &[restored]);
}

#[tokio::test]
async fn a_write_concern_that_is_not_met_ends_the_restore() {
    let terminal = Terminal::new();
    archive(&terminal, "cli_concern").await;
    let (_turn, set) = faulty().await;
    let target = format!("{}&appName=cli_concern", uri(set, "cli_concern"));
    let restore = |target: &str| {
        let arguments = ["restore", "a.tlz", target, "--include", "cli_concern.orders", "--parallel", "1"];
        terminal.run(&arguments).ends_with(1)
    };
    // There is no second member, and the server says so itself.
    let of_two = restore(&format!("{target}&w=2"));
    set.client().await.unwrap().database("cli_concern").drop().await.unwrap();
    // A majority that does not come in time.
    let error = doc! { "code": 64, "codeName": "WriteConcernFailed", "errmsg": "waiting for replication timed out" };
    let data = doc! { "failCommands": ["insert"], "writeConcernError": error };
    fail_point(set, "cli_concern", doc! { "times": 1000 }, data).await;
    let not_in_time = restore(&target);
    let orders = set.client().await.unwrap().database("cli_concern").collection::<Document>("orders");
    assert_eq!(orders.count_documents(doc! {}).await.unwrap(), ORDERS, "what was loaded stays");
    snapshot("write-concern", &[of_two, not_in_time]);
}
