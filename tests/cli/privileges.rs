//! Users who may do little: what works, and which privilege is named when it does not.

use mongodb::bson::{Document, doc};

use super::{
    data,
    terminal::{Terminal, snapshot},
};
use crate::servers::guarded;

#[tokio::test]
async fn a_reader_of_one_database_dumps_it_whole_and_cannot_claim_to_have_dumped_all() {
    let (set, terminal) = (guarded().await, Terminal::new());
    let one = terminal.run(&["dump", &set.uri("reader", "/shop"), "one.tlz"]).ends_with(0);
    assert!(!one.stderr.contains("warning"), "{one}");
    let all = terminal.run(&["dump", &set.uri("reader", "/"), "all.tlz"]).ends_with(3);
    let namespaces =
        |archive| terminal.run(&["--json", "inspect", archive]).ends_with(0).lines()[0]["namespaces"].clone();
    assert_eq!(namespaces("one.tlz").as_array().unwrap().len(), 2);
    assert_eq!(namespaces("all.tlz").as_array().unwrap().len(), 2);
    snapshot("reader", &[one, all]);
}

#[tokio::test]
async fn a_user_with_no_role_is_told_which_privilege_is_missing() {
    let (set, terminal) = (guarded().await, Terminal::new());
    let runs = ["/shop", "/"].map(|path| terminal.run(&["dump", &set.uri("nobody", path), "a.tlz"]).ends_with(1));
    snapshot("no-role", &runs);
}

#[tokio::test]
async fn a_user_who_may_find_in_one_collection_gets_it_and_is_told_what_is_missing() {
    let (set, terminal) = (guarded().await, Terminal::new());
    let whole = terminal.run(&["dump", &set.uri("finder", "/shop"), "a.tlz"]).ends_with(3);
    let quiet = terminal.run(&["-q", "dump", &set.uri("finder", "/shop"), "b.tlz"]).ends_with(3);
    assert!(quiet.stderr.contains("INCOMPLETE"), "{quiet}");
    let json =
        terminal.run(&["--json", "dump", &set.uri("finder", "/shop"), "c.tlz", "--include", "orders"]).ends_with(3);
    let summary = json.lines().pop().unwrap();
    assert_eq!(summary["missing"].as_array().unwrap().len(), 2);
    assert_eq!(summary["documents"], data::ORDERS);
    terminal.run(&["dump", &set.uri("finder", "/shop"), "d.tlz", "--include", "events"]).ends_with(1);
    snapshot("finder", &[whole]);
}

#[tokio::test]
async fn a_restore_by_a_reader_names_the_privilege_and_writes_nothing() {
    let (set, terminal) = (guarded().await, Terminal::new());
    terminal.run(&["dump", &set.uri("reader", "/shop"), "a.tlz"]).ends_with(0);
    let before = set.client().await.database("shop").run_command(doc! { "dbHash": 1 }).await.unwrap();
    let copy = terminal.run(&[
        "restore",
        "a.tlz",
        &set.uri("reader", "/shop"),
        "--rename",
        "shop.*=shop.copy_*",
        "--parallel",
        "1",
    ]);
    let append = terminal.run(&["restore", "a.tlz", &set.uri("reader", "/shop"), "--append", "--parallel", "1"]);
    let drop = terminal.run(&["restore", "a.tlz", &set.uri("reader", "/shop"), "--drop", "--parallel", "1"]);
    let runs = [copy.ends_with(1), append.ends_with(1), drop.ends_with(1)];
    let shown: Vec<String> = runs.iter().map(|run| super::terminal::redacted(&run.to_string())).collect();
    // Which collection comes first in the archive is chance.
    let shown = shown.join("\n").replace("insert into shop.events", "insert into shop.orders");
    super::terminal::snapshot_text("restore-by-reader", &shown);
    let after = set.client().await.database("shop").run_command(doc! { "dbHash": 1 }).await.unwrap();
    assert_eq!(before.get_str("md5").unwrap(), after.get_str("md5").unwrap());
}

#[tokio::test]
async fn read_write_is_enough_to_restore_and_a_validator_then_has_its_say() {
    let (set, terminal) = (guarded().await, Terminal::new());
    let shop = set.client().await.database("shop");
    terminal.run(&["dump", &set.uri("writer", "/shop"), "a.tlz"]).ends_with(0);
    let uri = set.uri("writer", "/copies");
    terminal.run(&["restore", "a.tlz", &uri, "--rename", "shop.*=copies.*"]).ends_with(0);
    let copies = set.client().await.database("copies");
    let hash = async |database: &mongodb::Database| {
        let reply = database.run_command(doc! { "dbHash": 1, "collections": ["orders", "events"] }).await.unwrap();
        reply.get_document("collections").unwrap().clone()
    };
    assert_eq!(hash(&shop).await, hash(&copies).await);

    let validator = doc! { "_id": { "$ne": 5 } };
    copies.run_command(doc! { "collMod": "orders", "validator": validator }).await.unwrap();
    copies.collection::<Document>("orders").delete_many(doc! {}).await.unwrap();
    let orders = ["restore", "a.tlz", &uri, "--rename", "shop.*=copies.*", "--append", "--include", "orders"];
    let counted = terminal.run(&orders).ends_with(3);
    let count = copies.collection::<Document>("orders").count_documents(doc! {}).await.unwrap();
    assert_eq!(count, data::ORDERS - 1);
    snapshot("validator", &[counted]);
}
