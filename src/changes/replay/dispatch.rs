//! Gives the events of one log to their lanes, and knows how far all of them are.
//!
//! An event about a whole collection is a barrier: it is applied when all lanes of the log have come to it, and they go on
//! behind it. Between barriers lanes are as far apart as the memory budget lets them be.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use transload_format::Documents;

use super::{
    Shared,
    barrier::Effect,
    journal::{LaneRecord, LogRecord},
    lane::{Lane, LaneHandle},
    queue::{Behind, Block, Pending},
    reading::{Read, Reading},
    shared::blocking,
    work::Log,
};
use crate::{
    changes::{
        Event, Store, Watch,
        log::{EventPlace, Item, LogPlace},
    },
    error::{Error, ErrorKind, Result},
    namespace::Namespace,
};

/// How often it is looked which checkpoints have been passed, and whether all lanes are well.
const LOOK: Duration = Duration::from_millis(50);
/// How often the place of the log is written down, and segments before it are deleted.
const WRITE_DOWN: Duration = Duration::from_secs(1);

/// Where a replay of a log has ended.
#[derive(Debug)]
pub(super) struct End {
    /// The log, and how far it and its lanes are.
    pub(super) log: u32,
    pub(super) record: LogRecord,
    pub(super) lanes: HashMap<String, LaneRecord>,
    /// The cluster time up to which everything is applied.
    /// None where the stream is not followed any more.
    pub(super) applied: Option<u64>,
    /// Whether that is the end of the log, or the time that was wanted.
    pub(super) reached: bool,
}

/// What became of a block.
enum Given {
    /// Its lane has it, or it is done.
    Taken,
    /// There is to be an end before that.
    Stopped,
    /// It is a barrier later than what is wanted.
    Beyond,
}

/// The replay of one log.
pub(super) struct Dispatch {
    pub(super) shared: Arc<Shared>,
    pub(super) log: u32,
    /// What the log tells of.
    pub(super) watch: Watch,
    store: Store,
    follows: bool,
    keeps_log: bool,
    behind: Behind,
    /// Where lanes are that are not at work, by their namespaces.
    pub(super) records: HashMap<String, LaneRecord>,
    lanes: HashMap<String, LaneHandle>,
    /// The blocks since the last checkpoint that are not done.
    pending: Pending,
    /// Checkpoints that have not been passed, each with the blocks before it that are not done.
    ahead: VecDeque<(Pending, LogRecord)>,
    applied: LogRecord,
    written: (LogPlace, Instant),
}

impl Dispatch {
    /// Of the log `log`, from where its records say.
    ///
    /// # Errors
    /// When the log begins later than the changes that are needed.
    pub(super) async fn new(
        shared: Arc<Shared>,
        log: &Log,
        (record, lanes): (Option<LogRecord>, HashMap<String, LaneRecord>),
        follows: bool,
        keeps_log: bool,
    ) -> Result<Self> {
        if record.is_none() {
            check_begin(&shared, &log.store).await?;
        }
        let applied = record.unwrap_or_default();
        Ok(Dispatch {
            shared,
            log: log.number,
            watch: log.watch.clone(),
            store: log.store.clone(),
            follows,
            keeps_log,
            behind: Behind::default(),
            records: lanes,
            lanes: HashMap::new(),
            pending: Pending::default(),
            ahead: VecDeque::new(),
            written: (applied.place, Instant::now()),
            applied,
        })
    }

    /// Replays until the end.
    pub(super) async fn run(mut self, stop: CancellationToken) -> Result<End> {
        let from = (self.applied.place != LogPlace::default()).then_some(self.applied.place);
        let log =
            Reading { store: self.store.clone(), memory: self.shared.memory.clone(), behind: self.behind.clone() };
        let mut items = log.read(from, stop.clone());
        let lost = self.shared.lost.end_of(self.log);
        let outcome = self.follow(&mut items, &stop, &lost).await;
        drop(items);
        // Whatever has been given to the lanes is brought to its end: it is not much.
        let quiet = self.quiesce().await;
        let reached = outcome.and_then(|reached| quiet.map(|()| reached));
        self.pass();
        if reached.is_ok() {
            self.write_down().await?;
        }
        let is_lost = lost.is_cancelled();
        if is_lost {
            self.shared.ended(self.log);
        }
        Ok(End {
            reached: reached?,
            applied: (!is_lost).then_some(self.applied.time),
            log: self.log,
            record: self.applied,
            lanes: self.records,
        })
    }

