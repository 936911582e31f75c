//! One lane: the events of one namespace, applied in their order, a run at a time.
//!
//! ```text
//! blocks ─▶ run: what the copy has not ─▶ journal: what will be done ─▶ effects ─▶ writes ─▶ next run
//! ```
//! A run is as long as what waits, within bounds; the further a lane is behind, the more there is to fold. One command of a
//! lane is under way at a time, and a run begins when the one before it is acknowledged as the write concern wants it.

use std::{collections::HashSet, sync::Arc};

use tokio::sync::mpsc;
use transload_format::{Documents, Problem};

use super::{
    Shared,
    dead_letter::{DeadLetter, hex},
    effects::Failed,
    journal::{LaneRecord, Span},
    queue::{Behind, Block, Queue},
    windows::Standing,
    write::Target,
};
use crate::{
    catalog,
    changes::{Event, Operation, key::Key, log::EventPlace},
    cpu,
    document::{self, Element},
    error::{Error, ErrorKind, Result},
    extjson,
    namespace::Namespace,
};

/// Why a capped collection is left as it is.
const CAPPED: &str =
    "it is capped: without --archive nothing tells which of its changes the copy has, and its order would be lost";

/// A lane at work. When its queue is closed and empty, the task gives where it is.
#[derive(Debug)]
pub(super) struct LaneHandle {
    /// Takes blocks in their order.
    pub(super) queue: mpsc::Sender<Block>,
    /// Ends with the lane.
    pub(super) task: tokio::task::JoinHandle<Result<LaneRecord>>,
}

/// What a lane knows.
pub(super) struct Lane {
    pub(super) shared: Arc<Shared>,
    log: u32,
    /// The collection on the source.
    pub(super) source: Namespace,
    pub(super) target: Target,
    pub(super) is_capped: bool,
    pub(super) has_collation: bool,
    pub(super) record: LaneRecord,
    /// Whether nothing more is to be applied: an event was later than all that are, or the collection is left as it is.
    is_at_rest: bool,
}

/// The events of a run, by what is to become of them.
#[derive(Default)]
pub(super) struct Run<'a> {
    /// To be applied.
    pub(super) events: Vec<Event<'a>>,
    /// The documents that the target may have in a later state than their updates were made to, by their keys.
    pub(super) uncertain: HashSet<Vec<u8>>,
    /// From the first to the last time as of which documents were fetched, where only the server knows which are one.
    fetched: Option<Span>,
    /// Dead documents that the run makes whole, by their keys.
    healed: HashSet<Vec<u8>>,
    /// Changes that cannot be applied, and documents that are whole again.
    letters: Vec<DeadLetter>,
    /// How many events the copy has.
    skipped: u64,
}

impl Lane {
    /// Begins a lane, which goes on where `record` says; `behind` tells whether its log is read on.
    pub(super) fn begin(
        shared: Arc<Shared>,
        log: u32,
        source: Namespace,
        target: Namespace,
        record: LaneRecord,
        behind: Behind,
    ) -> LaneHandle {
        let (sender, queue) = Queue::new(shared.memory.clone(), behind);
        let task = tokio::spawn(async move {
            let mut lane = Lane::open(shared, log, source, target, record).await?;
            if lane.record.end <= lane.record.next {
                // They are of dead letters that were tried between two runs.
                lane.record.computed.clear();
            }
            lane.pay().await?;
            lane.leave_capped().await?;
            lane.run(queue).await?;
            Ok(lane.record)
        });
        LaneHandle { queue: sender, task }
    }

    /// A lane at rest, once it is known what the target's collection is.
    pub(super) async fn open(
        shared: Arc<Shared>,
        log: u32,
        source: Namespace,
        target: Namespace,
        record: LaneRecord,
    ) -> Result<Self> {
        let options = catalog::options_of(&shared.target, &target).await?.unwrap_or_default();
        Ok(Lane {
            target: Target::new(shared.target.clone(), target),
            is_capped: catalog::is_capped(&options),
            has_collation: document::find(&options, b"collation").is_some(),
            shared,
            log,
            source,
            record,
            is_at_rest: false,
        })
    }

