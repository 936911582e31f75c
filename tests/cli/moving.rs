//! What a running migration shows on a terminal, and where there is none.

use mongodb::bson::doc;

use super::{
    data::{client, fill_large, shop},
    terminal::Terminal,
};

/// The command, held to so many bytes a second, in words for a shell.
fn migrate(uri: &str, name: &str, rate: &str) -> String {
    let target = uri.replace(&format!("/{name}?"), &format!("/{name}_moved?"));
    format!(
        "\"$T\" migrate \"{uri}\" \"{target}\" --rename \"{name}.*={name}_moved.*\" --dir move --max-rate {rate} --progress-interval 50ms"
    )
}

#[tokio::test]
async fn bars_on_a_terminal_tell_of_the_copy_of_collections_at_work_and_of_what_follows() {
    let (terminal, uri) = (Terminal::new(), shop("cli_bars").await);
    fill_large(&client().await, "cli_bars", 60).await;
    let move_it = migrate(&uri, "cli_bars", "4MB");
    // Once it follows, it is left to do so for a while.
    let until = "until grep -q following move/logs/migrate.log 2>/dev/null; do sleep 0.1; done; sleep 1.5";
    let seen = terminal.shell(&format!(
        "stty cols 100 2>/dev/null; ({until}; \"$T\" cutover move --yes --quiet) & script -qec 'stty cols 100 rows 30; {move_it}' /dev/null; wait"
    ));
    let seen = seen.ends_with(0);
    let shown = seen.out();
    for text in ["copying 18", "MiB/s", "copying cli_bars.blobs", "EQUAL"] {
        assert!(shown.contains(text), "{text:?} is not shown: {seen}");
    }
    let following = regex::Regex::new(r"following, \d+ s behind, \d+ events/s").unwrap();
    assert!(following.is_match(shown), "{seen}");
    // Of the whole and of one collection, a bar each.
    assert!(shown.matches('█').count() > 4, "{seen}");
}

#[tokio::test]
async fn a_status_that_is_watched_on_a_terminal_fits_it() {
    let (terminal, uri) = (Terminal::new(), shop("cli_watched").await);
    let long = "long.".repeat(20) + "name";
    client().await.database("cli_watched").collection(&long).insert_one(doc! { "_id": 1 }).await.unwrap();
    fill_large(&client().await, "cli_watched", 100).await;
    let move_it = migrate(&uri, "cli_watched", "4MB");
    let seen = terminal.shell(&format!(
        "({move_it} --quiet --cutover when-caught-up) & \
         until \"$T\" status move 2>/dev/null | grep -q MiB/s; do sleep 0.05; done; \
         timeout 2 script -qec '\"$T\" status move --watch --watch-interval 100ms' /dev/null; wait; \"$T\" status move"
    ));
    let seen = seen.ends_with(0);
    let (watched, over) = seen.out().rsplit_once("\u{1b}[2J").unwrap();
    let over = over.split_once("namespace ").map_or(over, |(_, rest)| rest);
    assert!(
        watched.contains("cli_watched.blobs") && watched.contains("copying") && watched.contains("MiB/s"),
        "{seen}"
    );
    for line in watched.lines().filter(|line| line.contains("cli_watched.")) {
        let line = line.trim_end().rsplit("\u{1b}[H").next().unwrap();
        assert!(line.chars().count() <= 100, "{line:?}: {seen}");
    }
    assert!(
        watched.contains('…') && over.contains(&format!("cli_watched.{long}")),
        "whole where there is no terminal: {seen}"
    );
    // Where there is no terminal, nothing is moved up and down.
    assert!(!over.lines().last().unwrap().contains('\u{1b}') && over.contains("done; over"), "{seen}");
}
