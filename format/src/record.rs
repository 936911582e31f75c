//! The records of an archive: what its blocks of documents belong to, and what was proven about them.

use crate::{
    block::{BlockHeader, Kind, Subject},
    digest::one_document,
    error::{Fault, Newer, Problem},
    limits::{MAX_INDEX_SPECS, MAX_NAMESPACE_LEN},
    record_type::RecordType,
    wire::{Put, Take, limit, to_u64},
};

/// A record between the blocks of documents.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Record {
    /// Where the archive comes from; the first block, if it is there.
    Origin(Origin),
    /// A namespace: everything needed to create it.
    Collection(Collection),
    /// A part begins: its blocks follow.
    PartBegun(PartBegun),
    /// A part is complete.
    PartFinished(PartFinished),
    /// All parts of a namespace are complete.
    NamespaceFinished(NamespaceFinished),
    /// Everything up to a point of a change stream stands before this record.
    Checkpoint(Checkpoint),
    /// A skippable record of a type that this version does not know.
    Unknown {
        /// The number of the type.
        kind: u8,
    },
}

/// Where an archive comes from. Skippable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The program and version that wrote it.
    pub tool: String,
    /// The version of the server that was read.
    pub server: String,
    /// When it was begun, in milliseconds since 1970-01-01 UTC.
    pub created_ms: u64,
}

/// What a namespace is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum CollectionType {
    /// An ordinary collection.
    Collection = 1,
    /// A view: no documents, a pipeline in its options.
    View = 2,
    /// A time-series collection; its documents are its buckets.
    TimeSeries = 3,
}

/// A namespace: everything needed to create it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collection {
    /// `database.collection`.
    pub namespace: String,
    /// What it is.
    pub kind: CollectionType,
    /// The server's UUID of the collection.
    pub uuid: Option<[u8; 16]>,
    /// Its options, one BSON document as the server gave it.
    pub options: Vec<u8>,
    /// Its index specs, each one BSON document as the server gave it.
    pub indexes: Vec<Vec<u8>>,
}

/// A part begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartBegun {
    /// The smallest `_id` of the part as `{_id: …}`, included; none if it is unbounded.
    pub lower: Option<Vec<u8>>,
    /// The `_id` that ends the part, excluded; none if it is unbounded.
    pub upper: Option<Vec<u8>>,
    /// Every write up to this cluster time is in the part. 0 if unknown.
    pub low: u64,
}

/// Sums over blocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Blocks of documents or events.
    pub blocks: u64,
    /// Documents or events.
    pub documents: u64,
    /// Bytes before compression.
    pub bytes: u64,
    /// The sum, modulo 2^64, of the digests.
    pub digest: u64,
}

impl Totals {
    /// Adds `other`. Counts cannot come near 2^64: the blocks of an archive are limited.
    pub fn add(&mut self, other: Totals) {
        self.blocks = self.blocks.saturating_add(other.blocks);
        self.documents = self.documents.saturating_add(other.documents);
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.digest = self.digest.wrapping_add(other.digest);
    }

    pub(crate) fn of(header: &BlockHeader) -> Totals {
        Totals {
            blocks: 1,
            documents: u64::from(header.count),
            bytes: u64::from(header.raw_len),
            digest: header.digest,
        }
    }
}

/// A part is complete.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PartFinished {
    /// No write after this cluster time is in the part. 0 if unknown.
    pub high: u64,
    /// The sums over its blocks.
    pub totals: Totals,
}

/// All parts of a namespace are complete.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NamespaceFinished {
    /// The number of its parts.
    pub parts: u32,
    /// The sums over its blocks.
    pub totals: Totals,
}

/// A point of a change stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The resume token, one BSON document.
    pub token: Vec<u8>,
    /// Its cluster time.
    pub cluster_time: u64,
}

impl Record {
    pub(crate) fn type_number(&self) -> u8 {
        match self {
            Record::Origin(_) => RecordType::Origin as u8,
            Record::Collection(_) => RecordType::Collection as u8,
            Record::PartBegun(_) => RecordType::PartBegun as u8,
            Record::PartFinished(_) => RecordType::PartFinished as u8,
            Record::NamespaceFinished(_) => RecordType::NamespaceFinished as u8,
            Record::Checkpoint(_) => RecordType::Checkpoint as u8,
            Record::Unknown { kind } => *kind,
        }
    }

