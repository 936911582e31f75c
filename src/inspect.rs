//! The verb `inspect`: what is in an archive, from its tail; and its documents, if asked.

use bson::DateTime;
use serde::Serialize;
use transload_format::{Documents, Kind, Part};

use crate::{
    archive::ArchiveFile,
    document,
    error::{Error, ErrorKind, Result},
    extjson,
    report::{Consistency, NamespaceReport, namespaces},
};

/// What is in an archive.
#[derive(Clone, Debug, Serialize)]
pub struct InspectReport {
    /// The archive.
    pub archive: String,
    /// Its length in bytes.
    pub archive_bytes: u64,
    /// Its id, 32 hexadecimal digits.
    pub id: String,
    /// The version of its format.
    pub format: u16,
    /// The program that wrote it.
    pub tool: Option<String>,
    /// The version of the server that was read.
    pub server: Option<String>,
    /// When it was begun, by the clock of the machine that wrote it.
    pub created: Option<String>,
    /// All documents.
    pub documents: u64,
    /// Their bytes before compression.
    pub bytes: u64,
    /// Which point in time it is of.
    pub consistency: Consistency,
    /// The namespaces.
    pub namespaces: Vec<InspectedNamespace>,
}

/// A namespace of an archive, with its parts.
#[derive(Clone, Debug, Serialize)]
pub struct InspectedNamespace {
    /// What every report says of it.
    #[serde(flatten)]
    pub summary: NamespaceReport,
    /// Its options, as canonical extended JSON.
    pub options: serde_json::Value,
    /// Its index specs, as canonical extended JSON.
    pub index_specs: Vec<serde_json::Value>,
    /// The ranges of `_id`s that it was read in, each with the cluster times before and after.
    pub read_in: Vec<InspectedPart>,
}

/// A part of a namespace.
#[derive(Clone, Debug, Serialize)]
pub struct InspectedPart {
    /// Its first `_id`, as canonical extended JSON; none if it is unbounded, and `MinKey` if it was read in natural order, so that it may have
    /// any.
    pub lower: Option<serde_json::Value>,
    /// The `_id` after its last; none if it is unbounded.
    pub upper: Option<serde_json::Value>,
    /// Every write up to this cluster time (seconds, increment) is in the part.
    pub low: Option<(u32, u32)>,
    /// No write after this cluster time is in the part.
    pub high: Option<(u32, u32)>,
    /// Its documents.
    pub documents: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Says what is in an archive, from its header, its footer and its index alone.
///
/// # Errors
/// When an option or a bound is malformed.
pub fn inspect(archive: &ArchiveFile) -> Result<InspectReport> {
    let contents = archive.contents();
    let (header, origin) = (contents.header(), contents.origin());
    let created = origin.and_then(|origin| i64::try_from(origin.created_ms).ok());
    let totals = contents.totals();
    let mut inspected = Vec::new();
    for (summary, namespace) in namespaces(contents).into_iter().zip(contents.namespaces()) {
        let collection = &namespace.collection;
        inspected.push(InspectedNamespace {
            options: json(&collection.options)?,
            index_specs: collection.indexes.iter().map(|spec| json(spec)).collect::<Result<_>>()?,
            read_in: namespace.parts.iter().map(part).collect::<Result<_>>()?,
            summary,
        });
    }
    Ok(InspectReport {
        archive: archive.name().to_owned(),
        archive_bytes: archive.bytes()?,
        id: header.id.to_string(),
        format: header.version,
        tool: origin.map(|origin| origin.tool.clone()),
        server: origin.map(|origin| origin.server.clone()),
        created: created.and_then(|ms| DateTime::from_millis(ms).try_to_rfc3339_string().ok()),
        documents: totals.documents,
        bytes: totals.bytes,
        consistency: Consistency::of(contents),
        namespaces: inspected,
    })
}

fn part(part: &Part) -> Result<InspectedPart> {
    let bound = |bound: &Option<Vec<u8>>| match bound.as_deref().and_then(document::id) {
        Some(id) => {
            let mut text = String::new();
            extjson::write_value(&id, &mut text)?;
            parse(&text).map(Some)
        }
        None => Ok(None),
    };
    let time = |time: u64| (time != 0).then(|| ((time >> 32) as u32, (time & u64::from(u32::MAX)) as u32));
    Ok(InspectedPart {
        lower: bound(&part.begun.lower)?,
        upper: bound(&part.begun.upper)?,
        low: time(part.begun.low),
        high: part.finished.and_then(|finished| time(finished.high)),
        documents: part.totals.documents,
        bytes: part.totals.bytes,
    })
}

fn json(document: &[u8]) -> Result<serde_json::Value> {
    parse(&extjson::to_string(document)?)
}

fn parse(text: &str) -> Result<serde_json::Value> {
    serde_json::from_str(text).map_err(|error| Error::new(ErrorKind::Internal, format!("bad JSON of our own: {error}")))
}

/// Gives up to `limit` documents of a namespace to `show`, each as one line of canonical extended JSON, in the order
/// of the archive.
///
/// # Errors
/// When there is no such namespace, a block is damaged, or `show` fails.
pub async fn documents(
    archive: &ArchiveFile,
    namespace: &str,
    limit: u64,
    mut show: impl FnMut(&str) -> Result<()>,
) -> Result<()> {
    let contents = archive.contents();
    let found = contents.namespaces().iter().position(|found| found.collection.namespace == namespace);
    let Some(id) = found.and_then(|index| u32::try_from(index + 1).ok()) else {
        let names: Vec<_> =
            contents.namespaces().iter().map(|found| found.collection.namespace.as_str()).take(10).collect();
        return Err(Error::new(ErrorKind::NotFound, format!("no namespace '{namespace}' in it"))
            .with_hint(format!("it holds {}", names.join(", ")))
            .at(archive.name()));
    };
    let mut left = limit;
    for (number, block) in contents.blocks().iter().enumerate() {
        if left == 0 {
            break;
        }
        if block.namespace != id || block.kind == Kind::Record {
            continue;
        }
        let raw = archive.unpack(number, archive.block(number).await?).wait().await?;
        for document in Documents::new(&raw).take(usize::try_from(left).unwrap_or(usize::MAX)) {
            let document = document.map_err(|problem| Error::new(ErrorKind::Damaged, problem.to_string()))?;
            show(
                &extjson::to_string(document)
                    .map_err(|error| error.at(format!("block {number}")).at(archive.name()))?,
            )?;
            left -= 1;
        }
    }
    Ok(())
}
