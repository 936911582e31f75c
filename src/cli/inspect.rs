//! `transload inspect`.

use clap::Args;
use indicatif::{HumanBytes, HumanCount};
use tokio_util::sync::CancellationToken;

use super::{Outcome, Output, arguments::archive_path, table::Table};
use crate::{
    archive::ArchiveFile,
    error::{Error, Result},
    inspect::{InspectReport, documents, inspect},
    namespace::printable,
};

/// Show what is inside an archive
///
/// Takes two reads of its tail, however large the archive is.
#[derive(Args, Debug)]
pub(super) struct InspectCommand {
    /// The archive
    archive: String,
    /// Print documents of this namespace, as canonical extended JSON, one a line
    #[arg(long, value_name = "NS", env = "TRANSLOAD_DOCUMENTS", hide_env_values = true)]
    documents: Option<String>,
    /// How many documents to print
    #[arg(long, value_name = "N", requires = "documents", env = "TRANSLOAD_LIMIT", hide_env_values = true)]
    limit: Option<u64>,
}

impl InspectCommand {
    pub(super) async fn run(self, output: &Output, cancel: CancellationToken) -> Result<Outcome> {
        let path = archive_path(&self.archive)?;
        if let Some(namespace) = &self.documents {
            let archive = ArchiveFile::open_whole(path)?;
            let limit = self.limit.unwrap_or(u64::MAX);
            return tokio::select! {
                shown = documents(&archive, namespace, limit, |line| output.data(line)) => shown.map(|()| Outcome::Done),
                () = cancel.cancelled() => Err(Error::interrupted()),
            };
        }
        let report = inspect(&ArchiveFile::open(path)?)?;
        if output.is_json() {
            return output.summary(&report, Outcome::Done, String::new);
        }
        output.data(text(&report).trim_end())?;
        Ok(Outcome::Done)
    }
}

fn text(report: &InspectReport) -> String {
    let mut text = format!(
        "{}: a finished archive of {}, {} documents of {}\n",
        report.archive,
        HumanBytes(report.archive_bytes),
        HumanCount(report.documents),
        HumanBytes(report.bytes),
    );
    let unknown = || "unknown".to_owned();
    text.push_str(&format!(
        "written by {} from a server {} at {}\nconsistency: {}\n\n",
        report.tool.as_deref().map_or_else(unknown, printable),
        report.server.as_deref().map_or_else(unknown, printable),
        report.created.clone().unwrap_or_else(unknown),
        report.consistency,
    ));
    let mut table = Table::new(&["namespace", "type", "documents", "bytes", "stored", "parts", "indexes", "digest"]);
    for namespace in &report.namespaces {
        let summary = &namespace.summary;
        table.row(vec![
            printable(&summary.namespace),
            summary.kind.to_owned(),
            HumanCount(summary.documents).to_string(),
            HumanBytes(summary.bytes).to_string(),
            HumanBytes(summary.stored_bytes).to_string(),
            summary.parts.to_string(),
            summary.indexes.to_string(),
            summary.digest.clone(),
        ]);
    }
    text + &table.to_string()
}