    /// Applies events that have failed before, each document's in their order, between two runs; gives back the documents
    /// for which they fail again, as dead letters name them. Where there is a source, what is to be changed is fetched.
    pub(super) async fn try_again(&mut self, events: Vec<Event<'_>>) -> Result<HashSet<String>> {
        let ids = events.iter().filter_map(|event| event.key.and_then(document::id));
        let uncertain = ids
            .filter(|_| self.shared.source.is_some() || self.shared.tells_documents)
            .map(|id| self.key(&id))
            .collect();
        let failed = self.apply(&Run { events, uncertain, ..Run::default() }).await?;
        self.record.computed.clear();
        self.record.parked.clear();
        Ok(failed.iter().map(|failed| hex(&failed.key)).collect())
    }

    /// Whether documents that change several times in a run are written once: not where only the server knows which
    /// `_id`s are equal, nor where the order of documents is data.
    pub(super) fn folds(&self) -> bool {
        !self.is_capped && !self.has_collation
    }

    /// Writes down where the lane is.
    pub(super) async fn write_down(&self) -> Result<()> {
        self.shared.journal.lane(self.log, &self.source.to_string(), &self.record).await
    }

    /// Leaves a capped collection as it is, and says so, where it is not known which changes it has.
    async fn leave_capped(&mut self) -> Result<()> {
        self.is_at_rest = self.is_capped && !self.shared.patches();
        if self.is_at_rest {
            self.shared.keep_of_collection(DeadLetter::of_all(&self.source, CAPPED)).await
        } else {
            Ok(())
        }
    }

    async fn run(&mut self, mut queue: Queue) -> Result<()> {
        // A run that was under way when the replay was killed is done again as it was.
        let mut end = self.record.end;
        while let Some(run) = queue.run(self.record.next, end).await {
            if self.is_at_rest {
                run.into_iter().for_each(Block::done);
                continue;
            }
            self.blocks(&run).await?;
            end = EventPlace::default();
            let events = run.iter().map(|block| u64::from(block.count)).sum();
            let bytes: usize = run.iter().map(|block| block.events.len()).sum();
            run.into_iter().for_each(Block::done);
            self.shared.progress.advance(events, bytes as u64);
        }
        Ok(())
    }

    async fn blocks(&mut self, blocks: &[Block]) -> Result<()> {
        let shared = Arc::clone(&self.shared);
        let _slot = shared.slots.acquire().await.map_err(|_| Error::interrupted())?;
        let mut run = Run { fetched: self.widest(), ..Run::default() };
        let mut last = 0;
        self.record.end = blocks.last().map_or(self.record.next, Block::end);
        for event in self.events(blocks) {
            let (place, event) = event?;
            if place < self.record.next {
                continue;
            }
            if shared.until.is_some_and(|until| event.time > until) {
                // Nothing of a lane is earlier than what stands before it.
                (self.record.end, self.is_at_rest) = (place, true);
                break;
            }
            last = event.time;
            self.place(event, &mut run);
        }
        self.record.time = self.record.time.max(last);
        self.write_down().await?;
        let applied = run.events.len() as u64;
        let failed = self.apply(&run).await?;
        let mut letters = run.letters;
        letters.extend(failed.iter().map(|failed| self.letter_of(&run.events, failed)));
        shared.keep(letters).await?;
        shared.counts.add(applied, run.skipped);
        self.record.next = self.record.end;
        self.record.computed.clear();
        self.record.parked.clear();
        self.record.fetched.retain(|_, fetched| fetched.span.high >= last);
        shared.journal.note_lane(self.log, &self.source.to_string(), &self.record).await
    }

