//! The bodies of the fuzz targets: what must hold of the archive format whatever bytes it is given.
//!
//! They stand in a library, and not in the targets, so that `format/tests/corpus.rs` runs the same code over the
//! committed corpora on the stable toolchain. The first bytes of most inputs say what [`seal`] repairs, in which steps
//! the archive is pushed, and which three bytes of a repaired archive are changed so that checksums pass: what is wrong
//! then is what only the rules of the format find.

mod index;
mod outcome;
mod salvage;
mod seal;

use transload_format::{
    BlockHeader, Codec, CodecId, Compressor, Documents, Error, Found, MAGIC, PackedBlock, ReadAt, Salvager,
    StoredBlock, Tally,
    limits::{BLOCK_HEADER_LEN, FILE_HEADER_LEN},
};

pub use self::{index::index, salvage::salvage};
use self::{
    outcome::{assert_same, read, scan, unpack},
    seal::{BLOCK_MAGIC, Repair, decompress, seal, seal_end},
};

/// The first half of the id of archives that the targets make.
const TAG: [u8; 8] = *b"fuzz tag";

/// A target: a name, and what it does with an input.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 5] =
    [("scanner", scanner), ("open", open), ("block", block), ("index", index), ("salvage", salvage)];

/// Splits an input into the step and the archive: repaired, edited, and repaired where it was edited.
fn input(data: &[u8]) -> Option<(usize, Vec<u8>)> {
    let (&[repair, step], rest) = data.split_first_chunk()?;
    let (edits, bytes) = rest.split_first_chunk::<12>()?;
    // Most inputs are repaired in full: a partial repair seldom comes far.
    let repair = if repair & 0x80 == 0 { Repair(repair) } else { Repair(repair | Repair::ALL.0) };
    let mut archive = seal(repair, bytes);
    for edit in edits.chunks_exact(4) {
        let &[block, low, high, change] = edit else {
            continue;
        };
        archive.edit(block, u16::from_le_bytes([low, high]), change);
    }
    Some((usize::from(step) + 1, archive.into_bytes()))
}

/// A scan in one push and a scan in steps find the same.
pub fn scanner(data: &[u8]) {
    let Some((step, archive)) = input(data) else {
        return;
    };
    let (whole, stepped) = (scan(&archive, archive.len()), scan(&archive, step));
    assert_eq!(whole.events, stepped.events);
    match (&whole.end, &stepped.end) {
        (Ok(whole), Ok(stepped)) => assert_same(whole, stepped),
        (whole, stepped) => assert_eq!(format!("{whole:?}"), format!("{stepped:?}")),
    }
}

/// An archive that opens by its tail and whose blocks all unpack is a finished one, and a finished one opens.
pub fn open(data: &[u8]) {
    let Some((_, archive)) = input(data) else {
        return;
    };
    agree(archive.as_slice(), &archive);
}

/// Reads `source` by its tail and `archive`, its bytes, front to back.
fn agree<R: ReadAt>(source: R, archive: &[u8]) {
    let scanned = scan(archive, archive.len());
    match (read(source), scanned.whole()) {
        (Ok((contents, blocks)), Some(whole)) => {
            assert_same(&contents, whole);
            assert!(blocks.iter().eq(scanned.unpacked()));
        }
        (Ok(_), None) => panic!("it opens by its tail, and a scan says {:?}", scanned.end),
        (Err(error), Some(_)) => panic!("a scan says finished, and by its tail {error:?}"),
        (Err(error), None) => {
            assert!(!matches!(error, Error::Io(_) | Error::Refused(_)), "{error:?}");
            let foreign = |error: &Error| matches!(error, Error::NotAnArchive);
            assert_eq!(foreign(&error), scanned.end.as_ref().is_err_and(foreign), "{error:?}, {:?}", scanned.end);
            if let Err(unfinished @ Error::Unfinished { .. }) = &scanned.end {
                assert_eq!(format!("{error:?}"), format!("{unfinished:?}"));
            }
        }
    }
}

/// One block: a header and its bytes. What unpacks is what other decoders find, and a writer may write it.
pub fn block(data: &[u8]) {
    let Some((&[repair], rest)) = data.split_first_chunk() else {
        return;
    };
    let Some((fields, body)) = rest.split_first_chunk::<BLOCK_HEADER_LEN>() else {
        return;
    };
    let _ = BlockHeader::decode(fields);
    let mut header = *fields;
    header[..4].copy_from_slice(&BLOCK_MAGIC);
    let archive = seal(Repair(repair | 0x93), &[&file_header()[..], &header, body].concat()).into_bytes();
    let Some(Ok(header)) = archive[FILE_HEADER_LEN..].first_chunk().map(BlockHeader::decode) else {
        return;
    };
    let mut salvager = Salvager::new();
    salvager.push(&archive);
    while let Ok(Some(found)) = salvager.next() {
        if let Found::Block(block) = found {
            if block.offset == FILE_HEADER_LEN as u64 {
                assert_eq!(block.header, header);
            }
            let stored = &archive[block.offset as usize + BLOCK_HEADER_LEN..][..block.header.stored_len as usize];
            check_unpacked(block, stored);
        }
    }
}

fn check_unpacked(block: StoredBlock, stored: &[u8]) {
    let (header, _, Ok(raw)) = unpack(block) else {
        return;
    };
    assert_eq!(crc32fast::hash(&raw), header.raw_crc);
    if let Some(expected) = decompress(header.codec as u8, stored) {
        assert_eq!(raw, expected, "another decoder finds other bytes");
    }
    if header.codec == CodecId::Zstd {
        let frame = zstd::zstd_safe::find_frame_compressed_size(stored);
        assert_eq!(frame, Ok(stored.len()), "the stored bytes are exactly one frame");
    }
    assert_eq!(Documents::new(&raw).filter_map(Result::ok).map(<[u8]>::len).sum::<usize>(), raw.len());
    assert_eq!(Tally::of(&raw), Ok(Tally { count: header.count, digest: header.digest }));
    let packed = PackedBlock::pack(header.subject, raw, &mut Compressor::new(Codec::None)).expect("it was read");
    assert_eq!((packed.count(), packed.raw_len()), (header.count, header.raw_len));
}

/// A file header with [`TAG`].
fn file_header() -> [u8; FILE_HEADER_LEN] {
    let mut header = [0; FILE_HEADER_LEN];
    header[..8].copy_from_slice(&MAGIC);
    header[8] = 1;
    header[24..32].copy_from_slice(&TAG);
    seal_end(&mut header);
    header
}
