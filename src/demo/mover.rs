//! The migration of the demo: the program itself, in a process that can be killed.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tokio::process::{Child, Command};

use super::{program, with_database};
use crate::{
    error::{Error, ErrorKind, Result},
    migrate::{CutoverRequest, MigrationReport, Status, answer, request_cutover, status},
    sandbox::tied,
};

/// How often it is looked where the migration stands.
const LOOK: Duration = Duration::from_millis(50);
/// The environment variables that have the connection strings: they are on no command line.
const SOURCE: &str = "TRANSLOAD_DEMO_SOURCE";
/// The other one.
const TARGET: &str = "TRANSLOAD_DEMO_TARGET";

/// A migration, of which a process may be at work.
pub(super) struct Mover {
    program: PathBuf,
    source: String,
    target: String,
    directory: PathBuf,
    parallel: usize,
    rate: u64,
    process: Option<Child>,
}

impl Mover {
    pub(super) fn new(
        source: &str,
        target: &str,
        database: &str,
        directory: &Path,
        parallel: usize,
        rate: u64,
    ) -> Result<Self> {
        Ok(Mover {
            program: program()?,
            source: with_database(source, database),
            target: target.to_owned(),
            directory: directory.to_owned(),
            parallel,
            rate,
            process: None,
        })
    }

    /// Starts the process, which ends with the thread that this is called in.
    pub(super) fn start(&mut self) -> Result<()> {
        // It would go on for ever with servers that are gone.
        let mut command = Command::from(tied(&self.program));
        command.args(["--quiet", "migrate", &format!("env:{SOURCE}"), &format!("env:{TARGET}"), "--dir"]);
        command.arg(&self.directory).args(["--max-rate", &self.rate.to_string()]);
        command.args(["--parallel", &self.parallel.to_string(), "--progress-interval", "50ms"]);
        command.env(SOURCE, &self.source).env(TARGET, &self.target);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
        self.process = Some(command.spawn().map_err(|error| Error::io(&self.program, error))?);
        Ok(())
    }

    /// Kills it: no signal that it could hear.
    pub(super) async fn kill(&mut self) -> Result<()> {
        match self.process.take() {
            Some(mut process) => process.kill().await.map_err(|error| Error::io(&self.program, error)),
            None => Ok(()),
        }
    }

    /// Waits until about half of the documents have arrived.
    pub(super) async fn until_half(&mut self) -> Result<Status> {
        self.until(|status| status.total_documents > 0 && status.documents * 2 > status.total_documents).await
    }

    /// Waits until it has caught up.
    pub(super) async fn until_following(&mut self) -> Result<Status> {
        self.until(|status| status.stage == "following" && status.lag_seconds.is_some_and(|lag| lag <= 1)).await
    }

    async fn until(&mut self, is_so: impl Fn(&Status) -> bool) -> Result<Status> {
        loop {
            let now = status(&self.directory).ok().filter(|status| status.running && is_so(status));
            if let Some(now) = now {
                return Ok(now);
            }
            self.check_alive().await?;
            tokio::time::sleep(LOOK).await;
        }
    }

    /// What it has said, if it has ended by itself.
    async fn check_alive(&mut self) -> Result<()> {
        let Some(process) = &mut self.process else { return Ok(()) };
        if process.try_wait().map_err(|error| Error::io(&self.program, error))?.is_none() {
            return Ok(());
        }
        let said = match self.process.take() {
            Some(process) => process.wait_with_output().await.map(|output| output.stderr).unwrap_or_default(),
            None => Vec::new(),
        };
        let said = String::from_utf8_lossy(&said).trim().to_owned();
        Err(Error::new(ErrorKind::Server, format!("the migration has ended: {said}")))
    }

    /// Asks it to cut over, and waits for what that comes to.
    pub(super) async fn cut_over(&mut self, request: &CutoverRequest) -> Result<MigrationReport> {
        request_cutover(&self.directory, request)?;
        let report = answer(&self.directory, request.id).await?;
        if let Some(process) = self.process.take() {
            process.wait_with_output().await.map_err(|error| Error::io(&self.program, error))?;
        }
        Ok(report)
    }
}
