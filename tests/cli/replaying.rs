//! `transload replay` as a process: what it refuses, and what becomes of changes that cannot be applied.

use std::{path::Path, time::Duration};

use mongodb::bson::{Document, doc};
use rustix::process::Signal;
use transload::{changes::token, sandbox::Release};

use super::{
    data::{empty, uri},
    signals::{send, until},
    space::was_mounted,
    terminal::{Ran, Terminal, finish, snapshot},
};
use crate::{
    capture::now,
    copy::Side,
    servers::{own, shared},
};

/// A copy of some documents, and a log of what happened to them since.
struct Recorded<'a> {
    terminal: Terminal,
    source: Side<'a>,
    copy: Side<'a>,
    /// Of the copy.
    uri: String,
    rename: String,
}

impl<'a> Recorded<'a> {
    async fn new(source: &'a str, copy: &'a str) -> Self {
        let set = shared(Release::V6_0_5).await;
        let (terminal, uri) = (Terminal::new(), empty(source).await);
        let (source, copy) = (Side::new(set, source), Side::new(set, copy));
        let orders = source.open().await.collection::<Document>("orders");
        orders.insert_many((0..10).map(|id| doc! { "_id": id, "u": id })).await.unwrap();
        now(&source).await;
        let since = token::written(source.server().await.operation_time().await.unwrap());
        terminal.run(&["dump", &uri, "a.tlz"]).ends_with(0);
        let rename = format!("{}.*={}.*", source.database, copy.database);
        let target = empty(copy.database).await;
        terminal.run(&["restore", "a.tlz", &target, "--rename", &rename]).ends_with(0);
        orders.insert_one(doc! { "_id": 20, "u": 30 }).await.unwrap();
        for id in [20, 1] {
            orders.update_one(doc! { "_id": id }, doc! { "$set": { "n": 1 } }).await.unwrap();
        }
        orders.delete_one(doc! { "_id": 2 }).await.unwrap();
        let end = token::written(now(&source).await);
        terminal.run(&["capture", &uri, "changes", "--since", &since, "--until", &end]).ends_with(0);
        Recorded { terminal, source, copy, uri: target, rename }
    }

    fn replay(&self, flags: &[&str]) -> Ran {
        let common = ["replay", "changes", &self.uri, "--rename", &self.rename, "--archive", "a.tlz"];
        self.terminal.run(&[&common[..], flags].concat())
    }

    async fn assert_equal(&self) {
        let (expected, found) = (self.source.state().await, self.copy.state().await);
        assert_eq!(expected.hashes, found.hashes);
    }
}

#[tokio::test]
async fn a_change_that_the_target_refuses_is_kept_and_can_be_tried_again() {
    let recorded = Recorded::new("cli_replay_dead", "cli_replay_dead_copy").await;
    let orders = recorded.copy.open().await.collection::<Document>("orders");
    // An index of the copy's own, and a document that is in the way.
    orders.insert_one(doc! { "_id": "in the way", "u": 30 }).await.unwrap();
    let index = doc! { "key": { "u": 1 }, "name": "u_1", "unique": true };
    recorded.copy.run(doc! { "createIndexes": "orders", "indexes": [index] }).await;
    let first = recorded.replay(&[]).ends_with(3);
    let again = recorded.replay(&[]).ends_with(3);
    let still = recorded.replay(&["--retry-dead-letters"]).ends_with(3);
    assert_eq!(recorded.terminal.read("changes/dead-letters.jsonl").iter().filter(|byte| **byte == b'\n').count(), 1);
    recorded.copy.run(doc! { "dropIndexes": "orders", "index": "u_1" }).await;
    let healed = recorded.replay(&["--retry-dead-letters"]).ends_with(0);
    orders.delete_one(doc! { "_id": "in the way" }).await.unwrap();
    recorded.assert_equal().await;
    snapshot("dead-letters", &[first, again, still, healed]);
}

