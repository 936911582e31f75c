//! The verb `verify ARCHIVE`: scrubs one archive, every checksum and every document.

use std::{io::Read, sync::Arc};

use futures_util::{StreamExt, TryStreamExt, stream};
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use transload_format::{Contents, Documents, Kind};

use crate::{
    archive::{ArchiveFile, Streamed, stream as stream_archive},
    batch::Budget,
    cpu, document,
    error::{Error, ErrorKind, Result},
    progress::Progress,
    report::{NamespaceReport, namespaces},
};

/// Bytes of blocks that may be in memory at once.
const MEMORY: usize = 64 * 1024 * 1024;
/// Blocks read ahead of the computations.
const AHEAD: usize = 8;

/// What a scrub has found: with an error, nothing of this is given.
#[derive(Clone, Debug, Serialize)]
pub struct ScrubReport {
    /// The archive.
    pub archive: String,
    /// All blocks, records included.
    pub blocks: u64,
    /// All documents.
    pub documents: u64,
    /// Their bytes.
    pub bytes: u64,
    /// What the archive holds.
    pub namespaces: Vec<NamespaceReport>,
}

/// Scrubs an archive in a file.
///
/// # Errors
/// The first damage that is found.
pub async fn scrub(
    archive: &ArchiveFile,
    progress: Arc<dyn Progress>,
    cancel: CancellationToken,
) -> Result<ScrubReport> {
    progress.stage("verifying", Some(archive.contents().totals().documents), Some(archive.bytes()?));
    let blocks = stream::iter(0..archive.contents().blocks().len());
    let budget = Budget::new(MEMORY);
    let check =
        blocks.map(|number| check(archive, number, &budget, &progress)).buffer_unordered(AHEAD).try_collect::<()>();
    tokio::select! {
        checked = check => checked?,
        () = cancel.cancelled() => return Err(Error::interrupted()),
    }
    Ok(report(archive.name(), archive.contents()))
}

async fn check(archive: &ArchiveFile, number: usize, budget: &Budget, progress: &Arc<dyn Progress>) -> Result<()> {
    let len =
        archive.contents().blocks().get(number).map_or(0, |entry| entry.stored_len as usize + entry.raw_len as usize);
    let _permit = budget.acquire(len).await?;
    let block = archive.block(number).await?;
    let (stored, header) = (block.total_len(), block.header);
    let place = archive.name().to_owned();
    let raw = archive.unpack(number, block).wait().await?;
    if header.subject.kind != Kind::Record {
        cpu::run(move || walk(&raw).map_err(|error| error.at(format!("block {number}")).at(place))).wait().await?;
        progress.advance(u64::from(header.count), stored);
    }
    Ok(())
}

/// Walks every document from its first field to its last.
fn walk(documents: &[u8]) -> Result<()> {
    for found in Documents::new(documents) {
        let found = found.map_err(|problem| Error::new(ErrorKind::Damaged, problem.to_string()))?;
        if let Some(Err(malformed)) = document::elements(found).find(std::result::Result::is_err) {
            return Err(Error::new(ErrorKind::Damaged, format!("a document is malformed: {malformed}")));
        }
    }
    Ok(())
}

/// Scrubs an archive that comes as a stream.
///
/// # Errors
/// The first damage that is found.
pub async fn scrub_stream(
    name: &str,
    input: impl Read + Send + 'static,
    progress: Arc<dyn Progress>,
    cancel: CancellationToken,
) -> Result<ScrubReport> {
    progress.stage("verifying", None, None);
    let mut stream = stream_archive(name, input, Budget::new(MEMORY));
    let work = async {
        loop {
            let early = || Error::new(ErrorKind::Internal, "the stream ended without a word");
            match stream.recv().await.ok_or_else(early)?? {
                Streamed::Announced(_) | Streamed::NamespaceFinished { .. } => {}
                Streamed::Batch(batch) => {
                    let batch = batch.wait().await?;
                    progress.advance(0, batch.documents.len() as u64);
                    cpu::run(move || walk(&batch.documents)).wait().await.map_err(|error| error.at(name))?;
                }
                Streamed::Finished(contents) => return Ok(report(name, &contents)),
            }
        }
    };
    tokio::select! {
        done = work => done,
        () = cancel.cancelled() => Err(Error::interrupted()),
    }
}

fn report(name: &str, contents: &Contents) -> ScrubReport {
    let totals = contents.totals();
    ScrubReport {
        archive: name.to_owned(),
        blocks: contents.sequence(),
        documents: totals.documents,
        bytes: totals.bytes,
        namespaces: namespaces(contents),
    }
}
