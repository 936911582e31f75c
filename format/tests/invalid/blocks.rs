//! Block headers, the order in which they are judged, and the bytes of blocks.

use transload_format::limits::MAX_DOCUMENT_LEN;

use super::{
    after_sealing, changed, cut, damaged, deflate, documents_changed, flipped, inserted, newer, patched, sealed,
    stored_as, unfinished, unknown, zstd,
};
use crate::{
    forge::{
        BEGUN, Block, COLLECTION, DEFLATE, DOCUMENTS, FOOTER, INDEX, PART, SKIPPABLE, ZSTD, around, assemble,
        checkpoint, document, origin, patch, sound, with_tail, zstd_frame,
    },
    vectors::Vector,
};

pub(super) fn headers() -> Vec<Vector> {
    let skippable = |number| changed(number, |block| block.flags = SKIPPABLE);
    let must_be_known = "must know is marked skippable";
    vec![
        damaged("no-magic", "a flipped bit in a block's magic", "no block begins here", flipped(DOCUMENTS, 1)),
        damaged("block-header-flip", "a flipped bit in a block header", "of the block header", flipped(DOCUMENTS, 33)),
        damaged("block-header-crc", "only the CRC-32 of a block header is wrong", "of the block header", {
            flipped(DOCUMENTS, 60)
        }),
        damaged(
            "foreign-block",
            "the tag of another archive",
            "another archive",
            patched(DOCUMENTS, |h| h[16] ^= 0xff),
        ),
        damaged("sequence-gap", "a sequence number one too high", "the sequence number", {
            patched(DOCUMENTS, |header| header[8] += 1)
        }),
        damaged("missing-block", "a block was cut out", "the sequence number", {
            [&cut(DOCUMENTS, 0)[..], &sealed(sound())[cut(PART, 0).len()..]].concat()
        }),
        newer("unknown-kind", "a block kind 9", "unknown block kind 9", patched(DOCUMENTS, |header| header[4] = 9)),
        newer("unknown-codec", "a codec 9", "unknown codec 9", patched(DOCUMENTS, |header| header[5] = 9)),
        damaged("reserved-flag", "a reserved flag", "unknown flags", changed(DOCUMENTS, |block| block.flags = 2)),
        damaged("reserved-flag-unknown", "a reserved flag of an unknown record", "unknown flags", {
            inserted(0, Block { flags: 3, ..unknown(99) })
        }),
        damaged("skippable-documents", "documents that are marked skippable", "or is skippable", skippable(DOCUMENTS)),
        damaged("skippable-collection", "a collection marked skippable", must_be_known, skippable(COLLECTION)),
        damaged("skippable-checkpoint", "a checkpoint marked skippable", must_be_known, {
            inserted(BEGUN, Block::skippable(6, 0, 0, &checkpoint()))
        }),
        damaged("skippable-index", "an index marked skippable", must_be_known, {
            after_sealing(INDEX, |block| block.flags = SKIPPABLE)
        }),
        damaged("skippable-footer", "a footer marked skippable", must_be_known, {
            after_sealing(FOOTER, |block| block.flags = SKIPPABLE)
        }),
        damaged("needed-origin", "an origin not marked skippable", "an origin is not marked skippable", {
            inserted(0, Block::record(1, 0, 0, &origin()))
        }),
        damaged("record-type-0", "a record of type 0", "a record has no type", inserted(BEGUN, unknown(0))),
        damaged("record-type-0-skippable", "a skippable record of type 0", "a record has no type", {
            inserted(BEGUN, Block::skippable(0, 0, 0, b"nothing"))
        }),
        damaged("documents-record-type", "documents with a record type", "has a record type", {
            documents_changed(|block| block.record = 99)
        }),
        damaged("record-count", "a record that counts 2", "the count of a record", {
            changed(BEGUN, |block| block.count = 2)
        }),
        damaged("record-digest", "a record with a digest", "the digest of a record", {
            changed(BEGUN, |block| block.digest = 1)
        }),
        damaged("unknown-record-count", "an unknown record that counts 0", "the count of a record", {
            inserted(BEGUN, Block { count: 0, ..Block::skippable(99, 0, 0, b"") })
        }),
        damaged("count-0", "a block of no documents", "holds no documents", {
            sealed(around(vec![Block::documents(1, 1, &[])]))
        }),
        damaged("count-limit", "more documents than a fifth of the bytes", "the count of the block is 3", {
            documents_changed(|block| block.count = 3)
        }),
        damaged("raw-limit", "a raw length above the limit", "the raw length of the block is 33685504", {
            let largest = document(MAX_DOCUMENT_LEN);
            let block = Block::documents(1, 1, &[&largest, &largest]);
            sealed(around(vec![block.stored_as(ZSTD, &zstd(&[&largest[..], &largest].concat()))]))
        }),
        damaged(
            "stored-length",
            "not compressed, and a byte shorter than its raw bytes",
            "of an uncompressed block",
            documents_changed(|block| *block = block.clone().stored_as(0, &[0; 12])),
        ),
        damaged("two-checksums", "not compressed, and two checksums", "stored checksum of an uncompressed block", {
            documents_changed(|block| block.raw_crc ^= 1)
        }),
        damaged("not-smaller", "deflated to as many bytes", "not smaller than its bytes", not_smaller()),
        damaged("larger", "deflated to more bytes", "the stored length of the block is 18", {
            documents_changed(|block| {
                *block = block.clone().stored_as(DEFLATE, &[&[0, 13, 0, 242, 255][..], &[0; 13]].concat())
            })
        }),
    ]
}

