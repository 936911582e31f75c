//! A cluster time that is not long past: asked for once for all parts that begin at about the same time, as small
//! collections do by the hundred.

use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use crate::{
    catalog::Entry,
    connect::Server,
    error::{ErrorKind, Result},
    scan::is_readable_at,
};

/// How old a time may be. A part that is read as of it is exact; changes since then are replayed, if they are recorded.
const RECENT: Duration = Duration::from_secs(1);

/// The operation time, as it was told last.
#[derive(Debug, Default)]
pub(crate) struct RecentTime {
    /// When the server answered, and what.
    told: Mutex<Option<(Instant, u64)>>,
}

impl RecentTime {
    /// A time that the server told within the last second.
    ///
    /// # Errors
    /// When the server does not answer.
    pub(crate) async fn get(&self, server: &Server) -> Result<u64> {
        // Whoever comes meanwhile waits for the same answer.
        let mut told = self.told.lock().await;
        match *told {
            Some((when, time)) if when.elapsed() < RECENT => Ok(time),
            _ => {
                let time = server.operation_time().await?;
                *told = Some((Instant::now(), time));
                Ok(time)
            }
        }
    }
}

/// The cluster time that all parts of a collection are read as of that stand in natural order: a document goes from one to another when it is
/// deleted and inserted anew.
#[derive(Debug, Default)]
pub(super) struct SharedTime {
    time: Mutex<Option<u64>>,
}

impl SharedTime {
    /// The same as for the parts before, if the server can still read as of it; else as it is now. Not before `floor`.
    ///
    /// # Errors
    /// When the server does not answer.
    pub(super) async fn get(&self, server: &Server, entry: &Entry, floor: u64) -> Result<u64> {
        let mut shared = self.time.lock().await;
        if let Some(time) = *shared {
            match is_readable_at(server, entry, time).await {
                Ok(true) => return Ok(time),
                Err(error) if error.kind() != ErrorKind::Server => return Err(error),
                // It is too long ago, or the server cannot read as of any time.
                Ok(false) | Err(_) => {}
            }
        }
        let time = server.operation_time().await?.max(floor);
        *shared = Some(time);
        Ok(time)
    }
}
