//! Dump and restore of the `shop` data as whole processes, beside mongodump and mongorestore where they are on PATH.
//!
//! `cargo bench --bench end_to_end -- [--scale 1] [--runs 5]`. Server and tools share the machine's cores. The tools
//! take turns, A B B A, so that a machine that slows down does not favour one; medians are shown, and ratios are
//! between medians of the same run. Peak memory is the kernel's high-water mark of the process (Linux).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "a bench may stop at the unexpected")]

mod race;

use std::{path::PathBuf, process::Command};

use bson::doc;
use transload::{
    bench::version_of,
    connect::{Uri, connect},
    sandbox::ReplicaSet,
    shop::{self, Shop},
};

use race::{Arguments, TRANSLOAD, contender, race, servers};

#[tokio::main]
async fn main() {
    let Some(arguments) = Arguments::to_measure() else { return };
    let (scale, runs) = (arguments.value("--scale", 1.0), arguments.value("--runs", 5));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (source, target) = servers().await;
    let shop = Shop { seed: 1, scale };
    let server = connect(&Uri::read(&source.uri()).expect("a connection string").0, 4).await.expect("connected");
    let count = shop::load(&server, "shop", &shop).await.expect("loaded");
    println!("shop at scale {scale}: {count} documents; medians of {runs} runs\n");
    let bench = Bench { folder: folder.path().to_owned(), source: source.uri(), target, runs };
    bench.dumps("orders, not compressed", &["--include", "shop.orders"], Some("orders"), "none").await;
    bench.dumps("orders, compressed", &["--include", "shop.orders"], Some("orders"), "zstd").await;
    bench.dumps("whole database, compressed", &[], None, "zstd").await;
    bench.restores("orders, no secondary indexes", Some("orders"), false).await;
    bench.restores("whole database with indexes", None, true).await;
}

struct Bench {
    folder: PathBuf,
    source: String,
    target: ReplicaSet,
    runs: usize,
}

impl Bench {
    async fn dumps(
        &self,
        title: &str,
        selection: &'static [&'static str],
        collection: Option<&'static str>,
        codec: &'static str,
    ) {
        let (ours, theirs) = (self.folder.join("ours.tlz"), self.folder.join("theirs"));
        let (source, path) = (self.source.clone(), ours.clone());
        let mut contenders = vec![contender("transload dump", Some(ours), move || {
            let mut command = Command::new(TRANSLOAD);
            command.arg("dump").arg(&source).arg(&path).args(["--codec", codec, "--force", "--quiet"]).args(selection);
            command
        })];
        if version_of("mongodump").is_some() {
            let (source, path) = (self.source.clone(), theirs.clone());
            contenders.push(contender("mongodump", Some(theirs), move || {
                let mut command = Command::new("mongodump");
                command
                    .arg(format!("--uri={source}"))
                    .arg("--db=shop")
                    .arg(format!("--out={}", path.display()))
                    .arg("--quiet");
                command.args(collection.map(|name| format!("--collection={name}")));
                command.args((codec != "none").then_some("--gzip"));
                command
            }));
        }
        race(self.runs, &format!("dump of {title}"), &mut contenders, || async {}).await;
    }

    async fn restores(&self, title: &str, collection: Option<&'static str>, indexes: bool) {
        let (ours, theirs) = (self.folder.join("from.tlz"), self.folder.join("from"));
        let mut dump = Command::new(TRANSLOAD);
        dump.arg("dump").arg(&self.source).arg(&ours).args(["--force", "--quiet"]);
        dump.args(collection.map(|name| format!("--include=shop.{name}")));
        assert!(dump.status().expect("started").success());
        let (target, path) = (self.target.uri(), ours.clone());
        let mut contenders = vec![contender("transload restore", None, move || {
            let mut command = Command::new(TRANSLOAD);
            command.arg("restore").arg(&path).arg(&target).arg("--quiet");
            command.args((!indexes).then_some("--no-indexes"));
            command
        })];
        if version_of("mongodump").is_some() && version_of("mongorestore").is_some() {
            let mut dump = Command::new("mongodump");
            dump.arg(format!("--uri={}", self.source)).args(["--db=shop", "--gzip", "--quiet"]);
            dump.arg(format!("--out={}", theirs.display())).args(collection.map(|name| format!("--collection={name}")));
            assert!(dump.status().expect("started").success());
            for (name, flags) in [
                ("mongorestore", &[][..]),
                ("mongorestore, best flags", &["--numParallelCollections=3", "--numInsertionWorkersPerCollection=4"]),
            ] {
                let (target, path) = (self.target.uri(), theirs.clone());
                contenders.push(contender(name, None, move || {
                    let mut command = Command::new("mongorestore");
                    command.arg(format!("--uri={target}")).arg("--gzip").arg("--quiet").args(flags).arg(&path);
                    command.args((!indexes).then_some("--noIndexRestore"));
                    command
                }));
            }
        }
        let client = self.target.client().await.expect("connected");
        let clean = || async {
            client.database("shop").drop().await.expect("dropped");
            client.database("admin").run_command(doc! { "fsync": 1 }).await.expect("synced");
        };
        race(self.runs, &format!("restore of {title}"), &mut contenders, clean).await;
        clean().await;
    }
}
