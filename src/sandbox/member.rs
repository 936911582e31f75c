//! One member of a replica set: its data, its port, its log, and the process that serves them while it runs.

use std::{
    ffi::OsString,
    fs::{self, OpenOptions},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, sleep};

use super::{
    ReplicaSetOptions, ServerBinary, last_lines,
    process::{Launch, Process},
};
use crate::error::{Error, ErrorKind, Result};

/// What `mongod` exits with when it cannot listen on its port.
const NET_ERROR: i32 = 48;
/// What every release logs when its port is open: `Waiting for connections`, or with a small `w`.
const READY: &str = "aiting for connections";
/// Recovery after a kill included, on a loaded machine.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// A member, running or not.
pub(super) struct Member {
    pub(super) port: u16,
    server: ServerBinary,
    arguments: Vec<OsString>,
    log: PathBuf,
    process: Mutex<Option<Process>>,
}

/// Why a member did not start.
pub(super) struct NotStarted {
    pub(super) error: Error,
    /// Another process has the port: try again, or with another port.
    pub(super) port_taken: bool,
}

impl From<Error> for NotStarted {
    fn from(error: Error) -> Self {
        NotStarted { error, port_taken: false }
    }
}

impl Member {
    /// A member that keeps its data and log in `directory`, not yet started.
    pub(super) fn new(
        options: &ReplicaSetOptions,
        set: &str,
        directory: &Path,
        port: u16,
        key_file: Option<&Path>,
    ) -> Result<Self> {
        let data = directory.join(format!("data-{port}"));
        fs::create_dir(&data).map_err(|error| Error::io(&data, error))?;
        let mut arguments: Vec<OsString> = vec!["--dbpath".into(), data.into()];
        let mut add = |name: &str, value: String| arguments.extend([name.into(), value.into()]);
        add("--port", port.to_string());
        add("--bind_ip", "127.0.0.1".to_owned());
        if !options.standalone {
            add("--replSet", set.to_owned());
        }
        add("--wiredTigerCacheSizeGB", options.cache_gb.to_string());
        // Otherwise each member claims 300 MB of disk for its journal before the first write.
        add("--wiredTigerEngineConfigString", "log=(prealloc=false,file_max=16MB)".to_owned());
        add("--setParameter", "diagnosticDataCollectionEnabled=false".to_owned());
        if options.test_commands {
            add("--setParameter", "enableTestCommands=1".to_owned());
        }
        for (name, value) in &options.set_parameters {
            add("--setParameter", format!("{name}={value}"));
        }
        if let Some(size) = options.oplog_size_mb {
            add("--oplogSize", size.to_string());
        }
        if let Some(path) = key_file {
            arguments.extend(["--keyFile".into(), path.into()]);
        }
        arguments.push("--nounixsocket".into());
        arguments.extend(options.extra_arguments.iter().map(OsString::from));
        let log = directory.join(format!("log-{port}"));
        Ok(Member { port, server: options.server.clone(), arguments, log, process: Mutex::new(None) })
    }

    pub(super) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(super) fn log(&self) -> &Path {
        &self.log
    }

    /// Starts the process, and waits until it listens.
    ///
    /// That *it* listens is known from its own log: an answer on the port might come from somebody else.
    pub(super) async fn start(&self) -> Result<(), NotStarted> {
        let io = |error| Error::io(&self.log, error);
        let output = OpenOptions::new().append(true).create(true).open(&self.log).map_err(io)?;
        let already = output.metadata().map_err(io)?.len();
        let launch = Launch { server: self.server.clone(), arguments: self.arguments.clone(), output };
        let mut process =
            Process::start(launch).await.map_err(|error| Error::io(self.server.path(), error).with_hint(HINT))?;

        let deadline = Instant::now() + START_TIMEOUT;
        loop {
            let ended = process.ended().map_err(io)?;
            let log = self.read_log(already).await;
            if let Some(status) = ended {
                let error = self.failure(&format!("the server ended with {status}"), &log);
                return Err(NotStarted { error, port_taken: status.code() == Some(NET_ERROR) });
            }
            if log.contains(READY) {
                *self.process() = Some(process);
                return Ok(());
            }
            if Instant::now() > deadline {
                let waited = format!("the server was not ready after {} s", START_TIMEOUT.as_secs());
                return Err(self.failure(&waited, &log).into());
            }
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Kills the process, if it runs, and waits for its end.
    pub(super) fn kill(&self) {
        *self.process() = None;
    }

    pub(super) fn process_id(&self) -> Option<u32> {
        self.process().as_ref().map(Process::id)
    }

    /// The error to report if the process has ended without being asked to.
    pub(super) async fn unexpected_end(&self) -> Option<Error> {
        let status = match self.process().as_mut()?.ended() {
            Ok(status) => status?,
            Err(error) => return Some(Error::io(self.server.path(), error)),
        };
        Some(self.failure(&format!("the server ended with {status}"), &self.read_log(0).await))
    }

    fn process(&self) -> MutexGuard<'_, Option<Process>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The log from byte `already` on; a log that cannot be read yet is empty.
    async fn read_log(&self, already: u64) -> String {
        let bytes = tokio::fs::read(&self.log).await.unwrap_or_default();
        let start = usize::try_from(already).unwrap_or(usize::MAX);
        String::from_utf8_lossy(bytes.get(start..).unwrap_or_default()).into_owned()
    }

    fn failure(&self, what: &str, log: &str) -> Error {
        // After an error the server logs dozens of lines about its own end; the last errors are what matters.
        let mut shown = last_lines(log.lines().filter(|line| is_error(line)), 5);
        if shown.is_empty() {
            shown = last_lines(log.lines(), 10);
        }
        Error::new(ErrorKind::Server, format!("{what}; its log ends:{shown}"))
            .at(self.server.path().display().to_string())
            .with_hint(HINT)
    }
}

const HINT: &str = "set TRANSLOAD_MONGOD to a mongod that runs on this machine";

/// Whether a line of a server's log, JSON since 4.4 and text before, is an error or fatal.
fn is_error(line: &str) -> bool {
    line.contains(r#""s":"E""#)
        || line.contains(r#""s":"F""#)
        || (!line.starts_with('{') && matches!(line.split_whitespace().nth(1), Some("E" | "F")))
}

#[cfg(test)]
mod tests {
    use super::is_error;

    #[test]
    fn errors_are_told_from_the_rest_of_a_log() {
        assert!(is_error("2026-01-01T00:00:00.000+0000 E  STORAGE  [initandlisten] Failed to set up listener"));
        assert!(is_error(r#"{"t":{"$date":"…"},"s":"F",  "c":"CONTROL", "msg":"…"}"#));
        assert!(!is_error("2026-01-01T00:00:00.000+0000 I  CONTROL  [main] E is a letter"));
        assert!(!is_error(r#"{"t":{"$date":"…"},"s":"I",  "c":"CONTROL", "msg":"E"}"#));
        assert!(!is_error(""));
    }
}
