//! Disks that are full, and pipes that nobody reads.

use std::{
    fs::{File, create_dir},
    io::Read,
    process::Stdio,
};

use super::{
    data::{client, empty, fill_large},
    signals::until,
    terminal::{Ran, Terminal, finish, redacted, snapshot, snapshot_text},
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

/// Somebody takes the name while the archive is written: it has all, and stays under the other one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_archive_that_cannot_have_its_name_is_whole_without_it() {
    let (terminal, uri) = (Terminal::new(), large("cli_no_name").await);
    let taken = "hint: the archive is whole, and called a.tlz.partial: give it another name";
    let not_replaced = "hint: b.tlz.partial is whole, and wants nothing but its name";
    for (archive, force, says) in [("a.tlz", &[][..], taken), ("b.tlz", &["--force"], not_replaced)] {
        let arguments = [&["dump", &uri, archive, "--max-rate", "4MB"], force].concat();
        let dump = terminal.command(&arguments).spawn().unwrap();
        let partial = format!("{archive}.partial");
        until(|| terminal.has(&partial));
        create_dir(terminal.path(archive)).unwrap();
        let ran = finish(dump, &arguments[2..].join(" ")).ends_with(1);
        let ran = ran.says(says);
        let whole = format!("whole-{archive}");
        std::fs::rename(terminal.path(&partial), terminal.path(&whole)).unwrap();
        let inspected = terminal.run(&["inspect", &whole, "--json"]).ends_with(0);
        assert_eq!(inspected.lines()[0]["documents"], 40, "{ran}");
        terminal.run(&["verify", &whole]).ends_with(0);
    }
}

/// Nobody reads the pipe, so that the writer stands, and then there is nothing more to read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dump_that_fails_does_not_wait_for_a_pipe_that_nobody_reads() {
    let (terminal, uri) = (Terminal::new(), large("cli_still_pipe").await);
    let dump = ["dump", &uri, "-", "--max-rate", "2MB", "--parallel", "1"];
    let mut dump = terminal.command(&dump).stdout(Stdio::piped()).spawn().unwrap();
    let mut pipe = dump.stdout.take().unwrap();
    // It has begun to read when there is something.
    pipe.read_exact(&mut [0; 100_000]).unwrap();
    client().await.database("cli_still_pipe").drop().await.unwrap();
    let ran = finish(dump, "transload dump URI - | nobody").ends_with(1);
    drop(pipe);
    ran.says("was dropped, renamed or made anew while it was read").says(" no whole archive");
}

/// A file system of 2 MB, in a namespace of our own. Where that is not permitted, `TRANSLOAD_TEST_NO_MOUNT` leaves it out.
#[tokio::test]
async fn a_full_disk_keeps_the_partial_and_says_how_far_it_came() {
    if std::env::var_os("TRANSLOAD_TEST_NO_MOUNT").is_some() {
        eprintln!("left out by TRANSLOAD_TEST_NO_MOUNT: a full disk is not tried");
        return;
    }
    let (terminal, uri) = (Terminal::new(), large("cli_full_disk").await);
    create_dir(terminal.path("disk")).unwrap();
    let with = |unshare: &str| {
        terminal.shell(&format!(
            "{unshare} sh -c 'mount -t tmpfs -o size=2m tmpfs disk || exit 99; \
             \"$T\" dump \"$1\" disk/a.tlz --parallel 1; code=$?; ls disk; exit $code' sh '{uri}'"
        ))
    };
    let mut attempts: Vec<Ran> = Vec::new();
    for unshare in ["unshare --user --map-root-user --mount", "unshare --mount"] {
        attempts.push(with(unshare));
        if attempts.iter().any(was_mounted) {
            break;
        }
    }
    let Some(ran) = attempts.iter().find(|ran| was_mounted(ran)) else {
        let said: String = attempts.iter().map(Ran::to_string).collect();
        panic!("no file system can be mounted; TRANSLOAD_TEST_NO_MOUNT=1 leaves this test out\n{said}");
    };
    assert_eq!((ran.code, ran.out()), (1, "a.tlz.partial\n"));
    let documents = ran.stderr.split(" documents").next().unwrap().rsplit(' ').next().unwrap();
    assert!((1..40).contains(&documents.parse::<u64>().unwrap()), "{ran}");
    let said = redacted(&ran.stderr).replace(&format!("{documents} documents"), "N documents");
    snapshot_text("full-disk", &said);
}

/// `unshare` fails with 1 of its own.
pub(super) fn was_mounted(ran: &Ran) -> bool {
    ran.code != 99 && ran.code != 127 && !ran.stderr.contains("unshare: ")
}

#[tokio::test]
async fn a_closed_pipe_is_an_error_and_no_panic() {
    let (terminal, uri) = (Terminal::new(), large("cli_closed_pipe").await);
    let script = format!("{{ \"$T\" dump '{uri}' -; echo \"exit code $?\" >&2; }} | head -c 1000 | wc -c");
    let ran = terminal.shell(&script).says("error: standard output: Broken pipe").says("\nexit code 1\n");
    assert_eq!(ran.out().trim(), "1000");
}
