//! Writes the events of one stream into `_cdc`: batches, several under way at once, and positions that make them count.

use std::{collections::HashMap, mem, sync::Arc};

use bson::rawdoc;
use tokio::task::JoinSet;

use super::{
    Cdc, EVENTS, POSITIONS,
    position::Mark,
    record::{self, Standing},
    signed,
};
use crate::{
    changes::log::Position,
    connect::{Doing, is_out_of_space},
    error::{Error, ErrorKind, Result},
    load::{Loaded, Target},
};

/// Bytes of documents that are sent at once.
const BATCH_BYTES: usize = 1 << 20;
/// Batches under way at once.
const BATCHES: usize = 4;
/// Bytes of events after which a block ends: what a reader holds.
const BLOCK_BYTES: usize = 4 << 20;
/// How often what a dead writer's last command has left is cleared away.
const CLEARINGS: usize = 5;

/// Writes a stream's events. There is one writer at a time: a later one makes this one's commits fail.
///
/// After an error it does nothing any more: drop it, and [`resume`](CdcWriter::resume).
#[derive(Debug)]
pub struct CdcWriter {
    cdc: Cdc,
    events: Arc<Target>,
    positions: Target,
    /// The newest position.
    mark: Mark,
    /// Where the next event stands; its ordinal is its lane's.
    next: Standing,
    ordinals: HashMap<String, u64>,
    block_bytes: usize,
    batch: Vec<u8>,
    /// The number of the first event in the batch.
    batch_from: u64,
    sending: JoinSet<Result<()>>,
    has_failed: bool,
}

impl CdcWriter {
    /// Begins a stream at `position`: the index, and the first position.
    ///
    /// # Errors
    /// What the server says.
    pub async fn create(cdc: &Cdc, position: &Position) -> Result<()> {
        let doing =
            Doing::new(format!("build an index on {}.{EVENTS}", cdc.database), "createIndex", cdc.database.as_str());
        let indexes =
            bson::RawArrayBuf::from_iter([rawdoc! { "key": { "stream": 1, "n": 1 }, "name": "stream_1_n_1" }]);
        let concern = cdc.server.write_concern();
        cdc.write(rawdoc! { "createIndexes": EVENTS, "indexes": indexes, "writeConcern": concern }, &doing).await?;
        let stream = i64::from(cdc.stream);
        let all = rawdoc! { "_id": {
            "$gte": { "stream": stream, "number": 0i64 }, "$lte": { "stream": stream, "number": i64::MAX },
        } };
        // What a beginning that was killed has left.
        cdc.delete(POSITIONS, all).await?;
        cdc.delete(EVENTS, rawdoc! { "stream": stream }).await?;
        let mark = Mark { number: 1, n: 0, run: 1, block: 0, position: position.clone() };
        put(&Target::new(cdc.server.clone(), cdc.namespace(POSITIONS)?, false), cdc, &mark).await
    }

    /// Goes on with a stream behind its newest position, which it gives. What stands behind that is deleted.
    ///
    /// # Errors
    /// When there is no position, or the server fails. It never begins anew.
    pub fn resume(cdc: Cdc) -> Result<(CdcWriter, Position)> {
        let positions = Target::new(cdc.server.clone(), cdc.namespace(POSITIONS)?, false);
        let mark = cdc.runtime.block_on(async {
            let newest = cdc.newest().await?;
            // From here on no other writer can commit, and so what is deleted does not come to count.
            let mark = Mark { number: newest.number + 1, run: newest.run + 1, block: newest.block + 1, ..newest };
            put(&positions, &cdc, &mark).await?;
            cdc.delete(EVENTS, rawdoc! { "stream": i64::from(cdc.stream), "n": { "$gte": signed(mark.n) } }).await?;
            Ok::<_, Error>(mark)
        })?;
        let position = mark.position.clone();
        let writer = CdcWriter {
            events: Arc::new(Target::new(cdc.server.clone(), cdc.namespace(EVENTS)?, false)),
            positions,
            next: Standing { n: mark.n, run: mark.run, block: mark.block, ordinal: 0 },
            batch_from: mark.n,
            mark,
            cdc,
            ordinals: HashMap::new(),
            block_bytes: 0,
            batch: Vec::new(),
            sending: JoinSet::new(),
            has_failed: false,
        };
        Ok((writer, position))
    }

    /// Appends one raw event to the lane of `namespace`. A `barrier` is a block alone.
    ///
    /// # Errors
    /// When it is no event, or what was sent before has failed.
    pub fn append(&mut self, namespace: &str, event: &[u8], barrier: bool) -> Result<()> {
        self.check()?;
        if barrier || self.block_bytes >= BLOCK_BYTES {
            self.end_block();
        }
        let ordinal = self.ordinals.get(namespace).copied().unwrap_or(0);
        let standing = Standing { ordinal, ..self.next };
        let batch = mem::take(&mut self.batch);
        self.has_failed = true;
        self.batch = record::write(&self.cdc, batch, standing, namespace, event)?;
        self.has_failed = false;
        match self.ordinals.get_mut(namespace) {
            Some(count) => *count += 1,
            None => drop(self.ordinals.insert(namespace.to_owned(), 1)),
        }
        self.next.n += 1;
        self.block_bytes += event.len();
        if barrier {
            self.end_block();
        }
        if self.batch.len() >= BATCH_BYTES {
            self.send()?;
        }
        Ok(())
    }

