//! Dump and restore as whole processes, beside mongodump and mongorestore where they are on PATH.
//!
//! `cargo bench --bench end_to_end -- [--scale 1] [--runs 5] [--only orders|database|small|binaries]`. Server and tools share the
//! machine's cores. The tools take turns, A B B A, so that a machine that slows down does not favour one; medians are shown,
//! and ratios are between medians of the same run; under each line are the seconds of its runs. Peak memory is the kernel's
//! high-water mark of the process (Linux).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "a bench may stop at the unexpected")]

mod arguments;
mod race;

use std::{path::PathBuf, process::Command};

use bson::{Binary, Document, doc, spec::BinarySubtype};
use transload::{
    bench::version_of,
    connect::{Uri, connect},
    sandbox::ReplicaSet,
    shop::{self, Shop},
};

use arguments::Arguments;
use race::{CACHE_GB, TRANSLOAD, contender, race, servers};

/// Collections of five documents with an index each.
const SMALL: i32 = 1000;
/// Documents like those of a large file in GridFS.
const BINARIES: i32 = 800;
/// Their bytes, which do not compress.
const BINARY: usize = 255 * 1024;

/// What is dumped and restored.
#[derive(Clone, Copy)]
struct Data {
    title: &'static str,
    database: &'static str,
    /// One collection, or all.
    collection: Option<&'static str>,
    /// Whether indexes are built.
    indexes: bool,
}

#[tokio::main]
async fn main() {
    let Some(arguments) = Arguments::to_measure() else { return };
    let (scale, runs) = (arguments.value("--scale", 1.0), arguments.value("--runs", 5));
    let only = arguments.value("--only", String::new());
    let wanted = |name: &str| only.is_empty() || only == name;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (source, target) = servers(CACHE_GB).await;
    let bench = Bench { folder: folder.path().to_owned(), source: source.uri(), target, runs };
    if wanted("orders") || wanted("database") {
        let shop = Shop { seed: 1, scale };
        let server = connect(&Uri::read(&source.uri()).expect("a connection string").0, 4).await.expect("connected");
        let count = shop::load(&server, "shop", &shop).await.expect("loaded");
        println!("shop at scale {scale}: {count} documents; medians of {runs} runs\n");
    }
    let shop = Data { title: "whole database", database: "shop", collection: None, indexes: true };
    if wanted("orders") {
        let orders = Data { title: "orders", collection: Some("orders"), indexes: false, ..shop };
        bench.dumps(orders, "none").await;
        bench.dumps(orders, "zstd").await;
        bench.restores(orders).await;
    }
    if wanted("database") {
        bench.dumps(shop, "zstd").await;
        bench.restores(shop).await;
    }
    if wanted("small") {
        small(&source).await;
        let small = Data { title: "1,000 small collections", database: "small", ..shop };
        bench.dumps(small, "zstd").await;
        bench.restores(small).await;
    }
    if wanted("binaries") {
        binaries(&source).await;
        let title = "binaries of 255 kB that do not compress";
        let binaries = Data { title, database: "files", collection: Some("chunks"), indexes: false };
        bench.dumps(binaries, "zstd").await;
        bench.restores(binaries).await;
    }
}

/// Makes the small collections.
async fn small(source: &ReplicaSet) {
    let database = source.client().await.expect("connected").database("small");
    for number in 0..SMALL {
        let name = format!("collection{number:04}");
        let some = (0..5).map(|id| doc! { "_id": id, "at": id * number, "text": "some words of no consequence" });
        database.collection(&name).insert_many(some).await.expect("inserted");
        let index = doc! { "key": { "at": 1 }, "name": "at_1" };
        database.run_command(doc! { "createIndexes": &name, "indexes": [index] }).await.expect("built");
    }
}

/// Makes the binaries.
async fn binaries(source: &ReplicaSet) {
    let chunks = source.client().await.expect("connected").database("files").collection::<Document>("chunks");
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for number in 0..BINARIES {
        let mut bytes = Vec::with_capacity(BINARY + 8);
        while bytes.len() < BINARY {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            bytes.extend_from_slice(&state.to_le_bytes());
        }
        bytes.truncate(BINARY);
        let data = Binary { subtype: BinarySubtype::Generic, bytes };
        chunks.insert_one(doc! { "files_id": 1, "n": number, "data": data }).await.expect("inserted");
    }
}