    /// Whether the end was reached that was wanted. Nothing more is, once the stream is `lost`.
    async fn follow(
        &mut self,
        items: &mut mpsc::Receiver<Result<Read>>,
        stop: &CancellationToken,
        lost: &CancellationToken,
    ) -> Result<bool> {
        let mut tick = tokio::time::interval(LOOK);
        self.begin_owing()?;
        loop {
            let item = tokio::select! {
                biased;
                () = stop.cancelled() => return self.stopped(),
                () = lost.cancelled() => return Ok(true),
                _ = tick.tick() => {
                    self.look().await?;
                    continue;
                }
                item = items.recv() => item,
            };
            // Whoever reads ends when it is to stop.
            let Some(item) = item else { return self.stopped() };
            match item? {
                Read::Events { namespace, place, count, events, permit } => {
                    let block = Block { place, count, events, pending: self.pending.one_more(), permit };
                    match self.give(&namespace, block, stop).await? {
                        Given::Taken => {}
                        Given::Stopped => return self.stopped(),
                        Given::Beyond => return Ok(true),
                    }
                }
                Read::Checkpoint { position, place } => {
                    if self.shared.until.is_some_and(|until| position.time > until) {
                        return Ok(true);
                    }
                    let pending = std::mem::take(&mut self.pending);
                    self.ahead.push_back((pending, LogRecord { place, time: position.time }));
                }
                Read::CaughtUp if self.follows && self.shared.until.is_none_or(|until| !self.has_come_to(until)) => {}
                Read::CaughtUp => return Ok(self.shared.until.is_none_or(|until| self.has_come_to(until))),
            }
        }
    }

    /// A replay that follows has no other end.
    fn stopped(&self) -> Result<bool> {
        if self.follows && self.shared.until.is_none() && self.shared.cancel.is_cancelled() {
            Ok(false)
        } else {
            Err(Error::interrupted())
        }
    }

    /// The time of the last checkpoint that was read.
    fn newest(&self) -> u64 {
        self.ahead.back().map_or(self.applied.time, |(_, record)| record.time)
    }

    /// Whether everything up to a time was read. A cluster may have more of the time that its stream has come to; a replica
    /// set has told all of it.
    fn has_come_to(&self, time: u64) -> bool {
        let newest = self.newest();
        newest > time || newest == time && self.shared.source_is_one_set
    }

    /// Gives a block to its lane, or applies it if it is a barrier. Not when `stop` was called before the lane took it.
    async fn give(&mut self, namespace: &str, block: Block, stop: &CancellationToken) -> Result<Given> {
        let first = Documents::new(&block.events).next().and_then(std::result::Result::ok).unwrap_or_default();
        let event = Event::parse(first).map_err(|error| error.at(namespace.to_owned()))?;
        if !event.operation.is_of_a_document() {
            let is_beyond = self.barrier(namespace, &block).await?;
            block.done();
            return Ok(if is_beyond { Given::Beyond } else { Given::Taken });
        }
        let source = Namespace::parse(namespace)?;
        let Some(target) = self.shared.target_of(&source)? else {
            block.done();
            return Ok(Given::Taken);
        };
        if !self.lanes.contains_key(namespace) {
            self.check_new(&source, &target).await?;
            self.begin(namespace, source, target);
        }
        let given = match self.lanes.get(namespace) {
            Some(lane) => tokio::select! {
                () = stop.cancelled() => return Ok(Given::Stopped),
                sent = lane.queue.send(block) => sent.is_ok(),
            },
            None => false,
        };
        if given { Ok(Given::Taken) } else { Err(self.failure_of(namespace).await) }
    }

    fn begin(&mut self, namespace: &str, source: Namespace, target: Namespace) {
        let mut record = self.records.remove(namespace).unwrap_or_default();
        record.is_ignored = false;
        let lane = Lane::begin(Arc::clone(&self.shared), self.log, source, target, record, self.behind.clone());
        self.lanes.insert(namespace.to_owned(), lane);
    }

    /// Begins the lanes that have something to fetch, whether or not events come for them.
    fn begin_owing(&mut self) -> Result<()> {
        let owing = self.records.iter().filter(|(_, record)| !record.owed.is_empty());
        let owing: Vec<String> = owing.map(|(namespace, _)| namespace.clone()).collect();
        for namespace in owing {
            let source = Namespace::parse(&namespace)?;
            if let Some(target) = self.shared.target_of(&source)? {
                self.begin(&namespace, source, target);
            }
        }
        Ok(())
    }

