//! Says why an archive does not open by its tail: walks it from header to header, without reading what is between.

use crate::{
    block::{BLOCK_MAGIC, BlockHeader},
    error::{Error, Fault, Newer, Place, Problem, Result},
    header::{FileHeader, MAGIC},
    limits::{BLOCK_HEADER_LEN, FILE_HEADER_LEN},
    read_at::ReadAt,
    record_type::RecordType,
    wire::expect,
};

/// What a forward scan by headers alone finds wrong; nothing if the headers are in order.
pub(crate) fn survey<R: ReadAt>(source: &R) -> Result<Option<Error>> {
    let len = source.size()?;
    let mut start = vec![0; usize::try_from(len.min(FILE_HEADER_LEN as u64)).unwrap_or(0)];
    source.read_exact_at(&mut start, 0)?;
    if start.iter().zip(MAGIC).any(|(found, expected)| *found != expected) {
        return Ok(Some(Error::NotAnArchive));
    }
    let (mut blocks, mut documents, mut offset) = (0_u64, 0_u64, FILE_HEADER_LEN as u64);
    let Some(bytes) = start.first_chunk::<FILE_HEADER_LEN>() else {
        return Ok(Some(Error::Unfinished { blocks, documents, offset: 0 }));
    };
    let file = match FileHeader::decode(bytes) {
        Ok(file) => file,
        Err(error) => return Ok(Some(error)),
    };
    loop {
        let after = offset.saturating_add(BLOCK_HEADER_LEN as u64);
        if after > len {
            return Ok(Some(match begins_block(source, offset, len)? {
                true => Error::Unfinished { blocks, documents, offset },
                false => {
                    let place = Place::Block { sequence: blocks, offset, namespace: None };
                    Error::damaged(place, Problem::NoBlock)
                }
            }));
        }
        let mut bytes = [0; BLOCK_HEADER_LEN];
        source.read_exact_at(&mut bytes, offset)?;
        let header = match decode(&bytes, &file) {
            Ok(header) => header,
            Err(fault) => {
                return Ok(Some(fault.at(Place::Block { sequence: blocks, offset, namespace: None })));
            }
        };
        let end = offset.saturating_add(header.total_len());
        if end > len {
            return Ok(Some(Error::Unfinished { blocks, documents, offset }));
        }
        if let Err(problem) = expect("the sequence number of the block", blocks, header.sequence) {
            return Ok(Some(Error::damaged(Place::Block { sequence: blocks, offset, namespace: None }, problem)));
        }
        if header.record == RecordType::Footer as u8 {
            return Ok((end < len).then(|| Error::damaged(Place::Tail(end), Problem::TrailingBytes)));
        }
        if header.record > RecordType::Footer as u8 && !header.skippable {
            return Ok(Some(Error::NewerVersion(Newer::Record(header.record))));
        }
        if header.record == 0 {
            documents = documents.saturating_add(u64::from(header.count));
        }
        blocks = blocks.saturating_add(1);
        offset = end;
    }
}

/// Whether the last bytes of the file, too few for a block header, are the beginning of one.
fn begins_block<R: ReadAt>(source: &R, offset: u64, len: u64) -> Result<bool> {
    let mut bytes = vec![0; usize::try_from(len.saturating_sub(offset)).unwrap_or(0)];
    source.read_exact_at(&mut bytes, offset)?;
    Ok(bytes.iter().zip(BLOCK_MAGIC).all(|(found, expected)| *found == expected))
}

fn decode(bytes: &[u8; BLOCK_HEADER_LEN], file: &FileHeader) -> Result<BlockHeader, Fault> {
    let header = BlockHeader::decode(bytes)?;
    if header.tag == file.id.tag() { Ok(header) } else { Err(Problem::ForeignBlock.into()) }
}
