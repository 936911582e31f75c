//! Reads the events of one stream from `_cdc`, while another process may still write them.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use bson::rawdoc;
use futures_util::StreamExt;
use mongodb::raw_batch_cursor::{RawBatch, RawBatchCursor};

use super::{Cdc, EVENTS, POSITIONS, position::Mark, record::Record, signed};
use crate::{
    changes::log::{EventPlace, Item, LogPlace},
    connect::{Doing, batch_documents, retry},
    error::{Error, ErrorKind, Result},
};

/// Positions that are looked up at once.
const MARKS: i64 = 1000;

/// Reads a stream's events, and only those that a position follows. It holds one reply of the server, and one block.
pub struct CdcReader {
    cdc: Cdc,
    /// The number of the last position that was given out or is ready.
    number: u64,
    /// The number of the next event.
    n: u64,
    /// Positions ahead.
    marks: VecDeque<Mark>,
    /// What reads events before the last of them.
    cursor: Option<RawBatchCursor>,
    block: Block,
    ready: VecDeque<Item>,
}

/// The events of a block so far, lane by lane.
#[derive(Default)]
struct Block {
    id: (u64, u64),
    lanes: Vec<Lane>,
    by_name: HashMap<Arc<str>, usize>,
}

struct Lane {
    namespace: Arc<str>,
    place: EventPlace,
    count: u32,
    events: Vec<u8>,
}

impl CdcReader {
    /// Opens a stream at its oldest position.
    ///
    /// # Errors
    /// When there is none.
    pub fn open(cdc: Cdc) -> Result<Self> {
        let first = cdc.runtime.block_on(cdc.marks_behind(0, 1))?.pop();
        let first = first.ok_or_else(|| cdc.damaged(format!("{POSITIONS} has no position of this stream")))?;
        let mut reader = CdcReader::behind(cdc, &first);
        reader.ready.push_back(first.item());
        Ok(reader)
    }

    /// Goes on at a place that was given with a checkpoint before.
    ///
    /// # Errors
    /// When no position is there.
    pub fn open_at(cdc: Cdc, place: LogPlace) -> Result<Self> {
        let found = cdc.runtime.block_on(cdc.marks_behind(place.segment.saturating_sub(1), 1))?.pop();
        match found {
            Some(mark) if mark.place() == place => Ok(CdcReader::behind(cdc, &mark)),
            Some(mark) if mark.number == place.segment => Err(cdc.damaged(format!(
                "position {} stands behind {} events, expected {}",
                mark.number, mark.n, place.offset
            ))),
            _ => Err(Error::new(
                ErrorKind::NotFound,
                format!("position {}, where reading is to go on, is not in {POSITIONS} any more", place.segment),
            )
            .with_hint("it was deleted: restore the archive anew, with a capture that has everything since its dump")
            .at(cdc.place())),
        }
    }

    fn behind(cdc: Cdc, mark: &Mark) -> Self {
        CdcReader {
            cdc,
            number: mark.number,
            n: mark.n,
            marks: VecDeque::new(),
            cursor: None,
            block: Block::default(),
            ready: VecDeque::new(),
        }
    }

    /// The next item; nothing when there is no position ahead yet.
    ///
    /// # Errors
    /// When something is missing or damaged, or the server cannot be reached.
    #[allow(clippy::should_implement_trait, reason = "an iterator would end where this one waits")]
    pub fn next(&mut self) -> Result<Option<Item>> {
        let runtime = self.cdc.runtime.clone();
        loop {
            if let Some(item) = self.ready.pop_front() {
                return Ok(Some(item));
            }
            if self.marks.is_empty() {
                self.cursor = None;
                self.marks = runtime.block_on(self.cdc.marks_behind(self.number, MARKS))?.into();
                if self.marks.is_empty() {
                    return Ok(None);
                }
            }
            self.pass()?;
            if !self.marks.is_empty() && self.ready.is_empty() {
                let batch = runtime.block_on(self.batch())?;
                for document in batch_documents(&batch)? {
                    self.event(document)?;
                }
                self.pass()?;
            }
        }
    }

