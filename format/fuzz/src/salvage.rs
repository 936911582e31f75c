//! The target of damaged archives, and the simple search that a salvage is held against.

use transload_format::{
    BlockHeader, Error, FileHeader, Found, Kind, Salvager,
    limits::{BLOCK_HEADER_LEN, FILE_HEADER_LEN},
};

use super::{input, seal::BLOCK_MAGIC};

/// A salvage ends, covers the file without overlaps, does not depend on the steps, and finds every block there is.
pub fn salvage(data: &[u8]) {
    let Some((step, mut archive)) = input(data) else {
        return;
    };
    // A flipped bit after the repair: the damage that a salvage is for.
    let flip = usize::from(data[1]) * 31;
    if step % 3 == 0 && flip < archive.len() {
        archive[flip] ^= 4;
    }
    let (whole, stepped) = (find(&archive, archive.len()), find(&archive, step));
    assert_eq!(whole, stepped);
    if whole.newer {
        return;
    }
    assert_eq!(whole.blocks, expected_blocks(&archive));
}

/// What a salvage finds: the offsets of blocks, and whether it stopped at something newer.
#[derive(Debug, Default, PartialEq)]
struct Salvage {
    blocks: Vec<u64>,
    records: usize,
    lost: Vec<(u64, u64)>,
    newer: bool,
}

fn find(archive: &[u8], step: usize) -> Salvage {
    let (mut salvager, mut salvage) = (Salvager::new(), Salvage::default());
    let mut pushes = archive.chunks(step.max(1)).map(Some).chain([None]);
    let (mut finds, mut end) = (0, 0);
    loop {
        let found = match salvager.next() {
            Ok(Some(found)) => found,
            Ok(None) => match pushes.next() {
                Some(Some(push)) => {
                    salvager.push(push);
                    continue;
                }
                Some(None) => {
                    salvager.end();
                    continue;
                }
                None => return salvage,
            },
            Err(error) => {
                assert!(matches!(error, Error::NewerVersion(_)), "{error:?}");
                salvage.newer = true;
                return salvage;
            }
        };
        finds += 1;
        assert!(finds <= archive.len() + 1, "a salvage goes forward");
        let (offset, len) = match &found {
            Found::Block(block) => (block.offset, block.total_len()),
            Found::Lost { offset, len } => (*offset, *len),
            _ => {
                salvage.records += 1;
                continue;
            }
        };
        assert!(offset >= end && len > 0, "finds do not overlap");
        end = offset + len;
        match found {
            Found::Block(_) => salvage.blocks.push(offset),
            _ => salvage.lost.push((offset, len)),
        }
    }
}

/// Finds blocks of documents and events the simple way: at every offset.
fn expected_blocks(archive: &[u8]) -> Vec<u64> {
    let file = archive.first_chunk().map(FileHeader::decode);
    let (mut tag, mut at) = match file {
        Some(Ok(header)) => (Some(header.id.tag()), FILE_HEADER_LEN),
        _ => (None, 0),
    };
    let mut blocks = Vec::new();
    while at + BLOCK_HEADER_LEN <= archive.len() {
        let header = archive[at..].first_chunk().map(BlockHeader::decode);
        let Some(Ok(header)) = header.filter(|_| archive[at..].starts_with(&BLOCK_MAGIC)) else {
            at += 1;
            continue;
        };
        let stored = archive[at + BLOCK_HEADER_LEN..].get(..header.stored_len as usize);
        let proven = stored.is_some_and(|stored| crc32fast::hash(stored) == header.stored_crc);
        if !proven || tag.is_some_and(|tag| tag != header.tag) {
            at += 1;
            continue;
        }
        tag = Some(header.tag);
        if header.subject.kind != Kind::Record {
            blocks.push(at as u64);
        }
        at += header.total_len() as usize;
    }
    blocks
}
