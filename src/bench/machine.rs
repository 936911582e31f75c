//! The machine that a bench runs on: a figure without it says nothing.

use std::fs::read_to_string;

use serde::Serialize;

/// What is known of this machine.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// The processor's name, where the system tells it.
    pub processor: String,
    /// Its architecture.
    pub architecture: &'static str,
    /// The threads that run at once.
    pub cores: usize,
    /// Memory, where the system tells it.
    pub memory_bytes: Option<u64>,
    /// The operating system, with the version of its kernel where that is told.
    pub system: String,
}

impl Machine {
    /// This one.
    pub fn this() -> Self {
        let cpus = read_to_string("/proc/cpuinfo").unwrap_or_default();
        let memory = read_to_string("/proc/meminfo").unwrap_or_default();
        let release = read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Machine {
            processor: field(&cpus, "model name").unwrap_or("unknown processor").to_owned(),
            architecture: std::env::consts::ARCH,
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_bytes: field(&memory, "MemTotal").and_then(kilobytes),
            system: format!("{} {}", std::env::consts::OS, release.trim()).trim_end().to_owned(),
        }
    }
}

/// What stands behind a name and a colon.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let fields = text.lines().filter_map(|line| line.split_once(':'));
    fields.into_iter().find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim())
}

fn kilobytes(text: &str) -> Option<u64> {
    text.strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_their_names() {
        let text = "processor\t: 0\nmodel name\t: Some CPU @ 2:1\nMemTotal:       24 kB\n";
        assert_eq!(field(text, "model name"), Some("Some CPU @ 2:1"));
        assert_eq!(field(text, "MemTotal").and_then(kilobytes), Some(24 * 1024));
        assert_eq!(field(text, "model"), None);
        assert!(Machine::this().cores > 0);
    }
}
