//! Opens a finished archive by its tail, and reads any block of it, from many threads at once.

use std::io;

use crate::{
    block::{BlockHeader, Kind, StoredBlock},
    contents::{BlockEntry, Contents},
    error::{Error, Fault, Place, Problem, Result},
    footer::Footer,
    header::FileHeader,
    index,
    limits::{BLOCK_HEADER_LEN, FILE_HEADER_LEN, FOOTER_LEN, MAX_INDEX_LEN},
    read_at::ReadAt,
    record_type::RecordType,
    scanner::check_subject,
    survey::survey,
    wire::{expect, limit, to_usize},
};

/// Bytes read from the end of an archive at first: the footer, and the index of all but large archives.
const TAIL_LEN: u64 = 64 * 1024;

const TAIL_DIFFERS: Problem = Problem::Invalid("the footer or the index is not about the blocks before it");

/// A finished archive.
#[derive(Debug)]
pub struct Reader<R> {
    source: R,
    contents: Contents,
}

impl<R: ReadAt> Reader<R> {
    /// Opens an archive by its footer and its index: two reads, however large it is. The blocks themselves and the
    /// file header are proven when they are read.
    ///
    /// # Errors
    /// What is wrong with it: [`Error::Unfinished`], [`Error::Damaged`], [`Error::NotAnArchive`],
    /// [`Error::NewerVersion`]. To tell them apart an archive that does not open is walked header by header.
    pub fn open(source: R) -> Result<Self> {
        match open(&source) {
            Ok(contents) => Ok(Reader { source, contents }),
            Err(error @ Error::Io(_)) => Err(error),
            Err(error) => match (survey(&source)?, error) {
                (Some(found), _) => Err(found),
                (None, error @ Error::Damaged { .. }) => Err(error),
                // Only the tail calls for another reader: none of the blocks that it is about does.
                (None, _) => {
                    let footer = source.size()?.saturating_sub(FOOTER_LEN as u64);
                    Err(Error::damaged(Place::Tail(footer), TAIL_DIFFERS))
                }
            },
        }
    }

    /// What the archive holds.
    pub fn contents(&self) -> &Contents {
        &self.contents
    }

    /// Proves the file header, which opening by the tail does not read.
    ///
    /// # Errors
    /// When it cannot be read, or is not what the footer says.
    pub fn check_header(&self) -> Result<()> {
        let mut bytes = [0; FILE_HEADER_LEN];
        self.source.read_exact_at(&mut bytes, 0)?;
        if FileHeader::decode(&bytes)? == *self.contents.header() {
            Ok(())
        } else {
            Err(Error::damaged(Place::FileHeader, Problem::Invalid("it is not the one that the footer repeats")))
        }
    }

    /// Reads block `number` of [`Contents::blocks`], and proves its header and its stored bytes.
    ///
    /// # Errors
    /// When there is no such block, it cannot be read, or it is not what the index says.
    pub fn block(&self, number: usize) -> Result<StoredBlock> {
        let entry = self.contents.blocks().get(number).ok_or(Error::Io(io::ErrorKind::NotFound.into()))?;
        let sequence = number as u64;
        let block = read_block(&self.source, entry.offset, entry.stored_len, self.contents.header(), |problem| {
            Error::damaged(self.contents.place(sequence, entry.offset, entry.namespace), problem)
        })?;
        let same = expect("the sequence number of the block", sequence, block.header.sequence).and_then(|()| {
            if BlockEntry::of(&block.header, entry.offset) == *entry {
                Ok(())
            } else {
                Err(Problem::Invalid("the block is not the one that the index names"))
            }
        });
        same.map_err(|problem| self.damaged(number, problem))?;
        Ok(block)
    }

    /// An error at block `number`, for a caller that unpacked it.
    pub fn damaged(&self, number: usize, problem: Problem) -> Error {
        let (offset, namespace) =
            self.contents.blocks().get(number).map_or((0, 0), |entry| (entry.offset, entry.namespace));
        Error::damaged(self.contents.place(number as u64, offset, namespace), problem)
    }
}

