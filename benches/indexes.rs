//! What indexes cost: a restore of many small collections beside mongorestore, and the index phase of one large
//! collection beside one `createIndexes` by hand.
//!
//! `cargo bench --bench indexes -- [--collections 400] [--documents 1000000] [--runs 5]`. Beside the restore of the small ones stands
//! the least that a server can be asked for to make them, by hand, in turns with it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "a bench may stop at the unexpected")]

mod arguments;
mod race;

use std::{path::Path, process::Command, time::Instant};

use bson::{Document, doc};
use futures_util::{StreamExt, stream};
use transload::{
    bench::{Spread, version_of},
    sandbox::ReplicaSet,
};

use arguments::Arguments;
use race::{CACHE_GB, TRANSLOAD, contender, race, servers};

#[tokio::main]
async fn main() {
    let Some(arguments) = Arguments::to_measure() else { return };
    let runs = arguments.value("--runs", 5);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (source, target) = servers(CACHE_GB).await;
    println!("medians of {runs} runs\n");
    small_collections(&source, &target, folder.path(), arguments.value("--collections", 400), runs).await;
    index_phase(&source, &target, folder.path(), arguments.value("--documents", 1_000_000), runs).await;
}

async fn small_collections(source: &ReplicaSet, target: &ReplicaSet, folder: &Path, collections: usize, runs: usize) {
    let database = source.client().await.expect("connected").database("small");
    for number in 0..collections {
        let name = format!("c{number:04}");
        let documents: Vec<Document> = (0..5).map(|id| doc! { "_id": id, "a": id, "text": "a few words" }).collect();
        database.collection(&name).insert_many(documents).await.expect("inserted");
        let index = doc! { "key": { "a": 1 }, "name": "a_1" };
        database.run_command(doc! { "createIndexes": &name, "indexes": [index] }).await.expect("built");
    }
    let (archive, theirs) = (folder.join("small.tlz"), folder.join("small"));
    dump(source, "small", &archive);
    let (uri, path) = (target.uri(), archive.clone());
    let restore = move || {
        let mut command = Command::new(TRANSLOAD);
        command.arg("restore").arg(&path).arg(&uri).arg("--quiet");
        command
    };
    let mut contenders = vec![contender("transload restore", None, restore.clone())];
    if version_of("mongodump").is_some() && version_of("mongorestore").is_some() {
        let mut dump = Command::new("mongodump");
        dump.arg(format!("--uri={}", source.uri())).args(["--db=small", "--gzip", "--quiet"]);
        assert!(dump.arg(format!("--out={}", theirs.display())).status().expect("started").success());
        let uri = target.uri();
        contenders.push(contender("mongorestore", None, move || {
            let mut command = Command::new("mongorestore");
            command.arg(format!("--uri={uri}")).args(["--gzip", "--quiet"]).arg(&theirs);
            command
        }));
    }
    let client = target.client().await.expect("connected");
    let clean = || async { target.empty().await.expect("emptied") };
    race(runs, &format!("restore of {collections} collections"), &mut contenders, clean).await;
    let (mut ours, mut by_hand) = (Vec::new(), Vec::new());
    for round in 0..=runs {
        for is_ours in [round % 2 == 0, round % 2 == 1] {
            clean().await;
            let begun = Instant::now();
            match is_ours {
                true => assert!(restore().status().expect("started").success()),
                false => least(&client.database("small"), collections).await,
            }
            // The first round warms.
            if round > 0 {
                if is_ours { &mut ours } else { &mut by_hand }.push(begun.elapsed().as_secs_f64());
            }
        }
    }
    let medians = (median(&ours), median(&by_hand));
    println!("  transload restore {:>6.2} s   {ours:.3?}", medians.0);
    println!("  the least by hand {:>6.2} s   {by_hand:.3?}", medians.1);
    println!("  ratio {:.2}\n", medians.0 / medians.1);
    clean().await;
}

