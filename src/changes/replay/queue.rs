//! The blocks of a lane that wait for it, gathered into runs.
//!
//! The longer a run, the more there is to fold, and the fewer writes the target has to take. So a run is as long as what
//! waits, and while the log is still read towards its end, it waits a moment for more.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::sync::mpsc;

use super::reading::Memory;
use crate::{batch::Permit, changes::log::EventPlace};

/// Bytes of events at which a run is closed: half of the memory, so that the next one is read meanwhile.
const RUN_BYTES: usize = super::MEMORY / 2;
/// Blocks that wait for a lane. The memory budget bounds their bytes.
const WAITING: usize = 64;
/// How long a run waits for the next block while the log is read. Where no memory is left for it, none will come.
const MOMENT: Duration = Duration::from_millis(20);

/// Events of a lane, as they stand in the log.
#[derive(Debug)]
pub(super) struct Block {
    /// Where the first of them stands.
    pub(super) place: EventPlace,
    /// How many they are.
    pub(super) count: u32,
    /// The events, raw and back to back.
    pub(super) events: Vec<u8>,
    /// Counts the blocks that are not done, so that it shows which checkpoints have been passed.
    pub(super) pending: Pending,
    /// Their share of the memory budget.
    #[allow(dead_code, reason = "held, never read")]
    pub(super) permit: Option<Permit>,
}

/// How many blocks before a checkpoint are not done. A lane that fails leaves its blocks undone, whatever becomes of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Pending(Arc<AtomicUsize>);

impl Pending {
    /// One more, for a block that is given to a lane.
    pub(super) fn one_more(&self) -> Self {
        self.0.fetch_add(1, Ordering::Relaxed);
        self.clone()
    }

    /// Whether all are done.
    pub(super) fn is_over(&self) -> bool {
        self.0.load(Ordering::Acquire) == 0
    }
}

impl Block {
    /// Everything in it is applied, or was before.
    pub(super) fn done(self) {
        self.pending.0.fetch_sub(1, Ordering::Release);
    }

    /// Where the first event behind them stands.
    pub(super) fn end(&self) -> EventPlace {
        EventPlace { segment: self.place.segment, ordinal: self.place.ordinal + u64::from(self.count) }
    }
}

/// Whether a log is being read, and not yet to its end.
#[derive(Clone, Debug, Default)]
pub(super) struct Behind(Arc<AtomicBool>);

impl Behind {
    pub(super) fn set(&self, is_behind: bool) {
        self.0.store(is_behind, Ordering::Relaxed);
    }
}

/// What waits for a lane, in the order of the log.
#[derive(Debug)]
pub(super) struct Queue {
    blocks: mpsc::Receiver<Block>,
    memory: Memory,
    behind: Behind,
}

impl Queue {
    /// A queue, and what puts blocks into it.
    pub(super) fn new(memory: Memory, behind: Behind) -> (mpsc::Sender<Block>, Self) {
        let (sender, blocks) = mpsc::channel(WAITING);
        (sender, Queue { blocks, memory, behind })
    }

    /// The blocks of the next run, the first of which ends behind `next`; nothing when no more will come. A run that was
    /// begun before, and was to end at `end`, is gathered as it was: a part of it alone is not done.
    pub(super) async fn run(&mut self, next: EventPlace, end: EventPlace) -> Option<Vec<Block>> {
        let first = loop {
            let block = self.blocks.recv().await?;
            if block.end() > next {
                break block;
            }
            block.done();
        };
        let (mut bytes, mut reached) = (first.events.len(), first.end());
        let mut run = vec![first];
        loop {
            let block = if reached < end {
                Some(self.memory.needed(self.blocks.recv()).await?)
            } else if end > next || bytes >= RUN_BYTES {
                None
            } else {
                self.soon().await
            };
            let Some(block) = block else { return Some(run) };
            bytes += block.events.len();
            reached = block.end();
            run.push(block);
        }
    }

    async fn soon(&mut self) -> Option<Block> {
        match self.blocks.try_recv() {
            Ok(block) => Some(block),
            Err(_) if self.behind.0.load(Ordering::Relaxed) => {
                tokio::time::timeout(MOMENT, self.blocks.recv()).await.ok().flatten()
            }
            Err(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(ordinal: u64) -> Block {
        let place = EventPlace { segment: 1, ordinal };
        Block { place, count: 10, events: vec![0; 1000], pending: Pending::default().one_more(), permit: None }
    }

    fn place(ordinal: u64) -> EventPlace {
        EventPlace { segment: 1, ordinal }
    }

    async fn ends(queue: &mut Queue, next: u64, end: u64) -> Vec<u64> {
        let run = queue.run(place(next), place(end)).await.unwrap_or_default();
        run.iter().map(|block| block.end().ordinal).collect()
    }

    #[tokio::test]
    async fn a_run_is_what_waits_and_what_comes_soon_while_the_log_is_read() {
        let behind = Behind::default();
        let (sender, mut queue) = Queue::new(Memory::new(1 << 20), behind.clone());
        for ordinal in [0, 10, 20] {
            sender.send(block(ordinal)).await.unwrap();
        }
        assert_eq!(ends(&mut queue, 10, 0).await, [20, 30], "what is done already is passed over");
        behind.set(true);
        sender.send(block(30)).await.unwrap();
        let late = async {
            tokio::time::sleep(MOMENT / 10).await;
            sender.send(block(40)).await.unwrap();
        };
        assert_eq!(tokio::join!(ends(&mut queue, 30, 0), late).0, [40, 50]);
        drop(sender);
        assert_eq!(queue.run(place(50), place(0)).await.map(|run| run.len()), None);
    }

    #[tokio::test]
    async fn a_run_that_was_begun_is_gathered_as_it_was() {
        let (sender, mut queue) = Queue::new(Memory::new(1 << 20), Behind::default());
        sender.send(block(0)).await.unwrap();
        let late = async {
            tokio::time::sleep(MOMENT * 3).await;
            for ordinal in [10, 20] {
                sender.send(block(ordinal)).await.unwrap();
            }
        };
        assert_eq!(tokio::join!(ends(&mut queue, 0, 20), late).0, [10, 20]);
    }

    #[tokio::test]
    async fn regression_a_part_of_a_run_that_was_begun_is_no_run() {
        let (sender, mut queue) = Queue::new(Memory::new(1 << 20), Behind::default());
        sender.send(block(0)).await.unwrap();
        drop(sender);
        assert!(queue.run(place(0), place(20)).await.is_none());
    }

    #[tokio::test]
    async fn regression_blocks_that_are_lost_are_not_done() {
        let pending = Pending::default();
        let lost = Block { pending: pending.one_more(), ..block(0) };
        Block { pending: pending.one_more(), ..block(10) }.done();
        drop(lost);
        assert!(!pending.is_over());
    }
}
