//! The workers of a dump: parts out of one queue, each followed by a cursor into the archive.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use transload_format::{PartBegun, limits::MAX_BLOCK_LEN};

use super::{
    cursors::{Cursors, MOST},
    plan::Job,
    recent::{RecentTime, SharedTime},
    turns::Turns,
};
use crate::{
    archive::Sink,
    batch::{Batch, Budget, Permit},
    brake::Brake,
    catalog::Entry,
    connect::Server,
    error::{Error, ErrorKind, Result},
    progress::{News, Progress},
    rate::Amount,
    scan::{Delivered, LARGEST_REPLY, PartScan, REPLY_BYTES, Range, check_identity},
    timing::{Stage, Watch},
};

/// How long a read may take before that is told.
const LONG: Duration = Duration::from_secs(30);
/// Bytes at which a block is closed. A block is one insert command when it is restored, and servers take commands of
/// this size fastest.
const BLOCK_BYTES: usize = 1024 * 1024;
/// Bytes of batches that may be in memory between the cursors and the disk.
const BATCHES: usize = 32 * 1024 * 1024;
/// Bytes of replies that cursors may wait for, or have in hand, at once: many cursors, or large documents, do not take more
/// than a few cursors with ordinary ones.
const REPLIES: usize = 32 * 1024 * 1024;
/// Bytes of documents that may be in memory, where nobody has said how many cursors there are to be: batches, replies, which exist twice
/// for a moment, and the block that each worker fills.
pub(crate) const MEMORY: usize = BATCHES + 2 * REPLIES + MOST * (BLOCK_BYTES + BLOCK_BYTES / 8);

/// What is done about a collection that is not there any more, or not the same, before its part is ended as it is.
pub(crate) type WhenLost = Arc<dyn Fn(&Entry, &Error) -> Result<()> + Send + Sync>;

/// What is read, and where it goes.
pub(crate) struct Readers {
    pub(crate) server: Server,
    /// The namespaces of the archive, in the order of their ids.
    pub(crate) entries: Vec<Entry>,
    /// The ids of those that are finished already.
    pub(crate) finished: Vec<u32>,
    /// What happened up to this cluster time is in the copy.
    pub(crate) since: u64,
    /// Nothing is to be read as of before this cluster time, at which the catalog was known: a secondary that is behind would have
    /// other collections under its names.
    pub(crate) floor: u64,
    /// Whether everything is to be read as of that time.
    pub(crate) at_one_time: bool,
    /// Where changes are recorded, a lost collection is no error: what became of it, they tell.
    pub(crate) when_lost: Option<WhenLost>,
    /// What holds them back.
    pub(crate) brakes: Vec<Brake>,
    pub(crate) sink: Sink,
    pub(crate) progress: Arc<dyn Progress>,
}

/// What the workers share.
struct Shared {
    readers: Readers,
    queue: Mutex<VecDeque<Job>>,
    time: RecentTime,
    /// Of each namespace, for parts in natural order.
    times: Vec<SharedTime>,
    /// Parts of each namespace that are not finished.
    open_parts: Vec<AtomicUsize>,
    budget: Budget,
    /// What a cursor should ask for at once, at most.
    step: Amount,
    replies: Budget,
    /// Bytes of the largest replies of each namespace of late.
    largest: Vec<AtomicU64>,
    turns: Turns,
    /// Whether it was told that a read takes long.
    is_told: AtomicBool,
}

impl Readers {
    /// Reads all parts, as many at once as there are cursors; the first error stops all workers. A namespace is finished with the
    /// last of its parts; those without any are at once, if they are not already. Gives the most cursors that there were at once.
    ///
    /// # Errors
    /// When a part cannot be read, or the archive is no longer written, and when `cancel` was called.
    pub(crate) async fn read(self, jobs: Vec<Job>, cursors: Cursors, cancel: CancellationToken) -> Result<usize> {
        let open_parts = open_parts(self.entries.len(), &jobs);
        let workers = cursors.most().min(jobs.len());
        let step = self.brakes.iter().fold(Amount::ANY, |least, brake| least.min(brake.step()));
        let shared = Arc::new(Shared {
            open_parts,
            queue: Mutex::new(jobs.into()),
            time: RecentTime::default(),
            times: self.entries.iter().map(|_| SharedTime::default()).collect(),
            budget: Budget::new(BATCHES),
            step,
            replies: Budget::new(REPLIES),
            largest: self.entries.iter().map(|_| AtomicU64::new(0)).collect(),
            turns: Turns::new(cursors),
            is_told: AtomicBool::new(false),
            readers: self,
        });
        for (id, open) in (1..).zip(&shared.open_parts) {
            if open.load(Ordering::Relaxed) == 0 && !shared.readers.finished.contains(&id) {
                tokio::select! {
                    done = shared.readers.sink.finish_namespace(id) => done?,
                    () = cancel.cancelled() => return Err(Error::interrupted()),
                }
            }
        }
        let stop = cancel.child_token();
        let mut working = JoinSet::new();
        for number in 0..workers {
            let (shared, stop) = (Arc::clone(&shared), stop.clone());
            working.spawn(async move {
                let work = async {
                    while let Some(job) = shared.next_job(number).await {
                        shared.read_part(&job).await.map_err(|error| hinted(error, &job))?;
                    }
                    Ok(())
                };
                tokio::select! {
                    done = work => done,
                    () = stop.cancelled() => Err(Error::interrupted()),
                }
            });
        }
        let all = async {
            let mut first = Ok(());
            while let Some(ended) = working.join_next().await {
                let ended = ended
                    .unwrap_or_else(|panic| Err(Error::new(ErrorKind::Internal, format!("a worker died: {panic}"))));
                if ended.is_err() && first.is_ok() {
                    first = ended;
                    stop.cancel();
                }
            }
            first
        };
        let disturbances = AtomicU64::new(0);
        let disturbances = || {
            if shared.readers.brakes.iter().any(Brake::is_held) {
                disturbances.fetch_add(1, Ordering::Relaxed);
            }
            disturbances.load(Ordering::Relaxed) + shared.readers.server.retries()
        };
        let done = tokio::select! {
            done = all => done,
            never = shared.turns.tune(disturbances) => match never {},
        };
        done.map(|()| shared.turns.most())
    }
}

