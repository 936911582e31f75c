//! Disks that are full, and pipes that nobody reads.

use std::fs::{File, create_dir};

use super::{
    data::{client, empty, fill_large},
    terminal::{Terminal, finish, snapshot},
};

/// 5 MiB that do not compress.
async fn large(database: &str) -> String {
    fill_large(&client().await, database, 40).await;
    empty(database).await
}

#[tokio::test]
async fn a_full_standard_output_says_how_far_it_came() {
    let (terminal, uri) = (Terminal::new(), large("cli_dev_full").await);
    let full = File::options().write(true).open("/dev/full").unwrap();
    let dump = terminal.command(&["dump", &uri, "-"]).stdout(full).spawn().unwrap();
    snapshot("dev-full", &[finish(dump, "transload dump URI - > /dev/full").ends_with(1)]);
}

/// A file system of 2 MB, in a namespace of our own where that is permitted.
#[tokio::test]
async fn a_full_disk_keeps_the_partial_and_says_how_far_it_came() {
    let (terminal, uri) = (Terminal::new(), large("cli_full_disk").await);
    create_dir(terminal.path("disk")).unwrap();
    let with = |unshare: &str| {
        terminal.shell(&format!(
            "{unshare} sh -c 'mount -t tmpfs -o size=2m tmpfs disk || exit 99; \
             \"$T\" dump \"$1\" disk/a.tlz --parallel 1; code=$?; ls disk; exit $code' sh '{uri}'"
        ))
    };
    let attempts = ["unshare --user --map-root-user --mount", "unshare --mount"].into_iter().map(with);
    let Some(ran) = attempts.into_iter().find(|ran| ran.code == 1 && ran.stderr.contains("hint:")) else {
        eprintln!("no file system can be mounted here: a full disk is not tried");
        return;
    };
    assert_eq!(ran.out(), "a.tlz.partial\n");
    let ran = ran.says("error: disk/a.tlz.partial: No space left on device\nhint: make room");
    let documents = ran.stderr.split(" documents").next().unwrap().rsplit(' ').next().unwrap();
    let documents: u64 = documents.parse().unwrap();
    assert!((1..40).contains(&documents), "{ran}");
}

#[tokio::test]
async fn a_closed_pipe_is_an_error_and_no_panic() {
    let (terminal, uri) = (Terminal::new(), large("cli_closed_pipe").await);
    let script = format!("{{ \"$T\" dump '{uri}' -; echo \"exit code $?\" >&2; }} | head -c 1000 | wc -c");
    let ran = terminal.shell(&script).says("error: standard output: Broken pipe").says("\nexit code 1\n");
    assert_eq!(ran.out().trim(), "1000");
}
