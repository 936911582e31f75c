//! Archives forged block by block: any field may hold a lie, and every checksum passes unless it is the lie.
//!
//! Nothing here goes through the writer, which refuses to write what a reader would refuse.

use transload_format::document_digest;

use crate::samples::{EMPTY, smallest};

pub(crate) const DEFLATE: u8 = 1;
pub(crate) const ZSTD: u8 = 2;
pub(crate) const SKIPPABLE: u8 = 1;

/// Where the blocks of the [`sound`] archive stand.
pub(crate) const COLLECTION: usize = 0;
pub(crate) const BEGUN: usize = 1;
pub(crate) const DOCUMENTS: usize = 2;
pub(crate) const PART: usize = 3;
pub(crate) const NAMESPACE: usize = 4;
pub(crate) const INDEX: usize = 5;
pub(crate) const FOOTER: usize = 6;

/// A block that has no place yet. Its sequence number and its tag follow from where it is put.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    pub(crate) kind: u8,
    pub(crate) codec: u8,
    pub(crate) record: u8,
    pub(crate) flags: u8,
    pub(crate) namespace: u32,
    pub(crate) part: u32,
    pub(crate) count: u32,
    pub(crate) raw_len: u32,
    pub(crate) stored_len: u32,
    pub(crate) raw_crc: u32,
    pub(crate) stored_crc: u32,
    pub(crate) digest: u64,
    /// What the index repeats of a record.
    pub(crate) raw: Vec<u8>,
    pub(crate) stored: Vec<u8>,
}

impl Block {
    fn new(kind: u8, namespace: u32, part: u32, raw: &[u8]) -> Self {
        let (codec, record, flags, count, digest) = (0, 0, 0, 1, 0);
        let (len, crc) = (raw.len() as u32, crc32fast::hash(raw));
        let (raw_len, stored_len, raw_crc, stored_crc) = (len, len, crc, crc);
        let (raw, stored) = (raw.to_vec(), raw.to_vec());
        Block {
            kind,
            codec,
            record,
            flags,
            namespace,
            part,
            count,
            raw_len,
            stored_len,
            raw_crc,
            stored_crc,
            digest,
            raw,
            stored,
        }
    }

    pub(crate) fn record(record: u8, namespace: u32, part: u32, body: &[u8]) -> Self {
        Block { record, ..Self::new(3, namespace, part, body) }
    }

    pub(crate) fn skippable(record: u8, namespace: u32, part: u32, body: &[u8]) -> Self {
        Block { flags: SKIPPABLE, ..Self::record(record, namespace, part, body) }
    }

    pub(crate) fn documents(namespace: u32, part: u32, documents: &[&[u8]]) -> Self {
        let digest = documents.iter().fold(0_u64, |sum, document| sum.wrapping_add(document_digest(document)));
        let count = documents.len() as u32;
        Block { count, digest, ..Self::new(1, namespace, part, &documents.concat()) }
    }

    pub(crate) fn events(namespace: u32, events: &[&[u8]]) -> Self {
        Block { kind: 2, ..Self::documents(namespace, 0, events) }
    }

    /// Other stored bytes, whatever they decompress to.
    pub(crate) fn stored_as(self, codec: u8, stored: &[u8]) -> Self {
        let (stored_len, stored_crc) = (stored.len() as u32, crc32fast::hash(stored));
        Block { codec, stored_len, stored_crc, stored: stored.to_vec(), ..self }
    }

    /// Changes the bytes of a block that is not compressed; count and digest stay.
    pub(crate) fn edit(&mut self, change: impl FnOnce(&mut Vec<u8>)) {
        change(&mut self.stored);
        self.raw = self.stored.clone();
        self.raw_len = self.stored.len() as u32;
        self.raw_crc = crc32fast::hash(&self.stored);
        (self.stored_len, self.stored_crc) = (self.raw_len, self.raw_crc);
    }

    fn total_len(&self) -> usize {
        64 + self.stored.len()
    }

    fn header(&self, sequence: usize, tag: &[u8]) -> Vec<u8> {
        let mut header = b"\x8aBLK".to_vec();
        header.extend([self.kind, self.codec, self.record, self.flags]);
        header.extend((sequence as u64).to_le_bytes());
        header.extend(tag);
        let lengths = [self.count, self.raw_len, self.stored_len, self.raw_crc, self.stored_crc];
        header.extend([self.namespace, self.part].iter().chain(&lengths).flat_map(|field| field.to_le_bytes()));
        header.extend(self.digest.to_le_bytes());
        header.extend(crc(&header));
        header
    }

    fn entry(&self) -> Vec<u8> {
        let mut entry = vec![self.kind, self.codec, self.record, self.flags];
        let fields = [self.namespace, self.part, self.count, self.raw_len, self.stored_len];
        entry.extend(fields.iter().flat_map(|field| field.to_le_bytes()));
        entry.extend(self.digest.to_le_bytes());
        entry
    }
}

/// One namespace of one part of two documents, without its index and footer.
pub(crate) fn sound() -> Vec<Block> {
    around(vec![Block::documents(1, 1, &[&EMPTY, b"\x08\0\0\0abc\0"])])
}

/// A namespace of one part with these blocks.
pub(crate) fn around(blocks: Vec<Block>) -> Vec<Block> {
    let mut all = vec![
        Block::record(2, 1, 0, &collection(b"db.c", 1)),
        Block::record(3, 1, 1, &begun(&[], &[], 5)),
        Block::record(4, 1, 1, &part_finished(7, &blocks)),
        Block::record(5, 1, 0, &namespace_finished(1, &blocks)),
    ];
    all.splice(DOCUMENTS..DOCUMENTS, blocks);
    all
}

