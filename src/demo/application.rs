//! The application of the demo: it writes at a steady pace, and knows nothing of the move.

use std::time::Duration;

use bson::{Document, doc};
use mongodb::Collection;
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
    pub(super) async fn start(server: &Server, database: &str) -> Result<Self> {
        let (server, stop) = (server.clone(), CancellationToken::new());
        let orders: Collection<Document> = server.database(database).collection("orders");
        let visits: Collection<Document> = server.database(database).collection("visits");
        let stopped = stop.clone();
        let writing = tokio::spawn(async move {
            let mut writes = 0;
            while !stopped.is_cancelled() {
                let number = i64::try_from(writes).unwrap_or(i64::MAX);
                let done = match writes % 4 {
                    0 => visits.insert_one(doc! { "_id": number, "page": number % 17 }).await.map(drop),
                    1 => {
                        let changed =
                            doc! { "$set": { "status": "paid", "changed": number }, "$inc": { "revision": 1 } };
                        orders.update_one(doc! { "status": { "$ne": "paid" } }, changed).await.map(drop)
                    }
                    2 => {
                        let seen = doc! { "$push": { "seen": number } };
                        visits.update_one(doc! { "page": number % 17 }, seen).await.map(drop)
                    }
                    _ => visits.delete_one(doc! { "page": number % 13 }).await.map(drop),
                };
                done.map_err(|error| server.failure(error, &Doing::unprivileged("write as the application does")))?;
                writes += 1;
                tokio::time::sleep(PAUSE).await;
            }
            Ok(writes)
        });
        Ok(Application { stop, writing })
    }

    /// Stops it. Gives how often it has written.
    pub(super) async fn stop(self) -> Result<u64> {
        self.stop.cancel();
        let died = |panic| Err(Error::new(ErrorKind::Internal, format!("the application died: {panic}")));
        self.writing.await.unwrap_or_else(died)
    }
}
