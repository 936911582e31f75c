//! Walks an archive that may still grow, from header to header, and reads any block on the way: how a change log is
//! followed while it is written.
//!
//! A walker keeps nothing but the file header, so its memory does not grow with the archive. Whether a block may stand
//! where it stands is for its user to judge.

use crate::{
    block::{BLOCK_MAGIC, BlockHeader, StoredBlock},
    error::{Error, Place, Problem, Result},
    header::FileHeader,
    limits::{BLOCK_HEADER_LEN, FILE_HEADER_LEN},
    read_at::ReadAt,
    record::Record,
    wire::expect,
};

/// Bytes that a search looks through at a time.
const SEARCH_BYTES: usize = 1024 * 1024;

/// A place between two blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    /// The offset at which the next block begins.
    pub offset: u64,
    /// The sequence number that it has.
    pub sequence: u64,
}

impl Cursor {
    /// The place before the first block.
    pub const START: Cursor = Cursor { offset: FILE_HEADER_LEN as u64, sequence: 0 };

    /// The place behind the block that has this header.
    #[must_use]
    pub fn after(self, header: &BlockHeader) -> Cursor {
        Cursor { offset: self.offset.saturating_add(header.total_len()), sequence: self.sequence.saturating_add(1) }
    }

    fn place(self) -> Place {
        Place::Block { sequence: self.sequence, offset: self.offset, namespace: None }
    }

    fn damaged(self, problem: Problem) -> Error {
        Error::damaged(self.place(), problem)
    }
}

/// Walks an archive, finished or not.
#[derive(Debug)]
pub struct Walker<R> {
    source: R,
    header: FileHeader,
}

impl<R: ReadAt> Walker<R> {
    /// Reads the file header.
    ///
    /// # Errors
    /// [`Error::Unfinished`] if it is not all there yet, or what is wrong with it.
    pub fn new(source: R) -> Result<Self> {
        if source.size()? < FILE_HEADER_LEN as u64 {
            return Err(Error::Unfinished { blocks: 0, documents: 0, offset: 0 });
        }
        let mut bytes = [0; FILE_HEADER_LEN];
        source.read_exact_at(&mut bytes, 0)?;
        Ok(Walker { header: FileHeader::decode(&bytes)?, source })
    }

    /// The file header.
    pub fn header(&self) -> &FileHeader {
        &self.header
    }

    /// What is read from.
    pub fn source(&self) -> &R {
        &self.source
    }

    /// The header of the block at `cursor`, proven by its checksum, its tag and its sequence number; nothing if the
    /// block is not all there yet. Its stored bytes are not read.
    ///
    /// # Errors
    /// When what is there is no header in order.
    pub fn header_at(&self, cursor: Cursor) -> Result<Option<BlockHeader>> {
        let rest = self.source.size()?.saturating_sub(cursor.offset);
        let mut bytes = [0; BLOCK_HEADER_LEN];
        let there = usize::try_from(rest).unwrap_or(usize::MAX).min(BLOCK_HEADER_LEN);
        let buffer = bytes.get_mut(..there).unwrap_or_default();
        self.source.read_exact_at(buffer, cursor.offset)?;
        if buffer.iter().zip(BLOCK_MAGIC).any(|(found, expected)| *found != expected) {
            return Err(cursor.damaged(Problem::NoBlock));
        }
        if there < BLOCK_HEADER_LEN {
            return Ok(None);
        }
        let header = BlockHeader::decode(&bytes).map_err(|fault| fault.at(cursor.place()))?;
        if header.tag != self.header.id.tag() {
            return Err(cursor.damaged(Problem::ForeignBlock));
        }
        expect("the sequence number of the block", cursor.sequence, header.sequence)
            .map_err(|problem| cursor.damaged(problem))?;
        Ok((header.total_len() <= rest).then_some(header))
    }

    /// The raw bytes of the block of documents or events at `cursor`, that has this header; all of it is proven.
    ///
    /// # Errors
    /// When it cannot be read, or is not what its header says.
    pub fn documents(&self, cursor: Cursor, header: &BlockHeader) -> Result<Vec<u8>> {
        self.stored(cursor.offset, header)?.unpack().map_err(|problem| cursor.damaged(problem))
    }

    /// The record at `cursor`, whose block has this header; all of it is proven.
    ///
    /// # Errors
    /// When it cannot be read, is not what its header says, or is for a newer reader; and when it is the index or the
    /// footer.
    pub fn record(&self, cursor: Cursor, header: &BlockHeader) -> Result<Record> {
        let body = self.documents(cursor, header)?;
        Record::decode(header, &body).map_err(|fault| fault.at(cursor.place()))
    }

    /// Looks for a whole checkpoint at or behind `offset`, wherever it may begin: behind damage. Gives its offset.
    ///
    /// # Errors
    /// When the operating system fails.
    pub fn search_checkpoint(&self, offset: u64) -> Result<Option<u64>> {
        let (len, mut offset) = (self.source.size()?, offset);
        let mut buffer = Vec::new();
        while offset < len {
            let there = usize::try_from(len.saturating_sub(offset)).unwrap_or(usize::MAX).min(SEARCH_BYTES);
            buffer.resize(there, 0);
            self.source.read_exact_at(&mut buffer, offset)?;
            let found = buffer.windows(BLOCK_MAGIC.len()).enumerate().filter(|(_, window)| *window == BLOCK_MAGIC);
            for (at, _) in found {
                let at = offset.saturating_add(at as u64);
                if self.is_checkpoint(at, len)? {
                    return Ok(Some(at));
                }
            }
            // The last bytes may be the beginning of a signature.
            let step = there.saturating_sub(BLOCK_MAGIC.len().saturating_sub(1));
            if step == 0 || there < SEARCH_BYTES {
                break;
            }
            offset = offset.saturating_add(step as u64);
        }
        Ok(None)
    }

    fn is_checkpoint(&self, offset: u64, len: u64) -> Result<bool> {
        let mut bytes = [0; BLOCK_HEADER_LEN];
        if offset.saturating_add(BLOCK_HEADER_LEN as u64) > len {
            return Ok(false);
        }
        self.source.read_exact_at(&mut bytes, offset)?;
        match BlockHeader::decode(&bytes) {
            Ok(header) if header.tag == self.header.id.tag() && header.is_checkpoint() => {
                let is_whole = offset.saturating_add(header.total_len()) <= len;
                Ok(is_whole && self.record(Cursor { offset, sequence: header.sequence }, &header).is_ok())
            }
            _ => Ok(false),
        }
    }

    fn stored(&self, offset: u64, header: &BlockHeader) -> Result<StoredBlock> {
        let mut stored = vec![0; header.stored_usize()];
        self.source.read_exact_at(&mut stored, offset.saturating_add(BLOCK_HEADER_LEN as u64))?;
        let place = Place::Block { sequence: header.sequence, offset, namespace: None };
        StoredBlock::new(*header, offset, stored).map_err(|problem| Error::damaged(place, problem))
    }
}
