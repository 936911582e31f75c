//! `transload cutover`.

use std::{
    io::{IsTerminal, stdin},
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use clap::{Args, builder::BoolishValueParser};
use tokio_util::sync::CancellationToken;

use super::{Outcome, Output, arguments::work_directory, migrate};
use crate::{
    error::{Error, ErrorKind, Result},
    migrate::{CutoverRequest, MigrationReport, Verify, answer, request_cutover, status},
};

/// Tell a running migration to finish, and wait for its verdict
///
/// Everything up to the source's last write is applied to the target, catalogs are made alike, and both sides are compared.
/// Nothing may be written to the source meanwhile: --fence-source makes a server from 6.0 on refuse it; else stop what writes
/// before. Only a clean verdict exits 0; after another one nothing is given up, and the migration may go on.
#[derive(Args, Debug)]
pub(super) struct CutoverCommand {
    /// The work directory of the migration
    #[arg(value_name = "DIR")]
    directory: String,
    /// Make the source refuse writes first (6.0+, role hostManager); it stays so. An older one has no fence: who is
    /// connected to it is named, and on a terminal you are asked whether it is at rest
    #[arg(long, value_parser = BoolishValueParser::new(), env = "TRANSLOAD_FENCE_SOURCE", hide_env_values = true)]
    fence_source: bool,
    /// How to compare both sides: full, sample, counts or none
    #[arg(long, value_name = "HOW", default_value_t = Verify::Full, env = "TRANSLOAD_VERIFY", hide_env_values = true)]
    verify: Verify,
    /// Whatever writes to the source has been stopped: do not ask
    #[arg(long, value_parser = BoolishValueParser::new(), env = "TRANSLOAD_YES", hide_env_values = true)]
    yes: bool,
}

impl CutoverCommand {
    pub(super) async fn run(self, output: &Output, cancel: CancellationToken) -> Result<Outcome> {
        let directory = work_directory(&self.directory)?;
        let now = status(&directory)?;
        if !now.running {
            return Err(Error::new(ErrorKind::NotFound, "no migration is at work in it")
                .with_hint("start it again with the same 'transload migrate' command, and cut over then")
                .at(directory.display().to_string()));
        }
        if !now.copy_complete {
            output.warn("the copy is still being made: the cutover waits for it");
        }
        let asks = !self.fence_source && !self.yes;
        if asks && !output.is_asked(&at_rest(&now.source), "a cutover without --fence-source", &cancel).await? {
            output.note("nothing was done: stop what writes to the source first");
            return Ok(Outcome::Refused);
        }
        let report = match ask(&directory, self.fence_source, self.verify, &cancel).await {
            // The source knows no fence, and who is connected to it stands in the error.
            Err(error) if error.kind() == ErrorKind::Usage && self.fence_source && stdin().is_terminal() => {
                output.warn(&error.to_string());
                if !output.confirm(&at_rest(&now.source), &cancel).await? {
                    output.note("nothing was done: stop what writes to the source first");
                    return Ok(Outcome::Refused);
                }
                ask(&directory, false, self.verify, &cancel).await?
            }
            report => report?,
        };
        output.summary(&report, migrate::outcome(&report), || migrate::text(&report))
    }
}

/// What only a person knows of a source without a fence.
pub(super) fn at_rest(source: &str) -> String {
    format!("Has everything been stopped that writes to {source}?")
}

/// Asks for a cutover, and waits for what it comes to.
async fn ask(
    directory: &Path,
    fence_source: bool,
    verify: Verify,
    cancel: &CancellationToken,
) -> Result<MigrationReport> {
    let id = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let id = u64::try_from(id).unwrap_or(u64::MAX);
    request_cutover(directory, &CutoverRequest { id, fence_source, verify })?;
    tokio::select! {
        report = answer(directory, id) => report,
        () = cancel.cancelled() => {
            Err(Error::interrupted().with_hint("the cutover goes on: 'transload status' tells where it stands"))
        }
    }
}
