//! Archives that `recover` does not touch, or finds nothing in.

use super::{
    data::archive,
    terminal::{Ran, Terminal, snapshot},
};

#[tokio::test]
async fn a_damaged_archive_is_not_written_over_by_what_is_salvaged_from_it() {
    let terminal = Terminal::new();
    archive(&terminal, "cli_onto_itself").await;
    let good = terminal.read("a.tlz");
    terminal.write("b.tlz.partial", &good);
    std::os::unix::fs::symlink("a.tlz", terminal.path("link.tlz")).unwrap();
    let runs: Vec<Ran> = [("a.tlz", "a.tlz"), ("b.tlz.partial", "b.tlz"), ("link.tlz", "a.tlz")]
        .map(|(damaged, onto)| terminal.run(&["recover", damaged, onto, "--force"]).ends_with(2))
        .into();
    assert!(terminal.read("a.tlz") == good && terminal.read("b.tlz.partial") == good && !terminal.has("b.tlz"));
    snapshot("onto-itself", &runs);
}

#[test]
fn what_holds_no_block_gives_no_archive() {
    let terminal = Terminal::new();
    terminal.write("text.tlz", "these are only words of no archive at all\n".repeat(20)).write("empty.tlz", "");
    let runs: Vec<Ran> = ["text.tlz", "empty.tlz", "missing.tlz"]
        .map(|name| terminal.run(&["recover", name, "a.tlz"]).ends_with(1))
        .into();
    assert!(!terminal.has("a.tlz") && !terminal.has("a.tlz.partial"));
    snapshot("nothing-to-salvage", &runs);
}
