//! Indexes and footers.

use super::{after_sealing, damaged, deflate, flipped, newer, patched, reindexed, sealed, unknown};
use crate::{
    forge::{
        Block, DEFLATE, DOCUMENTS, FOOTER, INDEX, assemble, file_header, index_of, origin, patch, patch_file_header,
        put32, reseal, sound, with_tail,
    },
    vectors::Vector,
};

pub(super) fn indexes() -> Vec<Vector> {
    let differs = "the index is not what the blocks before it say";
    // The entry of the block of documents, and the length of the first record.
    let (entry, first) = (4 + 32 * DOCUMENTS, 4 + 32 * INDEX);
    let mut unknown_record = with_tail([vec![Block::skippable(99, 0, 0, b"?")], sound()].concat());
    unknown_record[0].record = 98;
    let mut other_record = with_tail([vec![Block::skippable(1, 0, 0, &origin())], sound()].concat());
    other_record[0].edit(|raw| raw[4] = b'F');
    vec![
        damaged("index-entry", "an unknown record of another type in the index", differs, assemble(&unknown_record)),
        damaged("index-record", "another origin in the index", differs, assemble(&other_record)),
        damaged("index-digest", "another digest in the index", differs, reindexed(|raw| raw[entry + 24] ^= 1)),
        damaged("index-stored", "another stored length in the index", differs, {
            reindexed(|raw| (raw[entry + 1], raw[entry + 20]) = (DEFLATE, raw[entry + 20] - 1))
        }),
        damaged("index-kind", "an unknown kind in the index", differs, reindexed(|raw| raw[entry] = 9)),
        damaged("index-needed-record", "an unknown record in the index", differs, reindexed(|raw| raw[6] = 99)),
        damaged("index-of-index", "an index in the index", differs, reindexed(|raw| raw[6] = 7)),
        damaged("index-count", "an entry less than there are blocks", differs, reindexed(|raw| raw[0] -= 1)),
        damaged("index-count-limit", "more entries than the index can hold", differs, {
            reindexed(|raw| put32(raw, 0, u32::MAX))
        }),
        damaged("index-record-length", "a record a byte longer than its block", differs, {
            reindexed(|raw| {
                raw[first] += 1;
                raw.insert(first + 4 + 26, 0);
            })
        }),
        damaged(
            "index-missing",
            "an index without its last byte",
            differs,
            reindexed(|raw| raw.truncate(raw.len() - 1)),
        ),
        damaged("index-trailing", "a byte after the last record of the index", differs, reindexed(|raw| raw.push(0))),
        damaged("index-early", "an index with blocks after it", "is not the footer", {
            sealed([vec![index_of(&[])], sound()].concat())
        }),
        damaged("index-twice", "two indexes", "is not the footer", {
            let mut blocks = with_tail(sound());
            blocks.insert(FOOTER, blocks[INDEX].clone());
            assemble(&blocks)
        }),
        damaged("after-index", "a block between the index and the footer", "is not the footer", {
            let mut blocks = with_tail(sound());
            blocks.insert(FOOTER, Block::skippable(99, 0, 0, b"?"));
            assemble(&blocks)
        }),
        damaged("documents-after-index", "documents between the index and the footer", "is not the footer", {
            let mut blocks = with_tail(sound());
            blocks.insert(FOOTER, blocks[DOCUMENTS].clone());
            assemble(&blocks)
        }),
        newer("needed-after-index", "an unknown record between the index and the footer", "unknown record type 99", {
            let mut blocks = with_tail(sound());
            blocks.insert(FOOTER, unknown(99));
            assemble(&blocks)
        }),
    ]
}

pub(super) fn footers() -> Vec<Vector> {
    let edited = |change: &dyn Fn(&mut Vec<u8>)| after_sealing(FOOTER, |block| block.edit(change));
    let differs = "the footer is not what the blocks before it say";
    let length = "the footer has not its fixed length";
    vec![
        damaged("footer-flip", "a flipped bit in the footer", "of the stored bytes", flipped(FOOTER, 137)),
        damaged("footer-offset", "another offset of the index", differs, edited(&|raw| raw[48] ^= 1)),
        damaged("footer-index-length", "another length of the index", differs, edited(&|raw| raw[56] ^= 1)),
        damaged("footer-blocks", "another number of blocks", differs, edited(&|raw| raw[60] ^= 1)),
        damaged("footer-archive-length", "another length of the archive", differs, edited(&|raw| raw[68] ^= 1)),
        damaged("footer-copy", "another file header in the footer", differs, {
            edited(&|raw| patch_file_header(&mut raw[..48], |header| header[12] = 1))
        }),
        damaged("footer-copy-magic", "no file header in the footer", differs, edited(&|raw| raw[0] = 0)),
        damaged("footer-copy-version", "the file header of a later version in the footer", differs, {
            edited(&|raw| patch_file_header(&mut raw[..48], |header| header[8] = 2))
        }),
        damaged("footer-copy-id", "the second half of another archive id in the footer", differs, {
            edited(&|raw| patch_file_header(&mut raw[..48], |header| header[39] ^= 1))
        }),
        damaged("footer-longer", "a footer of 77 bytes", length, edited(&|raw| raw.push(0))),
        damaged("footer-compressed", "a compressed footer", length, {
            let raw = [file_header(), vec![0; 28]].concat();
            after_sealing(FOOTER, |block| *block = block.clone().stored_as(DEFLATE, &deflate(&raw)))
        }),
        damaged("footer-sequence", "a wrong sequence number of the footer", "the sequence number", {
            patched(FOOTER, |header| header[8] += 1)
        }),
        damaged("footer-first", "the footer before the index", "the footer does not follow the index", {
            let mut blocks = with_tail(sound());
            blocks.swap(INDEX, FOOTER);
            assemble(&blocks)
        }),
        damaged("footer-no-index", "a footer without an index", "the footer does not follow the index", {
            let mut blocks = with_tail(sound());
            blocks.remove(INDEX);
            assemble(&blocks)
        }),
        damaged("footer-no-blocks", "a footer that counts no blocks before it", "the sequence number", {
            let mut archive = sealed(vec![]);
            let at = archive.len() - 140;
            archive[at + 64 + 60] = 0;
            reseal(&mut archive, at);
            patch(&mut archive, at, |header| header[8] = 0);
            archive
        }),
    ]
}