/// A document that deflates to as many bytes as it has: empty blocks of deflate, of five bytes each, fill it up.
fn not_smaller() -> Vec<u8> {
    let (raw, stored) = (100..)
        .map(|len| (document(len), deflate(&document(len))))
        .find(|(a, b)| (a.len() - b.len()) % 5 == 0)
        .unwrap();
    let empty = [0, 0, 0, 0xff, 0xff].repeat((raw.len() - stored.len()) / 5);
    sealed(around(vec![Block::documents(1, 1, &[&raw]).stored_as(DEFLATE, &[empty, stored].concat())]))
}

pub(super) fn order_of_judging() -> Vec<Vector> {
    let mut blocks = with_tail([vec![unknown(99)], sound()].concat());
    let needed = assemble(&blocks);
    blocks[0] = Block { raw_crc: 1, ..blocks[0].clone().stored_as(DEFLATE, &deflate(&[0])) };
    let damaged_needed = assemble(&blocks);
    let mut gap = needed.clone();
    patch(&mut gap, 48, |header| header[8] = 1);
    let mut flag = cut(DOCUMENTS, 70);
    patch(&mut flag, cut(DOCUMENTS, 0).len(), |header| header[7] = 2);
    let mut cut_gap = cut(DOCUMENTS, 70);
    patch(&mut cut_gap, cut(DOCUMENTS, 0).len(), |header| header[8] = 9);
    let header_only = "the header walk does not read the stored bytes";
    vec![
        newer("needed-record", "an unknown record that is not skippable", "unknown record type 99", needed.clone()),
        newer("kind-before-flags", "an unknown kind with a reserved flag", "unknown block kind 9", {
            patched(DOCUMENTS, |header| (header[4], header[7]) = (9, 2))
        }),
        unfinished("cut-needed-record", "cut inside an unknown record that is not skippable", needed[..120].to_vec()),
        unfinished("cut-gap", "cut inside a block that has a wrong sequence number", cut_gap),
        damaged("cut-flag", "cut inside a block that has a reserved flag", "unknown flags", flag),
        damaged(
            "cut-two-checksums",
            "cut inside a block that has two checksums of the same bytes",
            "stored checksum",
            {
                let archive = documents_changed(|block| block.raw_crc ^= 1);
                archive[..cut(DOCUMENTS, 70).len()].to_vec()
            },
        ),
        damaged("cut-footer-longer", "cut inside a footer that would be too long", "its fixed length", {
            let archive = after_sealing(FOOTER, |block| block.edit(|raw| raw.push(0)));
            archive[..archive.len() - 1].to_vec()
        }),
        damaged("gap-needed-record", "a wrong sequence number of an unknown record", "the sequence number", gap),
        Vector {
            by_tail: "newer",
            ..damaged("damaged-needed-record", header_only, "cannot be decompressed", damaged_needed)
        },
        Vector {
            by_tail: "damaged",
            ..unfinished(
                "length-behind-end",
                "a header by whose length the file is cut, and an index that knows better",
                after_sealing(DOCUMENTS, |block| (block.raw_len, block.stored_len) = (1000, 1000)),
            )
        },
        Vector {
            by_tail: "unfinished",
            ..damaged("flip-before-cut", header_only, "checksum mismatch of the stored bytes", {
                flipped(DOCUMENTS, 70)[..cut(PART, 10).len()].to_vec()
            })
        },
    ]
}

