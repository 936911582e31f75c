//! The pipeline alone, without a server: prepared batches through compression, checksum and the writer to nothing, to memory, or
//! to a file; and an archive in a file back to batches.
//!
//! `cargo bench --bench pipeline -- [--scale 0.2] [--runs 5]`. Who hands over does nothing but copy a prepared batch, as a cursor's
//! reply is copied once; one task does so for all three collections, which on many cores is what holds this back.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "a bench may stop at the unexpected")]

mod arguments;

use std::time::Instant;

use transload::{
    archive::{ArchiveFile, Batch, Budget, Destination, Sink},
    bench::Spread,
    shop::{Collection, Shop},
};
use transload_format::{Codec, Origin, PartBegun};

use arguments::Arguments;

/// Bytes at which a dump closes a block.
const BLOCK: usize = 1024 * 1024;
/// Bytes of batches in memory, as in a dump.
const MEMORY: usize = 32 * 1024 * 1024;

#[tokio::main]
async fn main() {
    let Some(arguments) = Arguments::to_measure() else { return };
    let (scale, runs) = (arguments.value("--scale", 0.2), arguments.value("--runs", 5));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let collections = Collection::ALL.map(|collection| blocks(collection, scale));
    let bytes: usize = collections.iter().flatten().map(Vec::len).sum();
    println!("the shop at scale {scale}: {:.0} MB; medians of {runs} runs, after one to warm up\n", bytes as f64 / 1e6);
    println!("{:<24}{:>10}{:>10}{:>10}{:>10}", "in", "seconds", "min", "max", "MB/s");
    let path = folder.path().join("pipeline.tlz");
    for codec in ["none", "deflate:1", "zstd:1", "zstd:3"] {
        let file = Destination::File { path: path.clone(), replace: true };
        for (name, destination) in [("nothing", Destination::Nothing), ("memory", Destination::Memory), ("file", file)]
        {
            let codec: Codec = codec.parse().expect("a codec");
            let mut seconds = Vec::new();
            for _ in 0..=runs {
                let begun = Instant::now();
                dump(&collections, &destination, codec).await;
                seconds.push(begun.elapsed().as_secs_f64());
            }
            show(&format!("{codec} to {name}"), bytes, &seconds[1..]);
        }
        let archive = ArchiveFile::open(&path).expect("an archive");
        let mut seconds = Vec::new();
        for _ in 0..=runs {
            let begun = Instant::now();
            assert_eq!(restore(&archive).await, bytes);
            seconds.push(begun.elapsed().as_secs_f64());
        }
        show(&format!("{codec} from the file"), bytes, &seconds[1..]);
    }
}

fn show(what: &str, bytes: usize, seconds: &[f64]) {
    let spread = Spread::of(seconds.iter().copied());
    let rate = bytes as f64 / 1e6 / spread.median;
    println!("{what:<24}{:>10.3}{:>10.3}{:>10.3}{rate:>10.0}", spread.median, spread.min, spread.max);
}

/// A collection, in blocks.
fn blocks(collection: Collection, scale: f64) -> Vec<Vec<u8>> {
    let shop = Shop { seed: 1, scale };
    let count = shop.collections().into_iter().find(|(one, _)| *one == collection).map_or(0, |(_, count)| count);
    let (mut blocks, mut block) = (Vec::new(), Vec::with_capacity(BLOCK + BLOCK / 8));
    for number in 0..count {
        shop.document(collection, number, &mut block);
        if block.len() >= BLOCK {
            blocks.push(std::mem::replace(&mut block, Vec::with_capacity(BLOCK + BLOCK / 8)));
        }
    }
    blocks.push(block);
    blocks.retain(|block| !block.is_empty());
    blocks
}

/// Hands over everything, each collection as one part, side by side.
async fn dump(collections: &[Vec<Vec<u8>>; 3], destination: &Destination, codec: Codec) {
    let origin = Origin { tool: "bench".to_owned(), server: String::new(), created_ms: 0 };
    let described = Collection::ALL.map(|collection| transload_format::Collection {
        namespace: format!("shop.{}", collection.name()),
        kind: transload_format::CollectionType::Collection,
        uuid: None,
        options: bson::rawdoc! {}.into_bytes(),
        indexes: Vec::new(),
    });
    let (sink, writer) = Sink::begin(destination, codec, origin, 0, described.to_vec()).expect("begun");
    let budget = Budget::new(MEMORY);
    let one = async |id: u32, blocks: &[Vec<u8>]| {
        let part = sink.begin_part(id, PartBegun { lower: None, upper: None, low: 0 }).await.expect("begun");
        for block in blocks {
            let permit = budget.acquire(block.len()).await.expect("permitted");
            sink.documents(id, part, Batch { documents: block.clone(), permit }).await.expect("handed over");
        }
        sink.finish_part(id, part, 0).await.expect("handed over");
        sink.finish_namespace(id).await.expect("handed over");
    };
    let [orders, events, blobs] = collections;
    futures_util::join!(one(1, orders), one(2, events), one(3, blobs));
    sink.finish().await.expect("handed over");
    writer.await.expect("no panic").expect("written");
}

/// Reads, checks and decompresses all blocks, as many ahead as a restore does; how many bytes there are.
async fn restore(archive: &ArchiveFile) -> usize {
    let budget = Budget::new(2 * MEMORY);
    let mut bytes = 0;
    let mut ahead = std::collections::VecDeque::new();
    // Records are none of the documents.
    let blocks = archive.contents().blocks().iter().enumerate();
    for (number, _) in blocks.filter(|(_, block)| block.kind == transload_format::Kind::Documents) {
        ahead.push_back(archive.batch(number, &budget).await.expect("read"));
        if ahead.len() > 8 {
            bytes += ahead.pop_front().expect("ahead").wait().await.expect("whole").documents.len();
        }
    }
    for batch in ahead {
        bytes += batch.wait().await.expect("whole").documents.len();
    }
    bytes
}
