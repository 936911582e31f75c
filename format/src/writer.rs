//! Writes an archive front to back, to anything that takes bytes: a file, a pipe.

use std::io::Write;

use crate::{
    block::{PackedBlock, Subject},
    codec::{Codec, Compressor},
    contents::Contents,
    error::{Error, Result},
    footer::Footer,
    header::{ArchiveId, FileHeader},
    limits::{FOOTER_LEN, MAX_BLOCK_LEN},
    record::{Collection, NamespaceFinished, PartFinished, Record, about},
    record_type::RecordType,
    wire::{limit, to_u64},
};

/// Writes an archive. Nothing is written twice or at another place, so any [`Write`] will do; the writer neither
/// buffers nor syncs. An archive that is dropped before [`finish`](Writer::finish) is an unfinished one.
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
    contents: Contents,
    compressor: Compressor,
}

/// An archive that is complete.
#[derive(Debug)]
pub struct Finished<W> {
    /// The output.
    pub out: W,
    /// What the archive holds.
    pub contents: Contents,
    /// Its length in bytes.
    pub len: u64,
}

impl<W: Write> Writer<W> {
    /// Begins an archive by writing its file header. `codec` compresses the records and the index.
    ///
    /// # Errors
    /// When the output fails.
    pub fn new(mut out: W, id: ArchiveId, codec: Codec) -> Result<Self> {
        let header = FileHeader::new(id);
        out.write_all(&header.encode())?;
        Ok(Writer { out, contents: Contents::new(header), compressor: Compressor::new(codec) })
    }

    /// Goes on with an archive that was not finished. `contents` is what a [`Scanner`](crate::Scanner) found in it, and
    /// `out` goes on where [`Contents::offset`] says: nothing stands behind that any more.
    ///
    /// # Errors
    /// [`Error::Refused`] when the archive has features that forbid appending to who does not know them.
    pub fn resume(out: W, contents: Contents, codec: Codec) -> Result<Self> {
        if !contents.header().features.may_append() {
            return Err(Error::Refused(
                "it has features that only a newer version of this program may append to".into(),
            ));
        }
        Ok(Writer { out, contents, compressor: Compressor::new(codec) })
    }

    /// What has been written so far.
    pub fn contents(&self) -> &Contents {
        &self.contents
    }

    /// The output.
    pub fn get_mut(&mut self) -> &mut W {
        &mut self.out
    }

    /// Announces a namespace, and gives the id by which its blocks name it.
    ///
    /// # Errors
    /// When the record breaks a limit, or the output fails.
    pub fn collection(&mut self, collection: Collection) -> Result<u32> {
        let id = u32::try_from(self.contents.namespaces().len()).unwrap_or(u32::MAX).saturating_add(1);
        self.record(id, 0, Record::Collection(collection))?;
        Ok(id)
    }

    /// Writes a record about a namespace and a part; 0 stands for none.
    ///
    /// # Errors
    /// [`Error::Refused`] when it may not stand here, or when the output fails.
    pub fn record(&mut self, namespace: u32, part: u32, record: Record) -> Result<()> {
        let body = record.encode();
        let subject = about(namespace, part);
        limit("the length of the record", MAX_BLOCK_LEN, to_u64(body.len())).map_err(refused)?;
        let kind = record.type_number();
        let mut block = PackedBlock::pack_record(kind, record.skippable(), subject, body.clone(), &mut self.compressor)
            .map_err(refused)?;
        self.place(&mut block);
        // What a reader would refuse must not be written: the record is read back before it goes out.
        let record = Record::decode(&block.header, &body).map_err(|error| Error::Refused(format!("{error:?}")))?;
        self.contents.admit(&block.header, Some((record, &body))).map_err(refused)?;
        self.put(&block)
    }

    /// Writes a block of documents or events.
    ///
    /// # Errors
    /// [`Error::Refused`] when it may not stand here, or when the output fails.
    pub fn block(&mut self, mut block: PackedBlock) -> Result<()> {
        self.place(&mut block);
        self.contents.admit(&block.header, None).map_err(refused)?;
        self.put(&block)
    }

    /// Finishes a part: its sums are those of the blocks that were written.
    ///
    /// # Errors
    /// As [`record`](Writer::record).
    pub fn finish_part(&mut self, namespace: u32, part: u32, high: u64) -> Result<()> {
        let totals = part
            .checked_sub(1)
            .zip(self.contents.namespace(namespace))
            .and_then(|(index, namespace)| namespace.parts.get(crate::wire::to_usize(index)))
            .map(|part| part.totals)
            .unwrap_or_default();
        self.record(namespace, part, Record::PartFinished(PartFinished { high, totals }))
    }

    /// Finishes a namespace: its sums are those of the blocks that were written.
    ///
    /// # Errors
    /// As [`record`](Writer::record).
    pub fn finish_namespace(&mut self, namespace: u32) -> Result<NamespaceFinished> {
        let (parts, totals) = self
            .contents
            .namespace(namespace)
            .map(|namespace| (u32::try_from(namespace.parts.len()).unwrap_or(u32::MAX), namespace.totals))
            .unwrap_or_default();
        let finished = NamespaceFinished { parts, totals };
        self.record(namespace, 0, Record::NamespaceFinished(finished))?;
        Ok(finished)
    }

    /// Writes the index and the footer. The archive is finished once these bytes are durable.
    ///
    /// # Errors
    /// [`Error::Refused`] when a namespace is not finished, or when the output fails.
    pub fn finish(mut self) -> Result<Finished<W>> {
        self.contents.complete().map_err(refused)?;
        let index = self.pack(RecordType::Index, self.contents.index())?;
        let (offset, sequence) = (self.contents.offset(), self.contents.sequence());
        let header = *self.contents.header();
        self.put(&index)?;
        let after = offset.saturating_add(index.header.total_len());
        let len = after.saturating_add(FOOTER_LEN as u64);
        let blocks = sequence.saturating_add(1);
        // The footer must have its fixed length: it is never compressed.
        self.compressor = Compressor::new(Codec::None);
        let body = Footer::encode(&header, offset, index.header.stored_len, blocks, len);
        let mut footer = self.pack(RecordType::Footer, body)?;
        footer.header.sequence = blocks;
        self.put(&footer)?;
        self.out.flush()?;
        Ok(Finished { out: self.out, contents: self.contents, len })
    }

    fn pack(&mut self, kind: RecordType, body: Vec<u8>) -> Result<PackedBlock> {
        let subject: Subject = about(0, 0);
        let mut block =
            PackedBlock::pack_record(kind as u8, false, subject, body, &mut self.compressor).map_err(refused)?;
        self.place(&mut block);
        Ok(block)
    }

    /// Gives a block its place in this archive.
    fn place(&self, block: &mut PackedBlock) {
        block.header.sequence = self.contents.sequence();
        block.header.tag = self.contents.header().id.tag();
    }

    fn put(&mut self, block: &PackedBlock) -> Result<()> {
        self.out.write_all(&block.header.encode())?;
        self.out.write_all(&block.stored)?;
        Ok(())
    }
}

fn refused(problem: crate::error::Problem) -> Error {
    Error::Refused(problem.to_string())
}
