//! Whole moves of the `shop` data as processes, beside mongodump piped into mongorestore where they are on PATH, and a move of
//! a source that is written to.
//!
//! `cargo bench --bench migrate -- [--scale 1] [--runs 5] [--only race|live] [--writes 2000]`. Source, target and tools share
//! the machine's cores.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "a bench may stop at the unexpected")]

mod arguments;
mod race;

use std::{
    path::Path,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bson::{Document, doc};
use transload::{
    bench::{usage_of, version_of},
    connect::{Uri, connect},
    migrate::{Status, status},
    sandbox::ReplicaSet,
    shop::{self, Shop},
};

use arguments::Arguments;
use race::{CACHE_GB, TRANSLOAD, contender, race, servers};

/// Tasks that write, each one write after the other.
const WRITERS: u64 = 8;

#[tokio::main]
async fn main() {
    let Some(arguments) = Arguments::to_measure() else { return };
    let (scale, runs) = (arguments.value("--scale", 1.0), arguments.value("--runs", 5));
    let only = arguments.value("--only", String::new());
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (source, target) = servers(CACHE_GB).await;
    let server = connect(&Uri::read(&source.uri()).expect("a connection string").0, 4).await.expect("connected");
    let count = shop::load(&server, "shop", &Shop { seed: 1, scale }).await.expect("loaded");
    println!("shop at scale {scale}: {count} documents; medians of {runs} runs\n");
    if only != "live" {
        moves(folder.path(), &source, &target, runs).await;
    }
    if only != "race" {
        let writes = arguments.value("--writes", 2000);
        live(folder.path(), &source, &target, writes).await;
    }
}

async fn moves(folder: &Path, source: &ReplicaSet, target: &ReplicaSet, runs: usize) {
    let (from, to, directory) = (source.uri(), target.uri(), folder.join("move"));
    let (left, right, path) = (from.clone(), to.clone(), directory.clone());
    let mut contenders = vec![contender("transload migrate", Some(directory), move || {
        let mut command = Command::new(TRANSLOAD);
        command.args(["--quiet", "migrate", &left, &right, "--include", "shop.*", "--dir"]).arg(&path);
        command.args(["--cutover", "when-caught-up", "--verify", "none"]);
        command
    })];
    let (left, right, path) = (from.clone(), to.clone(), folder.join("plain"));
    contenders.push(contender("the same, --codec none", Some(path.clone()), move || {
        let mut command = Command::new(TRANSLOAD);
        command
            .args(["--quiet", "migrate", &left, &right, "--include", "shop.*", "--codec", "none", "--dir"])
            .arg(&path);
        command.args(["--cutover", "when-caught-up", "--verify", "none"]);
        command
    }));
    let archive = folder.join("alone.tlz");
    let (left, path) = (from.clone(), archive.clone());
    contenders.push(contender("transload dump alone", None, move || {
        let mut command = Command::new(TRANSLOAD);
        command.arg("dump").arg(&left).arg(&path).args(["--include", "shop.*", "--force", "--quiet"]);
        command
    }));
    let mut dump = Command::new(TRANSLOAD);
    dump.arg("dump").arg(&from).arg(&archive).args(["--include", "shop.*", "--force", "--quiet"]);
    assert!(dump.status().expect("started").success());
    let (right, path) = (to.clone(), archive);
    contenders.push(contender("transload restore alone", None, move || {
        let mut command = Command::new(TRANSLOAD);
        command.arg("restore").arg(&path).arg(&right).arg("--quiet");
        command
    }));
    if version_of("mongodump").is_some() && version_of("mongorestore").is_some() {
        let best = "--numParallelCollections=3 --numInsertionWorkersPerCollection=4";
        for (name, dump, restore) in
            [("mongodump | mongorestore", "", ""), ("the same, best flags", "--numParallelCollections=3", best)]
        {
            let (left, right) = (from.clone(), to.clone());
            contenders.push(contender(name, None, move || {
                let mut command = Command::new("sh");
                command.arg("-c").arg(format!(
                    "mongodump --quiet --uri='{left}' --db=shop --archive {dump} | \
                     mongorestore --quiet --uri='{right}' --archive {restore}"
                ));
                command
            }));
        }
    }
    let clean = || async { target.empty().await.expect("emptied") };
    race(runs, "a whole move", &mut contenders, clean).await;
    clean().await;
}

/// Waits until the migration stands as wanted.
async fn until(directory: &Path, is_so: impl Fn(&Status) -> bool) -> Status {
    loop {
        if let Some(status) = status(directory).ok().filter(|status| status.running && is_so(status)) {
            return status;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn live(folder: &Path, source: &ReplicaSet, target: &ReplicaSet, writes: u64) {
    target.client().await.expect("connected").database("shop").drop().await.expect("dropped");
    let (stop, written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut writers = Vec::new();
    for writer in 0..WRITERS {
        let orders = source.client().await.expect("connected").database("shop").collection::<Document>("orders");
        let visits = source.client().await.expect("connected").database("shop").collection::<Document>("visits");
        let (stop, written) = (Arc::clone(&stop), Arc::clone(&written));
        let every = Duration::from_nanos(1_000_000_000 * WRITERS / writes.max(1));
        writers.push(tokio::spawn(async move {
            let mut tick = tokio::time::interval(every);
            let mut number = 0_i64;
            while !stop.load(Ordering::Relaxed) {
                tick.tick().await;
                number += 1;
                let id = number * WRITERS as i64 + writer as i64;
                if number % 2 == 0 {
                    visits.insert_one(doc! { "_id": id, "page": number % 100 }).await.expect("written");
                } else {
                    let change = doc! { "$set": { "changed": number }, "$inc": { "revision": 1 } };
                    orders.update_one(doc! { "_id": id % 100_000 }, change).await.expect("written");
                }
                written.fetch_add(1, Ordering::Relaxed);
            }
        }));
    }
    let directory = folder.join("live");
    let begun = Instant::now();
    let mut process = Command::new(TRANSLOAD)
        .args(["--quiet", "migrate", &source.uri(), &target.uri(), "--include", "shop.*", "--dir"])
        .arg(&directory)
        .stdin(Stdio::null())
        .spawn()
        .expect("started");
    until(&directory, |status| status.copy_complete).await;
    let copied = begun.elapsed();
    until(&directory, |status| status.stage == "following" && status.lag_seconds.is_some_and(|lag| lag <= 1)).await;
    let caught_up = begun.elapsed();
    let (mut worst, since) = (0, (Instant::now(), written.load(Ordering::Relaxed)));
    while since.0.elapsed() < Duration::from_secs(20) {
        let status = until(&directory, |status| status.lag_seconds.is_some()).await;
        worst = worst.max(status.lag_seconds.unwrap_or(0));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let rate = (written.load(Ordering::Relaxed) - since.1) as f64 / since.0.elapsed().as_secs_f64();
    let peak_bytes = usage_of(process.id()).map_or(0, |usage| usage.peak_bytes);
    stop.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.await.expect("a writer");
    }
    let cutting = Instant::now();
    let cutover = Command::new(TRANSLOAD)
        .arg("cutover")
        .arg(&directory)
        .args(["--yes", "--verify", "none", "--quiet"])
        .status()
        .expect("started");
    let cut = cutting.elapsed();
    assert!(cutover.success() && process.wait().expect("a child").success());
    println!("a live move, {rate:.0} writes a second");
    println!("  copy complete after {:.1} s, caught up after {:.1} s", copied.as_secs_f64(), caught_up.as_secs_f64());
    println!(
        "  lag in the 20 s after that: {worst} s at most (of the source's time); cutover without verify: {:.1} s",
        cut.as_secs_f64()
    );
    println!("  {} MiB peak", peak_bytes >> 20);
}
