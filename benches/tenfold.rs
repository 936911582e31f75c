//! One collection, and one ten times larger: whether a dump and a restore of it take ten times as long, and the same memory.
//!
//! `cargo bench --bench tenfold -- [--scale 1] [--runs 3] [--cache 2] [--times 10]`. The orders of the shop, and those of a shop so many
//! times as large, whole processes, in turns there and back; the ratios are of medians of the same run. `--cache`: GiB that each
//! server may have in its cache, which the larger collection does or does not fit into.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "a bench may stop at the unexpected")]

mod arguments;
mod race;

use std::process::Command;

use transload::{
    connect::{Uri, connect},
    namespace::Namespace,
    shop::{self, Collection, Shop},
};

use arguments::Arguments;
use race::{CACHE_GB, TRANSLOAD, contender, race, servers};

#[tokio::main]
async fn main() {
    let Some(arguments) = Arguments::to_measure() else { return };
    let (scale, runs) = (arguments.value("--scale", 1.0), arguments.value("--runs", 3));
    let (times, cache_gb) = (arguments.value("--times", 10), arguments.value("--cache", CACHE_GB));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (source, target) = servers(cache_gb).await;
    let server = connect(&Uri::read(&source.uri()).expect("a connection string").0, 4).await.expect("connected");
    let shop = Shop { seed: 1, scale };
    let [(_, orders), ..] = shop.collections();
    for (database, count) in [("one", orders), ("many", orders * times)] {
        let namespace = Namespace::new(database, "orders").expect("a name");
        shop::load_collection(&server, &namespace, Collection::Orders, count, shop).await.expect("loaded");
    }
    println!("{orders} orders, and {times} times as many; caches of {cache_gb} GiB; medians of {runs} runs\n");
    let dump = |database: &str, codec: &str| {
        let archive = folder.path().join(format!("{database}.tlz"));
        let arguments = [
            "dump".to_owned(),
            source.uri(),
            archive.display().to_string(),
            format!("--include={database}.orders"),
            format!("--codec={codec}"),
            "--force".to_owned(),
            "--quiet".to_owned(),
        ];
        let name = format!("dump of {database}");
        contender(&name, Some(archive), move || {
            let mut command = Command::new(TRANSLOAD);
            command.args(&arguments);
            command
        })
    };
    for codec in ["none", "zstd"] {
        let mut contenders = [dump("one", codec), dump("many", codec)];
        race(runs, &format!("codec {codec}"), &mut contenders, || async {}).await;
    }
    let restore = |database: &str| {
        let (archive, target) = (folder.path().join(format!("{database}.tlz")), target.uri());
        contender(&format!("restore of {database}"), None, move || {
            let mut command = Command::new(TRANSLOAD);
            command.arg("restore").arg(&archive).arg(&target).args(["--no-indexes", "--quiet"]);
            command
        })
    };
    let clean = || async { target.empty().await.expect("emptied") };
    race(runs, "restore", &mut [restore("one"), restore("many")], clean).await;
}
