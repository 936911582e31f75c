//! Runs the program in a directory of its own, and keeps what it printed.
//!
//! Every run is checked for what must never be printed: the password, panics, and the driver's and Rust's own dumps.

use std::{
    fs,
    io::Read,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use regex::Regex;
use tempfile::TempDir;

/// The password of every user in these tests: in no output may it ever stand.
pub(crate) const PASSWORD: &str = "Sup3r-S3cret";

/// What is a dump of a program's insides, and no text for people.
const DUMPS: [&str; 9] =
    ["panicked", "Kind: ", "labels: ", "Topology: ", "source: None", "os error", "Some(", "Err(", "RUST_BACKTRACE"];

/// No run takes this long but one that hangs.
const LIMIT: Duration = Duration::from_secs(60);

/// A directory to work in.
pub(crate) struct Terminal {
    directory: TempDir,
}

impl Terminal {
    pub(crate) fn new() -> Self {
        Terminal { directory: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> &Self {
        fs::write(self.path(name), bytes).unwrap();
        self
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.path(name).exists()
    }

    /// The program with these arguments, its output kept, without input.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = bare(env!("CARGO_BIN_EXE_transload"), self.directory.path());
        command.args(arguments);
        command
    }

    /// The same, started by `env` with this option.
    pub(crate) fn command_by_env(&self, option: &str, arguments: &[&str]) -> Command {
        let mut command = bare("env", self.directory.path());
        command.args([option, env!("CARGO_BIN_EXE_transload")]).args(arguments);
        command
    }

    /// A shell with `$T` for the program.
    pub(crate) fn shell(&self, script: &str) -> Ran {
        let mut command = bare("sh", self.directory.path());
        command.args(["-c", script]).env("T", env!("CARGO_BIN_EXE_transload"));
        finish(command.spawn().unwrap(), script)
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        self.run_with(&[], arguments)
    }

    pub(crate) fn run_with(&self, variables: &[(&str, &str)], arguments: &[&str]) -> Ran {
        let child = self.command(arguments).envs(variables.iter().copied()).spawn().unwrap();
        finish(child, &line(arguments))
    }

    /// The program with `input` on its standard input.
    pub(crate) fn feed(&self, input: &Path, arguments: &[&str]) -> Ran {
        let child = self.command(arguments).stdin(fs::File::open(input).unwrap()).spawn().unwrap();
        finish(child, &format!("{} < {}", line(arguments), input.file_name().unwrap().to_string_lossy()))
    }
}

fn bare(program: &str, directory: &Path) -> Command {
    let mut command = Command::new(program);
    let ours = std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("TRANSLOAD_"));
    ours.for_each(|(name, _)| {
        command.env_remove(name);
    });
    command.env_remove("COLUMNS").env_remove("NO_COLOR").env("LC_ALL", "C");
    command.current_dir(directory).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn line(arguments: &[&str]) -> String {
    format!("transload {}", arguments.join(" "))
}

/// Waits for a child and keeps what it printed; one that hangs is killed, and fails the test.
pub(crate) fn finish(mut child: Child, line: &str) -> Ran {
    let stdout = child.stdout.take().map(keep);
    let stderr = child.stderr.take().map(keep);
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if begun.elapsed() > LIMIT {
            child.kill().unwrap();
            panic!("hangs: {line}");
        }
        thread::sleep(Duration::from_millis(5));
    };
    let kept = |thread: Option<JoinHandle<Vec<u8>>>| thread.map(|thread| thread.join().unwrap()).unwrap_or_default();
    let ran = Ran {
        line: line.to_owned(),
        code: status.code().unwrap_or_else(|| 1000 + status.signal().unwrap_or(0)),
        stdout: kept(stdout),
        stderr: String::from_utf8(kept(stderr)).unwrap(),
        took: begun.elapsed(),
    };
    ran.check();
    ran
}

fn keep(mut pipe: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).unwrap();
        bytes
    })
}

/// What a run has printed, and how it ended.
pub(crate) struct Ran {
    line: String,
    pub(crate) code: i32,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
    pub(crate) took: Duration,
}

