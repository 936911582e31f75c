//! Ctrl-C and its kin, in the middle of the work.

use std::{
    io::Read,
    process::{Child, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use mongodb::bson::doc;
use rustix::process::{Pid, Signal, kill_process};
use transload::sandbox::ReplicaSet;

use super::{
    data::{self, archive, client, empty, fail_point, fill_large, shop_on},
    terminal::{Terminal, finish, snapshot},
};
use crate::{eventually::eventually, servers::faulty};

pub(super) fn send(child: &Child, signal: Signal) {
    kill_process(Pid::from_raw(child.id().try_into().unwrap()).unwrap(), signal).unwrap();
}

/// Waits until a program hears signals: before that they end it.
pub(super) fn until_it_listens(child: &Child) {
    let status = format!("/proc/{}/status", child.id());
    until(|| {
        let status = std::fs::read_to_string(&status).unwrap();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
        // The last of them that it asks for.
        u64::from_str_radix(caught.trim(), 16).unwrap() >> (Signal::TERM.as_raw() - 1) & 1 == 1
    });
}

/// Waits for what must become true.
pub(super) fn until(condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < deadline, "it did not happen");
        sleep(Duration::from_millis(10));
    }
}

/// A connection string with which `command` takes that long.
pub(super) async fn slow(set: &ReplicaSet, uri: &str, name: &str, command: &str, milliseconds: i32) -> String {
    let data = doc! { "failCommands": [command], "blockConnection": true, "blockTimeMS": milliseconds };
    fail_point(set, name, doc! { "times": 1 }, data).await;
    format!("{uri}&appName={name}")
}

#[tokio::test]
async fn a_signal_in_a_dump_ends_in_130_and_says_what_stays() {
    let (terminal, (_turn, set)) = (Terminal::new(), faulty().await);
    let uri = shop_on(set, "cli_int").await;
    let mut runs = Vec::new();
    for (signal, archive) in [(Signal::INT, "int.tlz"), (Signal::TERM, "term.tlz")] {
        // The second collection waits, so the first is in the archive.
        let data = doc! { "failCommands": ["find"], "blockConnection": true, "blockTimeMS": 5000 };
        let held = fail_point(set, archive, doc! { "skip": 1 }, data).await;
        let slow = format!("{uri}&appName={archive}");
        let dump = terminal.command(&["dump", &slow, archive, "--parallel", "1"]).spawn().unwrap();
        let partial = format!("{archive}.partial");
        held.begun().await;
        sleep(Duration::from_millis(200));
        send(&dump, signal);
        let ran = finish(dump, &format!("transload dump URI {archive}")).ends_with(130);
        assert!(ran.took < Duration::from_secs(3), "{ran}");
        assert!(terminal.has(&partial) && !terminal.has(archive));
        runs.push(ran.says("120 documents"));
    }
    snapshot("interrupted-dump", &runs);
}

/// A hang-up comes from the terminal, from the shell, and with a SIGTERM; what is under way is ended cleanly all the same.
#[tokio::test]
async fn a_terminal_that_hangs_up_ends_a_dump_cleanly_unless_that_is_ignored() {
    let (terminal, (_turn, set)) = (Terminal::new(), faulty().await);
    let uri = shop_on(set, "cli_hangup").await;
    let slow = async |name: &str| {
        let data = doc! { "failCommands": ["find"], "blockConnection": true, "blockTimeMS": 3000 };
        fail_point(set, name, doc! { "skip": 1 }, data).await;
        format!("{uri}&appName={name}")
    };
    let dump = async |option: &str, name: &str| {
        terminal.command_by_env(option, &["dump", &slow(name).await, name, "--parallel", "1"]).spawn().unwrap()
    };
    let hears = dump("--default-signal=HUP", "hup.tlz").await;
    until_it_listens(&hears);
    until(|| terminal.has("hup.tlz.partial"));
    for signal in [Signal::HUP, Signal::HUP, Signal::TERM] {
        send(&hears, signal);
        sleep(Duration::from_millis(5));
    }
    finish(hears, "transload dump URI hup.tlz").ends_with(130).says("hup.tlz.partial");
    assert!(terminal.has("hup.tlz.partial") && !terminal.has("hup.tlz"));
    // As nohup does it.
    let ignores = dump("--ignore-signal=HUP", "nohup.tlz").await;
    until(|| terminal.has("nohup.tlz.partial"));
    send(&ignores, Signal::HUP);
    finish(ignores, "transload dump URI nohup.tlz").ends_with(0);
    assert!(terminal.has("nohup.tlz"));
}

