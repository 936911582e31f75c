//! What an archive holds, built up block by block: the one place where the order of blocks is judged.
//!
//! The writer, the scanner and the index all admit blocks here, so none of them can accept what another refuses.

use std::collections::HashSet;

use crate::{
    block::{BlockHeader, Kind, SKIPPABLE},
    codec::CodecId,
    error::{Place, Problem},
    header::FileHeader,
    limits::{FILE_HEADER_LEN, INDEX_ENTRY_LEN, MAX_INDEX_LEN, MAX_NAMESPACES, MAX_PARTS},
    record::{
        Checkpoint, Collection, CollectionType, NamespaceFinished, Origin, PartBegun, PartFinished, Record, Totals,
    },
    wire::{Put, expect, limit, to_usize},
};

const UNANNOUNCED: Problem = Problem::Invalid("the block belongs to a namespace that was not announced");
const MIXED: Problem = Problem::Invalid("a namespace holds both parts and events");

/// What an archive holds, as far as it has been read or written.
#[derive(Clone, Debug)]
pub struct Contents {
    header: FileHeader,
    origin: Option<Origin>,
    namespaces: Vec<Namespace>,
    /// Their names: none may occur twice.
    names: HashSet<String>,
    checkpoint: Option<Checkpoint>,
    blocks: Vec<BlockEntry>,
    /// The bodies of all records, each with its length, in order: the second half of the index.
    records: Put,
    offset: u64,
}

/// A namespace of an archive.
#[derive(Clone, Debug)]
pub struct Namespace {
    /// Its record.
    pub collection: Collection,
    /// Its parts; part `n` stands at `n - 1`.
    pub parts: Vec<Part>,
    /// The sums over its blocks so far.
    pub totals: Totals,
    /// Whether all its parts are complete.
    pub finished: bool,
}

/// A part of a namespace.
#[derive(Clone, Debug)]
pub struct Part {
    /// Its bounds, and the cluster time before its read.
    pub begun: PartBegun,
    /// The cluster time after its read, once it is complete.
    pub finished: Option<PartFinished>,
    /// The sums over its blocks so far.
    pub totals: Totals,
}

/// Where a block is, and what its header says: one entry of the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockEntry {
    /// The offset of its header.
    pub offset: u64,
    /// What it holds.
    pub kind: Kind,
    /// The id of its namespace; 0 for none.
    pub namespace: u32,
    /// The number of its part; 0 for none.
    pub part: u32,
    /// Documents or events in it; 1 for a record.
    pub count: u32,
    /// Bytes before compression.
    pub raw_len: u32,
    /// Bytes in the file, without the header.
    pub stored_len: u32,
    pub(crate) codec: CodecId,
    pub(crate) record: u8,
    pub(crate) skippable: bool,
    pub(crate) digest: u64,
    /// The CRC-32 of the record, which the index repeats; 0 for documents and events.
    pub(crate) record_crc: u32,
}

impl BlockEntry {
    pub(crate) fn of(header: &BlockHeader, offset: u64) -> Self {
        BlockEntry {
            offset,
            kind: header.subject.kind,
            namespace: header.subject.namespace,
            part: header.subject.part,
            count: header.count,
            raw_len: header.raw_len,
            stored_len: header.stored_len,
            codec: header.codec,
            record: header.record,
            skippable: header.skippable,
            digest: header.digest,
            record_crc: if header.subject.kind == Kind::Record { header.raw_crc } else { 0 },
        }
    }

    fn encode(&self, put: &mut Put) {
        put.u8(self.kind as u8).u8(self.codec as u8).u8(self.record).u8(if self.skippable { SKIPPABLE } else { 0 });
        put.u32(self.namespace).u32(self.part).u32(self.count).u32(self.raw_len).u32(self.stored_len);
        put.u64(self.digest);
    }
}

impl Contents {
    pub(crate) fn new(header: FileHeader) -> Self {
        Contents {
            header,
            origin: None,
            namespaces: Vec::new(),
            names: HashSet::new(),
            checkpoint: None,
            blocks: Vec::new(),
            records: Put::default(),
            offset: FILE_HEADER_LEN as u64,
        }
    }

    /// The file header.
    pub fn header(&self) -> &FileHeader {
        &self.header
    }

    /// Where the archive comes from, if it says so.
    pub fn origin(&self) -> Option<&Origin> {
        self.origin.as_ref()
    }

