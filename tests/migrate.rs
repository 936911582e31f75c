//! Whole moves by the program itself: a live source, kills, and a cutover; what has arrived is held against the servers' own
//! hashes, options and indexes.

mod catalog;
mod events;
mod faults;
mod fences;
mod kills;
mod live;
mod names;
mod not_followed;
mod old_scripts;
mod predecessor;
mod pressure;
mod refusals;
mod regressions;
mod second_cutover;
mod sharding;
mod stages;
mod status;

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::{changes::moving::assert_same, copy::Side};

/// How long anything may take here.
const PATIENCE: Duration = Duration::from_secs(120);

/// A migration between two databases, by the program.
pub(crate) struct Migration<'a> {
    pub(crate) source: Side<'a>,
    pub(crate) target: Side<'a>,
    /// The connection string of the source, where it is that of a user, or leads through a router.
    pub(crate) source_uri: Option<String>,
    /// The same of the target.
    pub(crate) target_uri: Option<String>,
    folder: TempDir,
    process: Option<Child>,
}

impl<'a> Migration<'a> {
    pub(crate) fn new(source: Side<'a>, target: Side<'a>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Migration { source, target, source_uri: None, target_uri: None, folder, process: None }
    }

    pub(crate) fn directory(&self) -> PathBuf {
        self.folder.path().join("move")
    }

    /// What a run has said so far, on standard error.
    pub(crate) fn said(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("said")).unwrap_or_default()
    }

    /// The command, with more arguments.
    pub(crate) fn command(&self, more: &[&str]) -> Command {
        self.command_in(&self.directory(), more)
    }

    /// The same in another work directory.
    pub(crate) fn command_in(&self, directory: &Path, more: &[&str]) -> Command {
        let uri = |side: &Side<'_>| side.set.uri().replace("/?", &format!("/{}?", side.database));
        let mut command = Command::new(env!("CARGO_BIN_EXE_transload"));
        let rename = format!("{}.*={}.*", self.source.database, self.target.database);
        let from = self.source_uri.clone().unwrap_or_else(|| uri(&self.source));
        let to = self.target_uri.clone().unwrap_or_else(|| uri(&self.target));
        command.args(["migrate", &from, &to, "--dir"]).arg(directory);
        if self.source.database != self.target.database {
            command.args(["--rename", &rename]);
        }
        command.args(more).stdin(Stdio::null()).env("NO_COLOR", "1");
        command
    }

    /// Runs the command to its end: its exit code, and what it says.
    pub(crate) async fn ends(&self, more: &[&str]) -> (i32, String) {
        let mut command = self.command(more);
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// Starts it in the background.
    pub(crate) fn start(&mut self, more: &[&str]) {
        let said = std::fs::OpenOptions::new().create(true).append(true).open(self.folder.path().join("said")).unwrap();
        let process = self.command(more).stdout(Stdio::null()).stderr(said).spawn().unwrap();
        self.process = Some(process);
    }

    /// SIGKILL, whatever it is doing. It must not have ended by itself.
    pub(crate) fn kill(&mut self) {
        let mut process = self.process.take().expect("it was started");
        if let Some(status) = process.try_wait().unwrap() {
            panic!("it has ended by itself, {status}: {}", self.said());
        }
        process.kill().unwrap();
        process.wait().unwrap();
    }

    /// The number that the system knows it by.
    pub(crate) fn process_id(&self) -> u32 {
        self.process.as_ref().expect("it was started").id()
    }

    /// Whether it runs.
    pub(crate) fn runs(&mut self) -> bool {
        self.process.as_mut().is_some_and(|process| process.try_wait().unwrap().is_none())
    }

    /// Waits for its end, and gives its exit code.
    pub(crate) async fn end(&mut self) -> i32 {
        let begun = Instant::now();
        while self.runs() {
            assert!(begun.elapsed() < PATIENCE, "it does not end: {}", self.said());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let mut process = self.process.take().unwrap();
        process.wait().unwrap().code().unwrap_or(-1)
    }

    /// What `status --json` says.
    pub(crate) fn status(&self) -> Option<Value> {
        let output = self.about("status", &["--json"]);
        output.status.success().then(|| serde_json::from_slice(&output.stdout).unwrap())
    }

    /// Runs a command about the work directory.
    pub(crate) fn about(&self, what: &str, more: &[&str]) -> Output {
        self.about_command(what, more).output().unwrap()
    }

    pub(crate) fn about_command(&self, what: &str, more: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_transload"));
        command.arg(what).arg(self.directory()).args(more).stdin(Stdio::null());
        command
    }

    /// The same, of a command that takes its time, while others go on.
    pub(crate) async fn about_later(&self, what: &str, more: &[&str]) -> Output {
        let mut command = self.about_command(what, more);
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
    }

    /// Waits until the status is as wanted.
    pub(crate) async fn until(&mut self, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            let status = self.status().filter(|status| status["running"] == true);
            if let Some(status) = status.as_ref().filter(|status| is_so(status)) {
                return status.clone();
            }
            assert!(self.runs(), "it has ended before it was {what}: {}", self.said());
            assert!(begun.elapsed() < PATIENCE, "it is never {what}: {status:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until the target has everything that the source has now.
    pub(crate) async fn until_following(&mut self) -> Value {
        let now = self.source.server_of_all().await.operation_time().await.unwrap();
        let following = |status: &Value| {
            let applied = status["applied"][0].as_u64().unwrap_or(0) << 32 | status["applied"][1].as_u64().unwrap_or(0);
            status["stage"] == "following" && applied >= now
        };
        self.until("following", following).await
    }

    /// Cuts over, with writes stopped, and wants a clean verdict.
    pub(crate) async fn cut_over(&mut self) {
        let output = self.about_later("cutover", &["--yes"]).await;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(0), "{said}\n{}", self.said());
        assert!(said.contains("EQUAL"), "{said}");
        assert_eq!(self.end().await, 0, "{}", self.said());
    }

    /// Waits until the target has everything, cuts over, and holds both sides against each other.
    pub(crate) async fn arrives(&mut self) {
        self.until_following().await;
        self.cut_over().await;
        self.assert_equal().await;
    }

    /// By the servers' own hashes, options and indexes.
    pub(crate) async fn assert_equal(&self) {
        assert_same(&self.source, &self.target).await;
    }
}

impl Drop for Migration<'_> {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            // It may have ended.
            let _ = process.kill();
            let _ = process.wait();
        }
        if std::thread::panicking() {
            self.folder.disable_cleanup(true);
            eprintln!("what it has left is in {}", self.folder.path().display());
        }
    }
}

/// Whether there is a file in a directory.
pub(crate) fn has(directory: &Path, name: &str) -> bool {
    directory.join(name).exists()
}