    /// Gives out the positions that have been reached.
    fn pass(&mut self) -> Result<()> {
        while self.marks.front().is_some_and(|mark| mark.n <= self.n) {
            let Some(mark) = self.marks.pop_front() else { break };
            if mark.number != self.number + 1 || mark.n != self.n {
                return Err(self.cdc.damaged(format!(
                    "position {} behind {} events is followed by position {} behind {}",
                    self.number, self.n, mark.number, mark.n
                )));
            }
            self.number = mark.number;
            self.block.end(&mut self.ready);
            self.ready.push_back(mark.item());
        }
        Ok(())
    }

    fn event(&mut self, document: &[u8]) -> Result<()> {
        self.pass()?;
        let record = Record::parse(document)
            .ok_or_else(|| self.cdc.damaged(format!("a document of {EVENTS} at event {} is no event", self.n)))?;
        if record.standing.n != self.n {
            return Err(self.missing(Some(record.standing.n)));
        }
        self.n += 1;
        let id = (record.standing.run, record.standing.block);
        if self.block.id != id {
            self.block.end(&mut self.ready);
            self.block.id = id;
        }
        self.block.add(&self.cdc, &record)
    }

    fn missing(&self, found: Option<u64>) -> Error {
        let found = found.map_or_else(|| "the end".to_owned(), |n| format!("event {n}"));
        self.cdc.damaged(format!("event {} is missing, found {found}", self.n))
    }

    /// The next reply with events. One whose cursor broke is asked for again.
    async fn batch(&mut self) -> Result<RawBatch> {
        let until = self.marks.back().map_or(self.n, |mark| mark.n);
        let server = self.cdc.server.clone();
        let database = self.cdc.database.clone();
        let doing = Doing::new(format!("read {database}.{EVENTS}"), "find", database.as_str());
        let mut patience = server.patience();
        loop {
            let error = match &mut self.cursor {
                Some(cursor) => match server.watched(async { cursor.next().await.transpose() }).await {
                    Ok(Some(batch)) if batch_documents(&batch)?.next().is_some() => return Ok(batch),
                    Ok(Some(_)) => continue,
                    Ok(None) => return Err(self.missing(None)),
                    Err(error) => error,
                },
                None => {
                    let find = rawdoc! {
                        "find": EVENTS,
                        "filter": {
                            "stream": i64::from(self.cdc.stream),
                            "n": { "$gte": signed(self.n), "$lt": signed(until) },
                        },
                        "sort": { "stream": 1, "n": 1 },
                        "hint": { "stream": 1, "n": 1 },
                        "batchSize": 10_000,
                        "readConcern": { "level": "majority" },
                    };
                    let opened = server.database(&database);
                    let run = opened.run_raw_cursor_command(find);
                    match server.watched(run.selection_criteria(server.reads()).batch()).await {
                        Ok(cursor) => {
                            self.cursor = Some(cursor);
                            continue;
                        }
                        Err(error) => error,
                    }
                }
            };
            // Polled again, it would lose a reply.
            self.cursor = None;
            if !patience.wait(retry(&error)).await {
                return Err(server.failure(error, &doing));
            }
        }
    }
}

impl Block {
    fn add(&mut self, cdc: &Cdc, record: &Record<'_>) -> Result<()> {
        let index = match self.by_name.get(record.namespace) {
            Some(index) => *index,
            None => {
                let namespace: Arc<str> = Arc::from(record.namespace);
                self.by_name.insert(Arc::clone(&namespace), self.lanes.len());
                let place = EventPlace { segment: record.standing.run, ordinal: record.standing.ordinal };
                self.lanes.push(Lane { namespace, place, count: 0, events: Vec::new() });
                self.lanes.len() - 1
            }
        };
        let Some(lane) = self.lanes.get_mut(index) else { return Ok(()) };
        let expected = lane.place.ordinal + u64::from(lane.count);
        if record.standing.ordinal != expected {
            let message = format!("event {} of {} is numbered {}", expected, lane.namespace, record.standing.ordinal);
            return Err(cdc.damaged(message));
        }
        lane.count += 1;
        record.take(cdc, &mut lane.events)
    }

    fn end(&mut self, ready: &mut VecDeque<Item>) {
        self.by_name.clear();
        ready.extend(self.lanes.drain(..).map(|lane| Item::Events {
            namespace: lane.namespace,
            place: lane.place,
            count: lane.count,
            events: lane.events,
        }));
    }
}
