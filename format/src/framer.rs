//! Cuts pushed bytes into the file header and blocks, each proven by its checksums. Knows nothing of their meaning.

use crate::{
    block::{BLOCK_MAGIC, BlockHeader, StoredBlock},
    error::{Error, Place, Problem, Result},
    header::{FileHeader, MAGIC},
    limits::{BLOCK_HEADER_LEN, FILE_HEADER_LEN},
    wire::checksum,
};

/// What a framer cuts out.
#[derive(Debug)]
pub(crate) enum Frame {
    Header(FileHeader),
    Block(StoredBlock),
}

/// Cuts an archive into frames. It holds no more than what was pushed, and never allocates by a number it reads.
#[derive(Debug, Default)]
pub(crate) struct Framer {
    buffer: Vec<u8>,
    /// What of the buffer is used up.
    start: usize,
    /// The offset in the archive of `buffer[start]`.
    offset: u64,
    /// The number of the next block.
    pub(crate) sequence: u64,
    begun: bool,
    tag: Option<[u8; 8]>,
}

impl Framer {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        if self.start > 0 && self.start >= self.buffer.len() / 2 {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The offset of the next frame.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// The bytes that wait for the rest of their frame.
    pub(crate) fn pending(&self) -> &[u8] {
        self.buffer.get(self.start..).unwrap_or_default()
    }

    /// The next frame, or nothing until more bytes are pushed. After an error it stays where it is.
    pub(crate) fn next(&mut self) -> Result<Option<Frame>> {
        if self.begun { self.block() } else { self.header() }
    }

    fn header(&mut self) -> Result<Option<Frame>> {
        let pending = self.pending();
        if pending.iter().zip(MAGIC).any(|(found, expected)| *found != expected) {
            return Err(Error::NotAnArchive);
        }
        let Some(bytes) = pending.first_chunk::<FILE_HEADER_LEN>() else {
            return Ok(None);
        };
        let header = FileHeader::decode(bytes)?;
        self.tag = Some(header.id.tag());
        self.begun = true;
        self.consume(FILE_HEADER_LEN);
        Ok(Some(Frame::Header(header)))
    }

    fn block(&mut self) -> Result<Option<Frame>> {
        let pending = self.pending();
        let begins = pending.iter().zip(BLOCK_MAGIC).all(|(found, expected)| *found == expected);
        if !begins {
            return Err(self.damaged(Problem::NoBlock));
        }
        let Some((bytes, rest)) = pending.split_first_chunk::<BLOCK_HEADER_LEN>() else {
            return Ok(None);
        };
        let header = BlockHeader::decode(bytes).map_err(|fault| fault.at(self.place()))?;
        if self.tag.is_some_and(|tag| tag != header.tag) {
            return Err(self.damaged(Problem::ForeignBlock));
        }
        let Some(stored) = rest.get(..header.stored_usize()) else {
            return Ok(None);
        };
        // Before they are copied: a salvage may meet many headers over the same wrong bytes.
        checksum("the stored bytes", header.stored_crc, stored).map_err(|problem| self.damaged(problem))?;
        let block = StoredBlock::new(header, self.offset, stored.to_vec()).map_err(|problem| self.damaged(problem))?;
        self.tag = Some(header.tag);
        self.sequence = self.sequence.saturating_add(1);
        self.consume(header.stored_usize().saturating_add(BLOCK_HEADER_LEN));
        Ok(Some(Frame::Block(block)))
    }

    /// Goes back before the block that came out last, which its taker refused. Nothing was pushed since.
    pub(crate) fn step_back(&mut self, header: &BlockHeader) {
        self.start = self.start.saturating_sub(header.stored_usize().saturating_add(BLOCK_HEADER_LEN));
        self.offset = self.offset.saturating_sub(header.total_len());
        self.sequence = self.sequence.saturating_sub(1);
    }

    /// After damage: moves on to the next block that can be believed, at least one byte further unless the file has no
    /// header: then a block may begin right here. False if more bytes are needed to find it.
    pub(crate) fn resync(&mut self) -> bool {
        let mut skip = usize::from(self.begun);
        loop {
            let rest = self.pending().get(skip..).unwrap_or_default();
            let Some(found) = rest.windows(BLOCK_MAGIC.len()).position(|window| *window == BLOCK_MAGIC) else {
                // The last bytes may be the beginning of a block's signature.
                let keep = rest.len().min(BLOCK_MAGIC.len().saturating_sub(1));
                self.consume(self.pending().len().saturating_sub(keep.saturating_add(1)).max(skip.saturating_sub(1)));
                return false;
            };
            let at = skip.saturating_add(found);
            match self.pending().get(at..).unwrap_or_default().first_chunk::<BLOCK_HEADER_LEN>() {
                None => {
                    self.consume(at.saturating_sub(1));
                    return false;
                }
                Some(bytes) => match BlockHeader::decode(bytes) {
                    Ok(header) if self.tag.is_none_or(|tag| tag == header.tag) => {
                        self.consume(at);
                        self.begun = true;
                        self.sequence = header.sequence;
                        return true;
                    }
                    _ => skip = at.saturating_add(1),
                },
            }
        }
    }

    /// Gives up what is pending.
    pub(crate) fn discard(&mut self) {
        self.consume(self.pending().len());
    }

    fn consume(&mut self, len: usize) {
        self.start = self.start.saturating_add(len).min(self.buffer.len());
        self.offset = self.offset.saturating_add(len as u64);
    }

    fn damaged(&self, problem: Problem) -> Error {
        Error::damaged(self.place(), problem)
    }

    fn place(&self) -> Place {
        Place::Block { sequence: self.sequence, offset: self.offset, namespace: None }
    }
}
