//! The verb `recover`: every document of a damaged or unfinished archive that can still be believed, as a finished one.
//!
//! The file is read twice. The first pass finds the collections, wherever their records are whole: in their place, or
//! in the index. The second copies the blocks, proven and not compressed again.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read},
    path::Path,
};

use serde::Serialize;
use tokio_util::sync::CancellationToken;
use transload_format::{
    ArchiveId, BlockHeader, Codec, Collection, CollectionType, Found, Kind, PartBegun, PartFinished, ProvenBlock,
    Reader, Record, Salvager, Subject, Writer,
};

use crate::{
    archive::{Destination, Output, archive_failure, partial_name},
    document,
    error::{Error, ErrorKind, Result},
    report::{NamespaceReport, namespaces},
};

/// Bytes read at a time.
const READ_BYTES: usize = 256 * 1024;

/// What was salvaged.
#[derive(Clone, Debug, Serialize)]
pub struct RecoverReport {
    /// The damaged archive.
    pub damaged: String,
    /// The new one.
    pub archive: String,
    /// Documents in it.
    pub documents: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes of the damaged archive that could not be believed.
    pub lost_bytes: u64,
    /// Blocks that are missing between those that were found.
    pub missing_blocks: u64,
    /// Parts of namespaces that were not complete, or cannot be shown to be.
    pub incomplete_parts: u64,
    /// Whether the damaged archive has its index and its footer.
    pub finished: bool,
    /// What the new archive holds.
    pub namespaces: Vec<NamespaceReport>,
}

impl RecoverReport {
    /// Whether everything that was ever to be in the archive is in the new one.
    pub fn is_whole(&self) -> bool {
        self.finished && self.lost_bytes == 0 && self.missing_blocks == 0 && self.incomplete_parts == 0
    }
}

/// Salvages the archive at `path` into a new one.
///
/// # Errors
/// When the file cannot be read, holds nothing of an archive, or the new one cannot be written.
pub async fn recover(path: &Path, destination: Destination, cancel: CancellationToken) -> Result<RecoverReport> {
    refuse_itself(path, &destination)?;
    let path = path.to_owned();
    let work = tokio::task::spawn_blocking(move || {
        let survey = Survey::of(&path, &cancel)?;
        Recovery::copy(&path, survey, &destination, &cancel)
    });
    work.await.unwrap_or_else(|panic| Err(Error::new(ErrorKind::Internal, format!("the recovery died: {panic}"))))
}

/// While it is written the new archive has another name, which must not be the damaged one's.
fn refuse_itself(path: &Path, destination: &Destination) -> Result<()> {
    let Destination::File { path: archive, .. } = destination else {
        return Ok(());
    };
    let same = |other: &Path| matches!((path.canonicalize(), other.canonicalize()), (Ok(a), Ok(b)) if a == b);
    if same(archive) || same(&partial_name(archive)) {
        let message = "the salvaged archive would be written over the damaged one";
        return Err(Error::new(ErrorKind::Usage, message)
            .with_hint("give the new archive another name")
            .at(path.display().to_string()));
    }
    Ok(())
}

/// What can be believed of a damaged archive, and what cannot.
enum Find {
    Record(BlockHeader, Record),
    Block(ProvenBlock),
    Lost(u64),
}

impl From<Found> for Find {
    fn from(found: Found) -> Self {
        match found {
            Found::Record(header, record) => Find::Record(header, record),
            Found::Block(block) => {
                let len = block.total_len();
                block.prove().map_or(Find::Lost(len), Find::Block)
            }
            Found::Lost { len, .. } => Find::Lost(len),
        }
    }
}