    /// The namespaces; the one with id `n` stands at `n - 1`.
    pub fn namespaces(&self) -> &[Namespace] {
        &self.namespaces
    }

    /// The namespace with this id.
    pub fn namespace(&self, id: u32) -> Option<&Namespace> {
        self.namespaces.get(to_usize(id.checked_sub(1)?))
    }

    /// All blocks in the order of the file, but for the index and the footer; block `n` stands at `n`.
    pub fn blocks(&self) -> &[BlockEntry] {
        &self.blocks
    }

    /// The last checkpoint.
    pub fn checkpoint(&self) -> Option<&Checkpoint> {
        self.checkpoint.as_ref()
    }

    /// The sums over all blocks.
    pub fn totals(&self) -> Totals {
        self.namespaces.iter().fold(Totals::default(), |mut sum, namespace| {
            sum.add(namespace.totals);
            sum
        })
    }

    /// The offset at which the next block begins.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The sequence number of the next block.
    pub fn sequence(&self) -> u64 {
        self.blocks.len() as u64
    }

    /// Names the place of a block, for an error.
    pub(crate) fn place(&self, sequence: u64, offset: u64, namespace: u32) -> Place {
        let namespace = self.namespace(namespace).map(|namespace| namespace.collection.namespace.clone());
        Place::Block { sequence, offset, namespace }
    }

    /// Takes in the next block: `record` is what it holds, and its body, if it is a record.
    pub(crate) fn admit(&mut self, header: &BlockHeader, record: Option<(Record, &[u8])>) -> Result<(), Problem> {
        expect("the sequence number of the block", self.sequence(), header.sequence)?;
        self.limit_index(record.as_ref().map(|(_, body)| body.len()))?;
        let offset = self.offset.checked_add(header.total_len()).ok_or(Problem::Invalid("the archive is too long"))?;
        match record {
            None => self.admit_documents(header)?,
            Some((record, body)) => {
                self.admit_record(header, record)?;
                self.records.bytes(body);
            }
        }
        self.blocks.push(BlockEntry::of(header, self.offset));
        self.offset = offset;
        Ok(())
    }

    fn admit_documents(&mut self, header: &BlockHeader) -> Result<(), Problem> {
        let totals = Totals::of(header);
        let namespace = self.open_namespace(header)?;
        if header.subject.kind == Kind::Events {
            expect("the part of a block of events", 0_u32, header.subject.part)?;
            namespace.expect_events()?;
        } else {
            namespace.open_part(header.subject.part)?.totals.add(totals);
        }
        namespace.totals.add(totals);
        Ok(())
    }

    fn admit_record(&mut self, header: &BlockHeader, record: Record) -> Result<(), Problem> {
        let subject = header.subject;
        if !matches!(record, Record::PartBegun(_) | Record::PartFinished(_) | Record::Unknown { .. }) {
            expect("the part of a record about no part", 0_u32, subject.part)?;
        }
        match record {
            Record::Origin(origin) => {
                expect("the sequence number of the origin", 0_u32, header.sequence)?;
                expect("the namespace of the origin", 0_u32, subject.namespace)?;
                self.origin = Some(origin);
            }
            Record::Collection(collection) => {
                let id = u32::try_from(self.namespaces.len()).unwrap_or(u32::MAX).saturating_add(1);
                limit("the number of namespaces", MAX_NAMESPACES, id)?;
                expect("the id of a new namespace", id, subject.namespace)?;
                if !self.names.insert(collection.namespace.clone()) {
                    return Err(Problem::Invalid("a namespace is announced twice"));
                }
                let (parts, totals) = (Vec::new(), Totals::default());
                self.namespaces.push(Namespace { collection, parts, totals, finished: false });
            }
            Record::PartBegun(begun) => {
                let namespace = self.open_namespace(header)?;
                namespace.expect_part()?;
                let number = u32::try_from(namespace.parts.len()).unwrap_or(u32::MAX).saturating_add(1);
                limit("the number of parts", MAX_PARTS, number)?;
                expect("the number of a new part", number, subject.part)?;
                namespace.parts.push(Part { begun, finished: None, totals: Totals::default() });
            }
            Record::PartFinished(finished) => {
                self.open_namespace(header)?.open_part(subject.part)?.finish(finished)?;
            }
            Record::NamespaceFinished(finished) => self.open_namespace(header)?.finish(&finished)?,
            Record::Checkpoint(checkpoint) => {
                if subject.namespace != 0 && self.namespace(subject.namespace).is_none() {
                    return Err(UNANNOUNCED);
                }
                self.checkpoint = Some(checkpoint);
            }
            Record::Unknown { .. } => {}
        }
        Ok(())
    }

