//! How far index builds are, as a restore tells it while real servers build.

use std::{
    sync::{Arc, Mutex, mpsc},
    time::{Duration, Instant},
};

use bson::{Document, doc};
use futures_util::TryStreamExt;
use mongodb::Database;
use tokio_util::sync::CancellationToken;
use transload::{
    progress::Progress,
    restore::{Source, restore},
    sandbox::Release,
};

use crate::{
    copy::{Archive, Side, assert_whole},
    odd_documents::numbered,
    servers::own,
};

const BUILDING: &str = "building indexes";
const LIMIT: Duration = Duration::from_secs(60);

/// Remembers what it was told of the builds, and lets none begin before it may.
#[derive(Debug)]
struct Gate {
    reached: mpsc::Sender<()>,
    open: Mutex<mpsc::Receiver<()>>,
    heard: Mutex<Heard>,
}

#[derive(Clone, Debug, Default)]
struct Heard {
    building: bool,
    total: Option<u64>,
    told: Vec<u64>,
}

impl Gate {
    fn heard(&self) -> Heard {
        self.heard.lock().unwrap().clone()
    }
}

impl Progress for Gate {
    fn stage(&self, name: &str, documents: Option<u64>, _: Option<u64>) {
        *self.heard.lock().unwrap() = Heard { building: name == BUILDING, total: documents, told: vec![] };
        if name == BUILDING {
            self.reached.send(()).unwrap();
            self.open.lock().unwrap().recv_timeout(LIMIT).unwrap();
        }
    }

    fn advance(&self, documents: u64, _: u64) {
        let mut heard = self.heard.lock().unwrap();
        if heard.building && documents > 0 {
            heard.told.push(documents);
        }
    }

    fn warn(&self, _: &str) {}
}

async fn fill(side: &Side<'_>, collection: &str, documents: i32, indexes: Vec<Document>) {
    let with_array = |id: i32| {
        numbered(id, |doc| {
            doc.int32("a", id).embed_array("many", |array| {
                for number in 0..3 {
                    array.int32(number.to_string(), id * 3 + number);
                }
            });
        })
    };
    side.insert(collection, &(0..documents).map(with_array).collect::<Vec<_>>()).await;
    if !indexes.is_empty() {
        side.run(doc! { "createIndexes": collection, "indexes": indexes }).await;
    }
}

fn index(field: &str) -> Document {
    doc! { "key": { field: 1 }, "name": field }
}

/// What the server says of builds that read a collection, until one of them reads this one.
async fn wait_for_build(admin: &Database, namespace: &str) {
    let begun = Instant::now();
    loop {
        let running = doc! { "$match": { "msg": { "$regex": "^Index Build: scanning" }, "ns": namespace } };
        let operations = admin.aggregate([doc! { "$currentOp": { "allUsers": true } }, running]).await.unwrap();
        if operations.try_collect::<Vec<Document>>().await.unwrap().iter().any(|it| it.contains_key("progress")) {
            return;
        }
        assert!(begun.elapsed() < LIMIT, "{namespace} is not built");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_restore_tells_how_far_builds_are_while_they_go_on_and_counts_no_others() {
    for release in [Release::V4_2_6, Release::V5_0_4, Release::V6_0_5] {
        let set = own(release).await;
        let (source, target) = (Side::new(&set, "build_progress"), Side::new(&set, "build_progress_copy"));
        fill(&source, "one", 3000, vec![index("a"), index("many")]).await;
        fill(&source, "two", 2000, vec![index("many")]).await;
        fill(&source, "without", 500, vec![]).await;
        let foreign = Side::new(&set, "build_progress_foreign");
        fill(&foreign, "one", 7000, vec![]).await;
        let archive = Archive::new();
        archive.dump(&source).await.unwrap();

        let ((reached, is_reached), (open, opened)) = (mpsc::channel(), mpsc::channel());
        let gate = Arc::new(Gate { reached, open: Mutex::new(opened), heard: Mutex::default() });
        let restored = tokio::spawn({
            let (archive, server, mut options) =
                (archive.open(), target.server().await, archive.restore_options(&target));
            // One collection after the other.
            options.parallel = 1;
            let gate = gate.clone();
            async move { restore(Source::File(archive), &server, options, gate, CancellationToken::new()).await }
        });
        tokio::task::spawn_blocking(move || is_reached.recv_timeout(LIMIT).unwrap()).await.unwrap();
        // A build stops when it has read its collection, and before it inserts the keys.
        let hold =
            |mode: &str| set.fail_point(doc! { "configureFailPoint": "hangAfterStartingIndexBuild", "mode": mode });
        hold("alwaysOn").await.unwrap();
        let (client, command) = (set.client().await.unwrap(), doc! { "createIndexes": "one", "indexes": [index("a")] });
        let admin = client.database("admin");
        let of_another = tokio::spawn({
            let database = client.database(foreign.database);
            async move { database.run_command(command).await }
        });
        wait_for_build(&admin, "build_progress_foreign.one").await;
        open.send(()).unwrap();
        wait_for_build(&admin, "build_progress_copy.one").await;
        let begun = Instant::now();
        while gate.heard().told.is_empty() && begun.elapsed() < LIMIT {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        // It was asked again meanwhile, and there was nothing more to tell.
        tokio::time::sleep(Duration::from_millis(1500)).await;
        let held = gate.heard();
        assert!(!restored.is_finished(), "{release}: {held:?}");
        hold("off").await.unwrap();
        assert_eq!((held.total, &held.told), (Some(5000), &vec![3000]), "{release}");

        assert_whole(&restored.await.unwrap().unwrap());
        of_another.await.unwrap().unwrap();
        let heard = gate.heard();
        assert_eq!((heard.total, heard.told.iter().sum::<u64>()), (Some(5000), 5000), "{release}: {heard:?}");
    }
}