/// What no restore of such collections can do without, four commands in flight.
async fn least(database: &mongodb::Database, collections: usize) {
    for what in ["create", "createIndexes", "insert"] {
        let one = async |number: usize| {
            let name = format!("c{number:04}");
            let mut command = match what {
                "create" => doc! { "create": &name },
                "createIndexes" => doc! { "createIndexes": &name, "indexes": [{ "key": { "a": 1 }, "name": "a_1" }] },
                _ => {
                    doc! { "insert": &name, "documents": (0..5).map(|id| doc! { "_id": id, "a": id, "text": "a few words" }).collect::<Vec<_>>() }
                }
            };
            command.insert("writeConcern", doc! { "w": 1 });
            database.run_command(command).await.expect("done");
        };
        stream::iter(0..collections).for_each_concurrent(4, one).await;
    }
}

/// Five indexes on a large collection: the last stage of a restore against the same by hand, on the same server.
async fn index_phase(source: &ReplicaSet, target: &ReplicaSet, folder: &Path, documents: usize, runs: usize) {
    let database = source.client().await.expect("connected").database("large");
    let collection = database.collection::<Document>("items");
    for start in (0..documents).step_by(10_000) {
        let one = |id: usize| {
            let id = id as i64;
            let mixed = id.wrapping_mul(0x5851_f42d_4c95_7f2d);
            doc! { "_id": id, "a": mixed % 1000, "b": format!("{mixed:x}"), "c": id, "d": mixed, "e": id % 7 }
        };
        collection.insert_many((start..documents.min(start + 10_000)).map(one)).await.expect("inserted");
    }
    let keys = [doc! { "a": 1 }, doc! { "b": 1 }, doc! { "c": -1 }, doc! { "d": 1, "e": 1 }, doc! { "e": 1 }];
    let indexes: Vec<Document> = keys
        .iter()
        .enumerate()
        .map(|(number, key)| doc! { "key": key.clone(), "name": format!("i{number}") })
        .collect();
    let create = doc! { "createIndexes": "items", "indexes": indexes };
    database.run_command(create.clone()).await.expect("built");
    let archive = folder.join("large.tlz");
    dump(source, "large", &archive);
    let client = target.client().await.expect("connected");
    let copy = client.database("large");
    let restore = |flags: &[&str]| {
        let mut command = Command::new(TRANSLOAD);
        let restored = command.args(["--json", "restore"]).arg(&archive).arg(target.uri()).args(flags).output();
        let restored = restored.expect("started");
        assert!(restored.status.success());
        let last = String::from_utf8(restored.stdout).expect("text");
        let summary: serde_json::Value = serde_json::from_str(last.lines().last().expect("a summary")).expect("JSON");
        summary["index_seconds"].as_f64().expect("a number")
    };
    let (mut ours, mut by_hand) = (Vec::new(), Vec::new());
    // The first round warms the server; each begins with a collection that was just loaded.
    for round in 0..=runs {
        target.empty().await.expect("emptied");
        let phase = restore(&[]);
        target.empty().await.expect("emptied");
        restore(&["--no-indexes"]);
        let begun = Instant::now();
        copy.run_command(create.clone()).await.expect("built");
        let hand = begun.elapsed().as_secs_f64();
        if round > 0 {
            ours.push(phase);
            by_hand.push(hand);
        }
    }
    let (ours, by_hand) = (median(&ours), median(&by_hand));
    println!("five indexes on {documents} documents");
    println!(
        "  index phase of a restore {ours:>6.2} s\n  createIndexes by hand    {by_hand:>6.2} s {:>6.2} x",
        by_hand / ours
    );
}

fn median(seconds: &[f64]) -> f64 {
    Spread::of(seconds.iter().copied()).median
}

fn dump(source: &ReplicaSet, database: &str, archive: &Path) {
    let mut dump = Command::new(TRANSLOAD);
    dump.arg("dump").arg(source.uri()).arg(archive).args(["--quiet", "--include", &format!("{database}.*")]);
    assert!(dump.status().expect("started").success());
}
