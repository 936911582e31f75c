//! Two sides that are compared, as whoever compares them meets it.

use std::time::Duration;

use mongodb::bson::{Document, doc};

use super::{
    data::{ORDERS, archive, client, empty, fill, shop},
    json::schema,
    terminal::{Ran, Terminal, redacted, snapshot, snapshot_text},
};

#[tokio::test]
async fn what_is_equal_and_what_is_not() {
    let terminal = Terminal::new();
    archive(&terminal, "cli_verify").await;
    let uri = shop("cli_verify_copy").await;
    // One part after the other, so that the lines of the file have one order.
    let rename = ["--parallel", "1", "--rename", "cli_verify.*=cli_verify_copy.*"];
    let compare = |more: &[&str]| terminal.run(&[&["verify", "a.tlz", &uri][..], &rename, more].concat());
    let mut runs = vec![compare(&[]).ends_with(0)];
    assert!(!terminal.has("transload-verify.jsonl"));
    let copy = client().await.database("cli_verify_copy");
    let orders = copy.collection::<Document>("orders");
    orders.update_one(doc! { "_id": 7 }, doc! { "$set": { "code": 7 } }).await.unwrap();
    orders.delete_one(doc! { "_id": 8 }).await.unwrap();
    orders.insert_one(doc! { "_id": "more" }).await.unwrap();
    orders.drop_index("status_1").await.unwrap();
    copy.create_collection("extra").await.unwrap();
    runs.push(compare(&[]).ends_with(4));
    snapshot_text("verify-findings", &redacted(&String::from_utf8(terminal.read("transload-verify.jsonl")).unwrap()));
    // Without a terminal nothing is changed unasked.
    runs.push(compare(&["--repair-target"]).ends_with(2));
    runs.push(compare(&["--repair-target", "--yes"]).ends_with(4));
    assert_eq!(orders.count_documents(doc! {}).await.unwrap(), ORDERS);
    assert!(!terminal.has("transload-verify.jsonl"), "the documents are equal, the index and the collection are not");
    runs.push(compare(&["--exclude", "*.orders", "--sample", "2", "--quiet"]).ends_with(4));
    snapshot("verify-compared", &runs);
    let json = terminal.run(&[&["verify", "a.tlz", &uri, "--json"][..], &rename].concat()).ends_with(4);
    let lines = json.lines();
    snapshot_text("json-verify-two", &schema(lines.iter().find(|line| line["type"] == "summary").unwrap()));
}

#[tokio::test]
async fn on_a_terminal_a_repair_asks_and_says_what_it_would_delete() {
    let terminal = Terminal::new();
    let (left, right) = (shop("cli_verify_ask").await, shop("cli_verify_ask_copy").await);
    let orders = client().await.database("cli_verify_ask_copy").collection::<Document>("orders");
    orders.delete_one(doc! { "_id": 3 }).await.unwrap();
    orders.insert_one(doc! { "_id": "more" }).await.unwrap();
    let answer = |answer: &str, code: i32| {
        let verify = format!("\"$T\" verify \"{left}\" \"{right}\" --repair-target");
        terminal.shell(&format!("(sleep 1; printf '{answer}\\n') | script -qec '{verify}' /dev/null")).ends_with(code)
    };
    let refused = answer("n", 4);
    assert!(refused.out().contains("write 1 documents anew, and DELETE 1"), "{refused}");
    assert_eq!(orders.count_documents(doc! { "_id": "more" }).await.unwrap(), 1);
    let agreed = answer("y", 0);
    assert!(agreed.out().contains("2 documents were repaired") && agreed.out().contains("EQUAL"), "{agreed}");
}

#[tokio::test]
async fn what_cannot_be_compared_is_refused() {
    let terminal = Terminal::new();
    archive(&terminal, "cli_verify_refused").await;
    let uri = empty("cli_verify_refused").await;
    terminal.write("notes.jsonl", "a file of somebody's own\n");
    let runs: Vec<Ran> = [
        &["verify", &uri][..],
        &["verify", "-", &uri],
        &["verify", &uri, "missing.tlz"],
        &["verify", "a.tlz", "a.tlz", "--repair-target", "--yes"],
        &["verify", "a.tlz", "--sample", "3"],
        &["verify", "a.tlz", &uri, "--include", "nothing"],
        &["verify", "a.tlz", &uri, "--differences", "notes.jsonl"],
    ]
    .map(|arguments| terminal.run(arguments))
    .into();
    assert_eq!(terminal.read("notes.jsonl"), b"a file of somebody's own\n");
    snapshot("verify-refused", &runs);
}

#[tokio::test]
async fn a_comparison_that_is_killed_goes_on_where_it_was() {
    let terminal = Terminal::new();
    let (left, right) = (empty("cli_verify_killed").await, empty("cli_verify_killed_copy").await);
    for name in ["cli_verify_killed", "cli_verify_killed_copy"] {
        fill(&client().await, name).await;
        let many = client().await.database(name);
        for number in 0..150 {
            let items = many.collection::<Document>(&format!("items{number}"));
            items.insert_many((0..200).map(|id| doc! { "_id": id, "text": "x".repeat(300) })).await.unwrap();
        }
    }
    let changed = client().await.database("cli_verify_killed_copy").collection::<Document>("items5");
    changed.update_many(doc! { "_id": { "$lt": 10 } }, doc! { "$set": { "text": "y" } }).await.unwrap();
    let arguments = ["verify", &left, &right, "--parallel", "1", "--json"];
    let done = || match terminal.has("transload-verify.jsonl") {
        true => String::from_utf8_lossy(&terminal.read("transload-verify.jsonl")).matches("\"type\":\"part\"").count(),
        false => 0,
    };
    for parts in [5, 20, 40] {
        let mut child = terminal.command(&arguments).spawn().unwrap();
        while done() < parts && child.try_wait().unwrap().is_none() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let (left_done, mut resumed) = (done() as u64, 0);
    let ran = terminal.run(&arguments).ends_with(4);
    for line in ran.lines().iter().filter(|line| line["type"] == "summary") {
        resumed = line["resumed_parts"].as_u64().unwrap();
        assert_eq!(line["documents"]["different"], 10);
        assert_eq!(line["documents"]["left"], 150 * 200 + ORDERS + 3);
    }
    assert!(resumed >= 40 && resumed <= left_done, "{resumed} {left_done}");
}
