//! One stream of a capture: read by a task, recorded by a thread, and begun again where its disk was full.
//!
//! While the thread writes and syncs, the task waits for the next reply already. The thread is the only one that blocks.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use tokio::{runtime::Handle, sync::mpsc, task::spawn_blocking, time::timeout};
use tokio_util::sync::CancellationToken;

use super::{
    Shared,
    filter::Filter,
    recorder::{LaneCount, Recorder},
};
use crate::{
    batch::Permit,
    changes::{
        ChangeStream, Store, StoreWriter, StreamFailure, Watch,
        log::Position,
        stream::{Reply, Start},
    },
    error::{Error, ErrorKind, Result},
};

/// Replies on their way to the disk, besides the one that is being written.
const QUEUE: usize = 1;
/// How long a full disk is given before it is tried again.
const DISK_PAUSE: Duration = Duration::from_secs(5);

/// How often a stream is taken up once more that somebody else seems to have taken over, and the pause before.
const TAKEN_OVER: u32 = 3;
const TAKEN_OVER_PAUSE: Duration = Duration::from_secs(1);
/// After so long, it is another matter.
const LONG: Duration = Duration::from_secs(60);

/// What a stream has recorded.
#[derive(Debug)]
pub(super) struct Followed {
    pub(super) position: Position,
    pub(super) lanes: Vec<(String, LaneCount)>,
}

/// A reply with the memory that it is held under.
type Delivery = (Reply, Permit);

/// Follows the stream `index` from the last checkpoint of its log until `stop`, or the time that was set, has come. The stream
/// of a collection that cannot be followed any more ends before that, which is written down.
///
/// # Errors
/// What the stream or the log says, but for a full disk: that is waited for.
pub(super) async fn follow(
    shared: Arc<Shared>,
    index: usize,
    watch: Watch,
    stop: CancellationToken,
) -> Result<Followed> {
    let lost = || Error::new(ErrorKind::Internal, "a stream has no store");
    let store = shared.store(index).ok_or_else(lost)?;
    let mut lanes = Vec::new();
    let (mut is_full, mut taken_over) = (false, 0);
    loop {
        let begun = Instant::now();
        match once(&shared, index, &watch, store.clone(), &stop, &mut lanes).await {
            Err(error) if error.kind() == ErrorKind::NoSpace => {
                if stop.is_cancelled() {
                    return Err(nothing_lost(error));
                }
                if !is_full {
                    shared.progress.warn(&format!(
                        "{error}: nothing more is recorded until there is room; then it goes on by itself, as long as the \
                         source's oplog reaches back"
                    ));
                }
                is_full = true;
                shared.set_waiting(index, true);
                tokio::select! {
                    () = tokio::time::sleep(DISK_PAUSE) => {}
                    () = stop.cancelled() => return Err(nothing_lost(error)),
                }
                shared.set_waiting(index, false);
            }
            // What a predecessor that was killed had under way may arrive late.
            Err(error) if error.kind() == ErrorKind::AlreadyExists && taken_over < TAKEN_OVER => {
                taken_over = if begun.elapsed() > LONG { 1 } else { taken_over + 1 };
                // Told to stop, it still commits what there is.
                tokio::select! {
                    () = tokio::time::sleep(TAKEN_OVER_PAUSE) => {}
                    () = stop.cancelled() => {}
                }
            }
            Err(error) => return Err(error),
            Ok((position, ended)) => {
                if let Some(error) = ended {
                    shared.follow_no_more(index, &watch, error).await?;
                }
                return Ok(Followed { position, lanes });
            }
        }
    }
}

fn nothing_lost(error: Error) -> Error {
    error
        .with_hint("make room, and start the capture again: it goes on behind its last checkpoint, and nothing is lost")
}

async fn once(
    shared: &Arc<Shared>,
    index: usize,
    watch: &Watch,
    store: Store,
    stop: &CancellationToken,
    lanes: &mut Vec<(String, LaneCount)>,
) -> Result<(Position, Option<Error>)> {
    let options = shared.log;
    let resumed = spawn_blocking(move || store.resume(options)).await;
    let (log, position) = resumed.map_err(|panic| died(&panic))??;
    let filter = Filter::new(shared.selection.clone(), watch.clone());
    let start = Start::After(position.token.clone());
    let recorder = Recorder::new(log, position, filter, shared.sync);
    let (sender, receiver) = mpsc::channel(QUEUE);
    let writer = {
        let (shared, handle) = (Arc::clone(shared), Handle::current());
        spawn_blocking(move || record(recorder, receiver, &handle, &shared))
    };
    let mut stream = ChangeStream::new(&shared.server, watch.clone(), start, shared.options);
    let read = read(shared, index, &mut stream, sender, stop).await;
    let (recorder, written) = writer.await.map_err(|panic| died(&panic))?;
    lanes.extend(recorder.counts().map(|(name, count)| (name.to_owned(), count)));
    let position = recorder.committed().clone();
    // Of several errors the writer's is the cause.
    written.and(read).map(|ended| (position, ended))
}

fn died(panic: &tokio::task::JoinError) -> Error {
    Error::new(ErrorKind::Internal, format!("the writer of a log died: {panic}"))
}

/// Reads until it is to stop, or nobody takes the replies any more. Gives what has ended the stream of a collection that cannot
/// be followed any more.
async fn read(
    shared: &Shared,
    index: usize,
    stream: &mut ChangeStream,
    sender: mpsc::Sender<Delivery>,
    stop: &CancellationToken,
) -> Result<Option<Error>> {
    loop {
        let reply = tokio::select! {
            reply = stream.next() => reply,
            () = stop.cancelled() => return Ok(None),
        };
        let reply = match reply {
            Err(error) if is_lost(stream) => return Ok(Some(error)),
            reply => reply?,
        };
        let time = reply.time;
        let permit = shared.budget.acquire(reply.bytes()).await?;
        if sender.send((reply, permit)).await.is_err() {
            return Ok(None);
        }
        shared.reached(index, time);
        if shared.until.is_some_and(|until| time > until) {
            return Ok(None);
        }
    }
}

/// Whether a stream has ended for a reason that is of its one collection alone.
fn is_lost(stream: &ChangeStream) -> bool {
    let is_of_one = matches!(stream.watch(), Watch::Collection(_));
    is_of_one && stream.ended_by() == Some(StreamFailure::IdentityDiffers)
}

/// Records what comes, and commits in time. Whatever ends it, what is complete is committed.
fn record(
    mut recorder: Recorder<StoreWriter>,
    mut receiver: mpsc::Receiver<Delivery>,
    handle: &Handle,
    shared: &Shared,
) -> (Recorder<StoreWriter>, Result<()>) {
    let mut work = || {
        loop {
            match handle.block_on(async { timeout(recorder.next_tick(), receiver.recv()).await }) {
                Ok(Some((reply, permit))) => {
                    let behind = Position { token: reply.token.clone(), time: reply.time };
                    let events = reply.events()?;
                    let bytes: usize = events.iter().map(|event| event.len()).sum();
                    let taken = recorder.take(&events, &behind, reply.is_pause && shared.is_one_set)?;
                    drop(events);
                    drop((reply, permit));
                    shared.recorded.fetch_add(taken, Ordering::Relaxed);
                    shared.progress.advance(taken, if taken == 0 { 0 } else { bytes as u64 });
                }
                Ok(None) => return recorder.finish(),
                Err(_) => recorder.tick()?,
            }
        }
    };
    let done = work();
    (recorder, done)
}