    /// Makes everything appended durable, together with the position behind it.
    ///
    /// # Errors
    /// What the server says; of kind [`AlreadyExists`](ErrorKind::AlreadyExists) when another writer has taken over.
    pub fn commit(&mut self, position: &Position) -> Result<()> {
        self.check()?;
        if self.next.n == self.mark.n && *position == self.mark.position {
            return Ok(());
        }
        self.flush()?;
        self.has_failed = true;
        let runtime = self.cdc.runtime.clone();
        while let Some(sent) = runtime.block_on(self.sending.join_next()) {
            joined(sent)?;
        }
        self.end_block();
        let mark = Mark {
            number: self.mark.number + 1,
            n: self.next.n,
            run: self.next.run,
            block: self.next.block,
            position: position.clone(),
        };
        runtime.block_on(put(&self.positions, &self.cdc, &mark))?;
        self.mark = mark;
        self.has_failed = false;
        Ok(())
    }

    /// Bytes held in memory that were not sent.
    pub fn held(&self) -> usize {
        self.batch.len()
    }

    /// Sends what is held. It counts only once a [`commit`](CdcWriter::commit) follows.
    ///
    /// # Errors
    /// When what was sent before has failed.
    pub fn flush(&mut self) -> Result<()> {
        self.check()?;
        if self.batch.is_empty() { Ok(()) } else { self.send() }
    }

    fn check(&self) -> Result<()> {
        if self.has_failed {
            let message = "events could not be written before, and the writer was not resumed since";
            return Err(Error::new(ErrorKind::Internal, message).at(self.cdc.place()));
        }
        Ok(())
    }

    fn end_block(&mut self) {
        if self.block_bytes > 0 {
            self.next.block += 1;
            self.block_bytes = 0;
        }
    }

    fn send(&mut self) -> Result<()> {
        self.has_failed = true;
        let runtime = self.cdc.runtime.clone();
        while self.sending.len() >= BATCHES {
            match runtime.block_on(self.sending.join_next()) {
                Some(sent) => joined(sent)?,
                None => break,
            }
        }
        let batch = mem::replace(&mut self.batch, Vec::with_capacity(BATCH_BYTES + BATCH_BYTES / 4));
        let range = mem::replace(&mut self.batch_from, self.next.n)..self.next.n;
        let (cdc, target) = (self.cdc.clone(), Arc::clone(&self.events));
        self.sending.spawn_on(async move { load(&cdc, &target, &batch, range).await }, &runtime);
        self.has_failed = false;
        Ok(())
    }
}

fn joined(sent: std::result::Result<Result<()>, tokio::task::JoinError>) -> Result<()> {
    sent.unwrap_or_else(|panic| Err(Error::new(ErrorKind::Internal, format!("a batch of events died: {panic}"))))
}

/// Inserts a batch of events. A writer that was killed may have had a command under way that came to its end only after
/// its events were deleted: they have the tokens of ours, and do not count.
async fn load(cdc: &Cdc, target: &Target, batch: &[u8], numbers: std::ops::Range<u64>) -> Result<()> {
    for _ in 0..CLEARINGS {
        let loaded = target.load(batch).await?;
        if loaded.refused > 0 {
            return Err(refused(cdc, loaded));
        }
        if loaded.duplicates == 0 {
            return Ok(());
        }
        let (from, to) = (signed(numbers.start), signed(numbers.end));
        cdc.delete(EVENTS, rawdoc! { "stream": i64::from(cdc.stream), "n": { "$gte": from, "$lt": to } }).await?;
    }
    Err(cdc
        .damaged(format!("{EVENTS} has documents with the tokens of these events, which this capture has not written")))
}

fn refused(cdc: &Cdc, loaded: Loaded) -> Error {
    let reason = loaded.rejected.into_iter().next().map_or_else(|| "no reason given".to_owned(), |first| first.reason);
    // The code leads the text.
    let code = reason.strip_prefix("error ").and_then(|text| text.split([' ', ':']).next()?.parse().ok());
    let is_full = code.is_some_and(|code| is_out_of_space(code, &reason));
    let kind = if is_full { ErrorKind::NoSpace } else { ErrorKind::Server };
    Error::new(kind, format!("the target refused {} events: {reason}", loaded.refused))
        .with_hint("nothing is lost as long as the source's oplog reaches back: cure the target, and capture again")
        .at(cdc.place())
}

/// Writes a position.
async fn put(target: &Target, cdc: &Cdc, mark: &Mark) -> Result<()> {
    let loaded = target.load(&mark.document(cdc)).await?;
    if loaded.duplicates > 0 {
        return Err(Error::new(ErrorKind::AlreadyExists, "another capture has taken this stream over")
            .with_hint("two captures must not write one stream: stop the other one, or this one for good")
            .at(cdc.place()));
    }
    if loaded.refused > 0 { Err(refused(cdc, loaded)) } else { Ok(()) }
}
