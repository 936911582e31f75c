//! Sequences that replays once got wrong, each found by a reading of the code or by a long run of kills.

use bson::{Document, doc};
use tokio_util::sync::CancellationToken;
use transload::{
    changes::replay::{ReplayOptions, ReplayReport},
    error::ErrorKind,
    sandbox::Release,
};

use super::moving::{Capture, Move};
use crate::{copy::Side, servers::shared};

/// A copy of the database, and a capture of what happens to it from before the copy on.
struct Story {
    moved: Move<'static>,
    capture: Option<Capture>,
}

impl Story {
    /// Begins with what `before` does to an empty database, and goes on with what `meanwhile` does before the copy is made.
    async fn new(
        from: Release,
        names: (&'static str, &'static str),
        before: impl AsyncFnOnce(&Side<'_>),
        meanwhile: impl AsyncFnOnce(&Side<'_>),
    ) -> Self {
        let source = Side::new(shared(from).await, names.0);
        source.run(doc! { "dropDatabase": 1 }).await;
        source.run(doc! { "create": "first" }).await;
        before(&source).await;
        let moved = Move::new(source, Side::new(shared(Release::V6_0_5).await, names.1));
        let capture = Some(moved.capture().await);
        meanwhile(&moved.source).await;
        moved.copy().await;
        Story { moved, capture }
    }

    /// Replays all of it.
    async fn replay(&mut self, with_archive: bool, with_source: bool) -> ReplayReport {
        if let Some(capture) = self.capture.take() {
            self.moved.recorded_now().await;
            capture.stop().await;
        }
        let mut options = ReplayOptions { follow: false, ..self.moved.options(None) };
        options.archive = options.archive.filter(|_| with_archive);
        self.moved.replay_as(options, with_source, CancellationToken::new()).await.unwrap()
    }
}

async fn nothing(_: &Side<'_>) {}

async fn insert(side: &Side<'_>, name: &str, documents: Vec<Document>) {
    side.open().await.collection::<Document>(name).insert_many(documents).await.unwrap();
}

async fn set(side: &Side<'_>, name: &str, id: &str, fields: Document) {
    let items = side.open().await.collection::<Document>(name);
    items.update_one(doc! { "_id": id }, doc! { "$set": fields }).await.unwrap();
}

async fn rename(side: &Side<'_>, from: &str, to: &str) {
    let name = |name: &str| format!("{}.{name}", side.database);
    let command = doc! { "renameCollection": name(from), "to": name(to), "dropTarget": true };
    side.set.client().await.unwrap().database("admin").run_command(command).await.unwrap();
}

/// Servers before 6.0 do not tell that a collection came into being, and no document of it does either.
#[tokio::test]
async fn a_collection_that_never_had_a_document_takes_the_place_of_another() {
    let full = async |side: &Side<'_>| insert(side, "full", vec![doc! { "_id": 1 }]).await;
    let mut story = Story::new(Release::V5_0_4, ("story_empty", "story_empty_copy"), full, nothing).await;
    story.moved.source.run(doc! { "create": "empty" }).await;
    rename(&story.moved.source, "empty", "full").await;
    let report = story.replay(true, true).await;
    assert!(report.is_whole(), "{report:?}");
    story.moved.assert_equal().await;
}

fn collated() -> Document {
    doc! { "create": "words", "collation": { "locale": "en", "strength": 2 } }
}

/// Only the server knows which documents are one, yet each has letters of its own.
#[tokio::test]
async fn a_document_is_not_whole_because_another_one_is() {
    let words = async |side: &Side<'_>| {
        side.run(collated()).await;
        insert(side, "words", vec![doc! { "_id": "one", "u": 1 }, doc! { "_id": "two", "u": 2 }]).await;
    };
    let names = ("story_letters", "story_letters_copy");
    let mut story = Story::new(Release::V6_0_5, names, words, nothing).await;
    let index = doc! { "key": { "u": 1 }, "name": "u_1", "unique": true };
    story.moved.target.run(doc! { "createIndexes": "words", "indexes": [index] }).await;
    insert(&story.moved.target, "words", vec![doc! { "_id": "in the way", "u": 3 }]).await;
    set(&story.moved.source, "words", "one", doc! { "u": 3 }).await;
    let report = story.replay(true, false).await;
    assert_eq!(report.dead_letters, 1, "{report:?}");
    // In a later run.
    story.capture = Some(story.moved.capture().await);
    insert(&story.moved.source, "words", vec![doc! { "_id": "three", "u": 4 }]).await;
    set(&story.moved.source, "words", "two", doc! { "n": 1 }).await;
    let report = story.replay(true, false).await;
    assert_eq!((report.dead_letters, report.dead[0].key.as_str()), (1, "{\"_id\":\"one\"}"), "{report:?}");
    let words = story.moved.target.open().await.collection::<Document>("words");
    assert_eq!(words.count_documents(doc! { "n": 1 }).await.unwrap(), 1);
}

/// All that were fetched under the old name are fetched again under the new one.
#[tokio::test]
async fn documents_with_a_collation_are_fetched_after_a_rename() {
    let words = async |side: &Side<'_>| {
        side.run(collated()).await;
        insert(side, "words", ["one", "two", "three"].map(|id| doc! { "_id": id }).to_vec()).await;
    };
    let mut story = Story::new(Release::V6_0_5, ("story_owed", "story_owed_copy"), words, nothing).await;
    for id in ["one", "two", "three"] {
        set(&story.moved.source, "words", id, doc! { "n": id }).await;
    }
    rename(&story.moved.source, "words", "others").await;
    let report = story.replay(false, true).await;
    assert_eq!(report.dead_letters, 0, "{report:?}");
    story.moved.assert_equal().await;
}

/// A dead letter follows its document to another name, and ends with its collection.
#[tokio::test]
async fn dead_letters_follow_a_rename_and_end_with_a_drop() {
    let items = async |side: &Side<'_>| {
        for name in ["items", "gone"] {
            insert(side, name, vec![doc! { "_id": "one", "u": 1 }, doc! { "_id": "two", "u": 2 }]).await;
        }
    };
    let names = ("story_renamed", "story_renamed_copy");
    let mut story = Story::new(Release::V6_0_5, names, items, nothing).await;
    for name in ["items", "gone"] {
        let index = doc! { "key": { "u": 1 }, "name": "u_1", "unique": true };
        story.moved.target.run(doc! { "createIndexes": name, "indexes": [index] }).await;
        insert(&story.moved.target, name, vec![doc! { "_id": "in the way", "u": 3 }]).await;
        set(&story.moved.source, name, "one", doc! { "u": 3 }).await;
    }
    rename(&story.moved.source, "items", "others").await;
    story.moved.source.run(doc! { "drop": "gone" }).await;
    let report = story.replay(true, false).await;
    let dead: Vec<_> = report.dead.iter().map(|letter| letter.namespace.collection()).collect();
    assert_eq!(dead, ["others"], "{report:?}");
    let others = story.moved.target.open().await.collection::<Document>("others");
    others.delete_one(doc! { "_id": "in the way" }).await.unwrap();
    others.drop_index("u_1").await.unwrap();
    let report = story.replay(true, true).await;
    assert_eq!(report.dead_letters, 0, "{report:?}");
    story.moved.assert_equal().await;
}

