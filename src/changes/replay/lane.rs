//! One lane: the events of one namespace, applied in their order, a run at a time.
//!
//! ```text
//! blocks ─▶ run: what the copy has not ─▶ journal: what will be done ─▶ effects ─▶ writes ─▶ next run
//! ```
//! A run is as long as what waits, within bounds; the further a lane is behind, the more there is to fold. One command of a
//! lane is under way at a time, and a run begins when the one before it is acknowledged as the write concern wants it.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use tokio::sync::mpsc;
use transload_format::{Collection, CollectionType};

use super::{
    Shared,
    dead_letter::DeadLetter,
    effects::Failed,
    journal::LaneRecord,
    queue::{Behind, Block, Queue},
    retold::Retold,
    run::Run,
    windows::Standing,
};
use crate::{
    catalog::{self, sharding::sharded_as},
    changes::{Event, Operation, key::Key, log::EventPlace, write::Target},
    document::{self},
    error::{Error, Result},
    extjson,
    hex::hex,
    namespace::Namespace,
    progress::News,
};

/// Why changes of a collection are left out that the target has as a time series.
const SERIES: &str = "it was a time series before: its changes have not been applied, and it has to be copied anew";
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
    /// Whether the target has the collection.
    is_there: bool,
    /// Whether the target has a view under its name, which takes none.
    is_view: bool,
    /// Whether the target has a time series under its name, which takes no changes as they are.
    is_series: bool,
    pub(super) is_capped: bool,
    pub(super) has_collation: bool,
    pub(super) record: LaneRecord,
    /// Whether nothing more is to be applied: an event was later than all that are, or the collection is left as it is.
    is_at_rest: bool,
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
        let mut there = catalog::described(&shared.target, &target).await?;
        let is_view = matches!(there, Some((CollectionType::View, _)));
        if is_view {
            there = None;
        }
        let is_there = there.is_some();
        let (kind, options) = there.unwrap_or((CollectionType::Collection, Vec::new()));
        let sharded = match shared.is_routed {
            true => sharded_as(&shared.target, &target).await?,
            false => None,
        };
        let mut target = Target::new(shared.target.clone(), target);
        if sharded.is_some_and(|sharded| !sharded.key.is_by_id()) {
            target = target.scattered();
        }
        Ok(Lane {
            target,
            is_there,
            is_view: is_view && shared.until_cutover,
            is_series: kind == CollectionType::TimeSeries,
            is_capped: catalog::is_capped(&options),
            has_collation: document::find(&options, b"collation").is_some(),
            shared,
            log,
            source,
            record,
            is_at_rest: false,
        })
    }

    /// Makes a collection that is to be sharded before its first document does: that would leave it whole. Sources before 6.0 do
    /// not tell that it came into being.
    pub(super) async fn make_sharded(&mut self, run: &Run<'_>) -> Result<()> {
        let target = &self.target.namespace;
        let key = self.shared.sharding.as_ref().and_then(|sharding| sharding.key(target));
        let makes_it = || run.events.iter().any(|event| event.operation != Operation::Delete);
        let Some(key) = key.filter(|_| !self.is_there && makes_it()) else { return Ok(()) };
        let (kind, options) = (CollectionType::Collection, document::EMPTY.to_vec());
        let namespace = self.source.to_string();
        let nothing = Collection { namespace, kind, uuid: None, options, indexes: Vec::new() };
        self.shared.create(target, &nothing).await?;
        self.is_there = true;
        if !key.is_by_id() {
            self.target = Target::new(self.shared.target.clone(), target.clone()).scattered();
        }
        Ok(())
    }

    /// Applies events that have failed before, each document's in their order, between two runs; gives back the documents
    /// for which they fail again, as dead letters name them. Where there is a source, what is to be changed is fetched.
    pub(super) async fn try_again(&mut self, events: Vec<Event<'_>>) -> Result<HashSet<String>> {
        let (mut run, widest) = (Run::default(), self.widest());
        let asks = self.shared.source.is_some() || self.shared.tells_documents;
        for event in events {
            run.take(self, event, asks || self.standing(&event, widest) != Standing::After);
        }
        let failed = self.apply(&run).await?;
        self.record.computed.clear();
        self.record.parked.clear();
        self.note_removed(run.uncertain, self.record.time);
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

    /// Leaves what is a time series on the target, and was one on the source, to be copied anew.
    async fn leave_series(&mut self) -> Result<()> {
        self.is_at_rest = true;
        self.shared.keep_of_collection(DeadLetter::of_all(&self.source, SERIES)).await
    }

    /// Makes room for documents where there was a view before: servers before 6.0 tell neither that it is gone, nor what has come in
    /// its place. Whether there is anything to be done: what is not there cannot be deleted.
    pub(super) async fn makes_room(&mut self, run: &Run<'_>) -> Result<bool> {
        if !self.is_view {
            return Ok(true);
        }
        if run.events.iter().all(|event| event.operation == Operation::Delete) {
            return Ok(false);
        }
        catalog::drop(&self.shared.target, &self.target.namespace).await?;
        self.is_view = false;
        Ok(true)
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
        if self.is_series && !run.events.is_empty() {
            self.leave_series().await?;
            run.events.clear();
        }
        self.write_down().await?;
        let applied = run.events.len() as u64;
        let deletes = run.events.iter().filter(|event| event.operation == Operation::Delete).count() as u64;
        let failed = self.apply(&run).await?;
        let mut letters = run.letters;
        letters.extend(failed.iter().map(|failed| self.letter_of(&run.events, failed)));
        shared.keep(letters).await?;
        shared.counts.add(&self.source, (applied, deletes), (run.skipped, run.skipped_deletes));
        if applied > 0 {
            shared.progress.of(&self.source, &News::Applied { events: applied });
        }
        self.record.next = self.record.end;
        self.record.computed.clear();
        self.record.parked.clear();
        self.record.fetched.retain(|_, fetched| fetched.span.high >= last);
        self.note_removed(run.uncertain, last);
        shared.journal.note_lane(self.log, &self.source.to_string(), &self.record).await
    }

    /// Notes what was removed from documents whose next updates may be in the copy as well.
    fn note_removed(&mut self, uncertain: HashMap<Vec<u8>, Retold>, last: u64) {
        for (key, retold) in uncertain {
            self.record.removed.remove(&key);
            let removed = retold.removed();
            if !removed.is_empty() {
                self.record.removed.insert(key, removed);
            }
        }
        let windows = self.shared.windows.as_ref();
        let is_past = windows.is_none_or(|windows| windows.of_collection(&self.source, last) == Standing::After);
        if is_past && self.record.fetched.is_empty() && self.shared.dead_letters.is_empty() {
            self.record.removed.clear();
        }
    }

    fn letter_of(&self, events: &[Event<'_>], failed: &Failed) -> DeadLetter {
        let is_its = |event: &&Event<'_>| {
            event.key.and_then(document::id).is_some_and(|id| Key::of(&id).as_bytes() == failed.key)
        };
        // What was applied before the first that failed must not be made again.
        let its: Vec<Event<'_>> = events.iter().skip(failed.first).filter(is_its).copied().collect();
        self.letter(&its, &failed.key, &failed.reason)
    }

    pub(super) fn letter(&self, events: &[Event<'_>], id: &[u8], reason: &str) -> DeadLetter {
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
