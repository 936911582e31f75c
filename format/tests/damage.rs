//! Every truncation, every flipped bit: what survives, and what it is called.

use transload_format::{Codec, Reader};

use crate::{
    outcome::{open, salvaged, scan},
    samples::{changes, shop, smallest},
};

#[test]
fn every_truncation_gives_a_prefix_of_the_documents_and_the_outcome_unfinished() {
    for archive in [smallest(), shop(Codec::Zstd(1)), shop(Codec::Deflate(6)), changes(Codec::None)] {
        let whole = scan(&archive, archive.len());
        assert_eq!(whole.name, "finished");
        let mut longest = 0;
        for len in 0..archive.len() {
            let cut = &archive[..len];
            let outcome = scan(cut, 7919);
            assert_eq!(outcome.name, "unfinished", "cut at {len} of {}", archive.len());
            assert_eq!(outcome.blocks, whole.blocks[..outcome.blocks.len()], "cut at {len}");
            assert!(outcome.blocks.len() >= longest, "a longer file must not give less");
            longest = outcome.blocks.len();
            assert_eq!(open(cut).name, "unfinished", "by the tail, cut at {len}");
        }
        assert_eq!(longest, whole.blocks.len(), "the last truncation loses no documents");
    }
}

#[test]
fn every_flipped_bit_is_detected_by_both_readers_and_what_came_before_it_is_whole() {
    for archive in [smallest(), shop(Codec::Zstd(1)), changes(Codec::Deflate(6))] {
        let whole = scan(&archive, archive.len());
        for at in 0..archive.len() {
            for bit in 0..8 {
                let mut flipped = archive.clone();
                flipped[at] ^= 1 << bit;
                let expected = if at < 8 { "not-an-archive" } else { "damaged" };
                let outcome = scan(&flipped, 4096);
                assert_eq!(outcome.name, expected, "bit {bit} of byte {at}");
                assert_eq!(outcome.blocks, whole.blocks[..outcome.blocks.len()], "bit {bit} of byte {at}");
                assert_eq!(open(&flipped).name, expected, "by the tail, bit {bit} of byte {at}");
            }
        }
    }
}

#[test]
fn trailing_bytes_are_damage() {
    for extra in [&b"\0"[..], b"x", b"\x8aBLK", &smallest(), &[0; 70_000]] {
        let archive = [&shop(Codec::Zstd(1)), extra].concat();
        assert_eq!(scan(&archive, 100).name, "damaged");
        assert_eq!(open(&archive).name, "damaged");
    }
}

#[test]
fn a_scan_does_not_depend_on_how_its_bytes_are_pushed() {
    let archive = shop(Codec::Deflate(1));
    let whole = scan(&archive, archive.len());
    for step in [1, 2, 3, 47, 48, 49, 63, 64, 65, 1000] {
        assert_eq!(scan(&archive, step), whole, "{step} bytes at a time");
    }
}

#[test]
fn the_tail_and_the_forward_scan_agree() {
    for codec in [Codec::None, Codec::Deflate(6), Codec::Zstd(1)] {
        for archive in [smallest(), shop(codec), changes(codec)] {
            assert_eq!(open(&archive), scan(&archive, 1024));
        }
    }
}

#[test]
fn an_error_names_the_block_its_offset_and_its_namespace() {
    let archive = shop(Codec::Zstd(1));
    let reader = Reader::open(archive.as_slice()).unwrap();
    let (number, entry) =
        reader.contents().blocks().iter().enumerate().filter(|(_, entry)| entry.part == 2).nth(1).unwrap();
    let mut flipped = archive.clone();
    flipped[entry.offset as usize + 64] ^= 1;
    let error = Reader::open(flipped.as_slice()).unwrap().block(number).unwrap_err().to_string();
    let start =
        format!("block {number} at offset {} (shop.orders): checksum mismatch of the stored bytes, ", entry.offset);
    assert!(error.starts_with(&start), "{error}");
}

#[test]
fn damage_costs_only_the_block_it_hits() {
    let archive = shop(Codec::Zstd(1));
    let (whole, lost) = salvaged(&archive, 100);
    assert_eq!((whole.len(), lost), (5, 0));
    let reader = Reader::open(archive.as_slice()).unwrap();
    let entries = reader.contents().blocks();
    for at in 0..archive.len() {
        let mut flipped = archive.clone();
        flipped[at] ^= 0x10;
        let hit = entries.iter().rposition(|entry| entry.offset <= at as u64).filter(|_| at >= 48);
        let (found, lost) = salvaged(&flipped, 61);
        let expected: Vec<u64> = whole.iter().copied().filter(|&number| hit != Some(number as usize)).collect();
        let in_tail = at as u64 >= reader.contents().offset();
        assert_eq!(found, if in_tail { whole.clone() } else { expected }, "byte {at}");
        assert!(lost > 0, "byte {at}: the loss is named");
    }
}