    fn open_namespace(&mut self, header: &BlockHeader) -> Result<&mut Namespace, Problem> {
        let id = header.subject.namespace;
        match id.checked_sub(1).and_then(|index| self.namespaces.get_mut(to_usize(index))) {
            None => Err(UNANNOUNCED),
            Some(namespace) if namespace.finished => Err(Problem::Invalid("the block's namespace is finished already")),
            Some(namespace) => Ok(namespace),
        }
    }

    /// Fails if a namespace is not finished: an archive may be finished only after all of them.
    pub(crate) fn complete(&self) -> Result<(), Problem> {
        if self.namespaces.iter().all(|namespace| namespace.finished) {
            Ok(())
        } else {
            Err(Problem::Invalid("the archive ends before all its namespaces are finished"))
        }
    }

    /// The body of the index.
    pub(crate) fn index(&self) -> Vec<u8> {
        let mut put = Put::default();
        put.u32(u32::try_from(self.blocks.len()).unwrap_or(u32::MAX));
        self.blocks.iter().for_each(|entry| entry.encode(&mut put));
        put.raw(&self.records.0);
        put.0
    }

    /// Refuses the block with which the index would outgrow its limit; `body` is the length of its record.
    fn limit_index(&self, body: Option<usize>) -> Result<(), Problem> {
        let entries = self.sequence().saturating_add(1).saturating_mul(u64::from(INDEX_ENTRY_LEN)).saturating_add(4);
        let records = self.records.0.len().saturating_add(body.map_or(0, |len| len.saturating_add(4))) as u64;
        limit("the length of the index", MAX_INDEX_LEN, entries.saturating_add(records))
    }
}

impl Namespace {
    /// Whether it holds events: only these are counted without a part.
    pub fn has_events(&self) -> bool {
        self.parts.is_empty() && self.totals.blocks > 0
    }

    fn expect_no_view(&self) -> Result<(), Problem> {
        match self.collection.kind {
            CollectionType::View => Err(Problem::Invalid("a view holds neither parts nor events")),
            CollectionType::Collection | CollectionType::TimeSeries => Ok(()),
        }
    }

    fn expect_part(&self) -> Result<(), Problem> {
        self.expect_no_view()?;
        if self.has_events() { Err(MIXED) } else { Ok(()) }
    }

    fn expect_events(&self) -> Result<(), Problem> {
        self.expect_no_view()?;
        if self.parts.is_empty() { Ok(()) } else { Err(MIXED) }
    }

    fn open_part(&mut self, number: u32) -> Result<&mut Part, Problem> {
        match number.checked_sub(1).and_then(|index| self.parts.get_mut(to_usize(index))) {
            None => Err(Problem::Invalid("the block belongs to a part that was not begun")),
            Some(part) if part.finished.is_some() => Err(Problem::Invalid("the block's part is finished already")),
            Some(part) => Ok(part),
        }
    }

    fn finish(&mut self, finished: &NamespaceFinished) -> Result<(), Problem> {
        expect("the number of parts", self.parts.len() as u64, finished.parts)?;
        expect_totals(&self.totals, &finished.totals)?;
        if self.parts.iter().any(|part| part.finished.is_none()) {
            return Err(Problem::Invalid("a namespace is finished before all its parts"));
        }
        self.finished = true;
        Ok(())
    }
}

impl Part {
    fn finish(&mut self, finished: PartFinished) -> Result<(), Problem> {
        expect_totals(&self.totals, &finished.totals)?;
        if finished.high < self.begun.low && finished.high != 0 {
            return Err(Problem::Invalid("a part ends at a cluster time before that of its begin"));
        }
        self.finished = Some(finished);
        Ok(())
    }
}

fn expect_totals(expected: &Totals, found: &Totals) -> Result<(), Problem> {
    expect("the number of blocks", expected.blocks, found.blocks)?;
    expect("the number of documents", expected.documents, found.documents)?;
    expect("the number of bytes", expected.bytes, found.bytes)?;
    expect("the digest", expected.digest, found.digest)
}