/// Reads a file from front to back, and hands each find to `take`.
fn salvage(path: &Path, cancel: &CancellationToken, mut take: impl FnMut(Find) -> Result<()>) -> Result<()> {
    let name = path.display().to_string();
    let mut file = File::open(path).map_err(|error| Error::io(path, error))?;
    let (mut salvager, mut buffer) = (Salvager::new(), vec![0; READ_BYTES]);
    let mut ended = false;
    loop {
        if cancel.is_cancelled() {
            return Err(Error::interrupted());
        }
        while let Some(found) = salvager.next().map_err(|error| archive_failure(&name, error))? {
            take(found.into())?;
        }
        if ended {
            return Ok(());
        }
        match file.read(&mut buffer) {
            Ok(0) => {
                ended = true;
                salvager.end();
            }
            Ok(read) => salvager.push(buffer.get(..read).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Error::io(path, error)),
        }
    }
}

/// What the first pass finds out.
#[derive(Default)]
struct Survey {
    collections: BTreeMap<u32, Collection>,
    begun: BTreeMap<(u32, u32), PartBegun>,
    finished: BTreeMap<(u32, u32), PartFinished>,
    /// Parts that documents were found of, with their number of documents.
    documents: BTreeMap<(u32, u32), u64>,
    finished_archive: bool,
    unfinished_namespaces: u64,
    lost_bytes: u64,
    missing_blocks: u64,
}

impl Survey {
    fn of(path: &Path, cancel: &CancellationToken) -> Result<Self> {
        let mut survey = Survey::default();
        // With its index the archive knows its collections and their parts, whatever became of their records.
        if let Ok(reader) = File::open(path).and_then(|file| Reader::open(file).map_err(io::Error::other)) {
            let collections = reader.contents().namespaces().iter().map(|namespace| namespace.collection.clone());
            survey.collections = (1..).zip(collections).collect();
            for (id, namespace) in (1..).zip(reader.contents().namespaces()) {
                survey
                    .begun
                    .extend((1..).zip(&namespace.parts).map(|(number, part)| ((id, number), part.begun.clone())));
            }
            survey.finished_archive = true;
        }
        let (mut next, mut finished) = (0, 0_usize);
        salvage(path, cancel, |found| {
            match &found {
                Find::Record(header, record) => {
                    survey.missing_blocks += header.sequence.saturating_sub(next);
                    next = header.sequence.saturating_add(1);
                    finished += usize::from(matches!(record, Record::NamespaceFinished(_)));
                    survey.record(header, record);
                }
                Find::Block(block) => {
                    let header = block.header();
                    survey.missing_blocks += header.sequence.saturating_sub(next);
                    next = header.sequence.saturating_add(1);
                    let part = (header.subject.namespace, header.subject.part);
                    *survey.documents.entry(part).or_default() += u64::from(header.count);
                }
                Find::Lost(len) => survey.lost_bytes += len,
            }
            Ok(())
        })?;
        if next == 0 {
            return Err(Error::new(ErrorKind::NotAnArchive, "holds no block of an archive that can be believed")
                .at(path.display().to_string()));
        }
        for &(namespace, _) in survey.documents.keys() {
            survey.collections.entry(namespace).or_insert_with(|| nameless(namespace));
        }
        survey.unfinished_namespaces = survey.collections.len().saturating_sub(finished) as u64;
        Ok(survey)
    }

    fn record(&mut self, header: &BlockHeader, record: &Record) {
        let part = (header.subject.namespace, header.subject.part);
        match record {
            Record::Collection(collection) => {
                self.collections.insert(header.subject.namespace, collection.clone());
            }
            Record::PartBegun(begun) => {
                self.begun.insert(part, begun.clone());
            }
            Record::PartFinished(finished) => {
                self.finished.insert(part, *finished);
            }
            _ => {}
        }
    }

    /// Parts that cannot be shown to be complete.
    fn incomplete_parts(&self) -> u64 {
        let known: std::collections::BTreeSet<_> = self.begun.keys().chain(self.documents.keys()).collect();
        let complete = |part: &(u32, u32)| {
            let found = self.documents.get(part).copied().unwrap_or(0);
            self.finished.get(part).is_some_and(|finished| finished.totals.documents == found)
        };
        known.into_iter().filter(|part| !complete(part)).count() as u64 + self.unfinished_namespaces
    }
}

