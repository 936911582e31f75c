//! The conformance vectors: archives on disk with the outcome that every reader must come to.
//!
//! `TRANSLOAD_WRITE_VECTORS=1 cargo test -p transload-format vectors` writes them anew; the test then still reads
//! every file back, so a vector is never what the code under test merely says it is.

use std::{fs, path::PathBuf};

use serde_json::{Value, json};
use transload_format::{Codec, Reader};

use crate::{
    outcome::{hex, open, scan},
    samples::{changes, shop, smallest},
};

struct Vector {
    name: &'static str,
    why: &'static str,
    outcome: &'static str,
    by_tail: &'static str,
    bytes: Vec<u8>,
}

fn crc(bytes: &[u8]) -> [u8; 4] {
    crc32fast::hash(bytes).to_le_bytes()
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

fn offsets(archive: &[u8]) -> Vec<usize> {
    Reader::open(archive).unwrap().contents().blocks().iter().map(|entry| entry.offset as usize).collect()
}

fn valid() -> Vec<Vector> {
    let finished = |name, why, bytes| Vector { name, why, outcome: "finished", by_tail: "finished", bytes };
    let mut ignorable = smallest();
    for at in [12, 20] {
        put32(&mut ignorable, at, 0x8000_0000);
    }
    let sum = crc(&ignorable[..44]);
    ignorable[44..48].copy_from_slice(&sum);
    let footer = ignorable.len() - 140;
    let head: Vec<u8> = ignorable[..48].to_vec();
    ignorable[footer + 64..footer + 112].copy_from_slice(&head);
    reseal(&mut ignorable, footer);
    vec![
        finished("smallest", "no namespaces", smallest()),
        finished("shop-none", "two collections with alternating parts, an empty one, a view", shop(Codec::None)),
        finished("shop-deflate", "deflate, and blocks too short to shrink", shop(Codec::Deflate(6))),
        finished("shop-zstd", "zstd, and blocks too short to shrink", shop(Codec::Zstd(1))),
        finished("changes", "events with checkpoints", changes(Codec::Zstd(1))),
        finished("unknown-features", "unknown bits in the first and the third feature word", ignorable),
        finished("unknown-record", "a skippable record of an unknown type", unknown_record(true)),
    ]
}

/// The origin of `shop` turned into a record of type 99, in its place and in the index.
fn unknown_record(skippable: bool) -> Vec<u8> {
    let mut archive = shop(Codec::None);
    patch(&mut archive, 48, |header| {
        header[6] = 99;
        header[7] = u8::from(skippable);
    });
    let footer = archive.len() - 140;
    let index = u64::from_le_bytes(archive[footer + 112..footer + 120].try_into().unwrap()) as usize;
    archive[index + 64 + 4 + 2] = 99;
    archive[index + 64 + 4 + 3] = u8::from(skippable);
    reseal(&mut archive, index);
    archive
}

fn invalid() -> Vec<Vector> {
    let vector = |name, outcome, why, bytes: Vec<u8>| Vector { name, why, outcome, by_tail: outcome, bytes };
    let plain = shop(Codec::None);
    let at = offsets(&plain);
    let block = *at.iter().find(|&&at| plain[at + 4] == 1).unwrap();
    let patched = |change: &dyn Fn(&mut [u8])| {
        let mut archive = plain.clone();
        patch(&mut archive, block, change);
        archive
    };
    let flipped = |at: usize| {
        let mut archive = plain.clone();
        archive[at] ^= 0x20;
        archive
    };
    let mut newer = smallest();
    newer[8] = 2;
    let sum = crc(&newer[..44]);
    newer[44..48].copy_from_slice(&sum);
    let mut feature = smallest();
    put32(&mut feature, 16, 0x100);
    let sum = crc(&feature[..44]);
    feature[44..48].copy_from_slice(&sum);
    let mut foreign = plain.clone();
    patch(&mut foreign, block, |header| header[16] ^= 0xff);
    let mut lying = plain.clone();
    put32(&mut lying, block + 64, 6);
    reseal(&mut lying, block);
    let zstd = shop(Codec::Zstd(1));
    let packed = *offsets(&zstd).iter().find(|&&at| zstd[at + 4] == 1 && zstd[at + 5] == 2).unwrap();
    let mut bomb = zstd.clone();
    patch(&mut bomb, packed, |header| put32(header, 36, 32 * 1024 * 1024 + 1));
    let mut short = zstd.clone();
    patch(&mut short, packed, |header| {
        let raw = u32::from_le_bytes(header[36..40].try_into().unwrap());
        put32(header, 36, raw - 1);
    });
    vec![
        vector("empty", "unfinished", "no bytes", vec![]),
        vector("text", "not-an-archive", "a text file", b"db.orders.find()\n".to_vec()),
        vector("magic-only", "unfinished", "cut after the magic", plain[..8].to_vec()),
        vector("text-mode", "not-an-archive", "CR LF became LF", [&plain[..4], &plain[5..]].concat()),
        vector("no-blocks", "unfinished", "cut after the file header", plain[..48].to_vec()),
        vector("cut-in-block", "unfinished", "cut inside a block of documents", plain[..block + 100].to_vec()),
        vector("cut-after-block", "unfinished", "cut between blocks", plain[..at[at.len() - 3]].to_vec()),
        vector("no-footer", "unfinished", "cut before the footer", plain[..plain.len() - 140].to_vec()),
        vector("cut-footer", "unfinished", "the last byte is missing", plain[..plain.len() - 1].to_vec()),
        vector("trailing", "damaged", "a byte after the footer", [&plain[..], b"\0"].concat()),
        vector("twice", "damaged", "one archive after another", [plain.clone(), plain.clone()].concat()),
        vector("header-flip", "damaged", "a flipped bit in the archive id", flipped(25)),
        vector("block-header-flip", "damaged", "a flipped bit in a block header", flipped(block + 33)),
        vector("stored-flip", "damaged", "a flipped bit in the stored bytes", flipped(block + 80)),
        vector("footer-flip", "damaged", "a flipped bit in the footer", flipped(plain.len() - 3)),
        vector("version-2", "newer", "a later version", newer),
        vector("unknown-read-feature", "newer", "a feature that forbids reading", feature),
        vector("unknown-kind", "newer", "a block kind 9", patched(&|header| header[4] = 9)),
        vector("unknown-codec", "newer", "a codec 9", patched(&|header| header[5] = 9)),
        vector("unknown-needed-record", "newer", "an unknown record that is not skippable", unknown_record(false)),
        vector("foreign-block", "damaged", "a block with another archive's tag", foreign),
        vector("sequence-gap", "damaged", "a block's sequence number is one too high", patched(&|h| h[8] += 1)),
        vector("unknown-namespace", "damaged", "a namespace id without a record", patched(&|h| put32(h, 24, 77))),
        vector("unknown-part", "damaged", "a part that was not begun", patched(&|h| put32(h, 28, 77))),
        vector("count", "damaged", "one document less than the header counts", patched(&|h| put32(h, 32, 21))),
        vector("count-limit", "damaged", "more documents than the bytes can hold", patched(&|h| put32(h, 32, 1 << 30))),
        vector("digest", "damaged", "the digest of a block is wrong", patched(&|header| header[52] ^= 1)),
        vector("document-length", "damaged", "a document's length is wrong, all checksums pass", lying),
        vector("raw-limit", "damaged", "a raw length above the limit", bomb),
        vector("raw-length", "damaged", "a raw length below that of the compressed bytes", short),
        vector("missing-block", "damaged", "a block was cut out", {
            let end = at[at.iter().position(|&at| at == block).unwrap() + 1];
            [&plain[..block], &plain[end..]].concat()
        }),
    ]
}

fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("vectors").join(name)
}

