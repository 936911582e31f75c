//! What stands where an archive should go.

use std::{fs, os::unix::fs::PermissionsExt};

use mongodb::bson::doc;

use super::{
    data::{fail_point, shop, shop_on},
    terminal::{Terminal, finish, snapshot},
};
use crate::servers::faulty;

#[tokio::test]
async fn an_archive_that_exists_is_replaced_by_force_alone_and_by_a_whole_one_alone() {
    let (terminal, (_turn, set)) = (Terminal::new(), faulty().await);
    let uri = shop_on(set, "cli_force").await;
    terminal.write("a.tlz", "precious");
    let refused = terminal.run(&["dump", &uri, "a.tlz"]).ends_with(1);

    // It fails before it begins, and while it reads.
    terminal.run(&["dump", &uri.replace("/cli_force?", "/cli_no_such?"), "a.tlz", "--force"]).ends_with(1);
    let data = doc! { "failCommands": ["find"], "errorCode": 8000 };
    // The second time it is asked without a snapshot.
    fail_point(set, "cli_force", doc! { "times": 2 }, data).await;
    let failing = format!("{uri}&appName=cli_force");
    let failed = terminal.run(&["dump", &failing, "a.tlz", "--force", "--parallel", "1"]).ends_with(1);
    assert_eq!(terminal.read("a.tlz"), b"precious");
    assert!(terminal.has("a.tlz.partial"));

    terminal.run(&["dump", &uri, "a.tlz", "--force"]).ends_with(0);
    assert!(!terminal.has("a.tlz.partial"));
    terminal.run(&["verify", "a.tlz"]).ends_with(0);
    snapshot("archive-exists", &[refused, failed]);
}

#[tokio::test]
async fn what_an_interrupted_dump_left_is_not_overwritten_without_force() {
    let (terminal, uri) = (Terminal::new(), shop("cli_partial").await);
    terminal.write("a.tlz.partial", "half");
    let refused = terminal.run(&["dump", &uri, "a.tlz"]).ends_with(1);
    assert_eq!(terminal.read("a.tlz.partial"), b"half");
    terminal.run(&["dump", &uri, "a.tlz", "--force"]).ends_with(0);
    terminal.run(&["verify", "a.tlz"]).ends_with(0);
    snapshot("partial-exists", &[refused]);
}

#[tokio::test]
async fn what_another_dump_is_writing_is_not_overwritten_even_by_force() {
    let (terminal, (_turn, set)) = (Terminal::new(), faulty().await);
    let uri = shop_on(set, "cli_locked").await;
    let slow = super::signals::slow(set, &uri, "cli_locked_slow", "find", 5000).await;
    let running = terminal.command(&["dump", &slow, "a.tlz"]).spawn().unwrap();
    super::signals::until(|| terminal.has("a.tlz.partial") && !terminal.read("a.tlz.partial").is_empty());
    let size = terminal.read("a.tlz.partial").len();
    let refused = terminal.run(&["dump", &uri, "a.tlz", "--force"]).ends_with(1);
    assert!(terminal.read("a.tlz.partial").len() >= size && size > 0);
    super::signals::send(&running, rustix::process::Signal::INT);
    finish(running, "the first").ends_with(130);
    snapshot("partial-locked", &[refused]);
}

#[tokio::test]
async fn a_place_that_cannot_be_written_is_named_before_anything_is_read() {
    let (terminal, uri) = (Terminal::new(), shop("cli_places").await);
    fs::create_dir(terminal.path("folder")).unwrap();
    fs::create_dir(terminal.path("locked")).unwrap();
    terminal.write("file", "");
    fs::set_permissions(terminal.path("locked"), fs::Permissions::from_mode(0o555)).unwrap();
    // Without its capabilities root is held to permissions as everyone is.
    let ordinary = if rustix::process::geteuid().is_root() { "setpriv --bounding-set=-all " } else { "" };
    snapshot(
        "places",
        &[
            terminal.run(&["dump", &uri, "folder"]).ends_with(2),
            terminal.run(&["dump", &uri, "missing/a.tlz"]).ends_with(1),
            terminal.run(&["dump", &uri, "file/a.tlz"]).ends_with(1),
            terminal.shell(&format!("{ordinary}\"$T\" dump '{uri}' locked/a.tlz")).ends_with(1),
        ],
    );
}
