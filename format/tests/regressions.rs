//! One test per bug that was found, named by what was wrong.

use std::io;

use transload_format::{
    Codec, CollectionType, Compressor, Error, Kind, PackedBlock, PartBegun, Problem, ReadAt, Reader, Record, Scanner,
    Subject,
    limits::{MAX_BLOCK_LEN, MAX_INDEX_LEN},
};

use crate::{
    forge::{patch, put32, reseal},
    outcome::{open, salvaged, scan},
    samples::{changes, collection, shop, smallest, writer},
};

fn footer(archive: &[u8]) -> usize {
    archive.len() - 140
}

fn index(archive: &[u8]) -> usize {
    let at = footer(archive) + 64 + 48;
    u64::from_le_bytes(archive[at..at + 8].try_into().unwrap()) as usize
}

#[test]
fn a_scanner_forgot_its_error_after_the_last_block() {
    let mut archive = smallest();
    let at = footer(&archive);
    archive[at + 64 + 60] ^= 1;
    reseal(&mut archive, at);
    let mut scanner = Scanner::new();
    scanner.push(&archive);
    let first = loop {
        match scanner.next() {
            Ok(event) => assert!(event.is_some(), "the error comes before the end"),
            Err(error) => break error.to_string(),
        }
    };
    for _ in 0..3 {
        assert_eq!(scanner.next().unwrap_err().to_string(), first);
    }
}

#[test]
fn a_reader_took_a_skippable_index_among_the_blocks_for_an_unknown_record() {
    for kind in 2..=8 {
        let mut archive = shop(Codec::None);
        patch(&mut archive, 48, |header| {
            header[6] = kind;
            header[7] = 1;
        });
        let at = index(&archive);
        archive[at + 64 + 4 + 2] = kind;
        archive[at + 64 + 4 + 3] = 1;
        reseal(&mut archive, at);
        assert_eq!(scan(&archive, 100).name, "damaged", "type {kind}");
        assert_eq!(open(&archive).name, "damaged", "type {kind}");
        let refused = writer(Codec::None).record(0, 0, Record::Unknown { kind });
        assert!(matches!(refused, Err(Error::Refused(_))), "type {kind}");
    }
}

#[test]
fn a_reader_believed_a_record_of_the_index_that_its_block_does_not_hold() {
    let mut archive = shop(Codec::None);
    let at = index(&archive);
    let name = b"shop.orders";
    let found = archive[at..].windows(name.len()).position(|window| window == name).unwrap();
    archive[at + found] = b'S';
    reseal(&mut archive, at);
    assert_eq!(scan(&archive, 100).name, "damaged");
    assert_eq!(open(&archive).name, "damaged");
}

/// A file of a given length of which only the last bytes are there.
struct Tail {
    len: u64,
    tail: Vec<u8>,
}

impl ReadAt for Tail {
    fn size(&self) -> io::Result<u64> {
        Ok(self.len)
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        assert!(buffer.len() as u64 <= u64::from(MAX_INDEX_LEN) + 64, "a buffer of {} bytes", buffer.len());
        let start = self.len - self.tail.len() as u64;
        for (at, byte) in (offset..).zip(buffer) {
            let at = at.checked_sub(start).map(|at| self.tail[at as usize]);
            *byte = at.unwrap_or_default();
        }
        Ok(())
    }
}

#[test]
fn a_reader_made_room_for_an_index_above_the_limit() {
    let smallest = smallest();
    let mut tail = smallest[footer(&smallest)..].to_vec();
    let stored = MAX_INDEX_LEN + 1;
    let len = 48 + 64 + u64::from(stored) + 140;
    put32(&mut tail, 64 + 56, stored);
    tail[64 + 68..].copy_from_slice(&len.to_le_bytes());
    reseal(&mut tail, 0);
    assert!(Reader::open(Tail { len, tail }).is_err());
}

