//! Whole processes against each other: in turns, with medians, peak memory and processor time.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use transload::{
    bench::{Spread, timed},
    sandbox::{ReplicaSet, ReplicaSetOptions, ServerBinary},
};

pub(crate) const TRANSLOAD: &str = env!("CARGO_BIN_EXE_transload");

/// Lines that are shown of what a process has said that failed.
const LINES_SHOWN: usize = 10;

/// GiB of the cache of a server, where nothing else is said.
pub(crate) const CACHE_GB: f64 = 2.0;

/// A source and a target on this machine, with caches of so many GiB.
pub(crate) async fn servers(cache_gb: f64) -> (ReplicaSet, ReplicaSet) {
    let server = ServerBinary::find(&|message| println!("{message}")).await.expect("a server");
    let mut options = ReplicaSetOptions::new(server);
    options.cache_gb = cache_gb;
    let source = ReplicaSet::start(&options).await.expect("a source");
    (source, ReplicaSet::start(&options).await.expect("a target"))
}

/// One run of a process.
pub(crate) struct Run {
    seconds: f64,
    peak_bytes: u64,
    cpu_seconds: f64,
    bytes: u64,
}

/// A command to time, and what it writes.
pub(crate) struct Contender {
    name: String,
    command: Box<dyn Fn() -> Command>,
    output: Option<PathBuf>,
    runs: Vec<Run>,
}

pub(crate) fn contender(name: &str, output: Option<PathBuf>, command: impl Fn() -> Command + 'static) -> Contender {
    Contender { name: name.to_owned(), command: Box::new(command), output, runs: Vec::new() }
}

/// Runs the contenders in turns, and prints what they took.
pub(crate) async fn race<F: Future<Output = ()>>(
    runs: usize,
    title: &str,
    contenders: &mut [Contender],
    clean: impl Fn() -> F,
) {
    for round in 0..=runs {
        let count = contenders.len();
        for turn in 0..count {
            let index = if round % 2 == 0 { turn } else { count - 1 - turn };
            clean().await;
            let contender = &mut contenders[index];
            if let Some(output) = &contender.output {
                let _ = std::fs::remove_dir_all(output);
                let _ = std::fs::remove_file(output);
            }
            let mut run = time((contender.command)()).await;
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
            contender.median(|run| run.peak_bytes as f64) as u64 >> 20,
            match contender.median(|run| run.bytes as f64) as u64 {
                0 => String::new(),
                bytes => format!("{:.1} MB", bytes as f64 / 1e6),
            },
            contender.seconds() / ours,
        );
        let seconds: Vec<String> = contender.runs.iter().map(|run| format!("{:.3}", run.seconds)).collect();
        println!("    {}", seconds.join(" "));
    }
    println!();
}

impl Contender {
    fn seconds(&self) -> f64 {
        self.median(|run| run.seconds)
    }

    fn median(&self, of: impl Fn(&Run) -> f64) -> f64 {
        Spread::of(self.runs.iter().map(of)).median
    }
}

async fn time(command: Command) -> Run {
    let line = format!("{command:?}");
    let ended = timed(command, b"").await.expect("started");
    let said: Vec<&str> = ended.stderr.lines().collect();
    let last = said[said.len().saturating_sub(LINES_SHOWN)..].join("\n");
    assert!(ended.status.success(), "{line} failed:\n{last}");
    let (peak_bytes, cpu_seconds) = ended.usage.map_or((0, 0.0), |usage| (usage.peak_bytes, usage.cpu_seconds));
    Run { seconds: ended.seconds, peak_bytes, cpu_seconds, bytes: 0 }
}

fn size(path: &Path) -> u64 {
    match std::fs::read_dir(path) {
        Ok(entries) => entries.flatten().map(|entry| size(&entry.path())).sum(),
        Err(_) => std::fs::metadata(path).map_or(0, |metadata| metadata.len()),
    }
}
