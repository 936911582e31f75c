//! A restore beside the least that it could be: insert commands that were prepared in memory, sent as fast as the server takes them.
//!
//! `cargo bench --bench inserts -- [--scale 1] [--runs 5] [--parallel 4] [--only orders|database]`. The orders of the shop, without
//! secondary indexes; or all of it, and when all documents are there, one `createIndexes` for each collection. The commands are of a mebibyte, unordered, acknowledged by a majority, validation bypassed, as a restore's; as many are in flight.
//! A, B, B, A; the restore is a whole process, which reads, checks and decompresses its archive too.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "a bench may stop at the unexpected")]

mod arguments;
#[allow(dead_code, reason = "whole processes are not all that is raced here")]
mod race;

use std::{process, sync::Arc, time::Instant};

use bson::RawDocumentBuf;
use futures_util::{StreamExt, stream};
use transload::{
    bench::{Spread, timed},
    connect::{Uri, connect},
    document::RawBuilder,
    shop::{self, Collection, Shop},
};

use arguments::Arguments;
use race::{CACHE_GB, TRANSLOAD, servers};

type Command = Arc<RawDocumentBuf>;

/// Bytes of documents in a command.
const COMMAND: usize = 1024 * 1024;

#[tokio::main]
async fn main() {
    let Some(arguments) = Arguments::to_measure() else { return };
    let (scale, runs) = (arguments.value("--scale", 1.0), arguments.value("--runs", 5));
    let parallel = arguments.value("--parallel", 4);
    let whole = arguments.value("--only", "orders".to_owned()) == "database";
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (source, target) = servers(CACHE_GB).await;
    let shop = Shop { seed: 1, scale };
    let server = connect(&Uri::read(&source.uri()).expect("a connection string").0, 4).await.expect("connected");
    shop::load(&server, "shop", &shop).await.expect("loaded");
    let archive = folder.path().join("orders.tlz");
    let mut dump = process::Command::new(TRANSLOAD);
    dump.arg("dump").arg(source.uri()).arg(&archive).arg("--quiet");
    dump.arg(format!("--include=shop.{}", if whole { "*" } else { "orders" }));
    assert!(dump.status().expect("started").success());
    drop(source);
    let collections = shop.collections().into_iter().filter(|(one, _)| whole || *one == Collection::Orders);
    let collections: Vec<(Collection, u64)> = collections.collect();
    let inserts: Vec<Command> = collections.iter().flat_map(|(one, count)| inserts(&shop, *one, *count)).collect();
    let indexes: Vec<Command> = match whole {
        true => collections.iter().filter_map(|(one, _)| indexes(*one)).collect(),
        false => Vec::new(),
    };
    let bytes: usize = inserts.iter().map(|command| command.as_bytes().len()).sum();
    let what = if whole { "all collections, with indexes," } else { "orders" };
    println!("{what} at scale {scale}: {:.0} MB; medians of {runs} runs\n", bytes as f64 / 1e6);
    let client = target.client().await.expect("connected");
    let (mut ours, mut least) = (Vec::new(), Vec::new());
    for round in 0..=runs {
        let mut turns = [true, false];
        if round % 2 == 1 {
            turns.reverse();
        }
        for is_ours in turns {
            target.empty().await.expect("emptied");
            let seconds = if is_ours {
                let mut restore = process::Command::new(TRANSLOAD);
                restore.arg("restore").arg(&archive).arg(target.uri()).arg("--quiet");
                restore.args((!whole).then_some("--no-indexes"));
                restore.arg(format!("--parallel={parallel}"));
                let ended = timed(restore, b"").await.expect("started");
                assert!(ended.status.success(), "{}", ended.stderr);
                ended.seconds
            } else {
                let begun = Instant::now();
                for commands in [&inserts, &indexes] {
                    send(&client.database("shop"), commands, parallel).await;
                }
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

fn inserts(shop: &Shop, collection: Collection, count: u64) -> Vec<Command> {
    let (mut commands, mut number, mut document) = (Vec::new(), 0, Vec::new());
    while number < count {
        let mut command = RawBuilder::new();
        command.string("insert", collection.name()).bool("ordered", false).bool("bypassDocumentValidation", true);
        majority(&mut command);
        command.embed_array("documents", |documents| {
            let (mut bytes, mut index) = (0, 0);
            while number < count && bytes < COMMAND {
                document.clear();
                shop.document(collection, number, &mut document);
                documents.document(index.to_string(), &document);
                (number, index, bytes) = (number + 1, index + 1, bytes + document.len());
            }
        });
        commands.push(Arc::new(RawDocumentBuf::from_bytes(command.finish()).expect("a command")));
    }
    commands
}

/// All indexes of a collection, if it has any.
fn indexes(collection: Collection) -> Option<Command> {
    let specs = collection.indexes();
    let mut command = RawBuilder::new();
    command.string("createIndexes", collection.name());
    majority(&mut command);
    command.embed_array("indexes", |indexes| {
        for (number, spec) in specs.iter().enumerate() {
            indexes.document(number.to_string(), spec);
        }
    });
    (!specs.is_empty()).then(|| Arc::new(RawDocumentBuf::from_bytes(command.finish()).expect("a command")))
}

fn majority(command: &mut RawBuilder) {
    command.embed("writeConcern", |concern| {
        concern.string("w", "majority");
    });
}

async fn send(database: &mongodb::Database, commands: &[Command], parallel: usize) {
    let send = |command: Command| async move {
        let reply = database.run_raw_command((*command).clone()).await.expect("an answer");
        assert!(!reply.contains_key("writeErrors"), "refused");
    };
    stream::iter(commands.iter().cloned()).map(send).buffer_unordered(parallel).collect::<Vec<()>>().await;
}
