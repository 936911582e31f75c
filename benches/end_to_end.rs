//! Dump and restore of the `shop` data as whole processes, beside mongodump and mongorestore where they are on PATH.
//!
//! `cargo bench --bench end_to_end -- [--scale 1] [--runs 5]`. Server and tools share the machine's cores. The tools
//! take turns, A B B A, so that a machine that slows down does not favour one; medians are shown, and ratios are
//! between medians of the same run. Peak memory is the kernel's high-water mark of the process (Linux).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "a bench may stop at the unexpected")]

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use bson::doc;
use transload::{
    connect::{Uri, connect},
    sandbox::{ReplicaSet, ReplicaSetOptions, ServerBinary},
    shop::{self, Shop},
};

const TRANSLOAD: &str = env!("CARGO_BIN_EXE_transload");

/// One run of a process.
struct Run {
    seconds: f64,
    peak_kib: u64,
    cpu_seconds: f64,
    bytes: u64,
}

/// A command to time, and what it writes.
struct Contender {
    name: String,
    command: Box<dyn Fn() -> Command>,
    output: Option<PathBuf>,
    runs: Vec<Run>,
}

fn contender(name: &str, output: Option<PathBuf>, command: impl Fn() -> Command + 'static) -> Contender {
    Contender { name: name.to_owned(), command: Box::new(command), output, runs: Vec::new() }
}

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let value = |flag: &str| arguments.windows(2).find(|pair| pair[0] == flag).map(|pair| pair[1].clone());
    let scale: f64 = value("--scale").map_or(1.0, |text| text.parse().expect("a number after --scale"));
    let runs: usize = value("--runs").map_or(5, |text| text.parse().expect("a number after --runs"));
    // `cargo test --benches` must not measure for minutes.
    if !arguments.iter().any(|argument| argument == "--bench") {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let server = ServerBinary::find(&|message| println!("{message}")).await.expect("a server");
    let mut options = ReplicaSetOptions::new(server);
    options.cache_gb = 2.0;
    let source = ReplicaSet::start(&options).await.expect("a source");
    let target = ReplicaSet::start(&options).await.expect("a target");
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
        if installed("mongodump") {
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
        self.race(&format!("dump of {title}"), &mut contenders, || async {}).await;
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
        if installed("mongodump") && installed("mongorestore") {
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
        self.race(&format!("restore of {title}"), &mut contenders, clean).await;
        clean().await;
    }

    /// Runs the contenders in turns, and prints what they took.
    async fn race<F: Future<Output = ()>>(&self, title: &str, contenders: &mut [Contender], clean: impl Fn() -> F) {
        for round in 0..=self.runs {
            let count = contenders.len();
            for turn in 0..count {
                let index = if round % 2 == 0 { turn } else { count - 1 - turn };
                clean().await;
                let contender = &mut contenders[index];
                if let Some(output) = &contender.output {
                    let _ = std::fs::remove_dir_all(output);
                    let _ = std::fs::remove_file(output);
                }
                let mut run = time((contender.command)());
                run.bytes = contender.output.as_deref().map_or(0, size);
                // The first round warms the server and the caches.
                if round > 0 {
                    contender.runs.push(run);
                }
            }
        }
        println!("{title}");
        let ours = contenders[0].seconds();
        for contender in contenders.iter() {
            println!(
                "  {:<26} {:>7.2} s {:>7.2} s cpu {:>6} MiB peak {:>9} {:>6.2} x",
                contender.name,
                contender.seconds(),
                contender.median(|run| run.cpu_seconds),
                contender.median(|run| run.peak_kib as f64) as u64 / 1024,
                match contender.median(|run| run.bytes as f64) as u64 {
                    0 => String::new(),
                    bytes => format!("{:.1} MB", bytes as f64 / 1e6),
                },
                contender.seconds() / ours,
            );
        }
        println!();
    }
}

impl Contender {
    fn seconds(&self) -> f64 {
        self.median(|run| run.seconds)
    }

    fn median(&self, of: impl Fn(&Run) -> f64) -> f64 {
        let mut values: Vec<f64> = self.runs.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    }
}

fn installed(tool: &str) -> bool {
    Command::new(tool).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

fn time(mut command: Command) -> Run {
    let begun = Instant::now();
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("started");
    let (mut peak_kib, mut cpu_seconds) = (0, 0.0);
    let status = loop {
        (peak_kib, cpu_seconds) = observe(&child).unwrap_or((peak_kib, cpu_seconds));
        match child.try_wait().expect("a child") {
            Some(status) => break status,
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    };
    assert!(status.success(), "{command:?} failed");
    Run { seconds: begun.elapsed().as_secs_f64(), peak_kib, cpu_seconds, bytes: 0 }
}

/// Peak memory and processor time of a process that is running, by /proc.
fn observe(child: &Child) -> Option<(u64, f64)> {
    let folder = PathBuf::from(format!("/proc/{}", child.id()));
    let status = std::fs::read_to_string(folder.join("status")).ok()?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let peak = peak.trim().trim_end_matches(" kB").parse().ok()?;
    let stat = std::fs::read_to_string(folder.join("stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    // User and system time in ticks, which Linux fixes at 100 a second.
    let ticks = fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?;
    Some((peak, ticks / 100.0))
}

fn size(path: &Path) -> u64 {
    match std::fs::read_dir(path) {
        Ok(entries) => entries.flatten().map(|entry| size(&entry.path())).sum(),
        Err(_) => std::fs::metadata(path).map_or(0, |metadata| metadata.len()),
    }
}
