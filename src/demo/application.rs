//! The application of the demo: it writes at a steady pace, and knows nothing of the move.

use std::time::Duration;

use bson::{RawDocumentBuf, rawdoc};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::{
    connect::{Doing, Server},
    error::{Error, ErrorKind, Result},
};

/// The pause between two writes.
const PAUSE: Duration = Duration::from_millis(4);

/// An application at work.
pub(super) struct Application {
    stop: CancellationToken,
    writing: JoinHandle<Result<u64>>,
}

impl Application {
    /// Lets it write to the shop's orders, and to a collection of its own.
    pub(super) fn start(server: &Server, database: &'static str) -> Self {
        let (server, stop) = (server.clone(), CancellationToken::new());
        let stopped = stop.clone();
        let writing = tokio::spawn(async move {
            let doing = Doing::new("write as the application does", "update", database);
            let mut writes = 0;
            while !stopped.is_cancelled() {
                let reply = server.run(database, write(writes), &doing).await?;
                if reply.contains_key("writeErrors") {
                    return Err(
                        Error::new(ErrorKind::Server, "a write of the application was refused").at(server.place())
                    );
                }
                writes += 1;
                tokio::time::sleep(PAUSE).await;
            }
            Ok(writes)
        });
        Application { stop, writing }
    }

    /// Stops it. Gives how often it has written.
    pub(super) async fn stop(self) -> Result<u64> {
        self.stop.cancel();
        let died = |panic| Err(Error::new(ErrorKind::Internal, format!("the application died: {panic}")));
        self.writing.await.unwrap_or_else(died)
    }
}

/// The write with this number: an insert, a change of an order, a change of a visit, a delete, in turns.
fn write(number: u64) -> RawDocumentBuf {
    let (turn, number) = (number % 4, i64::try_from(number).unwrap_or(i64::MAX));
    match turn {
        0 => {
            let visit = rawdoc! { "_id": number, "page": number % 17 };
            rawdoc! { "insert": "visits", "documents": [visit] }
        }
        1 => {
            let changed = rawdoc! { "$set": { "status": "paid", "changed": number }, "$inc": { "revision": 1 } };
            let unpaid = rawdoc! { "q": { "status": { "$ne": "paid" } }, "u": changed };
            rawdoc! { "update": "orders", "updates": [unpaid] }
        }
        2 => {
            let seen = rawdoc! { "q": { "page": number % 17 }, "u": { "$push": { "seen": number } } };
            rawdoc! { "update": "visits", "updates": [seen] }
        }
        _ => {
            let old = rawdoc! { "q": { "page": number % 13 }, "limit": 1 };
            rawdoc! { "delete": "visits", "deletes": [old] }
        }
    }
}
