//! A cluster time that is not long past: asked for once for all parts that begin at about the same time, as small
//! collections do by the hundred.

use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use crate::{connect::Server, error::Result};

/// How old a time may be. A part that is read as of it is exact; changes since then are replayed, if they are recorded.
const RECENT: Duration = Duration::from_secs(1);
/// How old one may be of which all parts of a collection should be. Servers keep 300 seconds of history, and a part takes some of them.
const SHARED: Duration = Duration::from_secs(120);

/// The operation time, as it was told last.
#[derive(Debug)]
pub(crate) struct RecentTime {
    age: Duration,
    /// When the server answered, and what.
    told: Mutex<Option<(Instant, u64)>>,
}

impl Default for RecentTime {
    fn default() -> Self {
        RecentTime { age: RECENT, told: Mutex::default() }
    }
}

impl RecentTime {
    /// The same for all parts of a collection that have to be of one time, as long as the server can read as of it.
    pub(crate) fn of_a_collection() -> Self {
        RecentTime { age: SHARED, ..RecentTime::default() }
    }

    /// A time that the server has told not long ago.
    ///
    /// # Errors
    /// When the server does not answer.
    pub(crate) async fn get(&self, server: &Server) -> Result<u64> {
        // Whoever comes meanwhile waits for the same answer.
        let mut told = self.told.lock().await;
        match *told {
            Some((when, time)) if when.elapsed() < self.age => Ok(time),
            _ => {
                let time = server.operation_time().await?;
                *told = Some((Instant::now(), time));
                Ok(time)
            }
        }
    }
}