/// The blocks with the index and the footer that are right for them.
pub(crate) fn with_tail(mut blocks: Vec<Block>) -> Vec<Block> {
    blocks.push(index_of(&blocks));
    blocks.push(footer_after(&blocks));
    blocks
}

pub(crate) fn index_of(blocks: &[Block]) -> Block {
    let mut body = (blocks.len() as u32).to_le_bytes().to_vec();
    body.extend(blocks.iter().flat_map(Block::entry));
    body.extend(blocks.iter().filter(|block| block.kind == 3).flat_map(|block| bytes(&block.raw)));
    Block::record(7, 0, 0, &body)
}

/// The footer of an archive of which the last of `blocks` is the index.
pub(crate) fn footer_after(blocks: &[Block]) -> Block {
    let index = blocks.len() - 1;
    let end = (offset(blocks, blocks.len()) + 140) as u64;
    let mut body = file_header();
    body.extend((offset(blocks, index) as u64).to_le_bytes());
    body.extend(blocks[index].stored_len.to_le_bytes());
    body.extend((blocks.len() as u64).to_le_bytes());
    body.extend(end.to_le_bytes());
    Block::record(8, 0, 0, &body)
}

/// A file header and these blocks, numbered from 0.
pub(crate) fn assemble(blocks: &[Block]) -> Vec<u8> {
    let mut archive = file_header();
    for (number, block) in blocks.iter().enumerate() {
        archive.extend(block.header(number, &file_header()[24..32]));
        archive.extend(&block.stored);
    }
    archive
}

/// The offset of block `number`.
pub(crate) fn offset(blocks: &[Block], number: usize) -> usize {
    48 + blocks[..number].iter().map(Block::total_len).sum::<usize>()
}

pub(crate) fn file_header() -> Vec<u8> {
    smallest()[..48].to_vec()
}

/// Changes a file header, and gives it a checksum that passes.
pub(crate) fn patch_file_header(header: &mut [u8], change: impl FnOnce(&mut [u8])) {
    change(header);
    let sum = crc(&header[..44]);
    header[44..48].copy_from_slice(&sum);
}

/// Changes the header of the block at `at`, and gives it a checksum that passes.
pub(crate) fn patch(archive: &mut [u8], at: usize, change: impl FnOnce(&mut [u8])) {
    change(&mut archive[at..at + 64]);
    let sum = crc(&archive[at..at + 60]);
    archive[at + 60..at + 64].copy_from_slice(&sum);
}

pub(crate) fn put32(bytes: &mut [u8], at: usize, value: u32) {
    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

/// Gives the uncompressed block at `at` checksums that pass.
pub(crate) fn reseal(archive: &mut [u8], at: usize) {
    let len = u32::from_le_bytes(archive[at + 40..at + 44].try_into().unwrap()) as usize;
    let sum = crc(&archive[at + 64..at + 64 + len]);
    patch(archive, at, |header| {
        header[44..48].copy_from_slice(&sum);
        header[48..52].copy_from_slice(&sum);
    });
}

fn crc(bytes: &[u8]) -> [u8; 4] {
    crc32fast::hash(bytes).to_le_bytes()
}

/// A document of so many bytes.
pub(crate) fn document(len: u32) -> Vec<u8> {
    [&len.to_le_bytes()[..], &vec![0; len as usize - 4]].concat()
}

/// A zstd frame with any header, of a document of 200 bytes: its length as it is, and 196 times the same byte.
pub(crate) fn zstd_frame(header: &[u8]) -> Vec<u8> {
    [&[0x28, 0xb5, 0x2f, 0xfd], header, &[4 << 3, 0, 0, 200, 0, 0, 0], &(196_u32 << 3 | 3).to_le_bytes()[..3], &[0]]
        .concat()
}

/// A length and the bytes.
pub(crate) fn bytes(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u32).to_le_bytes(), bytes].concat()
}

/// The body of a collection record, without a UUID and index specs.
pub(crate) fn collection(name: &[u8], kind: u8) -> Vec<u8> {
    [&bytes(name)[..], &[kind], &bytes(&[]), &bytes(&EMPTY), &[0; 4]].concat()
}

pub(crate) fn begun(lower: &[u8], upper: &[u8], low: u64) -> Vec<u8> {
    [bytes(lower), bytes(upper), low.to_le_bytes().to_vec()].concat()
}

pub(crate) fn part_finished(high: u64, blocks: &[Block]) -> Vec<u8> {
    [high.to_le_bytes().to_vec(), totals(blocks)].concat()
}

pub(crate) fn namespace_finished(parts: u32, blocks: &[Block]) -> Vec<u8> {
    [parts.to_le_bytes().to_vec(), totals(blocks)].concat()
}

pub(crate) fn checkpoint() -> Vec<u8> {
    [&bytes(&EMPTY)[..], &[0; 8]].concat()
}

pub(crate) fn origin() -> Vec<u8> {
    [&bytes(b"forge")[..], &bytes(b"6.0.5"), &[0; 8]].concat()
}

/// The sums over the blocks of documents and events.
fn totals(blocks: &[Block]) -> Vec<u8> {
    let mut sums = [0_u64; 4];
    for block in blocks.iter().filter(|block| block.kind != 3) {
        let one = [1, u64::from(block.count), u64::from(block.raw_len), block.digest];
        sums.iter_mut().zip(one).for_each(|(sum, add)| *sum = sum.wrapping_add(add));
    }
    sums.iter().flat_map(|sum| sum.to_le_bytes()).collect()
}
