//! Finds every block of a damaged archive that can still be believed.

use crate::{
    block::{BlockHeader, Kind, StoredBlock},
    error::{Error, Fault, Result},
    framer::{Frame, Framer},
    record::Record,
    record_type::RecordType,
};

/// What is found in a damaged archive, in the order of the file.
#[derive(Debug)]
pub enum Found {
    /// A record, and the header of its block.
    Record(BlockHeader, Record),
    /// A block of documents or events; its stored bytes are proven.
    Block(StoredBlock),
    /// Bytes that could not be believed.
    Lost {
        /// The offset of the first of them.
        offset: u64,
        /// How many they are.
        len: u64,
    },
}

/// Scans a damaged archive: after damage it goes on at the next block whose header passes its checksum and carries
/// the archive's tag. Nothing is said about what is missing between blocks; their sequence numbers show it.
#[derive(Debug, Default)]
pub struct Salvager {
    framer: Framer,
    lost_from: Option<u64>,
    ended: bool,
}

impl Salvager {
    /// A salvager at the beginning of a file.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends bytes of the file.
    pub fn push(&mut self, bytes: &[u8]) {
        self.framer.push(bytes);
    }

    /// Says that the input has ended. What waited for bytes that do not come is searched for blocks by further calls
    /// of [`next`](Salvager::next), and the rest is lost.
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// The next find, or nothing until more bytes are pushed or the input ends.
    ///
    /// # Errors
    /// When the archive is for a newer reader.
    #[allow(clippy::should_implement_trait, reason = "an iterator would end where this one waits for bytes")]
    pub fn next(&mut self) -> Result<Option<Found>> {
        loop {
            if let Some(from) = self.lost_from {
                if !self.framer.resync() {
                    if !self.ended {
                        return Ok(None);
                    }
                    self.framer.discard();
                }
                self.lost_from = None;
                let len = self.framer.offset().saturating_sub(from);
                if len > 0 {
                    return Ok(Some(Found::Lost { offset: from, len }));
                }
                continue;
            }
            match self.framer.next() {
                // A length that passes its checksum may still be longer than what a cut has left.
                Ok(None) if self.ended && !self.framer.pending().is_empty() => {
                    self.lost_from = Some(self.framer.offset());
                }
                Ok(None) => return Ok(None),
                Ok(Some(Frame::Header(_))) => {}
                Ok(Some(Frame::Block(block))) => match self.found(block)? {
                    Some(found) => return Ok(Some(found)),
                    None => continue,
                },
                Err(Error::Damaged { .. } | Error::NotAnArchive) => self.lost_from = Some(self.framer.offset()),
                Err(error) => return Err(error),
            }
        }
    }

    fn found(&mut self, block: StoredBlock) -> Result<Option<Found>> {
        let (header, offset, len) = (block.header, block.offset, block.total_len());
        if header.subject.kind != Kind::Record {
            return Ok(Some(Found::Block(block)));
        }
        let lost = Found::Lost { offset, len };
        let Ok(body) = block.unpack() else {
            return Ok(Some(lost));
        };
        // The index and the footer say nothing that the blocks themselves do not say.
        if header.record == RecordType::Index as u8 || header.record == RecordType::Footer as u8 {
            return Ok(None);
        }
        Ok(match Record::decode(&header, &body) {
            Ok(record) => Some(Found::Record(header, record)),
            Err(Fault::Damaged(_)) => Some(lost),
            Err(Fault::Newer(_)) => None,
        })
    }
}