/// Bytes of documents that each of so many cursors asks for: with what stands around them, all of them have room at once.
pub(crate) fn reply_bytes(parallel: usize) -> u64 {
    ((REPLIES / 8 * 7 / parallel.max(1)) as u64).min(REPLY_BYTES)
}

/// With what can be done where no other member can go on.
fn hinted(error: Error, job: &Job) -> Error {
    match error.kind() {
        ErrorKind::Unreachable if job.is_in_natural_order() => error.with_hint(
            "it was read in natural order, which each member of a replica set has its own of, so that no other one could go on: begin \
             anew, or with --read-order id",
        ),
        _ => error,
    }
}

fn open_parts(entries: usize, jobs: &[Job]) -> Vec<AtomicUsize> {
    let mut counts = vec![0; entries];
    for job in jobs {
        if let Some(count) = counts.get_mut(job.entry) {
            *count += 1;
        }
    }
    counts.into_iter().map(AtomicUsize::new).collect()
}

impl Shared {
    /// The next part for the worker of that number, once it is its turn; none when all parts are in hand.
    async fn next_job(&self, number: usize) -> Option<Job> {
        let queue = || self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        self.turns.wait(number, || queue().is_empty()).await;
        let (job, was_last) = {
            let mut queue = queue();
            (queue.pop_front(), queue.is_empty())
        };
        self.turns.reads(number, job.is_some());
        if was_last {
            self.turns.over();
        }
        job
    }

    /// The cluster time that a part is to be read as of.
    async fn time_of(&self, job: &Job, entry: &Entry) -> Result<u64> {
        let floor = self.readers.floor;
        match (&job.range, self.times.get(job.entry)) {
            (Range::Records(records), Some(time)) if floor != 0 => time.get(records.server(), entry, floor).await,
            _ => Ok(self.time.get(&self.readers.server).await?.max(floor)),
        }
    }

    async fn read_part(&self, job: &Job) -> Result<()> {
        let readers = &self.readers;
        let entry = readers.entries.get(job.entry).ok_or_else(|| Error::new(ErrorKind::Internal, "no such entry"))?;
        let id = u32::try_from(job.entry + 1).unwrap_or(u32::MAX);
        let (part, low, lost) = match &job.begun {
            Some(begun) => (begun.number, begun.low, self.lost(entry).await?),
            None => {
                let low = match readers.at_one_time {
                    true => readers.since,
                    // A secondary that is behind tells an older time.
                    false => self.time_of(job, entry).await?,
                };
                // After that time: what is lost then, was lost later, and nothing that came after it is in the copy.
                let lost = self.lost(entry).await?;
                let low = if lost.is_some() { readers.since } else { low };
                let begun = PartBegun { lower: job.bounds().lower.clone(), upper: job.bounds().upper.clone(), low };
                (readers.sink.begin_part(id, begun).await?, low, lost)
            }
        };
        let read = match lost {
            Some(error) => Err(error),
            None => self.follow(job, entry, id, part, low).await,
        };
        let high = match read {
            Ok(true) => low,
            Ok(false) => readers.server.cluster_time().await?,
            Err(error) => {
                let when_lost = readers.when_lost.as_ref().filter(|_| error.kind() == ErrorKind::NotFound);
                let Some(when_lost) = when_lost else { return Err(error) };
                when_lost(entry, &error)?;
                readers.server.reading_primary().cluster_time().await?
            }
        };
        readers.sink.finish_part(id, part, high).await?;
        let open = self.open_parts.get(job.entry).map_or(0, |open| open.fetch_sub(1, Ordering::AcqRel));
        if open == 1 {
            readers.sink.finish_namespace(id).await?;
        }
        Ok(())
    }

