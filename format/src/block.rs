//! A block: a header of fixed size with its own checksum, and the bytes it describes.
//!
//! A block holds whole documents of one namespace, or one record, and can be read without any other. Packing and
//! unpacking are pure functions of bytes, so that they may run on any thread; only the writer gives a block its
//! place in an archive.

use crate::{
    codec::{CodecId, Compressor, decompress},
    digest::Tally,
    error::{Fault, Newer, Problem},
    limits::{BLOCK_HEADER_LEN, FOOTER_BODY_LEN, MAX_BLOCK_LEN, MAX_INDEX_LEN, MIN_DOCUMENT_LEN},
    record_type::RecordType,
    wire::{Put, Take, checksum, expect, limit, to_usize},
};

/// The first four bytes of every block.
pub(crate) const BLOCK_MAGIC: [u8; 4] = *b"\x8aBLK";
/// The flag of a record that a reader may skip if it does not know its type.
pub(crate) const SKIPPABLE: u8 = 1;

/// What a block holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// Documents of a part of a namespace.
    Documents = 1,
    /// Change events of a namespace.
    Events = 2,
    /// One record.
    Record = 3,
}

impl TryFrom<u8> for Kind {
    type Error = Newer;

    fn try_from(byte: u8) -> Result<Self, Newer> {
        match byte {
            1 => Ok(Kind::Documents),
            2 => Ok(Kind::Events),
            3 => Ok(Kind::Record),
            other => Err(Newer::Kind(other)),
        }
    }
}

/// Reads the flags of a block; there is only one.
pub(crate) fn skippable(flags: u8) -> Result<bool, Problem> {
    match flags {
        0 => Ok(false),
        SKIPPABLE => Ok(true),
        _ => Err(Problem::Invalid("the block has unknown flags")),
    }
}

/// What a block is about; the rest of its header follows from its bytes and its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subject {
    /// What the block holds.
    pub kind: Kind,
    /// The id of the namespace, from 1; 0 for a record about none.
    pub namespace: u32,
    /// The number of the part, from 1; 0 for none.
    pub part: u32,
}

/// A block header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockHeader {
    /// What the block is about.
    pub subject: Subject,
    /// How its bytes are stored.
    pub codec: CodecId,
    /// The type of its record; 0 for documents and events.
    pub record: u8,
    /// Whether a reader may skip the record if it does not know its type.
    pub skippable: bool,
    /// Its number among all blocks of the archive, from 0.
    pub sequence: u64,
    /// The first half of the archive's id.
    pub tag: [u8; 8],
    /// The number of documents or events; 1 for a record.
    pub count: u32,
    /// The bytes before compression.
    pub raw_len: u32,
    /// The bytes in the file.
    pub stored_len: u32,
    /// The CRC-32 of the bytes before compression.
    pub raw_crc: u32,
    /// The CRC-32 of the bytes in the file.
    pub stored_crc: u32,
    /// The digest of the documents or events; 0 for a record.
    pub digest: u64,
}

impl BlockHeader {
    pub(crate) fn encode(&self) -> [u8; BLOCK_HEADER_LEN] {
        let mut put = Put::default();
        put.raw(&BLOCK_MAGIC).u8(self.subject.kind as u8).u8(self.codec as u8);
        put.u8(self.record).u8(if self.skippable { SKIPPABLE } else { 0 });
        put.u64(self.sequence).raw(&self.tag).u32(self.subject.namespace).u32(self.subject.part);
        put.u32(self.count).u32(self.raw_len).u32(self.stored_len);
        put.u32(self.raw_crc).u32(self.stored_crc).u64(self.digest);
        let crc = crc32fast::hash(&put.0);
        put.u32(crc);
        put.0.try_into().unwrap_or([0; BLOCK_HEADER_LEN])
    }

    /// Reads a header: its checksum first, then every field against its limits.
    ///
    /// # Errors
    /// [`Fault`]: damage, or something that only a newer reader knows.
    pub fn decode(bytes: &[u8; BLOCK_HEADER_LEN]) -> Result<Self, Fault> {
        let header = Self::parse(bytes)?;
        header.check()?;
        Ok(header)
    }

    fn parse(bytes: &[u8; BLOCK_HEADER_LEN]) -> Result<Self, Fault> {
        let mut take = Take::new(bytes);
        let covered = take.clone().raw(BLOCK_HEADER_LEN.saturating_sub(4))?;
        if take.array()? != BLOCK_MAGIC {
            return Err(Problem::NoBlock.into());
        }
        let [kind, codec, record, flags] = take.array()?;
        let (sequence, tag) = (take.u64()?, take.array()?);
        let (namespace, part, count) = (take.u32()?, take.u32()?, take.u32()?);
        let (raw_len, stored_len) = (take.u32()?, take.u32()?);
        let (raw_crc, stored_crc, digest) = (take.u32()?, take.u32()?, take.u64()?);
        checksum("the block header", take.u32()?, covered)?;
        Ok(BlockHeader {
            subject: Subject { kind: Kind::try_from(kind)?, namespace, part },
            codec: CodecId::try_from(codec)?,
            record,
            skippable: skippable(flags)?,
            sequence,
            tag,
            count,
            raw_len,
            stored_len,
            raw_crc,
            stored_crc,
            digest,
        })
    }

