//! The conformance vectors: archives on disk with the outcome that every reader must come to.
//!
//! `TRANSLOAD_WRITE_VECTORS=1 cargo test -p transload-format vectors` writes them anew; the test then still reads
//! every file back, so a vector is never what the code under test merely says it is.

use std::{collections::BTreeSet, fs, path::PathBuf};

use serde_json::{Value, json};
use transload_format::Codec;

use crate::{
    forge::{
        BEGUN, Block, ZSTD, around, assemble, begun, bytes, checkpoint, document, namespace_finished, origin,
        part_finished, patch_file_header, reseal, sound, with_tail, zstd_frame,
    },
    invalid::invalid,
    outcome::{hex, open, scan},
    samples::{EMPTY, changes, shop, smallest},
};

pub(crate) struct Vector {
    pub(crate) name: &'static str,
    pub(crate) why: &'static str,
    /// A part of what the scanner says of it; not in the sidecar, since another reader has its own words.
    pub(crate) refusal: &'static str,
    pub(crate) outcome: &'static str,
    pub(crate) by_tail: &'static str,
    pub(crate) bytes: Vec<u8>,
}

fn valid() -> Vec<Vector> {
    let finished = |name, why, bytes| {
        let (outcome, by_tail, refusal) = ("finished", "finished", "");
        Vector { name, why, refusal, outcome, by_tail, bytes }
    };
    let forged = |blocks| assemble(&with_tail(blocks));
    vec![
        finished("smallest", "no namespaces", smallest()),
        finished("shop-none", "two collections with alternating parts, an empty one, a view", shop(Codec::None)),
        finished("shop-deflate", "deflate, and blocks too short to shrink", shop(Codec::Deflate(6))),
        finished("shop-zstd", "zstd, and blocks too short to shrink", shop(Codec::Zstd(1))),
        finished("changes", "events with checkpoints", changes(Codec::Zstd(1))),
        finished("unknown-features", "unknown bits in the first and the third feature word", unknown_features()),
        finished("unknown-record", "skippable records of unknown types, with any bytes and about anything", {
            let mut blocks = sound();
            blocks.insert(0, Block::skippable(255, 0, 0, b""));
            blocks.insert(BEGUN, Block::skippable(9, 7, 9, &[0xff; 40]));
            blocks.push(Block::skippable(99, 1, 1, b"about a finished part"));
            forged(blocks)
        }),
        finished("forged", "an origin, a part without blocks, a checkpoint after its namespace", {
            let mut blocks = [vec![Block::skippable(1, 0, 0, &origin())], around(vec![])].concat();
            blocks.push(Block::record(6, 1, 0, &checkpoint()));
            forged(blocks)
        }),
        finished("cluster-times", "high is 0 where low is not, and low is high", {
            let mut blocks = around(vec![]);
            blocks.truncate(3);
            blocks[2] = Block::record(4, 1, 1, &part_finished(0, &[]));
            blocks.push(Block::record(3, 1, 2, &begun(&EMPTY, &EMPTY, 5)));
            blocks.push(Block::record(4, 1, 2, &part_finished(5, &[])));
            blocks.push(Block::record(5, 1, 0, &namespace_finished(2, &[])));
            forged(blocks)
        }),
        finished("view", "a view with a UUID and an index spec, and more than one dot in its name", {
            let head = [&bytes(b"db..v")[..], &[2], &bytes(&[7; 16])].concat();
            let body = [&head[..], &bytes(&EMPTY), &[1, 0, 0, 0], &bytes(&EMPTY)].concat();
            forged(vec![Block::record(2, 1, 0, &body), Block::record(5, 1, 0, &namespace_finished(0, &[]))])
        }),
        finished("zstd-window", "a zstd window of 128 MiB, and no content size", {
            let block = Block::documents(1, 1, &[&document(200)]);
            forged(around(vec![block.stored_as(ZSTD, &zstd_frame(&[0, 17 << 3]))]))
        }),
    ]
}

fn unknown_features() -> Vec<u8> {
    let mut archive = smallest();
    patch_file_header(&mut archive[..48], |header| (header[15], header[23]) = (0x80, 0x80));
    let footer = archive.len() - 140;
    archive.copy_within(..48, footer + 64);
    reseal(&mut archive, footer);
    archive
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

fn write(folder: &str, vector: &Vector) {
    let path = self::folder(folder).join(format!("{}.tlz", vector.name));
    fs::write(&path, &vector.bytes).unwrap();
    let text = serde_json::to_string_pretty(&sidecar(vector)).unwrap() + "\n";
    fs::write(path.with_extension("json"), text).unwrap();
}

fn check(folder: &str, vector: &Vector) {
    let name = format!("{folder}/{}", vector.name);
    let path = self::folder(folder).join(format!("{}.tlz", vector.name));
    let bytes = fs::read(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
    let expected: Value = serde_json::from_slice(&fs::read(path.with_extension("json")).unwrap()).unwrap();
    let (scanned, opened) = (scan(&bytes, 4096), open(&bytes));
    assert_eq!(scanned.name, vector.outcome, "{name}: {}", scanned.refusal);
    assert!(scanned.refusal.contains(vector.refusal), "{name}: {}", scanned.refusal);
    assert_eq!(scanned.name, expected["outcome"], "{name}");
    assert_eq!(opened.name, vector.by_tail, "{name} by the tail");
    assert_eq!(opened.name, expected["by_tail"], "{name} by the tail");
    assert_eq!(Value::from(scanned.blocks.clone()), expected["blocks"], "{name}");
    if scanned.name == "finished" {
        assert_eq!(Value::from(scanned.namespaces.clone()), expected["namespaces"], "{name}");
        assert_eq!(opened, scanned, "{name}");
    }
}

#[test]
fn vectors_end_in_the_outcome_that_their_sidecar_names() {
    for (folder, vectors) in [("valid", valid()), ("invalid", invalid())] {
        if std::env::var_os("TRANSLOAD_WRITE_VECTORS").is_some() {
            vectors.iter().for_each(|vector| write(folder, vector));
        }
        vectors.iter().for_each(|vector| check(folder, vector));
        let named = |vector: &Vector| ["json", "tlz"].map(|extension| format!("{}.{extension}", vector.name));
        let expected: BTreeSet<_> = vectors.iter().flat_map(named).collect();
        let files = fs::read_dir(self::folder(folder)).unwrap();
        let found: BTreeSet<_> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        assert_eq!(found, expected, "every file in {folder} is a vector or its sidecar");
        assert_eq!(expected.len(), 2 * vectors.len(), "no name stands twice in {folder}");
    }
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
