//! What a comparison costs: `verify` of two servers beside the reading of both alone.
//!
//! `cargo bench --bench verify -- [--documents 1000000] [--runs 5]`

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "a bench may stop at the unexpected")]

mod arguments;
mod race;

use std::process::Command;

use bson::{Document, doc};
use futures_util::{StreamExt, TryStreamExt, future::try_join, stream};
use transload::{
    catalog,
    connect::{Server, Uri, connect},
    error::{Error, Result},
    sandbox::ReplicaSet,
    scan::{Bounds, PART_BYTES, PartScan, split},
    selection::{Selection, SelectionOptions},
};

use arguments::Arguments;
use race::{CACHE_GB, TRANSLOAD, contender, race, servers};

/// The database that is compared.
const DATABASE: &str = "compared";
/// What makes this program one that drains: the two connection strings, and how many cursors each side has.
const DRAIN: &str = "TRANSLOAD_BENCH_DRAIN";

#[tokio::main]
async fn main() {
    if let Ok(drained) = std::env::var(DRAIN) {
        let mut words = drained.split(' ');
        let (left, right) = (words.next().expect("left"), words.next().expect("right"));
        let cursors = words.next().and_then(|text| text.parse().ok()).expect("a number of cursors");
        try_join(drain(left, cursors), drain(right, cursors)).await.expect("drained");
        return;
    }
    let Some(arguments) = Arguments::to_measure() else { return };
    let (documents, runs) = (arguments.value("--documents", 1_000_000), arguments.value("--runs", 5));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (left, right) = servers(CACHE_GB).await;
    for set in [&left, &right] {
        fill(set, documents).await;
    }
    let uri = |set: &ReplicaSet| set.uri().replace("/?", &format!("/{DATABASE}?"));
    let (one, other, file) = (uri(&left), uri(&right), folder.path().join("findings.jsonl"));
    let draining = |name: &str, cursors: usize| {
        let drained = format!("{one} {other} {cursors}");
        contender(name, None, move || {
            let mut command = Command::new(std::env::current_exe().expect("this program"));
            command.env(DRAIN, &drained);
            command
        })
    };
    let (two, parts) = (draining("two cursors, drained", 1), draining("the same parts, drained", 4));
    let verify = contender("transload verify", None, move || {
        let mut command = Command::new(TRANSLOAD);
        command.args(["verify", &one, &other, "--quiet", "--differences"]).arg(&file);
        command
    });
    println!("medians of {runs} runs\n");
    race(runs, &format!("{documents} documents of 470 bytes"), &mut [verify, two, parts], || async {}).await;
}

async fn fill(set: &ReplicaSet, documents: usize) {
    let items = set.client().await.expect("connected").database(DATABASE).collection::<Document>("items");
    for from in (0..documents).step_by(10_000) {
        let one = |n: usize| {
            let n = i64::try_from(n).expect("small");
            doc! { "_id": n, "customer": n * 7919 % 100_003, "text": "a few words ".repeat(33), "tags": ["a", "b"], "n": n as f64 }
        };
        items.insert_many((from..documents.min(from + 10_000)).map(one)).await.expect("inserted");
    }
}

/// Reads all that is in the database, and nothing more.
async fn drain(uri: &str, cursors: usize) -> Result<()> {
    let server = connect(&Uri::read(uri)?.0, cursors).await?;
    let selection = SelectionOptions { default_database: Some(DATABASE.to_owned()), ..SelectionOptions::default() };
    let catalog = catalog::read(&server, &Selection::new(&selection)?).await?;
    for entry in &catalog.entries {
        let parts = if cursors == 1 { vec![Bounds::default()] } else { split(&server, entry, PART_BYTES).await? };
        let reading = parts.into_iter().map(|bounds| {
            let (server, entry): (Server, _) = (server.clone(), entry.clone());
            let task = tokio::spawn(async move {
                let mut scan = PartScan::new(&server, &entry, &bounds, 0);
                while scan.next().await?.is_some() {}
                Ok::<(), Error>(())
            });
            async { task.await.expect("no panic") }
        });
        stream::iter(reading).buffer_unordered(cursors).try_collect::<()>().await?;
    }
    Ok(())
}
