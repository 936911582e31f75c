//! Reads an archive from front to back out of bytes that are pushed in: standard input, an unfinished file.

use crate::{
    block::{BlockHeader, Kind, StoredBlock},
    contents::Contents,
    error::{Error, Place, Problem, Result},
    footer::Footer,
    framer::{Frame, Framer},
    header::FileHeader,
    limits::FOOTER_LEN,
    record::Record,
    record_type::RecordType,
    wire::expect,
};

/// What a scanner finds, in the order of the file.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// The file header.
    Begun(FileHeader),
    /// A record, and the header of its block.
    Record(BlockHeader, Record),
    /// A block of documents or events, not decompressed yet.
    Block(StoredBlock),
    /// The footer: the archive is finished, and agrees with everything that came before.
    Finished,
}

/// Scans an archive. Push bytes as they come, and take events until there are none; at the end of the input
/// [`end`](Scanner::end) tells a finished archive from an unfinished one.
///
/// Every block is proven before it comes out, so what came out before an error can be relied on.
#[derive(Debug, Default)]
pub struct Scanner {
    framer: Framer,
    contents: Option<Contents>,
    /// The header of the index block, once it has been read.
    index: Option<BlockHeader>,
    finished: bool,
}

impl Scanner {
    /// A scanner at the beginning of an archive.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends bytes of the archive.
    pub fn push(&mut self, bytes: &[u8]) {
        self.framer.push(bytes);
    }

    /// The next event, or nothing until more bytes are pushed.
    ///
    /// # Errors
    /// When the bytes are no archive, a damaged one, or one for a newer reader. The error repeats itself.
    #[allow(clippy::should_implement_trait, reason = "an iterator would end where this one waits for bytes")]
    pub fn next(&mut self) -> Result<Option<Event>> {
        if self.finished {
            return if self.framer.pending().is_empty() { Ok(None) } else { Err(self.trailing()) };
        }
        match self.framer.next()? {
            None => Ok(None),
            Some(Frame::Header(header)) => {
                self.contents = Some(Contents::new(header));
                Ok(Some(Event::Begun(header)))
            }
            Some(Frame::Block(block)) => {
                let header = block.header;
                let event = self.block(block);
                if event.is_err() {
                    // The next call comes to the same block, and to the same error.
                    self.framer.step_back(&header);
                }
                event.map(Some)
            }
        }
    }

    /// What the archive holds as far as it has been read; nothing before its file header.
    pub fn contents(&self) -> Option<&Contents> {
        self.contents.as_ref()
    }

    /// Says at the end of the input whether the archive is finished.
    ///
    /// # Errors
    /// [`Error::Unfinished`] if its footer is not there; what came out is whole.
    pub fn end(self) -> Result<Contents> {
        match self.contents {
            Some(contents) if self.finished => Ok(contents),
            // The framer counts the index too, which is no block of the contents.
            contents => Err(Error::Unfinished {
                blocks: self.framer.sequence,
                documents: contents.map_or(0, |contents| contents.totals().documents),
                offset: self.framer.offset(),
            }),
        }
    }

    fn block(&mut self, block: StoredBlock) -> Result<Event> {
        let (header, offset) = (block.header, block.offset);
        let contents = self.contents.as_mut().ok_or(Error::NotAnArchive)?;
        let place = contents.place(header.sequence, offset, header.subject.namespace);
        let damaged = |problem| Error::damaged(place.clone(), problem);
        let sequence = contents.sequence().saturating_add(u64::from(self.index.is_some()));
        expect("the sequence number of the block", sequence, header.sequence).map_err(damaged)?;
        if header.subject.kind != Kind::Record {
            expect_before(&self.index).map_err(damaged)?;
            contents.admit(&header, None).map_err(damaged)?;
            return Ok(Event::Block(block));
        }
        let body = block.unpack().map_err(damaged)?;
        if header.record == RecordType::Footer as u8 {
            check_footer(contents, self.index.as_ref(), &header, &body).map_err(damaged)?;
            self.finished = true;
            return Ok(Event::Finished);
        }
        if header.record == RecordType::Index as u8 {
            expect_before(&self.index).map_err(damaged)?;
            check_index(contents, &header, &body).map_err(damaged)?;
            self.index = Some(header);
            return Ok(Event::Record(header, Record::Unknown { kind: header.record }));
        }
        let record = Record::decode(&header, &body).map_err(|fault| fault.at(place.clone()))?;
        expect_before(&self.index).map_err(damaged)?;
        contents.admit(&header, Some((record.clone(), &body))).map_err(damaged)?;
        Ok(Event::Record(header, record))
    }

    fn trailing(&self) -> Error {
        Error::damaged(Place::Tail(self.framer.offset()), Problem::TrailingBytes)
    }
}

/// Nothing but the footer may stand after the index.
fn expect_before(index: &Option<BlockHeader>) -> Result<(), Problem> {
    match index {
        None => Ok(()),
        Some(_) => Err(Problem::Invalid("the block after the index is not the footer")),
    }
}

/// The index must be exactly what the blocks before it say.
fn check_index(contents: &Contents, header: &BlockHeader, body: &[u8]) -> Result<(), Problem> {
    check_subject(header)?;
    contents.complete()?;
    if body == contents.index() {
        Ok(())
    } else {
        Err(Problem::Invalid("the index is not what the blocks before it say"))
    }
}

/// The footer must be exactly what follows from the index.
fn check_footer(
    contents: &Contents,
    index: Option<&BlockHeader>,
    header: &BlockHeader,
    body: &[u8],
) -> Result<(), Problem> {
    let index = index.ok_or(Problem::Invalid("the footer does not follow the index"))?;
    check_subject(header)?;
    let blocks = contents.sequence().saturating_add(1);
    let len = contents.offset().saturating_add(index.total_len()).saturating_add(FOOTER_LEN as u64);
    let expected = Footer::encode(contents.header(), contents.offset(), index.stored_len, blocks, len);
    if body == expected { Ok(()) } else { Err(Problem::Invalid("the footer is not what the blocks before it say")) }
}

/// The index and the footer are about the whole archive.
pub(crate) fn check_subject(header: &BlockHeader) -> Result<(), Problem> {
    expect("the namespace of the index or the footer", 0_u32, header.subject.namespace)?;
    expect("the part of the index or the footer", 0_u32, header.subject.part)
}