/// What is written to it is told by no event.
#[tokio::test]
async fn a_time_series_collection_is_never_taken_for_whole() {
    let set = shared(Release::V6_0_5).await;
    let (terminal, uri) = (Terminal::new(), empty("cli_replay_series").await);
    let source = Side::new(set, "cli_replay_series");
    source.run(doc! { "create": "weather", "timeseries": { "timeField": "at" } }).await;
    source.run(doc! { "create": "orders" }).await;
    now(&source).await;
    let since = token::written(source.server().await.operation_time().await.unwrap());
    terminal.run(&["dump", &uri, "a.tlz"]).ends_with(0);
    let rename = ["--rename", "cli_replay_series.*=cli_replay_series_copy.*"];
    let target = empty("cli_replay_series_copy").await;
    terminal.run(&[&["restore", "a.tlz", &target], &rename[..]].concat()).ends_with(0);
    source.run(doc! { "create": "later", "timeseries": { "timeField": "at" } }).await;
    let end = token::written(now(&source).await);
    terminal.run(&["capture", &uri, "changes", "--since", &since, "--until", &end]).ends_with(0);
    let replay = [&["replay", "changes", &target, "--archive", "a.tlz", "--keep-log"], &rename[..]].concat();
    let runs = [terminal.run(&replay).ends_with(3)];
    std::fs::remove_dir_all(terminal.path("changes")).unwrap();
    terminal.run(&["capture", &uri, "changes", "--since", &since, "--until", &end]).ends_with(0);
    let without = ["--exclude", "*.weather", "--exclude", "*.later"];
    terminal.run(&[&replay[..], &without[..]].concat()).ends_with(0);
    snapshot("replay-series", &runs);
}

#[tokio::test]
async fn a_replay_into_the_wrong_place_is_refused() {
    let recorded = Recorded::new("cli_replay_wrong", "cli_replay_wrong_copy").await;
    let terminal = &recorded.terminal;
    let neither = terminal.run(&["replay", "changes", &recorded.uri]).ends_with(2);
    let nowhere = terminal.run(&["replay", "elsewhere", &recorded.uri, "--archive", "a.tlz"]).ends_with(1);
    let now = recorded.replay(&["--until", "now"]).ends_with(2);
    recorded.replay(&[]).ends_with(0);
    let back = recorded.replay(&["--until", "1700000000"]).ends_with(2);
    let other = uri(shared(Release::V6_0_27).await, recorded.copy.database);
    let target = terminal.run(&["replay", "changes", &other, "--archive", "a.tlz"]).ends_with(2);
    let source = empty(recorded.source.database).await;
    let archive = terminal.run(&["replay", "changes", &recorded.uri, "--source", &source]).ends_with(2);
    recorded.assert_equal().await;
    snapshot("replay-refused", &[neither, nowhere, now, back, target, archive]);
}

#[tokio::test]
async fn a_log_that_begins_after_the_copy_is_refused() {
    let recorded = Recorded::new("cli_replay_late", "cli_replay_late_copy").await;
    let (terminal, since) = (&recorded.terminal, token::written(now(&recorded.source).await));
    let end = token::written(now(&recorded.source).await);
    let source = empty(recorded.source.database).await;
    terminal.run(&["capture", &source, "late", "--since", &since, "--until", &end]).ends_with(0);
    let flags = ["replay", "late", &recorded.uri, "--rename", &recorded.rename, "--archive", "a.tlz"];
    snapshot("replay-late", &[terminal.run(&flags).ends_with(2)]);
}

#[tokio::test]
async fn a_second_replay_of_a_directory_is_refused_and_the_first_ends_well_when_it_is_stopped() {
    let recorded = Recorded::new("cli_replay_second", "cli_replay_second_copy").await;
    let common = ["replay", "changes", &recorded.uri, "--rename", &recorded.rename, "--archive", "a.tlz", "--follow"];
    let first = recorded.terminal.command(&common).spawn().unwrap();
    let orders = recorded.copy.open().await.collection::<Document>("orders");
    while orders.find_one(doc! { "_id": 2 }).await.unwrap().is_some() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    until(|| recorded.terminal.has("changes/replay.journal"));
    let second = recorded.replay(&[]).ends_with(1);
    send(&first, Signal::INT);
    let first = finish(first, "transload replay changes URI --follow").ends_with(0);
    recorded.assert_equal().await;
    snapshot("replay-twice", &[second, first]);
}

