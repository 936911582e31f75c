//! What the commands say of the point in time that an archive is of.

use mongodb::bson::doc;
use transload::sandbox::Release;

use super::{
    data::{client, shop, shop_on},
    terminal::{Ran, Terminal, snapshot},
};
use crate::servers::shared;

/// The line about it.
fn consistency(text: &str) -> &str {
    text.lines().find(|line| line.starts_with("consistency: ")).unwrap()
}

#[tokio::test]
async fn the_dump_and_the_inspection_say_of_which_time_an_archive_is() {
    let (terminal, uri) = (Terminal::new(), shop("cli_consistent").await);
    let dumped = terminal.run(&["dump", &uri, "a.tlz", "--consistent"]).ends_with(0);
    let inspected = terminal.run(&["inspect", "a.tlz"]).ends_with(0);
    let said = consistency(&dumped.stderr);
    assert!(said.starts_with("consistency: point-in-time at "), "{said}");
    assert_eq!(consistency(inspected.out()), said);

    let json = terminal.run(&["--json", "inspect", "a.tlz"]).ends_with(0);
    let found = &json.lines()[0]["consistency"];
    assert_eq!(found["is"], "point-in-time");
    assert!(said.contains(found["time"].as_str().unwrap()), "{said} {found}");
    assert_eq!(found["time"], found["replay_from"]);
    assert!(found["reason"].is_null());

    let by_variable = terminal.run_with(&[("TRANSLOAD_CONSISTENT", "1")], &["dump", &uri, "b.tlz"]).ends_with(0);
    assert!(consistency(&by_variable.stderr).starts_with("consistency: point-in-time at "), "{by_variable}");
}

#[tokio::test]
async fn what_is_salvaged_is_fuzzy() {
    let terminal = Terminal::new();
    super::data::archive(&terminal, "cli_fuzzy").await;
    terminal.run(&["recover", "a.tlz", "b.tlz"]).ends_with(0);
    let inspected = terminal.run(&["inspect", "b.tlz"]).ends_with(0);
    assert_eq!(consistency(inspected.out()), "consistency: fuzzy: it does not tell the cluster times of its parts");
}

#[tokio::test]
async fn what_cannot_be_of_one_time_is_refused_with_the_way_out() {
    let (terminal, uri) = (Terminal::new(), shop("cli_one_time").await);
    let create = doc! { "create": "log", "capped": true, "size": 100_000 };
    client().await.database("cli_one_time").run_command(create).await.unwrap();
    let capped = terminal.run(&["dump", &uri, "a.tlz", "--consistent"]).ends_with(2);
    let old = shop_on(shared(Release::V4_2_6).await, "cli_one_time").await;
    let old = terminal.run(&["dump", &old, "a.tlz", "--consistent"]).ends_with(2);
    assert!(!terminal.has("a.tlz") && !terminal.has("a.tlz.partial"));
    let refused: [Ran; 2] = [capped, old];
    snapshot("consistent-refused", &refused);
}
