//! The footer: the last block, of fixed length, that says where the index is and how long the archive must be.

use crate::{
    error::Problem,
    header::FileHeader,
    limits::FILE_HEADER_LEN,
    wire::{Put, Take},
};

/// The body of the footer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Footer {
    /// The file header once more, so that opening by the tail needs no read at the front.
    pub(crate) header: [u8; FILE_HEADER_LEN],
    /// The offset of the index block.
    pub(crate) index_offset: u64,
    /// The stored length of the index.
    pub(crate) index_len: u32,
    /// The number of blocks before the footer, the index included.
    pub(crate) blocks: u64,
    /// The length of the whole archive.
    pub(crate) archive_len: u64,
}

impl Footer {
    pub(crate) fn encode(header: &FileHeader, index_offset: u64, index_len: u32, blocks: u64, len: u64) -> Vec<u8> {
        let mut put = Put::default();
        put.raw(&header.encode()).u64(index_offset).u32(index_len).u64(blocks).u64(len);
        put.0
    }

    pub(crate) fn decode(body: &[u8]) -> Result<Self, Problem> {
        let mut take = Take::new(body);
        let footer = Footer {
            header: take.array()?,
            index_offset: take.u64()?,
            index_len: take.u32()?,
            blocks: take.u64()?,
            archive_len: take.u64()?,
        };
        take.end()?;
        Ok(footer)
    }
}
