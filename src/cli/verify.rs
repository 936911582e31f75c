//! `transload verify`.

use clap::Args;
use indicatif::{HumanBytes, HumanCount};
use tokio_util::sync::CancellationToken;

use super::{Outcome, Output, arguments::archive_path};
use crate::{
    archive::ArchiveFile,
    error::Result,
    verify::{scrub, scrub_stream},
};

/// Scrub an archive: every checksum, every document
#[derive(Args, Debug)]
pub(super) struct VerifyCommand {
    /// The archive; `-` for standard input
    archive: String,
}

impl VerifyCommand {
    pub(super) async fn run(self, output: &Output, cancel: CancellationToken) -> Result<Outcome> {
        let report = match self.archive.as_str() {
            "-" => scrub_stream("standard input", std::io::stdin(), output.progress(), cancel).await?,
            path => scrub(&ArchiveFile::open_whole(archive_path(path)?)?, output.progress(), cancel).await?,
        };
        output.summary(&report, Outcome::Done, || {
            format!(
                "{}: whole: {} blocks, {} documents, {}",
                report.archive,
                HumanCount(report.blocks),
                HumanCount(report.documents),
                HumanBytes(report.bytes)
            )
        })
    }
}
