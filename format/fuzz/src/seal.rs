//! Gives fuzzed archives checksums, lengths and sums that pass, so that a fuzzer reaches what they guard.
//!
//! Blocks are told apart by their magic, not by their lengths: a byte put in or taken out leaves all others in place.
//! Which fields are repaired is a mask in the input, so that the checks themselves are reached as well.

use std::{collections::BTreeMap, io::Read, ops::Range};

use transload_format::{
    Tally,
    limits::{BLOCK_HEADER_LEN, FILE_HEADER_LEN, FOOTER_LEN},
};

/// The first four bytes of every block.
pub const BLOCK_MAGIC: [u8; 4] = *b"\x8aBLK";
/// Decompresses no more than this: what is larger keeps the sums it came with.
const MAX_RAW: u64 = 1 << 20;

/// What is repaired.
#[derive(Clone, Copy, Debug)]
pub struct Repair(pub u8);

impl Repair {
    /// The checksum of the file header.
    pub const FILE: Repair = Repair(1);
    /// Stored lengths, sequence numbers and tags.
    pub const FRAME: Repair = Repair(2);
    /// Raw lengths and the checksums of the raw bytes.
    pub const RAW: Repair = Repair(4);
    /// Counts, digests and totals.
    pub const SUMS: Repair = Repair(8);
    /// The checksums of the stored bytes and of the block headers.
    pub const CRC: Repair = Repair(16);
    /// The bodies of the index and of the footer.
    pub const TAIL: Repair = Repair(32);
    /// Everything, in an archive that is stored as it is.
    pub const ALL: Repair = Repair(63);
    /// The bytes of a compressed block are raw ones, and are compressed.
    pub const PACK: Repair = Repair(64);

    /// Whether this repair is asked for.
    pub fn has(self, other: Repair) -> bool {
        self.0 & other.0 != 0
    }
}

/// Repairs an archive.
pub fn seal(repair: Repair, bytes: &[u8]) -> Archive {
    let Some((file, rest)) = bytes.split_first_chunk::<FILE_HEADER_LEN>() else {
        return Archive { out: bytes.to_vec(), ..Archive::new(repair, [0; FILE_HEADER_LEN]) };
    };
    let mut file = *file;
    if repair.has(Repair::FILE) {
        seal_end(&mut file);
    }
    let mut archive = Archive::new(repair, file);
    for piece in pieces(rest) {
        archive.piece(piece);
    }
    archive
}

/// Puts the CRC-32 of all but the last four bytes into these.
pub fn seal_end(bytes: &mut [u8]) {
    let at = bytes.len() - 4;
    let sum = crc32fast::hash(&bytes[..at]);
    put32(bytes, at, sum);
}

