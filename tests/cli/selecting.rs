//! Names that do not exist, and selections that match nothing.

use super::{
    data::shop,
    terminal::{Ran, Terminal, snapshot},
};

#[tokio::test]
async fn what_is_not_there_is_told_with_what_is() {
    let (terminal, uri) = (Terminal::new(), shop("cli_selecting").await);
    let all = uri.replace("/cli_selecting?", "/?");
    terminal.write("empty.txt", "# none\n\n").write("list.txt", "orders\nevants\n").write("bare.txt", "orders\n");
    let runs: Vec<Ran> = [
        (1, &["dump", &uri, "a.tlz", "--include", "cli_selecting.ordesr"][..]),
        (1, &["dump", &uri, "a.tlz", "--include", "ordesr"]),
        (1, &["dump", &uri, "a.tlz", "--include", "x*"]),
        (1, &["dump", &uri, "a.tlz", "--include", "other.orders"]),
        (1, &["dump", &uri, "a.tlz", "--exclude", "*"]),
        (2, &["dump", &all, "a.tlz", "--include", "orders"]),
        (2, &["dump", &uri, "a.tlz", "--include", ""]),
        (1, &["dump", &uri, "a.tlz", "--collections-file", "list.txt"]),
        (2, &["dump", &uri, "a.tlz", "--collections-file", "empty.txt"]),
        (2, &["dump", &all, "a.tlz", "--collections-file", "bare.txt"]),
        (1, &["dump", &uri, "a.tlz", "--collections-file", "missing.txt"]),
    ]
    .map(|(code, arguments)| terminal.run(arguments).ends_with(code))
    .into();
    snapshot("selecting", &runs);
    assert!(!terminal.has("a.tlz") && !terminal.has("a.tlz.partial"));
}

#[tokio::test]
async fn a_database_that_is_not_there_is_told_with_those_that_are() {
    let (terminal, uri) = (Terminal::new(), shop("cli_databases").await);
    let ran = terminal.run(&["dump", &uri.replace("/cli_databases?", "/cli_databasse?"), "a.tlz"]);
    let ran = ran.ends_with(1).says("there is no database 'cli_databasse'").says("\nhint: databases here: ");
    assert!(!ran.stderr.contains("local"), "{ran}");
}

#[tokio::test]
async fn an_exclude_that_matches_nothing_is_a_warning() {
    let (terminal, uri) = (Terminal::new(), shop("cli_idle_exclude").await);
    terminal
        .run(&["dump", &uri, "a.tlz", "--exclude", "nothing"])
        .ends_with(0)
        .says("warning: exclude \"nothing\": matches nothing");
}