/// Flips a bit in the middle of a file of records, and cuts one of text in two.
fn damage(file: &Path) {
    let mut bytes = std::fs::read(file).unwrap();
    let middle = bytes.len() / 2;
    match file.extension().is_some_and(|extension| extension == "json") {
        true => bytes.truncate(middle),
        false => bytes[middle] ^= 1,
    }
    std::fs::write(file, bytes).unwrap();
}

#[tokio::test]
async fn a_damaged_directory_is_an_error_and_never_a_new_beginning() {
    let recorded = Recorded::new("cli_replay_damage", "cli_replay_damage_copy").await;
    let (terminal, mut runs) = (&recorded.terminal, Vec::new());
    recorded.replay(&["--keep-log"]).ends_with(0);
    for file in ["replay.journal", "replay.json", "capture.json", "dead-letters.jsonl"] {
        let path = terminal.path("changes").join(file);
        let before = std::fs::read(&path).ok();
        if before.is_some() {
            damage(&path);
        } else {
            terminal.write(&format!("changes/{file}"), "{\"namespace\":\n");
        }
        runs.push(recorded.replay(&[]).ends_with(1));
        match before {
            Some(before) => std::fs::write(&path, before).unwrap(),
            None => std::fs::remove_file(&path).unwrap(),
        }
    }
    for file in ["replay.json", "capture.json"] {
        let (path, aside) = (terminal.path("changes").join(file), terminal.path("aside"));
        std::fs::rename(&path, &aside).unwrap();
        runs.push(recorded.replay(&[]).ends_with(1));
        std::fs::rename(&aside, &path).unwrap();
    }
    recorded.replay(&[]).ends_with(0);
    recorded.assert_equal().await;
    snapshot("replay-damaged", &runs);
}

/// A target with no room, as a server whose quota is used up says it, and one that takes no writes.
#[tokio::test]
async fn a_target_that_cannot_take_writes_is_named_and_nothing_is_lost() {
    let recorded = Recorded::new("cli_replay_full", "cli_replay_full_copy").await;
    let set = own(Release::V6_0_5).await;
    let copy = Side::new(&set, recorded.copy.database);
    let target = format!("{}&appName={}", uri(&set, copy.database), copy.database);
    let terminal = &recorded.terminal;
    terminal.run(&["restore", "a.tlz", &target, "--rename", &recorded.rename]).ends_with(0);
    let flags = ["replay", "changes", &target, "--rename", &recorded.rename, "--archive", "a.tlz"];
    let mut runs = Vec::new();
    for (code, name) in [(14031, "OutOfDiskSpace"), (13, "Unauthorized")] {
        copy.fail(&["insert", "update", "delete"], doc! { "times": 1000 }, doc! { "errorCode": code }).await;
        let ran = terminal.run(&flags);
        copy.fail_no_more().await;
        assert_eq!(ran.code, 1, "{name}: {ran}");
        runs.push(ran);
    }
    terminal.run(&flags).ends_with(0);
    assert_eq!(recorded.source.state().await.hashes, copy.state().await.hashes);
    snapshot("replay-full", &runs);
}