/// What was done to the indexes of a collection that had the name before the copy is none of the copy's concern.
#[tokio::test]
async fn indexes_from_before_the_copy_are_not_built_on_it() {
    let meanwhile = async |side: &Side<'_>| {
        let index = doc! { "key": { "u": 1 }, "name": "u_1", "unique": true };
        side.run(doc! { "createIndexes": "items", "indexes": [index] }).await;
        side.run(doc! { "drop": "items" }).await;
        insert(side, "items", vec![doc! { "_id": 1, "u": 1 }, doc! { "_id": 2, "u": 1 }]).await;
    };
    let names = ("story_indexes", "story_indexes_copy");
    let mut story = Story::new(Release::V6_0_5, names, nothing, meanwhile).await;
    let report = story.replay(true, false).await;
    assert!(report.is_whole(), "{report:?}");
    story.moved.assert_equal().await;
}

/// A target that is further than `--until` is not taken back.
#[tokio::test]
async fn a_target_beyond_a_moment_is_refused() {
    let mut story = Story::new(Release::V6_0_5, ("story_until", "story_until_copy"), nothing, nothing).await;
    insert(&story.moved.source, "first", vec![doc! { "_id": 1 }]).await;
    let moment = story.moved.now().await;
    insert(&story.moved.source, "first", vec![doc! { "_id": 2 }]).await;
    story.replay(true, false).await;
    let options = ReplayOptions { follow: false, ..story.moved.options(Some(moment)) };
    let error = story.moved.replay_as(options, false, CancellationToken::new()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage, "{error}");
}
