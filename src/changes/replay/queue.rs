//! The blocks of a lane that wait for it, gathered into runs.
//!
//! The longer a run, the more there is to fold, and the fewer writes the target has to take. So a run is as long as what
//! waits, and while the log is still read towards its end, it waits a moment for more.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
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
    /// Held until they are applied, so that it shows which checkpoints have been passed.
    #[allow(dead_code, reason = "held, never read")]
    pub(super) pending: Arc<()>,
    /// Their share of the memory budget.
    #[allow(dead_code, reason = "held, never read")]
    pub(super) permit: Option<Permit>,
}

impl Block {
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
    /// begun before, and was to end at `end`, is gathered as it was.
    pub(super) async fn run(&mut self, next: EventPlace, end: EventPlace) -> Option<Vec<Block>> {
        let first = loop {
            let block = self.blocks.recv().await?;
            if block.end() > next {
                break block;
            }
        };
        let (mut bytes, mut reached) = (first.events.len(), first.end());
        let mut run = vec![first];
        loop {
            let block = if reached < end {
                self.memory.needed(self.blocks.recv()).await
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
        Block { place, count: 10, events: vec![0; 1000], pending: Arc::default(), permit: None }
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
}
