//! A client that moves money between two collections, in transactions: there is never more or less of it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use bson::{Document, doc};
use futures_util::TryStreamExt;
use mongodb::{ClientSession, Collection, options::WriteConcern};
use tokio::task::JoinHandle;

use crate::copy::Side;

const COLLECTIONS: [&str; 2] = ["left", "right"];
const EACH: i64 = 1000;

/// Fills two collections with so many accounts each, and gives the sum of all money.
pub(crate) async fn fill(side: &Side<'_>, accounts: i32, text: usize) -> i64 {
    let (database, text) = (side.open().await, "x".repeat(text));
    for name in COLLECTIONS {
        let collection = database.collection::<Document>(name);
        collection.drop().await.unwrap();
        let account = |id| doc! { "_id": id, "balance": EACH, "text": &text };
        collection.insert_many((0..accounts).map(account)).await.unwrap();
    }
    2 * EACH * i64::from(accounts)
}

/// All the money.
pub(crate) async fn sum(side: &Side<'_>) -> i64 {
    let database = side.open().await;
    let mut all = 0;
    for name in COLLECTIONS {
        let stages = [doc! { "$group": { "_id": null, "sum": { "$sum": "$balance" } } }];
        let cursor = database.collection::<Document>(name).aggregate(stages).await.unwrap();
        all += cursor.try_collect::<Vec<_>>().await.unwrap()[0].get_i64("sum").unwrap();
    }
    all
}

/// The client at work.
pub(crate) struct Mover {
    stop: Arc<AtomicBool>,
    moves: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Mover {
    /// Starts to move, and comes back after the first move.
    pub(crate) async fn start(side: &Side<'_>, accounts: i32) -> Self {
        let client = side.set.client().await.unwrap();
        let collections = COLLECTIONS.map(|name| client.database(side.database).collection::<Document>(name));
        let (stop, moves) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let task = tokio::spawn({
            let (stop, moves) = (Arc::clone(&stop), Arc::clone(&moves));
            async move {
                let mut session = client.start_session().await.unwrap();
                while !stop.load(Ordering::Relaxed) {
                    let number = moves.load(Ordering::Relaxed);
                    step(&mut session, &collections, number, accounts).await;
                    moves.store(number + 1, Ordering::Relaxed);
                }
            }
        });
        let mover = Mover { stop, moves, task };
        while mover.moves() == 0 {
            assert!(!mover.task.is_finished(), "the mover has failed");
            tokio::task::yield_now().await;
        }
        mover
    }

    /// The transactions so far.
    pub(crate) fn moves(&self) -> u64 {
        self.moves.load(Ordering::Relaxed)
    }

    pub(crate) async fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.unwrap();
    }
}

/// One to three accounts of each collection, anywhere in it, pay one of the other.
async fn step(session: &mut ClientSession, collections: &[Collection<Document>; 2], number: u64, accounts: i32) {
    // It does not wait for the disk, so as to be as busy as it can.
    session.start_transaction().write_concern(WriteConcern::nodes(1)).await.unwrap();
    for pair in 0..=number % 3 {
        let spread = |factor: u64| ((number * 3 + pair) * factor % u64::from(accounts.unsigned_abs())) as i32;
        let amount = (number % 97) as i64 + 1;
        let (amount, from, to) =
            if number.is_multiple_of(2) { (amount, 7919, 104_729) } else { (-amount, 1299, 15_485) };
        for (collection, id, amount) in
            [(&collections[0], spread(from), -amount), (&collections[1], spread(to), amount)]
        {
            let pay = doc! { "$inc": { "balance": amount } };
            let paid = collection.update_one(doc! { "_id": id }, pay).session(&mut *session).await.unwrap();
            assert_eq!(paid.matched_count, 1);
        }
    }
    session.commit_transaction().await.unwrap();
}