/// The number at `at`.
pub fn get32(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

/// Writes the number at `at`.
pub fn put32(bytes: &mut [u8], at: usize, value: u32) {
    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

/// What independent decoders make of stored bytes: nothing if they are broken or too large.
pub fn decompress(codec: u8, stored: &[u8]) -> Option<Vec<u8>> {
    let mut raw = Vec::new();
    let read = match codec {
        0 => return Some(stored.to_vec()),
        1 => flate2::bufread::DeflateDecoder::new(stored).take(MAX_RAW).read_to_end(&mut raw),
        2 => zstd::stream::read::Decoder::with_buffer(stored).ok()?.take(MAX_RAW).read_to_end(&mut raw),
        _ => return None,
    };
    read.is_ok_and(|len| (len as u64) < MAX_RAW).then_some(raw)
}

/// The compressed bytes, if they are fewer.
pub fn compress(codec: u8, raw: &[u8]) -> Option<Vec<u8>> {
    let mut stored = Vec::new();
    match codec {
        1 => {
            let level = flate2::Compression::fast();
            flate2::bufread::DeflateEncoder::new(raw, level).read_to_end(&mut stored).ok()?;
        }
        2 => stored = zstd::bulk::compress(raw, 1).ok()?,
        _ => return None,
    }
    (stored.len() < raw.len()).then_some(stored)
}

/// Cuts at every magic of a block.
fn pieces(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let begins = |at: &usize| bytes[*at..].starts_with(&BLOCK_MAGIC);
    let mut cuts: Vec<usize> = (0..bytes.len()).filter(begins).collect();
    cuts.insert(0, 0);
    cuts.push(bytes.len());
    cuts.dedup();
    (1..cuts.len()).map(move |n| &bytes[cuts[n - 1]..cuts[n]])
}

/// The sums that the records of a part and of a namespace repeat.
#[derive(Debug, Default)]
pub struct Sums {
    /// Of each namespace and part; part 0 is the namespace itself.
    totals: BTreeMap<(u32, u32), [u64; 4]>,
    parts: BTreeMap<u32, u32>,
}

impl Sums {
    /// Adds a block of documents or events.
    pub fn add(&mut self, namespace: u32, part: u32, tally: Tally, raw_len: usize) {
        let mut keys = vec![(namespace, 0), (namespace, part)];
        keys.dedup();
        for key in keys {
            let [blocks, documents, bytes, digest] = self.totals.entry(key).or_default();
            *blocks += 1;
            *documents += u64::from(tally.count);
            *bytes += raw_len as u64;
            *digest = digest.wrapping_add(tally.digest);
        }
    }

    /// Counts the parts of a namespace, and puts the sums into the body of the record that ends one.
    pub fn repair(&mut self, record: u8, namespace: u32, part: u32, body: &mut [u8]) {
        let key = match (record, body.len()) {
            (3, _) => {
                *self.parts.entry(namespace).or_default() += 1;
                return;
            }
            (4, 40) => (namespace, part),
            (5, 36) => {
                put32(body, 0, self.parts.get(&namespace).copied().unwrap_or_default());
                (namespace, 0)
            }
            _ => return,
        };
        let at = body.len() - 32;
        let totals = self.totals.get(&key).copied().unwrap_or_default();
        body[at..].copy_from_slice(&totals.map(u64::to_le_bytes).concat());
    }
}

/// An archive as far as it has been repaired.
#[derive(Debug)]
pub struct Archive {
    repair: Repair,
    out: Vec<u8>,
    file: [u8; FILE_HEADER_LEN],
    sequence: u64,
    sums: Sums,
    /// The two halves of the index.
    entries: Vec<u8>,
    records: Vec<u8>,
    /// Where the index is, and its stored length.
    index: (u64, u32),
    /// Where the blocks are.
    blocks: Vec<Range<usize>>,
}

impl Archive {
    /// The repaired bytes.
    pub fn into_bytes(self) -> Vec<u8> {
        self.out
    }

    /// Changes a byte of a block, counted from the end, and gives the block checksums that pass.
    pub fn edit(&mut self, block: u8, at: u16, change: u8) {
        let count = self.blocks.len();
        let number = usize::from(block).checked_rem(count).map(|block| count - 1 - block);
        let Some(range) = number.and_then(|number| self.blocks.get(number)).filter(|_| change != 0) else {
            return;
        };
        let block = &mut self.out[range.clone()];
        block[usize::from(at) % range.len()] ^= change;
        if self.repair.has(Repair::CRC) {
            let (header, body) = block.split_at_mut(BLOCK_HEADER_LEN);
            put32(header, 48, crc32fast::hash(body));
            if let Some(raw) = decompress(header[5], body).filter(|_| self.repair.has(Repair::RAW)) {
                put32(header, 44, crc32fast::hash(&raw));
            }
            seal_end(header);
        }
    }

    fn new(repair: Repair, file: [u8; FILE_HEADER_LEN]) -> Self {
        Archive {
            repair,
            out: file.to_vec(),
            file,
            sequence: 0,
            sums: Sums::default(),
            entries: Vec::new(),
            records: Vec::new(),
            index: (0, 0),
            blocks: Vec::new(),
        }
    }

    fn piece(&mut self, piece: &[u8]) {
        let header =
            piece.split_first_chunk::<BLOCK_HEADER_LEN>().filter(|(header, _)| header.starts_with(&BLOCK_MAGIC));
        let Some((header, body)) = header else {
            self.out.extend_from_slice(piece);
            return;
        };
        let (mut header, mut body) = (*header, body.to_vec());
        let [kind, _, record, _] = header[4..8].try_into().expect("four bytes");
        let (namespace, part) = (get32(&header, 24), get32(&header, 28));
        match (kind, record) {
            (3, 7) if self.repair.has(Repair::TAIL) => {
                header[5] = if self.repair.has(Repair::PACK) { header[5] } else { 0 };
                body = self.index();
            }
            (3, 8) if self.repair.has(Repair::TAIL) => {
                header[5] = 0;
                body = self.footer();
            }
            (3, _) if self.repair.has(Repair::SUMS) => self.sums.repair(record, namespace, part, &mut body),
            _ => {}
        }
        if kind == 3 && self.repair.has(Repair::SUMS) {
            put32(&mut header, 32, 1);
            header[52..60].fill(0);
        }
        let mut raw = None;
        if self.repair.has(Repair::PACK) && header[5] != 0 {
            match compress(header[5], &body) {
                Some(stored) => raw = Some(std::mem::replace(&mut body, stored)),
                None => header[5] = 0,
            }
        }
        let raw = raw.or_else(|| decompress(header[5], &body));
        if let Some(raw) = &raw {
            self.describe(&mut header, raw);
        }
        if self.repair.has(Repair::FRAME) {
            put32(&mut header, 40, body.len() as u32);
            header[8..16].copy_from_slice(&self.sequence.to_le_bytes());
            header[16..24].copy_from_slice(&self.file[24..32]);
        }
        if self.repair.has(Repair::CRC) {
            put32(&mut header, 48, crc32fast::hash(&body));
            seal_end(&mut header);
        }
        self.note(&header, raw.as_deref().unwrap_or_default());
        let begin = self.out.len();
        self.out.extend_from_slice(&header);
        self.out.extend_from_slice(&body);
        self.blocks.push(begin..self.out.len());
    }

    /// Repairs what the header says about the raw bytes.
    fn describe(&mut self, header: &mut [u8; BLOCK_HEADER_LEN], raw: &[u8]) {
        if self.repair.has(Repair::RAW) {
            put32(header, 36, raw.len() as u32);
            put32(header, 44, crc32fast::hash(raw));
        }
        let documents = if header[4] == 3 { None } else { Tally::of(raw).ok() };
        if let Some(tally) = documents.filter(|_| self.repair.has(Repair::SUMS)) {
            put32(header, 32, tally.count);
            header[52..60].copy_from_slice(&tally.digest.to_le_bytes());
            self.sums.add(get32(header, 24), get32(header, 28), tally, raw.len());
        }
    }

    /// Remembers the block for the index.
    fn note(&mut self, header: &[u8; BLOCK_HEADER_LEN], raw: &[u8]) {
        if header[4] == 3 && header[6] == 7 {
            self.index = (self.out.len() as u64, get32(header, 40));
        } else {
            let entry = [&header[4..8], &header[24..44], &header[52..60]].concat();
            self.entries.extend_from_slice(&entry);
            if header[4] == 3 {
                self.records.extend_from_slice(&(raw.len() as u32).to_le_bytes());
                self.records.extend_from_slice(raw);
            }
        }
        self.sequence += 1;
    }

    fn index(&self) -> Vec<u8> {
        [&(self.sequence as u32).to_le_bytes(), self.entries.as_slice(), self.records.as_slice()].concat()
    }

    fn footer(&self) -> Vec<u8> {
        footer(&self.file, self.index, self.sequence, (self.out.len() + FOOTER_LEN) as u64)
    }
}

/// The body of a footer.
pub fn footer(file: &[u8; FILE_HEADER_LEN], index: (u64, u32), blocks: u64, len: u64) -> Vec<u8> {
    [file.as_slice(), &index.0.to_le_bytes(), &index.1.to_le_bytes(), &blocks.to_le_bytes(), &len.to_le_bytes()]
        .concat()
}