/// The journal's file system has no room for the next record, and then it has.
#[tokio::test]
async fn a_full_disk_ends_a_replay_and_costs_nothing() {
    if std::env::var_os("TRANSLOAD_TEST_NO_MOUNT").is_some() {
        eprintln!("left out by TRANSLOAD_TEST_NO_MOUNT: a full disk is not tried");
        return;
    }
    let recorded = Recorded::new("cli_replay_disk", "cli_replay_disk_copy").await;
    let (terminal, orders) = (&recorded.terminal, recorded.source.open().await.collection::<Document>("orders"));
    let source = empty(recorded.source.database).await;
    let capture = async || {
        let end = token::written(now(&recorded.source).await);
        terminal.run(&["capture", &source, "changes", "--until", &end]).ends_with(0);
    };
    orders.insert_many((100..400).map(|id| doc! { "_id": id, "u": id, "a": { "b": 0 } })).await.unwrap();
    capture().await;
    recorded.replay(&[]).ends_with(0);
    // What is computed from the target's documents is written down first.
    orders.update_many(doc! { "a.b": 0 }, doc! { "$set": { "a.b": 1 } }).await.unwrap();
    capture().await;
    std::fs::create_dir(terminal.path("disk")).unwrap();
    let with = |unshare: &str| {
        terminal.shell(&format!(
            "{unshare} sh -c 'mount -t tmpfs -o size=2m tmpfs disk || exit 99; cp -r changes disk; \
             dd if=/dev/zero of=disk/filler bs=512 2>/dev/null; \
             \"$T\" replay disk/changes \"$1\" --archive a.tlz --rename \"$2\"; echo $?; rm disk/filler; \
             \"$T\" replay disk/changes \"$1\" --archive a.tlz --rename \"$2\"' sh '{}' '{}'",
            recorded.uri, recorded.rename
        ))
    };
    let mut ran = with("unshare --user --map-root-user --mount");
    if !was_mounted(&ran) {
        ran = with("unshare --mount");
    }
    assert!(was_mounted(&ran), "no file system can be mounted; TRANSLOAD_TEST_NO_MOUNT=1 leaves this test out\n{ran}");
    let ran = ran.ends_with(0).says("replay.journal: No space left on device");
    assert_eq!(ran.out().trim(), "1", "{ran}");
    recorded.assert_equal().await;
}

/// A collection that comes under a selected name by a rename was never copied, and an index that the target cannot build is
/// not there: neither is forgotten by the next replay.
#[tokio::test]
async fn what_could_not_be_done_to_a_collection_is_said_until_its_line_is_gone() {
    let set = shared(Release::V6_0_5).await;
    let (terminal, uri) = (Terminal::new(), empty("cli_replay_whole").await);
    let (source, copy) = (Side::new(set, "cli_replay_whole"), Side::new(set, "cli_replay_whole_copy"));
    let database = source.open().await;
    for name in ["orders", "hidden", "items"] {
        database.collection::<Document>(name).insert_one(doc! { "_id": 1, "u": 1 }).await.unwrap();
    }
    now(&source).await;
    let since = token::written(source.server().await.operation_time().await.unwrap());
    let selection = ["--include", "cli_replay_whole.orders", "--include", "cli_replay_whole.items"];
    terminal.run(&[&["dump", &uri, "a.tlz"], &selection[..]].concat()).ends_with(0);
    let rename = ["--rename", "cli_replay_whole.*=cli_replay_whole_copy.*"];
    let target = empty(copy.database).await;
    terminal.run(&[&["restore", "a.tlz", &target], &rename[..]].concat()).ends_with(0);
    let index = doc! { "key": { "u": 1 }, "name": "u_1", "unique": true };
    source.run(doc! { "createIndexes": "items", "indexes": [index] }).await;
    copy.run(doc! { "insert": "items", "documents": [{ "_id": "in the way", "u": 1 }] }).await;
    let command =
        doc! { "renameCollection": "cli_replay_whole.hidden", "to": "cli_replay_whole.orders", "dropTarget": true };
    set.client().await.unwrap().database("admin").run_command(command).await.unwrap();
    let end = token::written(now(&source).await);
    let capture = ["capture", &uri, "changes", "--since", &since, "--until", &end];
    terminal.run(&[&capture[..], &selection[..]].concat()).ends_with(0);
    let replay = ["replay", "changes", &target, "--archive", "a.tlz", "--retry-dead-letters"];
    let replay = || terminal.run(&[&replay[..], &selection[..], &rename[..]].concat());
    let runs = [replay().ends_with(3), replay().ends_with(3)];
    std::fs::remove_file(terminal.path("changes/dead-letters.jsonl")).unwrap();
    replay().ends_with(0);
    snapshot("replay-collections", &runs);
}
