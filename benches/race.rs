//! Whole processes against each other: in turns, with medians, peak memory and processor time.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use transload::sandbox::{ReplicaSet, ReplicaSetOptions, ServerBinary};

pub(crate) const TRANSLOAD: &str = env!("CARGO_BIN_EXE_transload");

/// What a bench was called with.
pub(crate) struct Arguments(Vec<String>);

impl Arguments {
    /// Those of this process, if it is to measure: `cargo test --benches` must not do so for minutes.
    pub(crate) fn to_measure() -> Option<Self> {
        let arguments: Vec<String> = std::env::args().collect();
        arguments.iter().any(|argument| argument == "--bench").then_some(Arguments(arguments))
    }

    /// What stands behind a flag.
    pub(crate) fn value<T: std::str::FromStr>(&self, flag: &str, default: T) -> T {
        let given = self.0.windows(2).find(|pair| pair[0] == flag).map(|pair| &pair[1]);
        given.map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{flag} {text}")))
    }
}

/// A source and a target on this machine.
pub(crate) async fn servers() -> (ReplicaSet, ReplicaSet) {
    let server = ServerBinary::find(&|message| println!("{message}")).await.expect("a server");
    let mut options = ReplicaSetOptions::new(server);
    options.cache_gb = 2.0;
    let source = ReplicaSet::start(&options).await.expect("a source");
    (source, ReplicaSet::start(&options).await.expect("a target"))
}

/// One run of a process.
pub(crate) struct Run {
    seconds: f64,
    peak_kib: u64,
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
pub(crate) fn observe(child: &Child) -> Option<(u64, f64)> {
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
