//! Values of unique indexes that wander from document to document: each finds its place on the target, in whatever order
//! documents are written or fetched there.

use bson::{Document, doc};
use tokio_util::sync::CancellationToken;
use transload::{changes::replay::ReplayReport, sandbox::Release};

use super::moving::Move;
use crate::{copy::Side, servers::shared};

/// A copy of documents with the values 1 to 9 in a unique index.
struct Wandering {
    moved: Move<'static>,
    capture: Option<super::moving::Capture>,
}

impl Wandering {
    async fn new(source: &'static str, copy: &'static str) -> Self {
        let set = shared(Release::V6_0_5).await;
        let (source, target) = (Side::new(set, source), Side::new(set, copy));
        let index = doc! { "key": { "u": 1 }, "name": "u_1", "unique": true };
        source.run(doc! { "createIndexes": "items", "indexes": [index] }).await;
        let items = source.open().await.collection::<Document>("items");
        items.insert_many((1..10).map(|n| doc! { "_id": n, "u": n })).await.unwrap();
        let moved = Move::new(source, target);
        let capture = Some(moved.capture().await);
        moved.copy().await;
        Wandering { moved, capture }
    }

    async fn set(&self, id: i32, fields: Document) {
        let items = self.moved.source.open().await.collection::<Document>("items");
        items.update_one(doc! { "_id": id }, doc! { "$set": fields }).await.unwrap();
    }

    /// Replays all of it, with the archive or with the source alone.
    async fn replay(&mut self, with_archive: bool) -> ReplayReport {
        if let Some(capture) = self.capture.take() {
            self.moved.recorded_now().await;
            capture.stop().await;
        }
        let mut options = self.moved.options(None);
        options.follow = false;
        options.archive = options.archive.filter(|_| with_archive);
        self.moved.replay_as(options, !with_archive, CancellationToken::new()).await.unwrap()
    }
}

#[tokio::test]
async fn documents_that_have_exchanged_their_values_are_fetched_into_their_places() {
    let mut wandering = Wandering::new("wandering_circle", "wandering_circle_copy").await;
    wandering.set(1, doc! { "u": 100 }).await;
    for id in 2..10 {
        wandering.set(id, doc! { "u": id - 1 }).await;
    }
    wandering.set(1, doc! { "u": 9 }).await;
    let report = wandering.replay(false).await;
    // The insert of the last one may be in the log, and make it whole.
    assert!(report.dead_letters == 0 && report.refetched >= 8, "{report:?}");
    wandering.moved.assert_equal().await;
}

#[tokio::test]
async fn a_document_fetched_before_its_place_is_free_comes_there_in_the_end() {
    let mut wandering = Wandering::new("wandering_ahead", "wandering_ahead_copy").await;
    wandering.set(1, doc! { "n": 1 }).await;
    // A run ends here, and the document is fetched as it is later.
    wandering.moved.source.run(doc! { "create": "between" }).await;
    wandering.set(9, doc! { "u": 90 }).await;
    wandering.set(1, doc! { "u": 9 }).await;
    let report = wandering.replay(false).await;
    assert_eq!(report.dead_letters, 0, "{report:?}");
    wandering.moved.assert_equal().await;
}

/// Changes of a document whose second one meets a document that is the copy's own; all in one run, or each in its own.
async fn miss(wandering: &mut Wandering, is_one_run: bool) {
    let copies = wandering.moved.target.open().await.collection::<Document>("items");
    copies.insert_one(doc! { "_id": "in the way", "u": 70 }).await.unwrap();
    for (id, fields) in
        [(1, doc! { "u": 80 }), (1, doc! { "u": 70, "x": 1 }), (2, doc! { "u": 1 }), (1, doc! { "u": 2 })]
    {
        wandering.set(id, fields).await;
        if !is_one_run {
            wandering.moved.source.run(doc! { "create": format!("between_{id}_{}", bson::oid::ObjectId::new()) }).await;
        }
    }
    let report = wandering.replay(true).await;
    assert_eq!(report.dead_letters, 0, "{report:?}");
    copies.delete_one(doc! { "_id": "in the way" }).await.unwrap();
    wandering.moved.assert_equal().await;
}

#[tokio::test]
async fn regression_what_an_update_set_is_not_lost_when_only_the_next_one_finds_its_place() {
    let mut wandering = Wandering::new("wandering_missed", "wandering_missed_copy").await;
    miss(&mut wandering, true).await;
}

#[tokio::test]
async fn regression_what_one_run_missed_is_made_up_for_at_the_end() {
    let mut wandering = Wandering::new("wandering_later", "wandering_later_copy").await;
    miss(&mut wandering, false).await;
}
