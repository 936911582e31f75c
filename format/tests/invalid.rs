//! Archives that are not in order: at least one for every rule, and for the order in which the rules are judged.

mod blocks;
mod records;
mod tail;

use std::io::Write as _;

use flate2::{Compression, write::DeflateEncoder};

use crate::{
    forge::{
        Block, DOCUMENTS, FOOTER, INDEX, PART, around, assemble, document, footer_after, index_of, offset, patch,
        patch_file_header, reseal, sound, with_tail,
    },
    vectors::Vector,
};

pub(crate) fn invalid() -> Vec<Vector> {
    [
        beginnings(),
        ends(),
        blocks::headers(),
        blocks::order_of_judging(),
        blocks::compressed(),
        blocks::documents(),
        records::fields(),
        records::names(),
        records::parts(),
        records::namespaces(),
        records::subjects(),
        tail::indexes(),
        tail::footers(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// `refusal` is a part of what the scanner says: it shows that the vector reaches the rule it is made for.
fn vector(outcome: &'static str, name: &'static str, why: &'static str, refusal: &'static str, of: Vec<u8>) -> Vector {
    Vector { name, why, refusal, outcome, by_tail: outcome, bytes: of }
}

fn damaged(name: &'static str, why: &'static str, refusal: &'static str, bytes: Vec<u8>) -> Vector {
    vector("damaged", name, why, refusal, bytes)
}

fn newer(name: &'static str, why: &'static str, refusal: &'static str, bytes: Vec<u8>) -> Vector {
    vector("newer", name, why, refusal, bytes)
}

fn unfinished(name: &'static str, why: &'static str, bytes: Vec<u8>) -> Vector {
    vector("unfinished", name, why, "unfinished", bytes)
}

fn no_archive(name: &'static str, why: &'static str, bytes: Vec<u8>) -> Vector {
    vector("not-an-archive", name, why, "not a transload archive", bytes)
}

fn sealed(blocks: Vec<Block>) -> Vec<u8> {
    assemble(&with_tail(blocks))
}

/// A lie that the index repeats.
fn changed(number: usize, change: impl FnOnce(&mut Block)) -> Vec<u8> {
    let mut blocks = sound();
    change(&mut blocks[number]);
    sealed(blocks)
}

/// A lie in the block of documents that the index and all totals repeat.
fn documents_changed(change: impl FnOnce(&mut Block)) -> Vec<u8> {
    let mut block = sound().swap_remove(DOCUMENTS);
    change(&mut block);
    sealed(around(vec![block]))
}

/// A lie that the index does not repeat, or a lie of the index or the footer.
fn after_sealing(number: usize, change: impl FnOnce(&mut Block)) -> Vec<u8> {
    let mut blocks = with_tail(sound());
    change(&mut blocks[number]);
    assemble(&blocks)
}

/// A lie in what is not the forge's to choose: magic, sequence number, tag.
fn patched(number: usize, change: impl FnOnce(&mut [u8])) -> Vec<u8> {
    let blocks = with_tail(sound());
    let mut archive = assemble(&blocks);
    patch(&mut archive, offset(&blocks, number), change);
    archive
}

/// Other bytes of the index, and the footer that is right for them.
fn reindexed(change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut blocks = sound();
    let mut index = index_of(&blocks);
    index.edit(change);
    blocks.push(index);
    blocks.push(footer_after(&blocks));
    assemble(&blocks)
}

fn inserted(at: usize, block: Block) -> Vec<u8> {
    let mut blocks = sound();
    blocks.insert(at, block);
    sealed(blocks)
}

/// Further blocks after those of a finished namespace.
fn followed_by(blocks: Vec<Block>) -> Vec<u8> {
    sealed([sound(), blocks].concat())
}

/// The sound archive up to a distance from the begin of block `number`.
fn cut(number: usize, after: usize) -> Vec<u8> {
    let blocks = with_tail(sound());
    assemble(&blocks)[..offset(&blocks, number) + after].to_vec()
}

fn flipped(number: usize, after: usize) -> Vec<u8> {
    let blocks = with_tail(sound());
    let mut archive = assemble(&blocks);
    archive[offset(&blocks, number) + after] ^= 0x20;
    archive
}

fn file_header_patched(change: impl FnOnce(&mut [u8])) -> Vec<u8> {
    let mut archive = sealed(sound());
    patch_file_header(&mut archive[..48], change);
    archive
}

fn unknown(record: u8) -> Block {
    Block::record(record, 0, 0, b"from the future")
}

fn deflate(raw: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(vec![], Compression::default());
    encoder.write_all(raw).unwrap();
    encoder.finish().unwrap()
}

fn zstd(raw: &[u8]) -> Vec<u8> {
    zstd::bulk::compress(raw, 1).unwrap()
}

/// A block of two documents of 100 bytes that is stored as something else.
fn stored_as(codec: u8, stored: &[u8]) -> Vec<u8> {
    sealed(around(vec![Block::documents(1, 1, &[&document(100), &document(100)]).stored_as(codec, stored)]))
}

fn beginnings() -> Vec<Vector> {
    let archive = sealed(sound());
    vec![
        unfinished("empty", "no bytes", vec![]),
        no_archive("text", "a text file", b"db.orders.find()\n".to_vec()),
        no_archive("text-mode", "CR LF became LF", [&archive[..4], &archive[5..]].concat()),
        no_archive("text-short", "less than the magic, and not its begin", b"\x89TLx".to_vec()),
        unfinished("magic-part", "cut inside the magic", archive[..4].to_vec()),
        unfinished("magic-only", "cut after the magic", archive[..8].to_vec()),
        unfinished("no-blocks", "cut after the file header", archive[..48].to_vec()),
        damaged("header-flip", "a flipped bit in the archive id", "checksum mismatch of the file header", {
            let mut archive = archive.clone();
            archive[25] ^= 0x20;
            archive
        }),
        damaged("header-crc", "only the CRC-32 of the file header is wrong", "checksum mismatch of the file header", {
            let mut archive = archive.clone();
            let footer = archive.len() - 140;
            archive[44] ^= 1;
            archive.copy_within(..48, footer + 64);
            reseal(&mut archive, footer);
            archive
        }),
        damaged("version-0", "version 0", "the version is wrong", file_header_patched(|header| header[8] = 0)),
        damaged("header-reserved-10", "the first reserved field of the file header", "a reserved field", {
            file_header_patched(|header| header[10] = 1)
        }),
        damaged("header-reserved-40", "the second reserved field of the file header", "a reserved field", {
            file_header_patched(|header| header[40] = 1)
        }),
        newer("version-2", "a later version", "format version 2", file_header_patched(|header| header[8] = 2)),
        newer("version-2-reserved", "a later version, and a reserved field", "format version 2", {
            file_header_patched(|header| (header[8], header[10]) = (2, 1))
        }),
        newer("unknown-read-feature", "a feature that forbids reading", "unknown feature bits 0x00000100", {
            file_header_patched(|header| header[17] = 1)
        }),
    ]
}

fn ends() -> Vec<Vector> {
    let archive = sealed(sound());
    vec![
        unfinished("cut-after-block", "cut between blocks", cut(PART, 0)),
        unfinished("cut-in-magic", "cut inside a block's magic", cut(PART, 2)),
        unfinished("cut-in-header", "cut inside a block's header", cut(PART, 63)),
        unfinished("cut-in-block", "cut inside a block of documents", cut(DOCUMENTS, 70)),
        unfinished("no-index", "cut before the index", cut(INDEX, 0)),
        unfinished("no-footer", "cut before the footer", cut(FOOTER, 0)),
        unfinished("cut-footer", "the last byte is missing", cut(FOOTER, 139)),
        damaged("cut-no-magic", "cut inside a block's magic, but not as it begins", "no block begins here", {
            [&cut(PART, 2)[..], b"x"].concat()
        }),
        damaged("trailing", "a byte after the footer", "more bytes", [&archive[..], b"\0"].concat()),
        damaged("twice", "one archive after another", "more bytes", [&archive[..], &archive].concat()),
    ]
}
