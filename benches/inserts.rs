//! A restore beside the least that it could be: insert commands that were prepared in memory, sent as fast as the server takes them.
//!
//! `cargo bench --bench inserts -- [--scale 1] [--runs 5] [--parallel 4]`. The orders of the shop, without secondary indexes. The
//! commands are of a mebibyte, unordered, acknowledged by a majority, validation bypassed, as a restore's; as many are in flight.
//! A, B, B, A; the restore is a whole process, which reads, checks and decompresses its archive too.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "a bench may stop at the unexpected")]

mod arguments;
#[allow(dead_code, reason = "whole processes are not all that is raced here")]
mod race;

use std::{process::Command, sync::Arc, time::Instant};

use bson::{RawDocumentBuf, doc};
use futures_util::{StreamExt, stream};
use transload::{
    bench::{Spread, timed},
    connect::{Uri, connect},
    document::RawBuilder,
    shop::{self, Collection, Shop},
};

use arguments::Arguments;
use race::{CACHE_GB, TRANSLOAD, servers};

/// Bytes of documents in a command.
const COMMAND: usize = 1024 * 1024;

#[tokio::main]
async fn main() {
    let Some(arguments) = Arguments::to_measure() else { return };
    let (scale, runs) = (arguments.value("--scale", 1.0), arguments.value("--runs", 5));
    let parallel = arguments.value("--parallel", 4);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (source, target) = servers(CACHE_GB).await;
    let shop = Shop { seed: 1, scale };
    let server = connect(&Uri::read(&source.uri()).expect("a connection string").0, 4).await.expect("connected");
    shop::load(&server, "shop", &shop).await.expect("loaded");
    let archive = folder.path().join("orders.tlz");
    let mut dump = Command::new(TRANSLOAD);
    dump.arg("dump").arg(source.uri()).arg(&archive).args(["--include=shop.orders", "--quiet"]);
    assert!(dump.status().expect("started").success());
    drop(source);
    let commands = commands(&shop);
    let bytes: usize = commands.iter().map(|command| command.as_bytes().len()).sum();
    println!("orders at scale {scale}: {:.0} MB; medians of {runs} runs\n", bytes as f64 / 1e6);
    let client = target.client().await.expect("connected");
    let (mut ours, mut least) = (Vec::new(), Vec::new());
    for round in 0..=runs {
        let mut turns = [true, false];
        if round % 2 == 1 {
            turns.reverse();
        }
        for is_ours in turns {
            client.database("shop").drop().await.expect("dropped");
            client.database("admin").run_command(doc! { "fsync": 1 }).await.expect("synced");
            let seconds = if is_ours {
                let mut restore = Command::new(TRANSLOAD);
                restore.arg("restore").arg(&archive).arg(target.uri()).args(["--no-indexes", "--quiet"]);
                restore.arg(format!("--parallel={parallel}"));
                let ended = timed(restore, b"").await.expect("started");
                assert!(ended.status.success(), "{}", ended.stderr);
                ended.seconds
            } else {
                let begun = Instant::now();
                send(&client.database("shop"), &commands, parallel).await;
                begun.elapsed().as_secs_f64()
            };
            // The first round warms.
            if round > 0 {
                if is_ours { &mut ours } else { &mut least }.push(seconds);
            }
        }
    }
    let medians = [("transload restore", &ours), ("prepared inserts", &least)].map(|(name, seconds)| {
        let median = Spread::of(seconds.iter().copied()).median;
        println!("{name:<20}{median:>8.2} s   {seconds:.3?}");
        median
    });
    println!("ratio {:.2}", medians[0] / medians[1]);
}

fn commands(shop: &Shop) -> Vec<Arc<RawDocumentBuf>> {
    let orders =
        shop.collections().into_iter().find(|(one, _)| *one == Collection::Orders).map_or(0, |(_, count)| count);
    let (mut commands, mut number, mut document) = (Vec::new(), 0, Vec::new());
    while number < orders {
        let mut command = RawBuilder::new();
        command.string("insert", "orders").bool("ordered", false).bool("bypassDocumentValidation", true);
        command.embed("writeConcern", |concern| {
            concern.string("w", "majority");
        });
        command.embed_array("documents", |documents| {
            let (mut bytes, mut index) = (0, 0);
            while number < orders && bytes < COMMAND {
                document.clear();
                shop.document(Collection::Orders, number, &mut document);
                documents.document(index.to_string(), &document);
                (number, index, bytes) = (number + 1, index + 1, bytes + document.len());
            }
        });
        commands.push(Arc::new(RawDocumentBuf::from_bytes(command.finish()).expect("a command")));
    }
    commands
}

async fn send(database: &mongodb::Database, commands: &[Arc<RawDocumentBuf>], parallel: usize) {
    let send = |command: Arc<RawDocumentBuf>| async move {
        let reply = database.run_raw_command((*command).clone()).await.expect("an answer");
        assert!(!reply.contains_key("writeErrors"), "refused");
    };
    stream::iter(commands.iter().cloned()).map(send).buffer_unordered(parallel).collect::<Vec<()>>().await;
}
