//! `transload recover`.

use clap::{Args, builder::BoolishValueParser};
use indicatif::{HumanBytes, HumanCount};
use tokio_util::sync::CancellationToken;

use super::{Outcome, Output, arguments::archive_path};
use crate::{archive::Destination, error::Result, recover::recover};

/// Salvage a damaged or unfinished archive
///
/// Copies every block that can still be believed into a new, finished archive. Exit code 3 says that something was
/// lost, or that the archive was never finished. Collections whose record is lost are called recovered.namespace_N.
#[derive(Args, Debug)]
pub(super) struct RecoverCommand {
    /// The damaged archive, or the NAME.partial of an interrupted dump
    damaged: String,
    /// The new archive to write
    archive: String,
    /// Replace an archive of that name
    #[arg(long, value_parser = BoolishValueParser::new(), env = "TRANSLOAD_FORCE", hide_env_values = true)]
    force: bool,
}

impl RecoverCommand {
    pub(super) async fn run(self, output: &Output, cancel: CancellationToken) -> Result<Outcome> {
        let destination = Destination::File { path: archive_path(&self.archive)?.into(), replace: self.force };
        destination.check()?;
        let report = recover(archive_path(&self.damaged)?, destination, cancel).await?;
        let outcome = if report.is_whole() { Outcome::Done } else { Outcome::Incomplete };
        output.summary(&report, outcome, || {
            let found = format!(
                "{}: {} documents, {} salvaged from {}",
                report.archive,
                HumanCount(report.documents),
                HumanBytes(report.bytes),
                report.damaged
            );
            if report.is_whole() {
                return format!("{found}; nothing was lost");
            }
            format!(
                "{found}\nINCOMPLETE: {} could not be believed, {} blocks and {} parts are missing or not complete",
                HumanBytes(report.lost_bytes),
                report.missing_blocks,
                report.incomplete_parts,
            )
        })
    }
}