    /// The events of some blocks, and where they stand.
    fn events<'a>(&self, blocks: &'a [Block]) -> impl Iterator<Item = Result<(EventPlace, Event<'a>)>> + use<'a> {
        let parse = |raw: std::result::Result<&'a [u8], Problem>| {
            let raw = raw.map_err(|problem| Error::new(ErrorKind::Damaged, problem.to_string()))?;
            self.shared.event(raw).map_err(|error| error.at(self.source.to_string()))
        };
        let of_block = |block: &'a Block| {
            let places = (block.place.ordinal..).map(|ordinal| EventPlace { segment: block.place.segment, ordinal });
            let parsed = places.zip(Documents::new(&block.events)).map(|(place, raw)| Ok((place, parse(raw)?)));
            parsed.collect::<Vec<_>>()
        };
        cpu::share(blocks.iter().collect(), of_block).into_iter().flatten()
    }

    /// Puts an event to those that are to be applied, unless the copy has it.
    fn place<'a>(&self, event: Event<'a>, run: &mut Run<'a>) {
        let id = || event.key.and_then(document::id);
        let fetched = match &run.fetched {
            _ if self.record.fetched.is_empty() => None,
            Some(span) => Some(*span),
            None => self.record.fetched.get(&own_key(id().as_ref())).map(|fetched| fetched.span),
        };
        let by_fetch = fetched.map(|span| self.standing(span, event.time));
        let standing = by_fetch.unwrap_or_else(|| self.shared.standing(&self.source, &event));
        if standing == Standing::Before {
            run.skipped += 1;
            return;
        }
        let tells_all = event.operation != Operation::Update && !event.refetch;
        if !self.shared.dead_letters.is_empty() {
            let key = own_key(id().as_ref());
            if self.shared.dead_letters.has(&self.source, &key) && !run.healed.contains(&key) {
                let reason = "an earlier change of the document was not applied";
                let letter = self.letter(std::slice::from_ref(&event), &key, reason);
                if !tells_all {
                    run.letters.push(letter);
                    return;
                }
                run.letters.push(letter.healed());
                run.healed.insert(key);
            }
        }
        // The documents before it were of some later time.
        if !tells_all && (standing == Standing::Within || self.shared.tells_documents) {
            run.uncertain.extend(id().map(|id| self.key(&id)));
        }
        run.events.push(event);
    }

    /// From the first to the last time as of which documents were fetched, where only the server knows which are one.
    fn widest(&self) -> Option<Span> {
        let spans = self.record.fetched.values().map(|fetched| fetched.span);
        let widest = spans.reduce(|one, other| Span { low: one.low.min(other.low), high: one.high.max(other.high) });
        widest.filter(|_| self.has_collation)
    }

    /// Where a change stands to a document that was fetched. Where all documents of a lane share one span, it says of none
    /// that it has the change.
    fn standing(&self, span: Span, time: u64) -> Standing {
        if time > span.high {
            Standing::After
        } else if time > span.low || self.has_collation {
            Standing::Within
        } else {
            Standing::Before
        }
    }

    /// What a document is known by where it must be known whether two are one. Where only the server knows, all are.
    pub(super) fn key(&self, id: &Element<'_>) -> Vec<u8> {
        if self.has_collation { Vec::new() } else { Key::of(id).as_bytes().to_vec() }
    }

    fn letter_of(&self, events: &[Event<'_>], failed: &Failed) -> DeadLetter {
        let is_its = |event: &&Event<'_>| {
            event.key.and_then(document::id).is_some_and(|id| Key::of(&id).as_bytes() == failed.key)
        };
        let its: Vec<Event<'_>> = events.iter().filter(is_its).copied().collect();
        self.letter(&its, &failed.key, &failed.reason)
    }

    fn letter(&self, events: &[Event<'_>], id: &[u8], reason: &str) -> DeadLetter {
        let last = events.last();
        let key = last.and_then(|event| event.key).and_then(|key| extjson::to_string(key).ok());
        DeadLetter {
            namespace: self.source.clone(),
            key: key.unwrap_or_default(),
            operation: last.map_or_else(String::new, |event| event.name.to_owned()),
            time: last.map_or(0, |event| event.time),
            reason: reason.to_owned(),
            id: hex(id),
            events: events.iter().map(|event| hex(event.raw)).collect(),
            healed: false,
        }
    }
}

/// The key of a document by its own bytes.
fn own_key(id: Option<&Element<'_>>) -> Vec<u8> {
    id.map(|id| Key::of(id).into_bytes()).unwrap_or_default()
}