    /// Everything that the header alone shows.
    pub(crate) fn check(&self) -> Result<(), Problem> {
        self.check_lengths()?;
        if self.subject.kind == Kind::Record { self.check_record() } else { self.check_documents() }
    }

    fn check_lengths(&self) -> Result<(), Problem> {
        let is_index = self.record == RecordType::Index as u8;
        limit("the raw length of the block", if is_index { MAX_INDEX_LEN } else { MAX_BLOCK_LEN }, self.raw_len)?;
        limit("the stored length of the block", self.raw_len, self.stored_len)?;
        if self.codec == CodecId::None {
            expect("the stored length of an uncompressed block", self.raw_len, self.stored_len)?;
            expect("the stored checksum of an uncompressed block", self.raw_crc, self.stored_crc)?;
        } else if self.stored_len == self.raw_len {
            return Err(Problem::Invalid("a compressed block is not smaller than its bytes"));
        }
        Ok(())
    }

    fn check_record(&self) -> Result<(), Problem> {
        const ORIGIN: u8 = RecordType::Origin as u8;
        const COLLECTION: u8 = RecordType::Collection as u8;
        const FOOTER: u8 = RecordType::Footer as u8;
        expect("the count of a record", 1_u32, self.count)?;
        expect("the digest of a record", 0_u32, self.digest)?;
        match (self.record, self.skippable) {
            (0, _) => Err(Problem::Invalid("a record has no type")),
            (ORIGIN, false) => Err(Problem::Invalid("an origin is not marked skippable")),
            (COLLECTION..=FOOTER, true) => {
                Err(Problem::Invalid("a record that every reader must know is marked skippable"))
            }
            // It is found from the end of the file by its length.
            (FOOTER, false) if self.codec != CodecId::None || to_usize(self.raw_len) != FOOTER_BODY_LEN => {
                Err(Problem::Invalid("the footer has not its fixed length"))
            }
            _ => Ok(()),
        }
    }

    fn check_documents(&self) -> Result<(), Problem> {
        if self.count == 0 {
            return Err(Problem::Invalid("a block holds no documents"));
        }
        limit("the count of the block", self.raw_len / MIN_DOCUMENT_LEN, self.count)?;
        if self.record != 0 || self.skippable {
            return Err(Problem::Invalid("a block of documents has a record type or is skippable"));
        }
        Ok(())
    }
}

/// A step of packing a block, for who wants to know how long each takes: this crate has no clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// Counting and digesting documents, and summing up their bytes, raw or stored.
    Checksum,
    /// Compressing them.
    Compress,
}

/// A block that has no place in an archive yet: compressed and summed up, ready for the writer.
#[derive(Clone, Debug)]
pub struct PackedBlock {
    pub(crate) header: BlockHeader,
    pub(crate) stored: Vec<u8>,
}

impl PackedBlock {
    /// Packs whole documents or events of one namespace. If compression does not shrink them, they are stored as
    /// they are, in the vector that was handed in.
    ///
    /// # Errors
    /// When `raw` is empty, above a limit, or not whole documents.
    pub fn pack(subject: Subject, raw: Vec<u8>, compressor: &mut Compressor) -> Result<Self, Problem> {
        Self::pack_in_steps(subject, raw, compressor, |_| ())
    }

    /// The same; `done` is told of each step when it is done.
    ///
    /// # Errors
    /// As [`pack`](PackedBlock::pack).
    pub fn pack_in_steps(
        subject: Subject,
        raw: Vec<u8>,
        compressor: &mut Compressor,
        mut done: impl FnMut(Step),
    ) -> Result<Self, Problem> {
        let raw_len = u32::try_from(raw.len()).unwrap_or(u32::MAX);
        limit("the raw length of the block", MAX_BLOCK_LEN, raw_len)?;
        let tally = Tally::of(&raw)?;
        let mut header = Self::header(subject, &raw, raw_len);
        (header.count, header.digest) = (tally.count, tally.digest);
        done(Step::Checksum);
        let packed = Self::store(header, raw, compressor, done);
        packed.header.check()?;
        Ok(packed)
    }

    /// Packs the body of a record.
    pub(crate) fn pack_record(
        record: u8,
        skippable: bool,
        subject: Subject,
        body: Vec<u8>,
        compressor: &mut Compressor,
    ) -> Result<Self, Problem> {
        let raw_len = u32::try_from(body.len()).unwrap_or(u32::MAX);
        let header = BlockHeader { record, skippable, count: 1, ..Self::header(subject, &body, raw_len) };
        let packed = Self::store(header, body, compressor, |_| ());
        packed.header.check()?;
        Ok(packed)
    }

