//! The index: every block's entry and every record once more, so that an archive is known from its last bytes.

use crate::{
    block::{BlockHeader, Kind, Subject, skippable},
    codec::CodecId,
    contents::Contents,
    error::{Error, Fault, Place, Problem, Result},
    header::FileHeader,
    limits::INDEX_ENTRY_LEN,
    record::Record,
    wire::{Take, expect, to_u64, to_usize},
};

/// Rebuilds what an archive of so many `blocks` holds from the body of its index, by the rules of a forward scan.
pub(crate) fn decode(header: FileHeader, place: &Place, body: &[u8], blocks: u64) -> Result<Contents> {
    let damaged = |problem| Error::damaged(place.clone(), problem);
    let mut contents = Contents::new(header);
    let mut entries = Take::new(body);
    let count = entries.u32().map_err(damaged)?;
    expect("the number of blocks", blocks, count).map_err(damaged)?;
    let len = count.checked_mul(INDEX_ENTRY_LEN).ok_or_else(|| damaged(Problem::Invalid("too many entries")))?;
    let mut records = entries.clone();
    records.raw(to_usize(len)).map_err(damaged)?;
    for _ in 0..count {
        let mut entry = entry(&mut entries, &contents).map_err(|error| error.at(place.clone()))?;
        let record = match entry.subject.kind {
            Kind::Record => {
                let body = records.bytes().map_err(damaged)?;
                expect("the length of a record of the index", entry.raw_len, to_u64(body.len())).map_err(damaged)?;
                // By this the block is held against its copy when it is read.
                entry.raw_crc = crc32fast::hash(body);
                Some((Record::decode(&entry, body).map_err(|error| error.at(place.clone()))?, body))
            }
            Kind::Documents | Kind::Events => None,
        };
        contents.admit(&entry, record).map_err(damaged)?;
    }
    records.end().map_err(damaged)?;
    contents.complete().map_err(damaged)?;
    Ok(contents)
}

/// An entry as the block header that it stands for; the checksums are not in the index, and are 0.
fn entry(take: &mut Take<'_>, contents: &Contents) -> Result<BlockHeader, Fault> {
    let [kind, codec, record, flags] = take.array()?;
    let (namespace, part) = (take.u32()?, take.u32()?);
    let (count, raw_len, stored_len) = (take.u32()?, take.u32()?, take.u32()?);
    let header = BlockHeader {
        subject: Subject { kind: Kind::try_from(kind)?, namespace, part },
        codec: CodecId::try_from(codec)?,
        record,
        skippable: skippable(flags)?,
        sequence: contents.sequence(),
        tag: contents.header().id.tag(),
        count,
        raw_len,
        stored_len,
        raw_crc: 0,
        stored_crc: 0,
        digest: take.u64()?,
    };
    header.check()?;
    Ok(header)
}
