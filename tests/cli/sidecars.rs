//! The sidecar as people meet it: what is repaired is said, and what they write into it is read or refused by line.

use mongodb::bson::{Bson, Document, doc};
use transload::sandbox::Release;

use super::{
    data::{self, client, empty, uri},
    terminal::{Terminal, snapshot},
};
use crate::servers::{own, shared};

#[tokio::test]
async fn bad_indexes_of_an_old_server_are_named_on_the_way_out_and_on_the_way_in() {
    let (terminal, target) = (Terminal::new(), empty("cli_bad").await);
    let set = own(Release::V4_2_6).await;
    let on = doc! { "configureFailPoint": "skipIndexCreateFieldNameValidation", "mode": "alwaysOn" };
    set.fail_point(on).await.unwrap();
    let database = set.client().await.unwrap().database("cli_bad");
    database.collection::<Document>("orders").insert_one(doc! { "_id": 1, "email": "a" }).await.unwrap();
    let indexes = vec![
        doc! { "v": 1, "key": { "email": 1 }, "name": "email_1", "safe": Bson::Null, "w": 1, "unique": true },
        doc! { "key": { "at": "geoHaystack", "kind": 1 }, "name": "hay", "bucketSize": 1 },
        doc! { "key": { "name": 1 }, "name": "name_1", "background": true },
    ];
    database.run_command(doc! { "createIndexes": "orders", "indexes": indexes }).await.unwrap();
    let dumped = terminal.run(&["dump", &uri(&set, "cli_bad"), "a.tlz"]).ends_with(0);
    let strict = terminal.run(&["restore", "a.tlz", &target, "--index-policy", "strict"]).ends_with(1);
    let plan = terminal.run(&["restore", "a.tlz", &target, "--dry-run"]).ends_with(3);
    assert_eq!(data::collections("cli_bad").await, Vec::<String>::new());
    let repaired = terminal.run(&["restore", "a.tlz", &target]).ends_with(3);
    let orders = client().await.database("cli_bad").collection::<Document>("orders");
    assert_eq!(orders.list_index_names().await.unwrap(), ["_id_", "email_1", "name_1"]);
    let skip = terminal.run(&["restore", "a.tlz", &target, "--drop", "--index-policy", "skip"]).ends_with(3);
    assert_eq!(orders.list_index_names().await.unwrap(), ["_id_", "name_1"]);
    snapshot("bad-indexes", &[dumped, strict, plan, repaired, skip]);
}

#[tokio::test]
async fn a_sidecar_that_makes_no_sense_is_refused_by_line_before_anything_is_written() {
    let (terminal, uri) = (Terminal::new(), empty("cli_sidecar").await);
    data::archive(&terminal, "cli_sidecar").await;
    let good = String::from_utf8(terminal.read("a.indexes.json")).unwrap();
    let mut runs = Vec::new();
    for (from, to) in [
        ("\"indexes\": [", "\"indexes\": "),
        ("cli_sidecar.orders", "cli_sidecar.order"),
        ("\"spec\":", "\"specification\":"),
        ("\"archive\": \"", "\"archive\": \"00"),
        ("\"status\":1", "\"status\":1,\"status\":-1"),
    ] {
        assert!(good.contains(from));
        terminal.write("a.indexes.json", good.replacen(from, to, 1));
        runs.push(terminal.run(&["restore", "a.tlz", &uri]).ends_with(2));
        assert_eq!(data::collections("cli_sidecar").await, Vec::<String>::new(), "{from}");
    }
    runs.push(terminal.run(&["restore", "a.tlz", &uri, "--indexes", "missing.json"]).ends_with(1));
    runs.push(terminal.run(&["restore", "a.tlz", &uri, "--indexes", "."]).ends_with(2));
    snapshot("sidecars", &runs);
}

#[tokio::test]
async fn an_index_on_a_view_is_refused_before_anything_is_written() {
    let terminal = Terminal::new();
    let uri = data::shop("cli_sidecar_view").await;
    let database = client().await.database("cli_sidecar_view");
    database.run_command(doc! { "create": "paid", "viewOn": "orders", "pipeline": [] }).await.unwrap();
    terminal.run(&["dump", &uri, "a.tlz"]).ends_with(0);
    database.drop().await.unwrap();
    let good = String::from_utf8(terminal.read("a.indexes.json")).unwrap();
    let view = r#"{ "namespace": "cli_sidecar_view.paid", "indexes": [{ "spec": { "key": { "a": 1 } } }] }"#;
    terminal.write("a.indexes.json", good.replacen("\"collections\": [", &format!("\"collections\": [\n{view},"), 1));
    let refused = terminal.run(&["restore", "a.tlz", &uri]).ends_with(2);
    let piped = terminal.shell(&format!("cat a.tlz | \"$T\" restore - '{uri}' --indexes a.indexes.json")).ends_with(2);
    let checked = terminal.run(&["indexes", "check", "a.tlz"]).ends_with(2);
    assert_eq!(data::collections("cli_sidecar_view").await, Vec::<String>::new());
    // One without indexes does no harm.
    let empty = r#"{ "namespace": "cli_sidecar_view.paid", "indexes": [] }"#;
    terminal.write("a.indexes.json", good.replacen("\"collections\": [", &format!("\"collections\": [\n{empty},"), 1));
    terminal.run(&["restore", "a.tlz", &uri]).ends_with(0);
    snapshot("sidecar-view", &[refused, piped, checked]);
}

#[tokio::test]
async fn a_collection_that_the_target_cannot_have_is_named_where_its_indexes_are_proven() {
    let terminal = Terminal::new();
    let (source, target) = (empty("cli_clustered").await, uri(shared(Release::V4_2_6).await, "cli_clustered"));
    let database = client().await.database("cli_clustered");
    let clustered = doc! { "key": { "_id": 1 }, "unique": true };
    database.run_command(doc! { "create": "ordered", "clusteredIndex": clustered }).await.unwrap();
    let indexes = vec![doc! { "key": { "a": 1 }, "name": "a_1" }];
    database.run_command(doc! { "createIndexes": "ordered", "indexes": indexes }).await.unwrap();
    terminal.run(&["dump", &source, "a.tlz"]).ends_with(0);
    let refused = terminal.run(&["restore", "a.tlz", &target]).ends_with(1).says("cli_clustered.ordered: ");
    snapshot("clustered", &[refused]);
}

#[tokio::test]
async fn a_sidecar_that_may_have_been_edited_is_not_written_over_without_a_word() {
    let terminal = Terminal::new();
    let uri = data::shop("cli_sidecar_exists").await;
    terminal.write("a.indexes.json", "mine");
    let refused = terminal.run(&["dump", &uri, "a.tlz"]).ends_with(1);
    assert!(!terminal.has("a.tlz") && !terminal.has("a.tlz.partial"));
    assert_eq!(terminal.read("a.indexes.json"), b"mine");
    terminal.run(&["dump", &uri, "a.tlz", "--force"]).ends_with(0);
    assert_ne!(terminal.read("a.indexes.json"), b"mine");
    snapshot("sidecar-exists", &[refused]);
}