    /// What has become of a collection that is not what it was, where that is no error.
    async fn lost(&self, entry: &Entry) -> Result<Option<Error>> {
        if self.readers.when_lost.is_none() {
            return Ok(None);
        }
        match check_identity(&self.readers.server, entry).await {
            Ok(()) => Ok(None),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Some(error)),
            Err(error) => Err(error),
        }
    }

    /// The next documents. That a server keeps it waiting is told once: without a majority it does so for ever.
    async fn next(&self, scan: &mut PartScan<'_>, entry: &Entry) -> Result<Option<Delivered>> {
        let mut next = std::pin::pin!(scan.next());
        if let Ok(delivered) = tokio::time::timeout(LONG, &mut next).await {
            return delivered;
        }
        if !self.is_told.swap(true, Ordering::Relaxed) {
            let seconds = LONG.as_secs();
            self.readers.progress.warn(&format!(
                "nothing of {} has come for {seconds} s; if the server answers otherwise, it may be waiting until a majority of the set's members has \
                 what is to be read: see to it that most of them are up, and not behind",
                entry.namespace
            ));
        }
        next.await
    }

    /// Follows a cursor through a part; whether all of it was as of `low`. A collection that is lost is not found.
    async fn follow(&self, job: &Job, entry: &Entry, id: u32, part: u32, low: u64) -> Result<bool> {
        let readers = &self.readers;
        let reply = self.step.min(Amount { bytes: reply_bytes(self.turns.count()), ..Amount::ANY });
        let mut scan = job.scan(&readers.server, entry, low).in_replies_of(reply);
        if readers.at_one_time {
            scan = scan.at_one_time_or_fail();
        }
        if let Some(begun) = &job.begun {
            scan = match &begun.last {
                Some(last) => scan.behind(last),
                None => scan.at_any_time(),
            };
        }
        let (mut block, mut count, mut watch) = (Vec::new(), 0, readers.sink.watch());
        loop {
            // Given back when the reply is.
            let _room = self.room_for_reply(job, scan.likely_reply()).await?;
            watch.lap(Stage::Memory);
            let asked = Instant::now();
            // Not before the last reply is copied: compression and all that follows go on meanwhile, but to ask while it is copied was
            // measured, and is no faster with one cursor or four, for twice the memory of replies.
            let delivered = match self.next(&mut scan, entry).await {
                Ok(delivered) => delivered,
                Err(error) if scan.is_lost() => return Err(error.of_kind(ErrorKind::NotFound)),
                Err(error) => return Err(self.lost(entry).await?.unwrap_or(error)),
            };
            watch.lap(Stage::Server);
            let Some(delivered) = delivered else { break };
            self.turns.brought(asked.elapsed(), delivered.bytes().len());
            if let Some(largest) = self.largest.get(job.entry) {
                let bytes = delivered.bytes().len() as u64;
                // It is forgotten in time that one was large.
                let update = |known: u64| Some(bytes.max(known - known / 8));
                let _ = largest.fetch_update(Ordering::Relaxed, Ordering::Relaxed, update);
            }
            if !readers.brakes.is_empty() {
                let amount = delivered.amount()?;
                for brake in &readers.brakes {
                    brake.take(amount).await;
                }
                watch.lap(Stage::Held);
            }
            for document in delivered.documents()? {
                count += 1;
                if !block.is_empty() && block.len() + document.len() > MAX_BLOCK_LEN as usize {
                    self.hand_over(id, part, &mut block, &mut watch).await?;
                }
                if block.capacity() == 0 {
                    block.reserve(BLOCK_BYTES + BLOCK_BYTES / 8);
                }
                block.extend_from_slice(document);
                if block.len() >= BLOCK_BYTES {
                    self.hand_over(id, part, &mut block, &mut watch).await?;
                }
            }
            watch.lap(Stage::Copy);
        }
        if !block.is_empty() {
            self.hand_over(id, part, &mut block, &mut watch).await?;
        }
        readers.progress.of(&entry.namespace, &News::PartRead { documents: count });
        Ok(scan.is_of_one_time())
    }

    /// Waits until the next reply may come. How large it is, the server alone knows: like those before it, if any of them
    /// was larger than it should be.
    async fn room_for_reply(&self, job: &Job, likely: u64) -> Result<Permit> {
        let largest = self.largest.get(job.entry).map_or(0, |largest| largest.load(Ordering::Relaxed));
        let bytes = likely.max(largest).min(LARGEST_REPLY);
        self.replies.acquire(usize::try_from(bytes).unwrap_or(usize::MAX)).await
    }

    async fn hand_over(&self, namespace: u32, part: u32, block: &mut Vec<u8>, watch: &mut Watch) -> Result<()> {
        watch.lap(Stage::Copy);
        let documents = std::mem::take(block);
        let bytes = documents.len() as u64;
        for brake in &self.readers.brakes {
            brake.pass().await;
        }
        let permit = self.budget.acquire(documents.len()).await?;
        self.readers.sink.documents(namespace, part, Batch { documents, permit }).await?;
        self.readers.progress.advance(0, bytes);
        watch.lap(Stage::Held);
        Ok(())
    }
}