    /// Applies a barrier, unless that was done before. Whether it is later than what is wanted: then so is everything behind it,
    /// and no lane must go on there, past what it has left undone before it.
    async fn barrier(&mut self, namespace: &str, block: &Block) -> Result<bool> {
        self.quiesce().await?;
        let after = EventPlace { segment: block.place.segment, ordinal: block.place.ordinal + u64::from(block.count) };
        if self.records.get(namespace).is_some_and(|record| record.next >= after) {
            return Ok(false);
        }
        let (mut last, mut effect) = (0, Effect::None);
        for raw in Documents::new(&block.events) {
            let raw = raw.map_err(|problem| Error::new(ErrorKind::Damaged, problem.to_string()))?;
            let event = Event::parse(raw).map_err(|error| error.at(namespace.to_owned()))?;
            if self.shared.until.is_some_and(|until| event.time > until) {
                return Ok(true);
            }
            last = event.time;
            effect = effect.max(self.apply_barrier(&event, after).await?);
        }
        let source = Namespace::parse(namespace)?;
        // What was done must not be done again behind what came after it, whatever it is written down for.
        if effect == Effect::None && !self.has_lane_of(&source)? {
            return Ok(false);
        }
        // What is not this migration's must not look as if it was because of it; nor must what is made under its name later be
        // taken for it when it is read once more.
        let is_new = !self.records.contains_key(namespace);
        let record = self.records.entry(namespace.to_owned()).or_default();
        record.is_ignored = effect != Effect::Itself && (is_new || record.is_ignored);
        (record.next, record.end) = (after, after);
        if !record.is_ignored {
            record.time = record.time.max(last);
        }
        let record = record.clone();
        self.shared.journal.lane(self.log, namespace, &record).await?;
        self.begin_owing()?;
        Ok(false)
    }

    /// Whether this log is where a collection's lane is, if it has one. A stream of one collection tells of others that are renamed to
    /// it.
    pub(super) fn has_lane_of(&self, source: &Namespace) -> Result<bool> {
        let is_told_of = match &self.watch {
            Watch::Collection(watched) => watched == source,
            Watch::Deployment | Watch::Database(_) => true,
        };
        Ok(is_told_of && self.shared.target_of(source)?.is_some())
    }

    /// Waits until all lanes have done what they were given, and ends them.
    async fn quiesce(&mut self) -> Result<()> {
        let mut first = Ok(());
        for (namespace, lane) in self.lanes.drain() {
            drop(lane.queue);
            match joined(lane.task).await {
                Ok(record) => drop(self.records.insert(namespace, record)),
                Err(error) if first.is_ok() => first = Err(error),
                Err(_) => {}
            }
        }
        first
    }

    /// Why a lane has ended before its time.
    async fn failure_of(&mut self, namespace: &str) -> Error {
        match self.lanes.remove(namespace) {
            Some(lane) => joined(lane.task).await.err().unwrap_or_else(Error::interrupted),
            None => Error::interrupted(),
        }
    }

    async fn look(&mut self) -> Result<()> {
        let ended = self.lanes.iter().find(|(_, lane)| lane.task.is_finished()).map(|(namespace, _)| namespace.clone());
        if let Some(namespace) = ended {
            return Err(self.failure_of(&namespace).await);
        }
        self.pass();
        let (place, when) = self.written;
        if place != self.applied.place && when.elapsed() >= WRITE_DOWN {
            self.write_down().await?;
        }
        Ok(())
    }

    /// Passes the checkpoints before which nothing is left to do.
    fn pass(&mut self) {
        while self.ahead.front().is_some_and(|(pending, _)| pending.is_over()) {
            if let Some((_, record)) = self.ahead.pop_front() {
                self.applied = record;
                self.shared.reached(self.log, record.time);
            }
        }
    }

    async fn write_down(&mut self) -> Result<()> {
        if self.applied.place == LogPlace::default() {
            return Ok(());
        }
        self.shared.journal.log(self.log, &self.applied).await?;
        if !self.keeps_log {
            let (store, place) = (self.store.clone(), self.applied.place);
            blocking(move || store.prune(place)).await?;
        }
        self.written = (self.applied.place, Instant::now());
        Ok(())
    }
}

async fn joined(task: tokio::task::JoinHandle<Result<LaneRecord>>) -> Result<LaneRecord> {
    task.await.unwrap_or_else(|panic| Err(Error::new(ErrorKind::Internal, format!("a lane died: {panic}"))))
}

/// The log must have everything that happened since the copy began.
async fn check_begin(shared: &Shared, store: &Store) -> Result<()> {
    let Some(windows) = &shared.windows else { return Ok(()) };
    // A log begins with a checkpoint.
    let opened = store.clone();
    let first = blocking(move || opened.read(None)?.next()).await?;
    match first {
        Some(Item::Checkpoint { position, .. }) if position.time <= windows.since() => Ok(()),
        _ => {
            let message = "the log begins after the copy was begun: changes are missing in between";
            Err(Error::new(ErrorKind::Usage, message)
                .with_hint("begin the capture first, then take the dump, and restore that one")
                .at(store.place()))
        }
    }
}
