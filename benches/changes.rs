//! What changes cost: a capture beside a stream that is drained into nothing, a replay beside prepared bulk writes of
//! the same effect, and what both take while nothing happens.
//!
//! `cargo bench --bench changes -- [--drained 300000] [--events 100000] [--runs 5] [--only drain|replay|hot|lanes|idle]`
//!
//! Source, target and tool share the machine's cores. What transload is measured against is this program again, as a
//! process of its own: `drain` reads the replies of a change stream and throws them away, `write` sends commands from a
//! file, one after the other, as they are.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "a bench may stop at the unexpected")]

mod arguments;
#[path = "changes/drain.rs"]
mod drain;
#[path = "changes/idle.rs"]
mod idle;
mod race;
#[path = "changes/replaying.rs"]
mod replaying;
#[path = "changes/writes.rs"]
mod writes;

use std::{path::PathBuf, process::Command};

use bson::{Document, Timestamp, doc};
use transload::sandbox::ReplicaSet;

use arguments::Arguments;
use race::{CACHE_GB, TRANSLOAD, servers};
use replaying::Workload;

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["drain", uri, since, until] => return drain::drain(uri, timestamp(since), timestamp(until)).await,
        ["write", uri, file] => return writes::send(uri, file.as_ref()).await,
        _ => {}
    }
    let Some(arguments) = Arguments::to_measure() else { return };
    let (runs, events) = (arguments.value("--runs", 5), arguments.value("--events", 100_000));
    let only: String = arguments.value("--only", String::new());
    let is_wanted = |section: &str| only.is_empty() || only == section;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (source, target) = servers(CACHE_GB).await;
    let bench = Bench { folder: folder.path().to_owned(), source, target, runs };
    println!("medians of {runs} runs\n");
    if is_wanted("drain") {
        drain::race_captures(&bench, arguments.value("--drained", 300_000)).await;
    }
    if is_wanted("replay") {
        replaying::race_replays(&bench, &Workload { collections: 1, documents: 50_000, events, is_mixed: true }).await;
    }
    if is_wanted("hot") {
        replaying::race_replays(&bench, &Workload { collections: 1, documents: 100, events, is_mixed: false }).await;
    }
    if is_wanted("lanes") {
        replaying::race_replays(&bench, &Workload { collections: 8, documents: 6_250, events, is_mixed: true }).await;
    }
    if is_wanted("idle") {
        idle::watch(&bench).await;
    }
}

struct Bench {
    folder: PathBuf,
    source: ReplicaSet,
    target: ReplicaSet,
    runs: usize,
}

impl Bench {
    fn transload(arguments: &[&str]) -> Command {
        let mut command = Command::new(TRANSLOAD);
        command.args(arguments).arg("--quiet");
        command
    }

    /// This program again.
    fn this(arguments: &[&str]) -> Command {
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.args(arguments);
        command
    }

    /// The source's cluster time.
    async fn time(&self) -> String {
        let client = self.source.client().await.expect("connected");
        let reply = client.database("admin").run_command(doc! { "ping": 1 }).await.expect("an answer");
        let time = reply.get_timestamp("operationTime").expect("a time");
        format!("{},{}", time.time, time.increment)
    }
}

fn timestamp(text: &str) -> Timestamp {
    let (time, increment) = text.split_once(',').expect("SECONDS,INCREMENT");
    Timestamp { time: time.parse().expect("seconds"), increment: increment.parse().expect("an increment") }
}

fn in_database(uri: &str, database: &str) -> String {
    uri.replacen("/?", &format!("/{database}?"), 1)
}

/// Some 300 bytes, which make an event of some 440.
fn document(id: i64, version: i64) -> Document {
    let mixed = (id ^ version).wrapping_mul(0x5851_f42d_4c95_7f2d);
    let line = |n: i64| doc! { "sku": format!("{:08x}", mixed.rotate_left(n as u32) as u32), "count": n, "price": mixed % 9_999 };
    doc! { "_id": id, "version": version, "customer": mixed % 50_000, "state": "open", "lines": [line(1), line(2), line(3)], "note": format!("{mixed:x}") }
}
