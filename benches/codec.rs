//! Codecs and checksums on one thread, on blocks of the shop's three collections: how small, and how fast.
//!
//! `cargo bench --bench codec [-- FILTER]`. First the sweep by which the default codec was chosen, a table of ratios and speeds; then
//! divan's times of the steps that a default dump and restore take. A block is a mebibyte, as a dump makes them.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench may stop at the unexpected")]

#[allow(dead_code, reason = "divan takes them")]
mod arguments;

use std::time::{Duration, Instant};

use divan::{Bencher, counter::BytesCount};
use transload::shop::{Collection, Shop};
use transload_format::{
    ArchiveId, Codec, Compressor, Kind, PackedBlock, PartBegun, Reader, Record, Subject, Writer, document_digest,
};

use arguments::Arguments;

/// Bytes at which a dump closes a block.
const BLOCK: usize = 1024 * 1024;
/// Blocks of a collection that are looked at.
const BLOCKS: usize = 16;
/// How long a figure of the sweep is measured, at least.
const LONG_ENOUGH: Duration = Duration::from_millis(400);
/// The codecs of the sweep.
const SWEEP: [&str; 14] = [
    "none",
    "deflate:1",
    "deflate:3",
    "deflate:6",
    "deflate:9",
    "zstd:1",
    "zstd:2",
    "zstd:3",
    "zstd:4",
    "zstd:5",
    "zstd:6",
    "zstd:9",
    "zstd:12",
    "zstd:19",
];
/// The codecs that divan times.
const TIMED: [&str; 3] = ["none", "deflate:6", "zstd:1"];

fn main() {
    if Arguments::to_measure().is_none() {
        return;
    }
    sweep();
    divan::main();
}

/// Prints each codec's ratio and speeds, on each collection.
fn sweep() {
    let mb = |bytes: usize, spent: Duration| bytes as f64 / 1e6 / spent.as_secs_f64();
    println!("{:<12}{:>34}{:>34}{:>34}", "", "orders", "events", "blobs");
    println!("{:<12}{}", "codec", format!("{:>12}{:>11}{:>11}", "ratio", "MB/s in", "MB/s out").repeat(3));
    let collections = Collection::ALL.map(blocks);
    for codec in SWEEP {
        let mut line = format!("{codec:<12}");
        for blocks in &collections {
            let bytes: usize = blocks.iter().map(Vec::len).sum();
            let mut compressor = Compressor::new(codec.parse().unwrap());
            let mut stored = 0;
            let packed = each(|| {
                stored = blocks.iter().map(|block| pack(block, &mut compressor).stored_len() as usize).sum();
            });
            let archive = archive(blocks, codec);
            let reader = Reader::open(&archive[..]).unwrap();
            let unpacked = each(|| unpack_all(&reader));
            let ratio = bytes as f64 / stored as f64;
            line.push_str(&format!("{ratio:>12.2}{:>11.0}{:>11.0}", mb(bytes, packed), mb(bytes, unpacked)));
        }
        println!("{line}");
    }
    println!();
}

/// How long something takes, on average of as many times as are long enough together.
fn each(mut work: impl FnMut()) -> Duration {
    work();
    let (begun, mut times) = (Instant::now(), 0);
    while begun.elapsed() < LONG_ENOUGH {
        work();
        times += 1;
    }
    begun.elapsed() / times
}

/// The first blocks of a collection.
fn blocks(collection: Collection) -> Vec<Vec<u8>> {
    let shop = Shop { seed: 1, scale: 1.0 };
    let mut number = 0;
    let one = || {
        let mut block = Vec::with_capacity(BLOCK + BLOCK / 8);
        while block.len() < BLOCK {
            shop.document(collection, number, &mut block);
            number += 1;
        }
        block
    };
    std::iter::repeat_with(one).take(BLOCKS).collect()
}

fn pack(block: &[u8], compressor: &mut Compressor) -> PackedBlock {
    let subject = Subject { kind: Kind::Documents, namespace: 1, part: 1 };
    PackedBlock::pack(subject, block.to_vec(), compressor).unwrap()
}

/// An archive of these blocks, in memory.
fn archive(blocks: &[Vec<u8>], codec: &str) -> Vec<u8> {
    let codec: Codec = codec.parse().unwrap();
    let mut writer = Writer::new(Vec::new(), ArchiveId([7; 16]), codec).unwrap();
    let collection = transload_format::Collection {
        namespace: "shop.any".to_owned(),
        kind: transload_format::CollectionType::Collection,
        uuid: None,
        options: bson::rawdoc! {}.into_bytes(),
        indexes: Vec::new(),
    };
    writer.collection(collection).unwrap();
    writer.record(1, 1, Record::PartBegun(PartBegun { lower: None, upper: None, low: 0 })).unwrap();
    let mut compressor = Compressor::new(codec);
    for block in blocks {
        writer.block(pack(block, &mut compressor)).unwrap();
    }
    writer.finish_part(1, 1, 0).unwrap();
    writer.finish_namespace(1).unwrap();
    writer.finish().unwrap().out
}

fn unpack_all(reader: &Reader<&[u8]>) {
    for number in 0..reader.contents().blocks().len() {
        divan::black_box(reader.block(number).unwrap().unpack().unwrap());
    }
}

/// Compressing and checksumming, as a dump does it.
#[divan::bench(args = TIMED, consts = [0, 1, 2])]
fn packing<const OF: usize>(bencher: Bencher<'_, '_>, codec: &str) {
    let blocks = blocks(Collection::ALL[OF]);
    let bytes: usize = blocks.iter().map(Vec::len).sum();
    let mut compressor = Compressor::new(codec.parse().unwrap());
    bencher.counter(BytesCount::new(bytes)).bench_local(|| {
        for block in &blocks {
            divan::black_box(pack(block, &mut compressor));
        }
    });
}

/// Checking and decompressing, as a restore does it.
#[divan::bench(args = TIMED, consts = [0, 1, 2])]
fn unpacking<const OF: usize>(bencher: Bencher<'_, '_>, codec: &str) {
    let blocks = blocks(Collection::ALL[OF]);
    let bytes: usize = blocks.iter().map(Vec::len).sum();
    let archive = archive(&blocks, codec);
    let reader = Reader::open(&archive[..]).unwrap();
    bencher.counter(BytesCount::new(bytes)).bench(|| unpack_all(&reader));
}

/// The checksum of a block's bytes.
#[divan::bench]
fn checksum(bencher: Bencher<'_, '_>) {
    let block = blocks(Collection::Orders).remove(0);
    bencher.counter(BytesCount::new(block.len())).bench(|| crc32fast::hash(divan::black_box(&block)));
}

/// The digest of each document, which the index of an archive sums up.
#[divan::bench]
fn digest(bencher: Bencher<'_, '_>) {
    let block = blocks(Collection::Orders).remove(0);
    bencher.counter(BytesCount::new(block.len())).bench(|| {
        let documents = transload_format::Documents::new(divan::black_box(&block));
        documents.map(|document| document_digest(document.unwrap())).fold(0_u64, u64::wrapping_add)
    });
}