#[test]
fn a_reader_made_room_for_more_blocks_than_the_file_can_hold() {
    let mut archive = smallest();
    let entry = [3, 0, 99, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let count = 1000;
    let body = [&1000_u32.to_le_bytes()[..], &entry.repeat(count), &[0; 4].repeat(count)].concat();
    archive.splice(112..116, body.iter().copied());
    let len = archive.len() as u64;
    put32(&mut archive, 48 + 36, body.len() as u32);
    put32(&mut archive, 48 + 40, body.len() as u32);
    reseal(&mut archive, 48);
    let at = footer(&archive);
    put32(&mut archive, at + 64 + 56, body.len() as u32);
    archive[at + 64 + 68..].copy_from_slice(&len.to_le_bytes());
    reseal(&mut archive, at);
    let error = Reader::open(archive.as_slice()).unwrap_err();
    let counted = Problem::Mismatch { what: "the number of blocks", expected: 0, found: 1000 };
    assert!(matches!(&error, Error::Damaged { problem, .. } if *problem == counted), "{error}");
}

#[test]
fn zstd_frames_one_after_another_were_taken_for_one() {
    let raw = [5, 0, 0, 0, 0].repeat(40);
    let subject = Subject { kind: Kind::Documents, namespace: 1, part: 1 };
    let frames = |archive: &mut Vec<u8>, at: usize| {
        let twice = [zstd::bulk::compress(&raw[..100], 1).unwrap(), zstd::bulk::compress(&raw[100..], 1).unwrap()];
        let stored = twice.concat();
        let len = u32::from_le_bytes(archive[at + 40..at + 44].try_into().unwrap()) as usize;
        archive.splice(at + 64..at + 64 + len, stored.iter().copied());
        let sum = crc32fast::hash(&stored);
        patch(archive, at, |header| {
            put32(header, 40, stored.len() as u32);
            put32(header, 48, sum);
        });
    };
    let mut writer = writer(Codec::Zstd(1));
    writer.collection(collection("db.c", CollectionType::Collection)).unwrap();
    writer.record(1, 1, Record::PartBegun(PartBegun::default())).unwrap();
    let at = writer.get_mut().len();
    writer.block(PackedBlock::pack(subject, raw.clone(), &mut Compressor::new(Codec::Zstd(1))).unwrap()).unwrap();
    let mut archive = writer.get_mut().clone();
    assert_eq!(scan(&archive, 100).blocks.len(), 1);
    frames(&mut archive, at);
    assert_eq!(scan(&archive, 100).name, "damaged");
}

#[test]
fn an_archive_cut_in_its_footer_was_reported_without_its_index() {
    let archive = changes(Codec::None);
    let cut = &archive[..archive.len() - 1];
    let mut scanner = Scanner::new();
    scanner.push(cut);
    while scanner.next().unwrap().is_some() {}
    let (scanned, opened) = (scanner.end().unwrap_err(), Reader::open(cut).unwrap_err());
    assert_eq!(format!("{scanned:?}"), format!("{opened:?}"));
}

#[test]
fn a_wrong_file_header_in_the_footer_was_blamed_on_the_file_header() {
    for (byte, to) in [(0, 0), (8, 9)] {
        let mut archive = smallest();
        let at = footer(&archive);
        archive[at + 64 + byte] = to;
        reseal(&mut archive, at);
        let error = Reader::open(archive.as_slice()).unwrap_err();
        assert!(error.to_string().starts_with("offset 116: "), "{error}");
    }
}

#[test]
fn a_view_could_have_parts() {
    let mut writer = writer(Codec::None);
    let view = writer.collection(collection("db.v", CollectionType::View)).unwrap();
    let begun = writer.record(view, 1, Record::PartBegun(PartBegun::default()));
    assert!(matches!(begun, Err(Error::Refused(_))), "{begun:?}");
}

#[test]
fn a_salvage_lost_all_blocks_after_one_that_is_longer_than_the_rest_of_the_file() {
    let mut archive = shop(Codec::None);
    let entries = Reader::open(archive.as_slice()).unwrap().contents().blocks().to_vec();
    let long = entries.iter().find(|entry| entry.kind == Kind::Documents).unwrap();
    let (whole, _) = salvaged(&archive, archive.len());
    patch(&mut archive, long.offset as usize, |header| {
        put32(header, 36, MAX_BLOCK_LEN);
        put32(header, 40, MAX_BLOCK_LEN);
    });
    for step in [1, 61, archive.len()] {
        let (found, lost) = salvaged(&archive, step);
        assert_eq!(found, whole[1..], "in steps of {step}");
        assert_eq!(lost, 64 + u64::from(long.stored_len), "in steps of {step}");
    }
}

#[test]
fn a_salvage_lost_the_block_with_which_the_file_begins() {
    let archive = shop(Codec::None);
    let entries = Reader::open(archive.as_slice()).unwrap().contents().blocks().to_vec();
    let first = entries.iter().find(|entry| entry.kind == Kind::Documents).unwrap();
    let (whole, _) = salvaged(&archive, archive.len());
    for step in [1, 61, archive.len()] {
        assert_eq!(salvaged(&archive[first.offset as usize..], step), (whole.clone(), 0), "in steps of {step}");
    }
}

#[test]
fn a_footer_that_counted_no_block_was_taken_for_one_that_counts_the_index() {
    let mut archive = smallest();
    let at = footer(&archive);
    archive[at + 64 + 60] = 0;
    archive[at + 8] = 0;
    reseal(&mut archive, at);
    assert_eq!(scan(&archive, 100).name, "damaged");
    assert_eq!(open(&archive).name, "damaged");
}
