//! The documents of one side, or of a part of it, a chunk after the other: read ahead by a task of its own.

use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::{
    item::{Item, Place, documents, within},
    sample::Sample,
};
use crate::{
    catalog::Order,
    error::{Error, Result},
    scan::{Bounds, PartScan},
};

/// Chunks that are read ahead of the comparison. With the one that is compared, and the one that is read, all that is in
/// memory of one part.
const AHEAD: usize = 1;

/// Documents back to back.
type Chunk = Vec<u8>;

/// The documents of a part, in their order.
#[derive(Debug)]
pub(super) struct Stream {
    chunks: mpsc::Receiver<Result<Chunk>>,
    chunk: Chunk,
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
        Stream { chunks, chunk: Vec::new(), at: 0, _task: task }
    }

    /// Waits until there is a document, and tells whether there is one.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) async fn fill(&mut self) -> Result<bool> {
        while self.current().is_none() {
            match self.chunks.recv().await {
                Some(chunk) => (self.chunk, self.at) = (chunk?, 0),
                None => return Ok(false),
            }
        }
        Ok(true)
    }

    /// The document that it stands at, as far as it is read.
    pub(super) fn current(&self) -> Option<&[u8]> {
        let rest = self.chunk.get(self.at..)?;
        let len = u32::from_le_bytes(*rest.first_chunk()?);
        rest.get(..usize::try_from(len).ok()?)
    }

    /// Goes on to the next one.
    pub(super) fn advance(&mut self) {
        self.at += self.current().map_or(0, <[u8]>::len);
    }
}

/// What reads ahead.
struct Reading {
    item: Item,
    bounds: Bounds,
    sample: Option<Sample>,
    sender: mpsc::Sender<Result<Chunk>>,
}

impl Reading {
    async fn run(self) {
        if let Err(error) = self.read().await {
            // Nobody listens where the comparison was given up.
            let _ = self.sender.send(Err(error)).await;
        }
    }

    async fn read(&self) -> Result<()> {
        match &self.item.place {
            Place::Server(server, entry) if self.sample.is_some() && entry.order == Order::Id => {
                let mut scan = PartScan::new(server, entry, &self.bounds, 0).of_ids();
                while let Some(delivered) = scan.next().await? {
                    let keys: Vec<&[u8]> = delivered.documents()?.filter(|key| self.takes(key)).collect();
                    let mut found: Vec<_> = self.item.fetch(&self.bounds, &keys).await?.into_iter().collect();
                    found.sort_unstable();
                    self.send(found.into_iter().map(|(_, document)| document)).await?;
                }
            }
            Place::Server(server, entry) => {
                let mut scan = PartScan::new(server, entry, &self.bounds, 0);
                while let Some(delivered) = scan.next().await? {
                    self.send(delivered.documents()?.filter(|document| self.takes(document))).await?;
                }
            }
            Place::Archive(archive, parts) => {
                for (number, range) in within(parts, &self.bounds) {
                    let block = documents(archive, number).await?;
                    self.send(block.each(&range)?.into_iter().filter(|document| self.takes(document))).await?;
                }
            }
        }
        Ok(())
    }

    fn takes(&self, document: &[u8]) -> bool {
        self.sample.is_none_or(|sample| sample.takes(document))
    }

    async fn send(&self, documents: impl Iterator<Item = impl AsRef<[u8]>>) -> Result<()> {
        let mut chunk = Vec::new();
        documents.for_each(|document| chunk.extend_from_slice(document.as_ref()));
        self.sender.send(Ok(chunk)).await.map_err(|_| Error::interrupted())
    }
}
