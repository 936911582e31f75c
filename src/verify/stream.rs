//! The documents of one side, or of a part of it, a chunk after the other: read ahead by a task of its own.

use std::ops::Range;

use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::{
    item::{Block, Item, Place, Wanted, documents, within},
    sample::Sample,
};
use crate::{
    catalog::Order,
    error::{Error, ErrorKind, Result},
    scan::{Bounds, Delivered, PartScan},
};

/// Chunks that are read ahead of the comparison. With the one that is compared, and the one that is read, all that is in
/// memory of one part.
const AHEAD: usize = 1;

/// Documents of one read, where they were read to: nothing is copied.
#[derive(Debug)]
struct Chunk {
    held: Held,
    documents: Vec<Range<usize>>,
}

/// What documents stand in.
#[derive(Debug)]
enum Held {
    Reply(Delivered),
    Bytes(Vec<u8>),
}

impl Chunk {
    /// Those that are taken of what was delivered.
    fn of_reply(reply: Delivered, takes: impl Fn(&[u8]) -> bool) -> Result<Self> {
        let documents = places(reply.bytes(), reply.documents()?.filter(|document| takes(document)));
        Ok(Chunk { held: Held::Reply(reply), documents })
    }

    /// Those that are taken of a block.
    fn of_block(block: Block, range: &Wanted, takes: impl Fn(&[u8]) -> bool) -> Result<Self> {
        let documents = block.each(range)?.into_iter().filter(|document| takes(document));
        let documents = places(block.bytes(), documents);
        Ok(Chunk { held: Held::Bytes(block.into_bytes()), documents })
    }

    /// These.
    fn of_documents(all: impl Iterator<Item = Vec<u8>>) -> Self {
        let (mut bytes, mut documents) = (Vec::new(), Vec::new());
        for document in all {
            documents.push(bytes.len()..bytes.len() + document.len());
            bytes.extend_from_slice(&document);
        }
        Chunk { held: Held::Bytes(bytes), documents }
    }

    fn get(&self, at: usize) -> Option<&[u8]> {
        let bytes = match &self.held {
            Held::Reply(reply) => reply.bytes(),
            Held::Bytes(bytes) => bytes,
        };
        bytes.get(self.documents.get(at)?.clone())
    }
}

/// Where in `bytes` these parts of it stand.
fn places<'a>(bytes: &'a [u8], documents: impl Iterator<Item = &'a [u8]>) -> Vec<Range<usize>> {
    let begin = bytes.as_ptr().addr();
    let place = |document: &[u8]| {
        let from = document.as_ptr().addr().saturating_sub(begin);
        from..from + document.len()
    };
    documents.map(place).collect()
}

/// The documents of a part, in their order.
#[derive(Debug)]
pub(super) struct Stream {
    /// Nothing comes last.
    chunks: mpsc::Receiver<Result<Option<Chunk>>>,
    has_ended: bool,
    chunk: Chunk,
    /// The document in it that it stands at.
    at: usize,
    /// Ends with the stream.
    _task: AbortOnDropHandle<()>,
}

impl Stream {
    /// Begins to read the documents of `item` between `bounds`; of a sample, those that are in it.
    pub(super) fn open(item: &Item, bounds: &Bounds, sample: Option<Sample>) -> Self {
        let (sender, chunks) = mpsc::channel(AHEAD);
        let reading = Reading { item: item.clone(), bounds: bounds.clone(), sample, sender };
        let task = AbortOnDropHandle::new(tokio::spawn(reading.run()));
        let chunk = Chunk::of_documents(std::iter::empty());
        Stream { chunks, has_ended: false, chunk, at: 0, _task: task }
    }

    /// Waits until there is a document, and tells whether there is one.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) async fn fill(&mut self) -> Result<bool> {
        while self.current().is_none() && !self.has_ended {
            let died = || Error::new(ErrorKind::Internal, "what reads a side died");
            match self.chunks.recv().await.ok_or_else(died)?? {
                Some(chunk) => (self.chunk, self.at) = (chunk, 0),
                None => self.has_ended = true,
            }
        }
        Ok(!self.has_ended)
    }

    /// The document that it stands at, as far as it is read.
    pub(super) fn current(&self) -> Option<&[u8]> {
        self.chunk.get(self.at)
    }

    /// Goes on to the next one.
    pub(super) fn advance(&mut self) {
        self.at += 1;
    }
}

/// What reads ahead.
struct Reading {
    item: Item,
    bounds: Bounds,
    sample: Option<Sample>,
    sender: mpsc::Sender<Result<Option<Chunk>>>,
}

impl Reading {
    async fn run(self) {
        let end = self.read().await.map(|()| None);
        // Nobody listens where the comparison was given up.
        let _ = self.sender.send(end).await;
    }

    async fn read(&self) -> Result<()> {
        match &self.item.place {
            Place::Server(server, entry) if self.sample.is_some() && entry.order == Order::Id => {
                let mut scan = PartScan::new(server, entry, &self.bounds, 0).of_ids();
                while let Some(delivered) = scan.next().await? {
                    let keys: Vec<&[u8]> = delivered.documents()?.filter(|key| self.takes(key)).collect();
                    for some in keys.chunks(self.item.at_once()) {
                        let mut found: Vec<_> = self.item.fetch(&self.bounds, some).await?.into_iter().collect();
                        found.sort_unstable();
                        self.send(Chunk::of_documents(found.into_iter().map(|(_, document)| document))).await?;
                    }
                }
            }
            Place::Server(server, entry) => {
                let scan = PartScan::new(server, entry, &self.bounds, 0);
                let mut scan = match &self.item.records {
                    Some(records) => scan.of_records(records),
                    None => scan,
                };
                while let Some(delivered) = scan.next().await? {
                    self.send(Chunk::of_reply(delivered, |document| self.takes(document))?).await?;
                }
            }
            Place::Archive(archive, parts) => {
                for (number, range) in within(parts, &self.bounds) {
                    let block = documents(archive, number).await?;
                    self.send(Chunk::of_block(block, &range, |document| self.takes(document))?).await?;
                }
            }
        }
        Ok(())
    }

    fn takes(&self, document: &[u8]) -> bool {
        self.sample.is_none_or(|sample| sample.takes(document))
    }

    async fn send(&self, chunk: Chunk) -> Result<()> {
        self.sender.send(Ok(Some(chunk))).await.map_err(|_| Error::interrupted())
    }
}
