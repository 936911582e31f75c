//! Reads a log in a thread of its own, ahead of the lanes.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::queue::Behind;
use crate::{
    batch::{Budget, Permit},
    changes::{
        Store, StoreReader,
        log::{EventPlace, Item, LogPlace, Position},
    },
    error::{Error, Result},
};

/// Items that wait for the lanes. The memory budget bounds their bytes.
const AHEAD: usize = 16;
/// How soon a log is looked at again at its end; where nothing comes, later and later.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// What comes out of a log.
#[derive(Debug)]
pub(super) enum Read {
    /// Events of a lane, which are durable in the log.
    Events { namespace: Arc<str>, place: EventPlace, count: u32, events: Vec<u8>, permit: Option<Permit> },
    /// Everything before this position has come out.
    Checkpoint { position: Position, place: LogPlace },
    /// There is nothing more for now.
    CaughtUp,
}

/// The memory that a log is read into.
#[derive(Clone, Debug)]
pub(super) struct Memory {
    budget: Budget,
    /// Lanes that wait for the rest of a run.
    waiting: Arc<AtomicUsize>,
}

impl Memory {
    pub(super) fn new(bytes: usize) -> Self {
        Memory { budget: Budget::new(bytes), waiting: Arc::default() }
    }

    /// Waits for what a lane must have before it gets on, and so gives memory back: it is read even if there is no memory
    /// left in the budget.
    pub(super) async fn needed<T>(&self, rest: impl Future<Output = T>) -> T {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let rest = rest.await;
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        rest
    }

    async fn acquire(&self, bytes: usize) -> Result<Option<Permit>> {
        loop {
            match tokio::time::timeout(LOOK_AGAIN, self.budget.acquire(bytes)).await {
                Ok(permit) => return permit.map(Some),
                Err(_) if self.waiting.load(Ordering::Relaxed) > 0 => return Ok(None),
                Err(_) => {}
            }
        }
    }
}

/// A log to be read.
pub(super) struct Reading {
    pub(super) store: Store,
    /// What its events are read into.
    pub(super) memory: Memory,
    /// Is told whether the end has been reached.
    pub(super) behind: Behind,
}

impl Reading {
    /// Reads from a place on, or from the beginning. It goes on until nobody listens; an error comes last.
    pub(super) fn read(self, from: Option<LogPlace>, stop: CancellationToken) -> mpsc::Receiver<Result<Read>> {
        let (sender, receiver) = mpsc::channel(AHEAD);
        let runtime = tokio::runtime::Handle::current();
        tokio::task::spawn_blocking(move || {
            let outcome = self.store.read(from).and_then(|log| self.items(log, &sender, &runtime, &stop));
            // Nobody waits for more.
            self.behind.set(false);
            if let Err(error) = outcome {
                // Nobody listens any more when the replay has been stopped.
                let _ = sender.blocking_send(Err(error));
            }
        });
        receiver
    }

    fn items(
        &self,
        mut log: StoreReader,
        sender: &mpsc::Sender<Result<Read>>,
        runtime: &tokio::runtime::Handle,
        stop: &CancellationToken,
    ) -> Result<()> {
        let send = |read| sender.blocking_send(Ok(read)).map_err(|_| Error::interrupted());
        // Whether what comes out next may not be durable yet: a crash of the machine could take it from the log, but
        // not from the target.
        let (mut is_ahead, mut is_waiting, mut pause) = (true, false, LOOK_AGAIN);
        self.behind.set(true);
        loop {
            if stop.is_cancelled() || sender.is_closed() {
                return Ok(());
            }
            let Some(item) = log.next()? else {
                self.behind.set(false);
                if !is_waiting {
                    send(Read::CaughtUp)?;
                }
                is_waiting = true;
                std::thread::sleep(pause);
                pause = (pause * 2).min(self.store.longest_pause());
                continue;
            };
            self.behind.set(true);
            (is_waiting, pause) = (false, LOOK_AGAIN);
            if is_ahead {
                log.sync()?;
                is_ahead = false;
            }
            match item {
                Item::Events { namespace, place, count, events } => {
                    let permit = runtime.block_on(self.memory.acquire(events.len()))?;
                    send(Read::Events { namespace, place, count, events, permit })?;
                }
                Item::Checkpoint { position, place } => {
                    is_ahead = true;
                    send(Read::Checkpoint { position, place })?;
                }
            }
        }
    }
}
