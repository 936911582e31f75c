//! What programs read: JSON lines, their fields and types.

use mongodb::{
    IndexModel,
    bson::{Document, doc},
    options::IndexOptions,
};
use serde_json::Value;

use super::{
    data::{archive, client, empty, shop, shop_on},
    terminal::{Terminal, finish, snapshot_text},
};
use crate::servers::faulty;

/// Each field with its type, one a line; of an array, what its first element holds.
pub(crate) fn schema(value: &Value) -> String {
    fn walk(path: &str, value: &Value, lines: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    walk(&format!("{path}.{name}"), value, lines);
                }
            }
            Value::Array(elements) => match elements.first() {
                Some(first) => walk(&format!("{path}[]"), first, lines),
                None => lines.push(format!("{path}[]")),
            },
            Value::Null => lines.push(format!("{path}: null")),
            Value::Bool(_) => lines.push(format!("{path}: bool")),
            Value::Number(number) if number.is_f64() => lines.push(format!("{path}: float")),
            Value::Number(_) => lines.push(format!("{path}: integer")),
            Value::String(_) => lines.push(format!("{path}: string")),
        }
    }
    let mut lines = Vec::new();
    walk("", value, &mut lines);
    lines.join("\n")
}

#[tokio::test]
async fn the_fields_of_every_report() {
    let (terminal, uri) = (Terminal::new(), shop("cli_json").await);
    let database = client().await.database("cli_json");
    database.run_command(doc! { "profile": 2 }).await.unwrap();
    database.run_command(doc! { "profile": 0 }).await.unwrap();
    // A document that is there and an index that cannot be built, so that every list holds something.
    let clash = empty("cli_json_clash").await;
    let orders = client().await.database("cli_json_clash").collection::<Document>("orders");
    orders.insert_one(doc! { "_id": 0 }).await.unwrap();
    let taken = IndexOptions::builder().name("status_1".to_owned()).build();
    orders.create_index(IndexModel::builder().keys(doc! { "code": 1 }).options(taken).build()).await.unwrap();
    let rename = "cli_json.*=cli_json_clash.*";
    for (name, code, arguments) in [
        ("dump", 0, &["dump", &uri, "a.tlz", "--exclude", "nothing"][..]),
        ("inspect", 0, &["inspect", "a.tlz"]),
        ("verify", 0, &["verify", "a.tlz"]),
        ("recover", 0, &["recover", "a.tlz", "b.tlz"]),
        ("restore", 3, &["restore", "a.tlz", &clash, "--rename", rename, "--append"]),
    ] {
        let ran = terminal.run(&[&["--json"], arguments].concat()).ends_with(code);
        assert_eq!(ran.stderr, "", "{name}");
        let lines = ran.lines();
        for line in &lines {
            assert!(["progress", "warning", "summary"].contains(&line["type"].as_str().unwrap()), "{line}");
        }
        let summaries: Vec<_> = lines.iter().filter(|line| line["type"] == "summary").collect();
        assert_eq!(summaries.len(), 1, "{name}");
        snapshot_text(&format!("json-{name}"), &schema(summaries[0]));
    }
}

#[tokio::test]
async fn a_warning_an_error_and_progress() {
    let (terminal, (_turn, set)) = (Terminal::new(), faulty().await);
    let uri = shop_on(set, "cli_json_lines").await;
    let slow = super::signals::slow(set, &uri, "cli_json_lines", "find", 1300).await;
    let ran = terminal.run(&["--json", "dump", &slow, "a.tlz", "--exclude", "nothing", "--parallel", "1"]).ends_with(0);
    let lines = ran.lines();
    let of = |kind: &str| lines.iter().find(|line| line["type"] == kind).map(schema).unwrap_or_default();
    let failed = terminal.run(&["--json", "dump", &uri, "a.tlz"]).ends_with(1);
    let error = schema(&failed.lines()[0]);
    assert_eq!(failed.stderr, "");
    snapshot_text("json-lines", &[of("warning"), of("progress"), error].join("\n\n"));
}

#[tokio::test]
async fn with_the_archive_on_standard_output_all_else_is_on_standard_error() {
    let (terminal, uri) = (Terminal::new(), shop("cli_json_stdout").await);
    for flags in [&["--json"][..], &[]] {
        let ran = terminal.run(&[&["dump", &uri, "-"], flags].concat()).ends_with(0);
        terminal.write("a.tlz", &ran.stdout);
        terminal.run(&["verify", "a.tlz"]).ends_with(0);
        if !flags.is_empty() {
            let last: Value = serde_json::from_str(ran.stderr.lines().last().unwrap()).unwrap();
            assert_eq!(last["type"], "summary");
        }
    }
    // An error too.
    let ran = terminal.run(&["--json", "dump", &uri.replace("/cli_json_stdout?", "/cli_nothing?"), "-"]).ends_with(1);
    assert!(ran.stdout.is_empty());
    assert_eq!(serde_json::from_str::<Value>(&ran.stderr).unwrap()["kind"], "not-found");
}

#[tokio::test]
async fn documents_are_shown_as_canonical_extended_json() {
    let terminal = Terminal::new();
    archive(&terminal, "cli_json_documents").await;
    let ran =
        terminal.run(&["inspect", "a.tlz", "--documents", "cli_json_documents.orders", "--limit", "2"]).ends_with(0);
    assert_eq!(ran.stderr, "");
    let documents: Vec<Document> =
        ran.lines().into_iter().map(|line| line.as_object().unwrap().clone().try_into().unwrap()).collect();
    assert_eq!(documents[0], doc! { "_id": 0, "status": "paid", "code": 0_i64 });
    assert_eq!(documents[1], doc! { "_id": 1, "status": "open", "code": 1_i64 });
    assert_eq!(documents.len(), 2);
    terminal
        .run(&["inspect", "a.tlz", "--documents", "cli_json_documents.ordesr"])
        .ends_with(1)
        .says("cli_json_documents.orders");
}

#[tokio::test]
async fn control_characters_in_names_do_not_reach_the_terminal() {
    let (terminal, uri) = (Terminal::new(), empty("cli_control").await);
    let name = "evil\u{1b}[2Jname\nnext";
    client().await.database("cli_control").collection::<Document>(name).insert_one(doc! { "_id": 1 }).await.unwrap();
    let quiet = |text: &str| !text.contains('\u{1b}') && !text.contains("name\nnext");
    let dumped = terminal.run(&["dump", &uri, "a.tlz"]).ends_with(0);
    assert!(quiet(&dumped.stderr) && dumped.stderr.contains("\\u{1b}[2J"), "{dumped}");
    for arguments in [
        &["inspect", "a.tlz"][..],
        &["--json", "inspect", "a.tlz"],
        &["inspect", "a.tlz", "--documents", "cli_control.x"],
        &["restore", "a.tlz", &uri],
        &["restore", "a.tlz", &uri, "--append"],
        &["dump", &uri, "b.tlz", "--include", "evil"],
    ] {
        let ran = terminal.run(arguments);
        assert!(quiet(&ran.stderr) && quiet(ran.out()), "{ran}");
    }
    let child = terminal.command(&["restore", "a.tlz", &uri, "--drop"]).spawn().unwrap();
    assert!(quiet(&finish(child, "restore --drop").ends_with(0).stderr));
}