fn sidecar(vector: &Vector) -> Value {
    let found = scan(&vector.bytes, 1 << 20);
    let mut sidecar = json!({ "outcome": vector.outcome, "by_tail": vector.by_tail, "why": vector.why });
    if vector.outcome == "finished" {
        sidecar["namespaces"] = found.namespaces.into();
    }
    sidecar["blocks"] = found.blocks.into();
    sidecar
}

#[test]
fn vectors_end_in_the_outcome_that_their_sidecar_names() {
    let mut read = 0;
    for (name, vectors) in [("valid", valid()), ("invalid", invalid())] {
        for vector in vectors {
            let path = folder(name).join(format!("{}.tlz", vector.name));
            if std::env::var_os("TRANSLOAD_WRITE_VECTORS").is_some() {
                fs::write(&path, &vector.bytes).unwrap();
                let text = serde_json::to_string_pretty(&sidecar(&vector)).unwrap() + "\n";
                fs::write(path.with_extension("json"), text).unwrap();
            }
            let bytes = fs::read(&path).unwrap();
            let expected: Value = serde_json::from_slice(&fs::read(path.with_extension("json")).unwrap()).unwrap();
            let (scanned, opened) = (scan(&bytes, 4096), open(&bytes));
            assert_eq!(scanned.name, vector.outcome, "{name}/{}", vector.name);
            assert_eq!(scanned.name, expected["outcome"], "{name}/{}", vector.name);
            assert_eq!(opened.name, expected["by_tail"], "{name}/{} by the tail", vector.name);
            assert_eq!(Value::from(scanned.blocks.clone()), expected["blocks"], "{name}/{}", vector.name);
            if scanned.name == "finished" {
                assert_eq!(Value::from(scanned.namespaces.clone()), expected["namespaces"], "{name}/{}", vector.name);
                assert_eq!(opened, scanned, "{name}/{}", vector.name);
            }
            read += 1;
        }
        let files = fs::read_dir(folder(name)).unwrap().count();
        assert_eq!(files % 2, 0, "every archive has its sidecar");
    }
    assert!(read >= 35, "all vectors were read");
}

#[test]
fn the_smallest_archive_is_the_one_that_the_specification_shows() {
    let spec = fs::read_to_string(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("SPEC.md")).unwrap();
    let dump = spec.split("## 13.").nth(1).unwrap().split("```").nth(1).unwrap();
    let shown: String = dump
        .lines()
        .filter_map(|line| line.get(6..53))
        .flat_map(|hex| hex.chars().filter(|c| !c.is_whitespace()).collect::<Vec<_>>())
        .collect();
    assert_eq!(shown, hex(&smallest()));
}
