//! Help, completions, usage errors, and the variables of the flags.

use clap::CommandFactory;
use transload::cli::Cli;

use super::terminal::{Ran, Terminal, snapshot};

const COMMANDS: [&str; 17] = [
    "dump",
    "restore",
    "check",
    "migrate",
    "cutover",
    "status",
    "pause",
    "resume",
    "capture",
    "replay",
    "inspect",
    "verify",
    "recover",
    "indexes",
    "bench",
    "demo",
    "completions",
];

#[test]
fn the_help_of_the_program_and_of_every_command() {
    let terminal = Terminal::new();
    let known: Vec<String> = Cli::command().get_subcommands().map(|command| command.get_name().to_owned()).collect();
    assert_eq!(known, COMMANDS, "a command is new: name it here");
    snapshot("help", &[terminal.run(&["--help"]).ends_with(0)]);
    for command in COMMANDS {
        snapshot(&format!("help-{command}"), &[terminal.run(&[command, "--help"]).ends_with(0)]);
    }
    for command in ["check", "repair"] {
        snapshot(&format!("help-indexes-{command}"), &[terminal.run(&["indexes", command, "--help"]).ends_with(0)]);
    }
}

#[test]
fn without_arguments_the_help_comes_with_the_code_of_a_usage_error() {
    let ran = Terminal::new().run(&[]).ends_with(2).says("Usage: transload");
    assert!(ran.stdout.is_empty());
}

#[test]
fn the_version_is_on_standard_output() {
    let ran = Terminal::new().run(&["--version"]).ends_with(0);
    assert_eq!(ran.out(), format!("transload {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn what_is_not_understood_ends_in_2_and_touches_nothing() {
    let terminal = Terminal::new();
    let run = |arguments: &[&str]| terminal.run(arguments).ends_with(2);
    let runs: Vec<Ran> = [
        &["restore", "a.tlz", "mongodb://h/", "--drop", "--append"][..],
        &["dump", "mongodb://h/", "a.tlz", "--codec", "lzma"],
        &["dump", "mongodb://h/", "a.tlz", "--codec", "zstd:99"],
        &["dump", "mongodb://h/", "a.tlz", "--parallel", "0"],
        &["dump", "mongodb://h/", "a.tlz", "--retry-for", "soon"],
        &["dump"],
        &["inspect", "a.tlz", "--limit", "3"],
        &["frobnicate"],
        &["demo", "--scale", "0"],
        &["completions", "tcsh"],
        &["capture", "mongodb://h/", "d", "--scope", "shard"],
        &["capture", "mongodb://h/", "d", "--since", "yesterday"],
        &["capture", "mongodb://h/", "d", "--until", "soon"],
        &["capture", "mongodb://h/", "d", "--for", "5"],
        &["capture", "mongodb://h/", "mongodb://other/"],
        &["capture", "mongodb://h/", "d", "--events-to", "target"],
        &["capture", "mongodb://h/", "d", "--events-to", "nowhere"],
        &["capture", "mongodb://h/", "d", "--target", "mongodb://h/"],
    ]
    .map(run)
    .into();
    assert!(runs.iter().all(|run| run.stdout.is_empty()));
    snapshot("usage", &runs);
    assert_eq!(std::fs::read_dir(terminal.path("")).unwrap().count(), 0);
}

#[test]
fn a_usage_error_is_json_when_json_is_wanted() {
    let ran = Terminal::new().run(&["dump", "--json", "a", "b", "--parallel", "0"]).ends_with(2);
    assert_eq!(ran.stderr, "");
    let error = &ran.lines()[0];
    assert_eq!((error["type"].as_str(), error["kind"].as_str()), (Some("error"), Some("usage")));
    assert!(error["message"].as_str().unwrap().starts_with("invalid value '0' for '--parallel <N>'"));
}

#[test]
fn every_flag_has_a_variable_that_works() {
    let mut flags = 0;
    let root = Cli::command();
    let nested = root.get_subcommands().flat_map(|command| command.get_subcommands());
    for command in root.get_subcommands().chain(nested).chain([&root]) {
        for flag in command.get_arguments().filter(|argument| !argument.is_positional()) {
            if ["help", "version"].contains(&flag.get_id().as_str()) {
                continue;
            }
            let variable = flag.get_env().unwrap_or_else(|| panic!("{} has no variable", flag.get_id()));
            let expected = format!("TRANSLOAD_{}", flag.get_long().unwrap().to_uppercase().replace('-', "_"));
            assert_eq!(variable.to_str(), Some(expected.as_str()));
            flags += 1;
        }
    }
    assert!(flags > 15, "{flags}");

    let terminal = Terminal::new();
    for yes in ["1", "true", "yes"] {
        let ran = terminal.run_with(&[("TRANSLOAD_JSON", yes)], &["verify", "missing.tlz"]).ends_with(1);
        assert_eq!(ran.lines()[0]["kind"], "not-found");
    }
    terminal.run_with(&[("TRANSLOAD_JSON", "0")], &["verify", "missing.tlz"]).ends_with(1).says("error: missing.tlz");
    terminal.run_with(&[("TRANSLOAD_PARALLEL", "0")], &["dump", "a", "b"]).ends_with(2).says("--parallel <N>");
}

#[test]
fn completions_know_the_commands() {
    for shell in ["bash", "zsh", "fish"] {
        let ran = Terminal::new().run(&["completions", shell]).ends_with(0);
        assert!(ran.out().contains("restore") && ran.out().contains("collections-file"), "{shell}");
        assert_eq!(ran.stderr, "");
    }
}

/// On a terminal of `script`'s making, for without one there are no colours anyway.
#[test]
fn no_color_means_no_colour() {
    let terminal = Terminal::new();
    let on_terminal = |front: &str| terminal.shell(&format!("{front} script -qec '\"$T\" frobnicate' /dev/null"));
    assert!(on_terminal("TERM=xterm").out().contains("\u{1b}["), "this test shows nothing");
    assert!(!on_terminal("TERM=xterm NO_COLOR=1").out().contains('\u{1b}'));
}