    fn header(subject: Subject, raw: &[u8], raw_len: u32) -> BlockHeader {
        let crc = crc32fast::hash(raw);
        BlockHeader {
            subject,
            codec: CodecId::None,
            record: 0,
            skippable: false,
            sequence: 0,
            tag: [0; 8],
            count: 0,
            raw_len,
            stored_len: raw_len,
            raw_crc: crc,
            stored_crc: crc,
            digest: 0,
        }
    }

    fn store(mut header: BlockHeader, raw: Vec<u8>, compressor: &mut Compressor, mut done: impl FnMut(Step)) -> Self {
        let compressed = compressor.compress(&raw);
        done(Step::Compress);
        let Some(stored) = compressed else {
            return PackedBlock { header, stored: raw };
        };
        header.codec = compressor.codec().id();
        header.stored_len = u32::try_from(stored.len()).unwrap_or(u32::MAX);
        header.stored_crc = crc32fast::hash(&stored);
        done(Step::Checksum);
        PackedBlock { header, stored }
    }

    /// The number of documents or events.
    pub fn count(&self) -> u32 {
        self.header.count
    }

    /// The bytes before compression.
    pub fn raw_len(&self) -> u32 {
        self.header.raw_len
    }

    /// The bytes that it takes in the file, without its header.
    pub fn stored_len(&self) -> u32 {
        self.header.stored_len
    }
}

/// A block out of an archive, its stored bytes proven by their checksum, not decompressed yet.
#[derive(Clone, Debug)]
pub struct StoredBlock {
    /// Its header.
    pub header: BlockHeader,
    /// The offset of its header in the archive.
    pub offset: u64,
    pub(crate) stored: Vec<u8>,
}

impl StoredBlock {
    pub(crate) fn new(header: BlockHeader, offset: u64, stored: Vec<u8>) -> Result<Self, Problem> {
        expect("the stored length of the block", header.stored_len, stored.len() as u64)?;
        checksum("the stored bytes", header.stored_crc, &stored)?;
        Ok(StoredBlock { header, offset, stored })
    }

    /// Decompresses the block, and proves the raw bytes by their checksum and their count of documents.
    ///
    /// # Errors
    /// When they are not what the header says.
    pub fn unpack(self) -> Result<Vec<u8>, Problem> {
        Ok(match self.decompress()? {
            Some(raw) => raw,
            None => self.stored,
        })
    }

    /// Proves the raw bytes too, and keeps the block as it is stored.
    ///
    /// # Errors
    /// As [`unpack`](StoredBlock::unpack).
    pub fn prove(self) -> Result<ProvenBlock, Problem> {
        self.decompress()?;
        Ok(ProvenBlock(self))
    }

    /// The raw bytes, proven; none if they are the stored ones.
    fn decompress(&self) -> Result<Option<Vec<u8>>, Problem> {
        let header = &self.header;
        let raw = match header.codec {
            // The header's two checksums are equal, and the first one has been proven.
            CodecId::None => None,
            codec => {
                let raw = decompress(codec, &self.stored, header.raw_len)?;
                checksum("the raw bytes", header.raw_crc, &raw)?;
                Some(raw)
            }
        };
        if header.subject.kind != Kind::Record {
            let tally = Tally::of(raw.as_deref().unwrap_or(&self.stored))?;
            expect("the count of documents in the block", header.count, tally.count)?;
            expect("the digest of the block", header.digest, tally.digest)?;
        }
        Ok(raw)
    }

    /// The bytes that the block takes in the archive, its header included.
    pub fn total_len(&self) -> u64 {
        self.header.total_len()
    }
}

/// A block whose raw bytes have been proven, still as it is stored.
#[derive(Clone, Debug)]
pub struct ProvenBlock(StoredBlock);

impl ProvenBlock {
    /// Its header.
    pub fn header(&self) -> &BlockHeader {
        &self.0.header
    }

    /// The same documents or events as a block for another archive, about `subject` there; not compressed again.
    pub fn repack(self, subject: Subject) -> PackedBlock {
        let header = BlockHeader { subject, sequence: 0, tag: [0; 8], ..self.0.header };
        PackedBlock { header, stored: self.0.stored }
    }
}

impl BlockHeader {
    /// The bytes that the block takes in the archive, this header included.
    pub fn total_len(&self) -> u64 {
        u64::from(self.stored_len).saturating_add(BLOCK_HEADER_LEN as u64)
    }

    /// Whether it is the header of a checkpoint.
    pub fn is_checkpoint(&self) -> bool {
        self.record == RecordType::Checkpoint as u8
    }

    /// Whether it is the header of the index or of the footer, which no [`Record`](crate::Record) stands for.
    pub fn is_of_the_tail(&self) -> bool {
        self.record == RecordType::Index as u8 || self.is_footer()
    }

    /// Whether it is the header of the footer: nothing follows it.
    pub fn is_footer(&self) -> bool {
        self.record == RecordType::Footer as u8
    }

    pub(crate) fn stored_usize(&self) -> usize {
        to_usize(self.stored_len)
    }
}
