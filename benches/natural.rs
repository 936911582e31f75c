//! Dumps in natural order beside dumps by `_id`, and mongodump: of orders whose `_id`s rise, and of the same under random ones.
//!
//! `cargo bench --bench natural -- [--scale 1] [--runs 3] [--cache 0.25] [--codec none]`. Whole processes, in turns there and back, and
//! restores of what they wrote. `--cache`: GiB that each server may have in its cache, which the orders do or do not fit into; along the
//! index on random `_id`s each document is then a page to fetch.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "a bench may stop at the unexpected")]

mod arguments;
mod race;

use std::process::Command;

use bson::doc;
use transload::{
    bench::version_of,
    connect::{Uri, connect},
    namespace::Namespace,
    shop::{self, Collection, Shop},
};

use arguments::Arguments;
use race::{CACHE_GB, TRANSLOAD, contender, race, servers};

const DATABASE: &str = "orders";

#[tokio::main]
async fn main() {
    let Some(arguments) = Arguments::to_measure() else { return };
    let (scale, runs) = (arguments.value("--scale", 1.0), arguments.value("--runs", 3));
    let (cache_gb, codec) = (arguments.value("--cache", CACHE_GB / 8.0), arguments.value("--codec", "none".to_owned()));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (source, target) = servers(cache_gb).await;
    let server = connect(&Uri::read(&source.uri()).expect("a connection string").0, 4).await.expect("connected");
    let shop = Shop { seed: 1, scale };
    let [(_, count), ..] = shop.collections();
    let rising = Namespace::new(DATABASE, "rising").expect("a name");
    shop::load_collection(&server, &rising, Collection::Orders, count, shop).await.expect("loaded");
    let database = source.client().await.expect("connected").database(DATABASE);
    let random = doc! { "_id": { "random": { "$rand": {} }, "of": "$_id" } };
    let random = vec![doc! { "$set": random }, doc! { "$out": "random" }];
    database.run_command(doc! { "aggregate": "rising", "pipeline": random, "cursor": {} }).await.expect("copied");
    println!("{count} orders; caches of {cache_gb} GiB, codec {codec}; medians of {runs} runs\n");
    for name in ["rising", "random"] {
        let archive = |order: &str| folder.path().join(format!("{name}.{order}.tlz"));
        let ours = |order: &'static str| {
            let (uri, archive, codec) = (source.uri(), archive(order), codec.clone());
            contender(&format!("--read-order {order}"), Some(archive.clone()), move || {
                let mut command = Command::new(TRANSLOAD);
                command.arg("dump").arg(&uri).arg(&archive).args(["--force", "--quiet", "--read-order", order]);
                command.args([format!("--include={DATABASE}.{name}"), format!("--codec={codec}")]);
                command
            })
        };
        let mut contenders = vec![ours("id"), ours("natural")];
        if version_of("mongodump").is_some() {
            let (uri, out) = (source.uri(), folder.path().join("theirs"));
            contenders.push(contender("mongodump", Some(out.clone()), move || {
                let mut command = Command::new("mongodump");
                command.arg(format!("--uri={uri}")).arg(format!("--db={DATABASE}")).arg(format!("--collection={name}"));
                command.arg(format!("--out={}", out.display())).arg("--quiet");
                command
            }));
        }
        race(runs, &format!("dump, {name} _ids"), &mut contenders, || async {}).await;
        let restore = |order: &str| {
            let (archive, target) = (archive(order), target.uri());
            contender(&format!("of --read-order {order}"), None, move || {
                let mut command = Command::new(TRANSLOAD);
                command.arg("restore").arg(&archive).arg(&target).args(["--no-indexes", "--quiet"]);
                command
            })
        };
        let clean = || async { target.empty().await.expect("emptied") };
        race(runs, &format!("restore, {name} _ids"), &mut [restore("id"), restore("natural")], clean).await;
        clean().await;
    }
}
