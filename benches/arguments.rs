//! What a bench is called with, and what has to be known of a run before its figures say anything.

use std::time::SystemTime;

use transload::bench::{Machine, version_of};

/// What a bench was called with.
pub(crate) struct Arguments(Vec<String>);

impl Arguments {
    /// Those of this process, if it is to measure: `cargo test --benches` must not do so for minutes. Prints when, where and how the
    /// run was, so that what it prints can be kept as it is.
    pub(crate) fn to_measure() -> Option<Self> {
        let arguments: Vec<String> = std::env::args().collect();
        if !arguments.iter().any(|argument| argument == "--bench") {
            return None;
        }
        let bench = std::path::Path::new(&arguments[0]).file_stem().unwrap_or_default().to_string_lossy().into_owned();
        // Cargo names the program by the bench and a hash.
        let bench = bench.rsplit_once('-').map_or(bench.clone(), |(name, _)| name.to_owned());
        let given: Vec<&str> = arguments.iter().skip(1).map(String::as_str).filter(|one| *one != "--bench").collect();
        let now = bson::DateTime::from_system_time(SystemTime::now()).try_to_rfc3339_string().unwrap_or_default();
        let machine = Machine::this();
        println!("{now}");
        println!(
            "{} cores, {}, {:.0} GiB, {}, {}",
            machine.cores,
            machine.processor,
            machine.memory_bytes.unwrap_or_default() as f64 / f64::from(1 << 30),
            machine.architecture,
            machine.system
        );
        println!("cargo bench --bench {bench} -- {}", given.join(" "));
        println!(
            "transload {}{}",
            env!("CARGO_PKG_VERSION"),
            commit().map(|commit| format!(", {commit}")).unwrap_or_default()
        );
        for tool in ["mongodump", "mongorestore"] {
            println!("{tool}: {}", version_of(tool).unwrap_or_else(|| "not on PATH".to_owned()));
        }
        println!();
        Some(Arguments(arguments))
    }

    /// What stands behind a flag.
    pub(crate) fn value<T: std::str::FromStr>(&self, flag: &str, default: T) -> T {
        let given = self.0.windows(2).find(|pair| pair[0] == flag).map(|pair| &pair[1]);
        given.map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{flag} {text}")))
    }
}

/// What of the project this is, where it is a checkout.
fn commit() -> Option<String> {
    let mut git = std::process::Command::new("git");
    git.args(["-C", env!("CARGO_MANIFEST_DIR"), "describe", "--always", "--dirty", "--abbrev=10"]);
    let told = git.output().ok().filter(|told| told.status.success())?;
    Some(format!("commit {}", String::from_utf8(told.stdout).ok()?.trim()))
}