fn open<R: ReadAt>(source: &R) -> Result<Contents> {
    let len = source.size()?;
    let tail_offset = len.saturating_sub(TAIL_LEN);
    let mut tail = vec![0; usize::try_from(len.min(TAIL_LEN)).unwrap_or(0)];
    source.read_exact_at(&mut tail, tail_offset)?;

    let at = Place::Tail(len.saturating_sub(FOOTER_LEN as u64));
    let damaged = |problem| Error::damaged(at.clone(), problem);
    let bytes = tail.last_chunk::<FOOTER_LEN>().ok_or_else(|| damaged(Problem::NoBlock))?;
    let (header, footer) = decode_footer(bytes, &at)?;
    let file_header = FileHeader::decode(&footer.header).map_err(|error| match error {
        Error::NewerVersion(_) => error,
        _ => damaged(Problem::Invalid("the footer does not repeat a file header")),
    })?;
    check_footer(&header, &footer, &file_header, len).map_err(damaged)?;

    let none = Problem::Invalid("the footer counts no block before it");
    let sequence = footer.blocks.checked_sub(1).ok_or_else(|| damaged(none))?;
    let place = Place::Block { sequence, offset: footer.index_offset, namespace: None };
    let damaged = |problem| Error::damaged(place.clone(), problem);
    // The index lies in the tail, or it takes the second read.
    let (index_offset, index_len) = (footer.index_offset, footer.index_len);
    let mut block = match index_offset.checked_sub(tail_offset) {
        Some(start) => read_block(tail.as_slice(), start, index_len, &file_header, damaged),
        None => read_block(source, index_offset, index_len, &file_header, damaged),
    }?;
    block.offset = index_offset;
    let header = block.header;
    if header.subject.kind != Kind::Record || header.record != RecordType::Index as u8 {
        return Err(damaged(Problem::Invalid("the footer names a block that is not the index")));
    }
    check_subject(&header).map_err(damaged)?;
    expect("the sequence number of the index", sequence, header.sequence).map_err(damaged)?;
    let body = block.unpack().map_err(damaged)?;
    let contents = index::decode(file_header, &place, &body, sequence)?;
    // Offsets follow from lengths: if they end where the index begins, no block overlaps another.
    expect("the end of the blocks", footer.index_offset, contents.offset()).map_err(damaged)?;
    Ok(contents)
}

fn decode_footer(bytes: &[u8; FOOTER_LEN], at: &Place) -> Result<(BlockHeader, Footer)> {
    let damaged = |problem| Error::damaged(at.clone(), problem);
    let (header, body) = bytes.split_first_chunk::<BLOCK_HEADER_LEN>().ok_or_else(|| damaged(Problem::NoBlock))?;
    let header = BlockHeader::decode(header).map_err(|fault| fault.at(at.clone()))?;
    if header.subject.kind != Kind::Record || header.record != RecordType::Footer as u8 {
        return Err(damaged(Problem::Invalid("the archive does not end with a footer")));
    }
    let body = StoredBlock::new(header, 0, body.to_vec()).and_then(StoredBlock::unpack).map_err(damaged)?;
    Ok((header, Footer::decode(&body).map_err(damaged)?))
}

fn check_footer(header: &BlockHeader, footer: &Footer, file: &FileHeader, len: u64) -> Result<(), Problem> {
    check_subject(header)?;
    if header.tag != file.id.tag() {
        return Err(Problem::ForeignBlock);
    }
    expect("the length of the archive", footer.archive_len, len)?;
    expect("the sequence number of the footer", footer.blocks, header.sequence)?;
    limit("the stored length of the index", MAX_INDEX_LEN, footer.index_len)?;
    let index_len = u64::from(footer.index_len).saturating_add(BLOCK_HEADER_LEN as u64);
    // So many headers must have their place before the index: a small file cannot claim many blocks.
    let blocks = footer.index_offset.div_ceil(BLOCK_HEADER_LEN as u64);
    limit("the number of blocks before the footer", blocks, footer.blocks)?;
    let end = footer.index_offset.saturating_add(index_len).saturating_add(FOOTER_LEN as u64);
    expect("the end of the index", footer.archive_len, end)
}

fn read_block<R: ReadAt + ?Sized>(
    source: &R,
    offset: u64,
    stored_len: u32,
    file: &FileHeader,
    damaged: impl Fn(Problem) -> Error,
) -> Result<StoredBlock> {
    let mut bytes = vec![0; to_usize(stored_len).saturating_add(BLOCK_HEADER_LEN)];
    source.read_exact_at(&mut bytes, offset)?;
    let header = bytes.first_chunk::<BLOCK_HEADER_LEN>().ok_or_else(|| damaged(Problem::NoBlock))?;
    let header = BlockHeader::decode(header).map_err(|fault| match fault {
        Fault::Damaged(problem) => damaged(problem),
        Fault::Newer(newer) => Error::NewerVersion(newer),
    })?;
    if header.tag != file.id.tag() {
        return Err(damaged(Problem::ForeignBlock));
    }
    bytes.drain(..BLOCK_HEADER_LEN);
    StoredBlock::new(header, offset, bytes).map_err(damaged)
}
