//! What of a source will not be copied, and what a copy takes.

use mongodb::bson::{Document, doc};

use super::{findings, found};
use crate::cli::{
    data::{client, shop},
    terminal::Terminal,
};

#[tokio::test]
async fn a_collection_that_is_left_out_is_named_with_its_reason() {
    let (terminal, source) = (Terminal::new(), shop("cli_check_left_out").await);
    let database = client().await.database("cli_check_left_out");
    database.run_command(doc! { "create": "system.profile", "capped": true, "size": 1 << 20 }).await.unwrap();
    database.collection::<Document>("_cdc").insert_one(doc! { "_id": 1 }).await.unwrap();
    let ran = terminal.run(&["check", &source, "--json"]).ends_with(0);
    let left_out: Vec<_> = findings(&ran).into_iter().filter(|finding| finding["verdict"] == "warning").collect();
    for (namespace, reason) in [("_cdc", "change events of a capture"), ("system.profile", "the profiler's own log")] {
        let start = format!("not copied: cli_check_left_out.{namespace}: {reason}");
        let is_told = |finding: &&serde_json::Value| finding["found"].as_str().unwrap().starts_with(&start);
        assert_eq!(left_out.iter().filter(is_told).count(), 1, "{start}: {ran}");
    }
    assert!(found(&ran, "namespaces").contains("2 to copy"), "{ran}");
    // For people, too.
    let ran = terminal.run(&["check", &source]).ends_with(0);
    assert!(ran.stderr.contains("not copied: cli_check_left_out.system.profile: the profiler's own log"), "{ran}");
}

#[tokio::test]
async fn the_room_and_the_time_of_a_copy_are_those_of_its_codec_and_its_rate() {
    let (terminal, source) = (Terminal::new(), shop("cli_check_estimates").await);
    crate::cli::data::fill_large(&client().await, "cli_check_estimates", 80).await;
    let check = |more: &[&str]| terminal.run(&[&["check", &source, "--json"][..], more].concat()).ends_with(0);
    let ran = check(&[]);
    assert!(found(&ran, "disk").contains("about 5 MiB wanted"), "{ran}");
    assert!(found(&ran, "oplog").contains("the copy takes about 0 s"), "{ran}");
    let ran = check(&["--codec", "none", "--max-rate", "1MiB"]);
    assert!(found(&ran, "disk").contains("about 10 MiB wanted"), "{ran}");
    assert!(found(&ran, "oplog").contains("the copy takes about 10 s"), "{ran}");
}