    pub(crate) fn skippable(&self) -> bool {
        matches!(self, Record::Origin(_) | Record::Unknown { .. })
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut put = Put::default();
        match self {
            Record::Origin(origin) => {
                put.bytes(origin.tool.as_bytes()).bytes(origin.server.as_bytes()).u64(origin.created_ms);
            }
            Record::Collection(collection) => {
                put.bytes(collection.namespace.as_bytes()).u8(collection.kind as u8);
                put.bytes(collection.uuid.as_ref().map_or(&[], |uuid| uuid.as_slice()));
                put.bytes(&collection.options).u32(u32::try_from(collection.indexes.len()).unwrap_or(u32::MAX));
                for spec in &collection.indexes {
                    put.bytes(spec);
                }
            }
            Record::PartBegun(part) => {
                put.bytes(part.lower.as_deref().unwrap_or_default());
                put.bytes(part.upper.as_deref().unwrap_or_default()).u64(part.low);
            }
            Record::PartFinished(part) => {
                put.u64(part.high);
                put_totals(&mut put, &part.totals);
            }
            Record::NamespaceFinished(namespace) => {
                put.u32(namespace.parts);
                put_totals(&mut put, &namespace.totals);
            }
            Record::Checkpoint(checkpoint) => {
                put.bytes(&checkpoint.token).u64(checkpoint.cluster_time);
            }
            Record::Unknown { .. } => {}
        }
        put.0
    }

    /// Reads the body of a record; every byte must be accounted for.
    pub(crate) fn decode(header: &BlockHeader, body: &[u8]) -> Result<Self, Fault> {
        let mut take = Take::new(body);
        let record = match header.record {
            n if n == RecordType::Origin as u8 => {
                Record::Origin(Origin { tool: text(&mut take)?, server: text(&mut take)?, created_ms: take.u64()? })
            }
            n if n == RecordType::Collection as u8 => Record::Collection(collection(&mut take)?),
            n if n == RecordType::PartBegun as u8 => {
                Record::PartBegun(PartBegun { lower: bound(&mut take)?, upper: bound(&mut take)?, low: take.u64()? })
            }
            n if n == RecordType::PartFinished as u8 => {
                Record::PartFinished(PartFinished { high: take.u64()?, totals: totals(&mut take)? })
            }
            n if n == RecordType::NamespaceFinished as u8 => {
                Record::NamespaceFinished(NamespaceFinished { parts: take.u32()?, totals: totals(&mut take)? })
            }
            n if n == RecordType::Checkpoint as u8 => {
                Record::Checkpoint(Checkpoint { token: document(&mut take)?, cluster_time: take.u64()? })
            }
            n if n == RecordType::Index as u8 || n == RecordType::Footer as u8 => {
                return Err(Problem::Invalid("an index or a footer stands among the blocks").into());
            }
            kind if header.skippable => return Ok(Record::Unknown { kind }),
            kind => return Err(Newer::Record(kind).into()),
        };
        take.end()?;
        Ok(record)
    }
}

/// The subject of a record's block.
pub(crate) fn about(namespace: u32, part: u32) -> Subject {
    Subject { kind: Kind::Record, namespace, part }
}

fn put_totals(put: &mut Put, totals: &Totals) {
    put.u64(totals.blocks).u64(totals.documents).u64(totals.bytes).u64(totals.digest);
}

fn totals(take: &mut Take<'_>) -> Result<Totals, Problem> {
    Ok(Totals { blocks: take.u64()?, documents: take.u64()?, bytes: take.u64()?, digest: take.u64()? })
}

fn text(take: &mut Take<'_>) -> Result<String, Problem> {
    let bytes = take.bytes()?;
    String::from_utf8(bytes.to_vec()).map_err(|_| Problem::Invalid("a text is not UTF-8"))
}

fn document(take: &mut Take<'_>) -> Result<Vec<u8>, Problem> {
    let bytes = take.bytes()?;
    one_document(bytes)?;
    Ok(bytes.to_vec())
}

fn bound(take: &mut Take<'_>) -> Result<Option<Vec<u8>>, Problem> {
    match take.bytes()? {
        [] => Ok(None),
        bytes => one_document(bytes).map(|()| Some(bytes.to_vec())),
    }
}

fn collection(take: &mut Take<'_>) -> Result<Collection, Problem> {
    let namespace = text(take)?;
    limit("the length of the namespace", to_u64(MAX_NAMESPACE_LEN), to_u64(namespace.len()))?;
    if !namespace.split_once('.').is_some_and(|(database, name)| !database.is_empty() && !name.is_empty()) {
        return Err(Problem::Invalid("a namespace is not database.collection"));
    }
    if namespace.contains('\0') {
        return Err(Problem::Invalid("a namespace contains a NUL"));
    }
    let kind = match take.u8()? {
        1 => CollectionType::Collection,
        2 => CollectionType::View,
        3 => CollectionType::TimeSeries,
        _ => return Err(Problem::Invalid("the type of a collection is unknown")),
    };
    let uuid = match take.bytes()? {
        [] => None,
        bytes => Some(bytes.try_into().map_err(|_| Problem::Invalid("a UUID has not 16 bytes"))?),
    };
    let options = document(take)?;
    let count = take.u32()?;
    limit("the number of index specs", MAX_INDEX_SPECS, count)?;
    let indexes = (0..count).map(|_| document(take)).collect::<Result<_, _>>()?;
    Ok(Collection { namespace, kind, uuid, options, indexes })
}