struct Bench {
    folder: PathBuf,
    source: String,
    target: ReplicaSet,
    runs: usize,
}

impl Bench {
    /// Ours, of this data.
    fn dump(&self, data: Data, to: &PathBuf) -> Command {
        let mut command = Command::new(TRANSLOAD);
        command.arg("dump").arg(&self.source).arg(to).args(["--force", "--quiet"]);
        command.arg(format!("--include={}.{}", data.database, data.collection.unwrap_or("*")));
        command
    }

    /// Theirs.
    fn mongodump(&self, data: Data, to: &str) -> Command {
        let mut command = Command::new("mongodump");
        command.arg(format!("--uri={}", self.source)).arg(format!("--db={}", data.database)).args(["--quiet", to]);
        command.args(data.collection.map(|name| format!("--collection={name}")));
        command
    }

    async fn dumps(&self, data: Data, codec: &'static str) {
        let (ours, theirs) = (self.folder.join("ours.tlz"), self.folder.join("theirs"));
        let commands = |mut command: Command, more: &[String]| {
            command.args(more);
            let line: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
            let program = command.get_program().to_owned();
            move || {
                let mut command = Command::new(&program);
                command.args(&line);
                command
            }
        };
        let dump = commands(self.dump(data, &ours), &[format!("--codec={codec}")]);
        let mut contenders = vec![contender("transload dump", Some(ours), dump)];
        if version_of("mongodump").is_some() {
            let gzip: Vec<String> = (codec != "none").then(|| "--gzip".to_owned()).into_iter().collect();
            let out = format!("--out={}", theirs.display());
            contenders.push(contender("mongodump", Some(theirs), commands(self.mongodump(data, &out), &gzip)));
            if data.collection.is_none() && codec != "none" {
                let archive = self.folder.join("theirs.archive");
                let out = format!("--archive={}", archive.display());
                let dump = commands(self.mongodump(data, &out), &gzip);
                contenders.push(contender("mongodump --archive", Some(archive), dump));
            }
        }
        let how = if codec == "none" { "not compressed" } else { "compressed" };
        race(self.runs, &format!("dump of {}, {how}", data.title), &mut contenders, || async {}).await;
    }

    async fn restores(&self, data: Data) {
        let (ours, theirs) = (self.folder.join("from.tlz"), self.folder.join("from"));
        assert!(self.dump(data, &ours).status().expect("started").success());
        let (target, path) = (self.target.uri(), ours.clone());
        let mut contenders = vec![contender("transload restore", None, move || {
            let mut command = Command::new(TRANSLOAD);
            command.arg("restore").arg(&path).arg(&target).arg("--quiet");
            command.args((!data.indexes).then_some("--no-indexes"));
            command
        })];
        if version_of("mongodump").is_some() && version_of("mongorestore").is_some() {
            let _ = std::fs::remove_dir_all(&theirs);
            let mut dump = self.mongodump(data, &format!("--out={}", theirs.display()));
            assert!(dump.arg("--gzip").status().expect("started").success());
            for (name, flags) in [
                ("mongorestore", &[][..]),
                ("mongorestore, best flags", &["--numParallelCollections=4", "--numInsertionWorkersPerCollection=4"]),
            ] {
                let (target, path) = (self.target.uri(), theirs.clone());
                contenders.push(contender(name, None, move || {
                    let mut command = Command::new("mongorestore");
                    // Not quiet, or it would fail without a word.
                    command.arg(format!("--uri={target}")).arg("--gzip").args(flags).arg(&path);
                    command.args((!data.indexes).then_some("--noIndexRestore"));
                    command
                }));
            }
        }
        let clean = || async { self.target.empty().await.expect("emptied") };
        let how = if data.indexes { "with indexes" } else { "no secondary indexes" };
        race(self.runs, &format!("restore of {}, {how}", data.title), &mut contenders, clean).await;
        clean().await;
    }
}
