//! A cluster time that is not long past: asked for once for all parts that begin at about the same time, as small
//! collections do by the hundred.

use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use crate::{connect::Server, error::Result};

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