/// Stands for a collection whose record is lost.
fn nameless(namespace: u32) -> Collection {
    Collection {
        namespace: format!("recovered.namespace_{namespace}"),
        kind: CollectionType::Collection,
        uuid: None,
        options: document::EMPTY.to_vec(),
        indexes: Vec::new(),
    }
}

/// The new archive, being written.
struct Recovery {
    writer: Writer<Output>,
    name: String,
    /// The id and the part number in the new archive of each part of the old one.
    parts: BTreeMap<(u32, u32), (u32, u32)>,
}

impl Recovery {
    fn copy(
        path: &Path,
        survey: Survey,
        destination: &Destination,
        cancel: &CancellationToken,
    ) -> Result<RecoverReport> {
        let name = destination.unfinished_name();
        let fail = |error| archive_failure(&name, error);
        let mut id = [0; 16];
        getrandom::fill(&mut id).map_err(|error| Error::new(ErrorKind::Io, format!("no random bytes: {error}")))?;
        let writer = Writer::new(destination.open()?, ArchiveId(id), Codec::default()).map_err(fail)?;
        let mut recovery = Recovery { writer, name: name.clone(), parts: BTreeMap::new() };
        let ids = recovery.announce(&survey)?;
        salvage(path, cancel, |found| match found {
            Find::Block(block) if block.header().subject.kind == Kind::Documents => {
                let subject = block.header().subject;
                let Some(&(namespace, part)) = recovery.parts.get(&(subject.namespace, subject.part)) else {
                    return Ok(());
                };
                recovery.writer.block(block.repack(Subject { namespace, part, ..subject })).map_err(fail)
            }
            _ => Ok(()),
        })?;
        recovery.finish(path, &survey, ids, destination)
    }

    /// Announces the collections, and begins all parts. Gives the new ids.
    fn announce(&mut self, survey: &Survey) -> Result<Vec<u32>> {
        let fail = |error| archive_failure(&self.name, error);
        let mut ids = BTreeMap::new();
        for (old, collection) in &survey.collections {
            ids.insert(*old, self.writer.collection(collection.clone()).map_err(fail)?);
        }
        let mut counts: BTreeMap<u32, u32> = BTreeMap::new();
        for old @ (namespace, part) in survey.documents.keys() {
            let Some(id) = ids.get(namespace).filter(|_| *part > 0) else {
                continue;
            };
            let number = counts.entry(*id).or_default();
            *number += 1;
            let begun = survey.begun.get(old).cloned().unwrap_or_default();
            self.writer.record(*id, *number, Record::PartBegun(begun)).map_err(fail)?;
            self.parts.insert(*old, (*id, *number));
        }
        Ok(ids.into_values().collect())
    }

    fn finish(
        mut self,
        path: &Path,
        survey: &Survey,
        ids: Vec<u32>,
        destination: &Destination,
    ) -> Result<RecoverReport> {
        let fail = |error| archive_failure(&self.name, error);
        for (old, (id, part)) in &self.parts {
            let high = survey.finished.get(old).map_or(0, |finished| finished.high);
            self.writer.finish_part(*id, *part, high).map_err(fail)?;
        }
        for id in ids {
            self.writer.finish_namespace(id).map_err(fail)?;
        }
        let finished = self.writer.finish().map_err(fail)?;
        finished.out.publish()?;
        let totals = finished.contents.totals();
        Ok(RecoverReport {
            damaged: path.display().to_string(),
            archive: destination.name(),
            documents: totals.documents,
            bytes: totals.bytes,
            lost_bytes: survey.lost_bytes,
            missing_blocks: survey.missing_blocks,
            incomplete_parts: survey.incomplete_parts(),
            finished: survey.finished_archive,
            namespaces: namespaces(&finished.contents),
        })
    }
}