impl Ran {
    fn check(&self) {
        let everything = [self.stdout.as_slice(), self.stderr.as_bytes()].concat();
        let everything = String::from_utf8_lossy(&everything);
        assert!(!everything.contains(PASSWORD), "the password is printed: {self}");
        // Causes are asked for by -v, and not made for everyone.
        for line in self.stderr.lines().filter(|line| !line.starts_with("cause: ")) {
            for dump in DUMPS {
                assert!(!line.contains(dump), "{dump:?} is printed: {self}");
            }
        }
        for line in self.stderr.lines().filter(|line| line.len() > 8) {
            assert_eq!(self.stderr.matches(line).count(), 1, "{line:?} is printed twice: {self}");
        }
    }

    /// Standard output, which must be text.
    pub(crate) fn out(&self) -> &str {
        std::str::from_utf8(&self.stdout).unwrap()
    }

    pub(crate) fn lines(&self) -> Vec<serde_json::Value> {
        self.out().lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line:?}"))).collect()
    }

    #[track_caller]
    pub(crate) fn ends_with(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self}");
        self
    }

    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "{text:?} is not said: {self}");
        self
    }
}

impl std::fmt::Display for Ran {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "$ {}", self.line)?;
        f.write_str(&String::from_utf8_lossy(&self.stdout))?;
        f.write_str(&self.stderr)?;
        writeln!(f, "[exit code {}]", self.code)
    }
}

/// A run without what differs from one to the next.
pub(crate) fn redacted(text: &str) -> String {
    let rules = [
        (r"mongodb(\+srv)?://[^\s?]*@", "mongodb$1://USER@"),
        (r"127\.0\.0\.1:\d{4,5}", "127.0.0.1:PORT"),
        (r"replicaSet=[\w-]+", "replicaSet=SET"),
        (r"transload-sandbox-\w+", "SET"),
        (r"&appName=\w+", ""),
        (r"\d[\d,]*(\.\d+)? (B|KiB|MiB)\b", "SIZE"),
        (r"\d[\d,]* bytes", "N bytes"),
        (r"SIZE/s", "RATE"),
        (r"\d+\.\d+ s\b", "TIME"),
        (
            r"checksum mismatch of ([^,]*), stored [0-9a-f]{8}, computed [0-9a-f]{8}",
            "checksum mismatch of $1, stored X, computed Y",
        ),
        (r"offset \d+", "offset N"),
        (r"up to \d+,\d+, \d+ s", "up to POSITION, N s"),
        (r"applied up to \d+,\d+", "applied up to POSITION"),
        // Where nothing is written meanwhile, any dump is of one time.
        (r"consistency: (point-in-time|consistent from) .*", "consistency: OF SOME TIME"),
        (r"\d+ whole blocks with \d+ documents", "N whole blocks with N documents"),
        (r"\b[0-9a-f]{16}\b", "DIGEST"),
        (r"\b(00)?[0-9a-f]{32}\b", "$1ID"),
        (r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", "UUID"),
    ];
    let text = rules.iter().fold(text.to_owned(), |text, (pattern, with)| {
        Regex::new(pattern).unwrap().replace_all(&text, *with).into_owned()
    });
    // The width of a table's columns is that of its sizes.
    let is_row = |line: &str| ["SIZE", "stored"].iter().any(|word| line.contains(word));
    let columns = Regex::new("  +").unwrap();
    let line = |line: &str| if is_row(line) { columns.replace_all(line, "  ").into_owned() } else { line.to_owned() };
    text.lines().map(|text| line(text) + "\n").collect()
}

/// Compares runs with a snapshot in `tests/snapshots`.
#[track_caller]
pub(crate) fn snapshot(name: &str, runs: &[Ran]) {
    let text: Vec<String> = runs.iter().map(|run| redacted(&run.to_string())).collect();
    snapshot_text(name, &text.join("\n"));
}

#[track_caller]
pub(crate) fn snapshot_text(name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name.to_owned(), text));
}