#[tokio::test]
async fn the_second_signal_does_not_wait() {
    let (terminal, uri) = (Terminal::new(), empty("cli_second").await);
    fill_large(&client().await, "cli_second", 10).await;
    // Nobody reads the pipe, so the writer cannot stop.
    let mut dump = terminal.command(&["dump", &uri, "-", "--codec", "none"]).spawn().unwrap();
    let mut pipe = dump.stdout.take().unwrap();
    // Behind what is read here there is more than a pipe holds.
    pipe.read_exact(&mut [0; 100_000]).unwrap();
    sleep(Duration::from_millis(300));
    send(&dump, Signal::INT);
    sleep(Duration::from_millis(300));
    assert!(dump.try_wait().unwrap().is_none(), "it does not wait for the pipe, so this test shows nothing");
    send(&dump, Signal::INT);
    let ran = finish(dump, "transload dump URI -").ends_with(130);
    assert!(ran.took < Duration::from_secs(2), "{ran}");
    drop(pipe);
}

#[tokio::test]
async fn a_signal_while_connecting_does_not_wait_for_the_server() {
    let terminal = Terminal::new();
    // Whatever is bound and never accepted answers nothing.
    let mute = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let uri = format!("mongodb://{}/?directConnection=true", mute.local_addr().unwrap());
    let dump = terminal.command(&["dump", &uri, "a.tlz"]).spawn().unwrap();
    until_it_listens(&dump);
    let _asked = mute.accept().unwrap();
    send(&dump, Signal::INT);
    let ran = finish(dump, "transload dump URI a.tlz").ends_with(130);
    assert!(ran.took < Duration::from_secs(2), "{ran}");
    assert!(!terminal.has("a.tlz.partial"));
}

#[tokio::test]
async fn a_signal_in_a_restore_says_what_stays() {
    let terminal = Terminal::new();
    archive(&terminal, "cli_int_restore").await;
    let (_turn, set) = faulty().await;
    let uri = slow(set, &data::uri(set, "cli_int_restore"), "cli_int_restore", "insert", 5000).await;
    let database = set.client().await.unwrap().database("cli_int_restore");
    let restore = terminal.command(&["restore", "a.tlz", &uri, "--parallel", "1"]).spawn().unwrap();
    eventually("two collections are there", async || database.list_collection_names().await.unwrap().len() >= 2).await;
    sleep(Duration::from_millis(200));
    send(&restore, Signal::INT);
    let ran = finish(restore, "transload restore a.tlz URI").ends_with(130);
    assert!(ran.took < Duration::from_secs(3), "{ran}");
    snapshot("interrupted-restore", &[ran]);
}

#[tokio::test]
async fn a_restore_does_not_wait_for_an_idle_standard_input() {
    let (terminal, uri) = (Terminal::new(), empty("cli_idle_input").await);
    let mut command = terminal.command(&["restore", "-", &uri]);
    let mut restore = command.stdin(Stdio::piped()).spawn().unwrap();
    let pipe = restore.stdin.take().unwrap();
    until_it_listens(&restore);
    sleep(Duration::from_millis(500));
    send(&restore, Signal::INT);
    let ran = finish(restore, "transload restore - URI").ends_with(130).says("nothing was written");
    assert!(ran.took < Duration::from_secs(3), "{ran}");
    drop(pipe);
}

#[tokio::test]
async fn a_signal_while_specs_are_proven_leaves_nothing_behind() {
    let (terminal, (_turn, set)) = (Terminal::new(), faulty().await);
    let uri = shop_on(set, "cli_int_proof").await;
    terminal.run(&["dump", &uri, "a.tlz"]).ends_with(0);
    let database = set.client().await.unwrap().database("cli_int_proof");
    database.drop().await.unwrap();
    let slow = slow(set, &uri, "cli_int_proof", "createIndexes", 2000).await;
    let restore = terminal.command(&["restore", "a.tlz", &slow]).spawn().unwrap();
    eventually("a spec is proven", async || !database.list_collection_names().await.unwrap().is_empty()).await;
    send(&restore, Signal::INT);
    let ran = finish(restore, "transload restore a.tlz URI").ends_with(130).says("nothing was written to the target");
    assert!(ran.took < Duration::from_secs(4), "{ran}");
    sleep(Duration::from_millis(2500));
    assert_eq!(database.list_collection_names().await.unwrap(), Vec::<String>::new());
}
