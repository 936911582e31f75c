//! The commands one after the other, as people use them.

use std::{fs, path::Path};

use super::{
    data::{archive, client, collections, empty, shop},
    signals::{send, until},
    terminal::{Terminal, finish, snapshot},
};

#[tokio::test]
async fn a_dump_piped_into_a_restore_is_a_copy() {
    let (terminal, source) = (Terminal::new(), shop("cli_pipe").await);
    let target = empty("cli_pipe_copy").await;
    let script =
        format!("set -e; \"$T\" dump '{source}' - | \"$T\" restore - '{target}' --rename 'cli_pipe.*=cli_pipe_copy.*'");
    terminal.shell(&script).ends_with(0);
    assert_eq!(collections("cli_pipe_copy").await, ["events", "orders"]);
    let client = client().await;
    let hash = async |name: &str| {
        let reply = client.database(name).run_command(mongodb::bson::doc! { "dbHash": 1 }).await.unwrap();
        reply.get_str("md5").unwrap().to_owned()
    };
    assert_eq!(hash("cli_pipe").await, hash("cli_pipe_copy").await);
}

#[tokio::test]
async fn a_good_archive_is_dumped_inspected_verified_and_restored() {
    let (terminal, uri) = (Terminal::new(), shop("cli_whole").await);
    let dumped = terminal.run(&["dump", &uri, "a.tlz"]).ends_with(0);
    let inspected = terminal.run(&["inspect", "a.tlz"]).ends_with(0);
    assert_eq!(inspected.stderr, "");
    let verified = terminal.run(&["verify", "a.tlz"]).ends_with(0).says("a.tlz: whole: ");
    client().await.database("cli_whole").drop().await.unwrap();
    let restored = terminal.run(&["restore", "a.tlz", &uri]).ends_with(0);
    let quiet = terminal.run(&["-q", "verify", "a.tlz"]).ends_with(0);
    assert_eq!((quiet.out(), quiet.stderr.as_str()), ("", ""));
    let day = regex::Regex::new(r"at \d{4}-\S+Z").unwrap();
    let shown = [dumped, inspected, verified, restored].map(|ran| super::terminal::redacted(&ran.to_string()));
    super::terminal::snapshot_text("whole", &day.replace_all(&shown.join("\n"), "at TIME"));
}

#[tokio::test]
async fn an_archive_cannot_be_verified_as_a_stream_only_in_part() {
    let terminal = Terminal::new();
    archive(&terminal, "cli_stream").await;
    let whole = terminal.feed(&terminal.path("a.tlz"), &["verify", "-"]).ends_with(0);
    let bytes = terminal.read("a.tlz");
    terminal.write("cut.tlz", &bytes[..bytes.len() - 1]);
    snapshot("stream", &[whole, terminal.feed(&terminal.path("cut.tlz"), &["verify", "-"]).ends_with(1)]);
}

#[test]
fn the_demo_moves_a_live_database_and_kills_the_move_in_the_middle() {
    let ran = Terminal::new().run(&["demo", "--scale", "0.001"]).ends_with(0);
    assert!(ran.out().contains("Nothing was lost: from MongoDB 4.2.6 to 6.0.5"), "{ran}");
    assert!(!ran.out().contains("DIFFERENT"), "{ran}");
    assert!(ran.stderr.contains("killed (SIGKILL)") && ran.stderr.contains("repaired: "), "{ran}");
    let ran = Terminal::new().run(&["--json", "demo", "--scale", "0.001"]).ends_with(0);
    let summary = ran.lines().pop().unwrap();
    assert_eq!(summary["equal"], true);
    super::terminal::snapshot_text("json-demo", &super::json::schema(&summary));
}

/// Whether a process has this in its command line.
fn is_run(what: &Path) -> bool {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let lines = processes.filter_map(|process| fs::read(process.path().join("cmdline")).ok());
    let what = what.to_str().unwrap().as_bytes();
    lines.into_iter().any(|line| line.windows(what.len()).any(|part| part == what))
}

/// Its servers go with it, and a migration waits for servers for ever.
#[test]
fn a_demo_that_is_killed_leaves_nobody_waiting() {
    let terminal = Terminal::new();
    let directory = terminal.path("tmp");
    fs::create_dir(&directory).unwrap();
    let demo = terminal.command(&["demo", "--scale", "0.01"]).env("TMPDIR", &directory).spawn().unwrap();
    until(|| is_run(&directory.join("transload-demo-")));
    send(&demo, rustix::process::Signal::KILL);
    finish(demo, "transload demo").ends_with(1009);
    until(|| !is_run(&directory));
}