pub(super) fn compressed() -> Vec<Vector> {
    let raw = [document(100), document(100)].concat();
    let (deflated, frame) = (deflate(&raw), zstd(&raw));
    let broken = "cannot be decompressed to the block's raw length";
    let with_raw_len = |len| {
        let mut block = Block::documents(1, 1, &[&document(100), &document(100)]).stored_as(ZSTD, &frame);
        block.raw_len = len;
        sealed(around(vec![block]))
    };
    let skippable = [0x50, 0x2a, 0x4d, 0x18, 1, 0, 0, 0, 9];
    let halves = [zstd(&document(100)), zstd(&document(100))].concat();
    let frame_with = |header: &[u8]| {
        let block = Block::documents(1, 1, &[&document(200)]);
        sealed(around(vec![block.stored_as(ZSTD, &zstd_frame(header))]))
    };
    let zlib = [&[0x78, 0x9c][..], &deflated, &[0; 4]].concat();
    vec![
        damaged("stored-flip", "a flipped bit in the stored bytes", "of the stored bytes", flipped(DOCUMENTS, 70)),
        damaged(
            "raw-crc",
            "the CRC-32 of the raw bytes is wrong, that of the stored bytes is right",
            "the raw bytes",
            {
                let block = Block::documents(1, 1, &[&document(100), &document(100)]).stored_as(DEFLATE, &deflated);
                sealed(around(vec![Block { raw_crc: block.raw_crc ^ 1, ..block }]))
            },
        ),
        damaged(
            "stored-crc",
            "the CRC-32 of the stored bytes is wrong, that of the raw bytes is right",
            "stored bytes",
            {
                let block = Block::documents(1, 1, &[&document(100), &document(100)]).stored_as(DEFLATE, &deflated);
                sealed(around(vec![Block { stored_crc: block.stored_crc ^ 1, ..block }]))
            },
        ),
        damaged("raw-length", "a raw length below that of the compressed bytes", broken, with_raw_len(199)),
        damaged("raw-length-above", "a raw length above that of the compressed bytes", broken, with_raw_len(201)),
        damaged("deflate-broken", "a block type that deflate does not have", broken, stored_as(DEFLATE, &[7, 0, 0])),
        damaged("deflate-cut", "the last byte of a deflate stream is missing", broken, {
            stored_as(DEFLATE, &deflated[..deflated.len() - 1])
        }),
        damaged("deflate-trailing", "a byte after a deflate stream", broken, {
            stored_as(DEFLATE, &[&deflated[..], &[0]].concat())
        }),
        damaged("deflate-zlib", "deflate in the wrapper of zlib", broken, stored_as(DEFLATE, &zlib)),
        damaged(
            "zstd-broken",
            "a block type that zstd reserves",
            broken,
            stored_as(ZSTD, &[0x28, 0xb5, 0x2f, 0xfd, 0, 0, 7, 0, 0]),
        ),
        damaged("zstd-cut", "the last byte of a zstd frame is missing", broken, {
            stored_as(ZSTD, &frame[..frame.len() - 1])
        }),
        damaged("zstd-trailing", "a byte after a zstd frame", broken, stored_as(ZSTD, &[&frame[..], &[0]].concat())),
        damaged("zstd-two-frames", "two zstd frames", broken, stored_as(ZSTD, &halves)),
        damaged("zstd-skippable-after", "a skippable frame after a zstd frame", broken, {
            stored_as(ZSTD, &[&frame[..], &skippable].concat())
        }),
        damaged("zstd-skippable-before", "a skippable frame before a zstd frame", broken, {
            stored_as(ZSTD, &[&skippable[..], &frame].concat())
        }),
        damaged("zstd-window", "a zstd window of 144 MiB", broken, frame_with(&[0, 17 << 3 | 1])),
        damaged("zstd-dictionary", "a zstd frame that names a dictionary", broken, frame_with(&[1, 0, 7])),
        damaged("zstd-content-size", "a zstd frame with a wrong content size", broken, frame_with(&[0x20, 199])),
    ]
}

pub(super) fn documents() -> Vec<Vector> {
    let no_documents = "the bytes are not whole documents";
    // The two documents of the sound archive stand at 0 and at 5.
    let edited = |change: &dyn Fn(&mut Vec<u8>)| documents_changed(|block| block.edit(change));
    let raw = document(MAX_DOCUMENT_LEN + 1);
    vec![
        damaged("count", "a document more than the header counts", "the count of documents", {
            documents_changed(|block| block.count = 1)
        }),
        damaged("digest", "the digest of a block is wrong", "the digest of the block", {
            documents_changed(|block| block.digest ^= 1)
        }),
        damaged("document-length", "a length that leaves a byte over", no_documents, edited(&|raw| raw[5] = 7)),
        damaged("document-longer", "a length behind the end", no_documents, edited(&|raw| raw[5] = 9)),
        damaged("document-4", "a length of 4", no_documents, edited(&|raw| raw[0] = 4)),
        damaged("document-0", "a length of 0", no_documents, edited(&|raw| raw[5] = 0)),
        damaged("document-end", "a document that does not end with 0", no_documents, {
            sealed(around(vec![Block::documents(1, 1, &[b"\x05\0\0\0\x01"])]))
        }),
        damaged("document-cut", "three bytes after the last document", no_documents, {
            edited(&|raw| raw.extend([5, 0, 0]))
        }),
        damaged("document-limit", "a document a byte above the limit", "the length of a document is 16842753", {
            sealed(around(vec![Block::documents(1, 1, &[&raw]).stored_as(ZSTD, &zstd(&raw))]))
        }),
    ]
}
