//! Captures on real servers, held against a plain stream of the test's own: each event in its lane, in order, once.

mod faults;
mod privileges;
mod refusals;
mod work_directory;

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use bson::{Document, doc};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use transload::{
    changes::{
        Event, Watch,
        capture::{CaptureOptions, Manifest, Since, capture},
        log::{Item, LogOptions, LogReader, Position},
    },
    error::Result,
    progress::Silent,
    report::CaptureReport,
    sandbox::Release,
    selection::SelectionOptions,
};
use transload_format::Documents;

use crate::{
    copy::Side,
    servers::{own, shared},
    stream::{plain, shown, tick, transaction, write_all_kinds},
};

/// A work directory, and what is captured into it.
pub(crate) struct Capture {
    folder: TempDir,
}

impl Capture {
    pub(crate) fn new() -> Self {
        Capture { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn directory(&self) -> std::path::PathBuf {
        self.folder.path().join("changes")
    }

    /// Options for a database, and nothing but it.
    pub(crate) fn options(&self, side: &Side<'_>) -> CaptureOptions {
        let default_database = Some(side.database.to_owned());
        CaptureOptions {
            directory: self.directory(),
            selection: SelectionOptions { default_database, ..SelectionOptions::default() },
            scope: None,
            since: None,
            full_documents: false,
            sync_interval: Duration::from_millis(20),
            until: None,
            moved_here: None,
            duration: None,
            log: LogOptions::default(),
            target: None,
        }
    }

    /// Captures until everything that has happened by now is recorded.
    pub(crate) async fn catch_up(&self, side: &Side<'_>) -> CaptureReport {
        let options = CaptureOptions { until: Some(now(side).await), ..self.options(side) };
        self.run(side, options).await.unwrap()
    }

    pub(crate) async fn run(&self, side: &Side<'_>, options: CaptureOptions) -> Result<CaptureReport> {
        let server = side.server().await;
        // A capture that hangs is stopped, and then lacks something.
        let cancel = CancellationToken::new();
        let limit = tokio::spawn({
            let cancel = cancel.clone();
            async move {
                tokio::time::sleep(Duration::from_secs(90)).await;
                cancel.cancel();
            }
        });
        let report = capture(&server, options, Arc::new(Silent), cancel).await;
        limit.abort();
        report
    }

    /// Begins to capture now, records nothing yet.
    pub(crate) async fn begin(&self, side: &Side<'_>) -> u64 {
        let begin = side.server().await.operation_time().await.unwrap();
        let options =
            CaptureOptions { since: Some(Since::Time(begin)), duration: Some(Duration::ZERO), ..self.options(side) };
        self.run(side, options).await.unwrap();
        begin
    }

    pub(crate) fn recorded(&self, stream: usize) -> Recorded {
        Recorded::read(&self.directory().join("log").join(stream.to_string()))
    }
}

/// The time of the last write; another one follows it, so that streams pass it.
pub(crate) async fn now(side: &Side<'_>) -> u64 {
    let now = side.server().await.operation_time().await.unwrap();
    tick(side.set).await;
    now
}

/// What a log holds.
#[derive(Debug, Default)]
pub(crate) struct Recorded {
    pub(crate) lanes: BTreeMap<String, Vec<Vec<u8>>>,
    pub(crate) position: Option<Position>,
}

impl Recorded {
    /// Reads a log, and checks that no checkpoint parts events of one time.
    pub(crate) fn read(directory: &Path) -> Self {
        let mut recorded = Recorded::default();
        let mut reader = LogReader::open(directory).unwrap();
        let (mut before, mut least) = (0, u64::MAX);
        while let Some(item) = reader.next().unwrap() {
            match item {
                Item::Events { namespace, events, .. } => {
                    for event in Documents::new(&events) {
                        let event = event.unwrap();
                        let time = Event::parse(event).unwrap().time;
                        least = least.min(time);
                        before = before.max(time);
                        recorded.lanes.entry(namespace.to_string()).or_default().push(event.to_vec());
                    }
                }
                Item::Checkpoint { position, .. } => {
                    assert!(position.time >= before, "a checkpoint stands before what is in front of it");
                    recorded.position = Some(position);
                }
            }
        }
        recorded
    }

    /// Compares with what a stream gives.
    #[track_caller]
    pub(crate) fn assert_is(&self, expected: &[Vec<u8>]) {
        let mut lanes: BTreeMap<String, Vec<Vec<u8>>> = BTreeMap::new();
        for raw in expected {
            let event = Event::parse(raw).unwrap();
            let lane = format!("{}.{}", event.database, event.collection.unwrap_or("$cmd"));
            lanes.entry(lane).or_default().push(raw.clone());
        }
        let names = |lanes: &BTreeMap<String, Vec<Vec<u8>>>| -> Vec<(String, Vec<String>)> {
            lanes.iter().map(|(name, events)| (name.clone(), shown(events))).collect()
        };
        let (ours, theirs) = (names(&self.lanes), names(&lanes));
        for (one, other) in ours.iter().zip(&theirs) {
            assert_eq!((&one.0, one.1.len()), (&other.0, other.1.len()));
        }
        assert_eq!(ours, theirs);
        assert!(self.lanes == lanes, "the bytes differ");
    }
}

/// Compares a log of one stream of a database with a plain stream, but for the ends of streams, which have no database.
pub(crate) async fn assert_recorded(capture: &Capture, side: &Side<'_>, begin: u64) {
    assert_log(&capture.directory().join("log/1"), side, begin).await;
}

/// The same for the directory of a log.
pub(crate) async fn assert_log(log: &Path, side: &Side<'_>, begin: u64) {
    let mut ours = Recorded::read(log).lanes;
    let ends = |event: &Vec<u8>| Event::parse(event).unwrap().name == "invalidate";
    let count: usize = ours.values().map(Vec::len).sum();
    let expected = plain(side, &Watch::Database(side.database.to_owned()), begin, count).await;
    ours.values_mut().for_each(|events| events.retain(|event| !ends(event)));
    ours.retain(|_, events| !events.is_empty());
    let expected: Vec<_> = expected.into_iter().filter(|event| !ends(event)).collect();
    Recorded { lanes: ours, position: None }.assert_is(&expected);
}

#[tokio::test]
async fn every_kind_of_event_is_recorded_in_its_lane_and_in_order() {
    for release in [Release::V4_2_6, Release::V5_0_4, Release::V6_0_5] {
        let side = Side::new(shared(release).await, "capture_kinds");
        side.run(doc! { "dropDatabase": 1 }).await;
        tick(side.set).await;
        let capture = Capture::new();
        let begin = capture.begin(&side).await;
        side.run(doc! { "create": "orders" }).await;
        write_all_kinds(&side).await;
        let report = capture.catch_up(&side).await;
        assert_recorded(&capture, &side, begin).await;
        assert_eq!(report.streams.len(), 1);
        let recorded = capture.recorded(1);
        let count: usize = recorded.lanes.values().map(Vec::len).sum();
        assert_eq!(report.events, count as u64, "{release}");
        let orders = report.namespaces.iter().find(|lane| lane.namespace == "capture_kinds.orders").unwrap();
        assert_eq!(orders.events, recorded.lanes["capture_kinds.orders"].len() as u64);
        assert!(recorded.lanes.contains_key("capture_kinds.$cmd"), "the end of the database is recorded");
    }
}

#[tokio::test]
async fn a_capture_that_is_stopped_again_and_again_records_every_event_once() {
    let side = Side::new(shared(Release::V6_0_5).await, "capture_stops");
    let capture = Capture::new();
    let begin = capture.begin(&side).await;
    let write = async {
        for round in 0..40 {
            let orders = side.open().await.collection::<Document>(if round % 3 == 0 { "orders" } else { "events" });
            orders.insert_many((0..50).map(|id| doc! { "_id": round * 50 + id })).await.unwrap();
            transaction(&side, &["orders", "events"], 20).await;
        }
    };
    let record = async {
        for milliseconds in [0, 1, 20, 300, 5, 700, 40] {
            let duration = Some(Duration::from_millis(milliseconds));
            capture.run(&side, CaptureOptions { duration, ..capture.options(&side) }).await.unwrap();
        }
    };
    tokio::join!(write, record);
    capture.catch_up(&side).await;
    assert_recorded(&capture, &side, begin).await;
    assert_eq!(capture.recorded(1).lanes.values().map(Vec::len).sum::<usize>(), 40 * (50 + 40) + 2);
}

/// Larger than what is held back, so that it is appended before its end is known.
#[tokio::test]
async fn a_large_transaction_is_never_parted_by_a_checkpoint() {
    for release in [Release::V4_2_6, Release::V6_0_5] {
        let side = Side::new(shared(release).await, "capture_transaction");
        side.run(doc! { "dropDatabase": 1 }).await;
        for collection in ["orders", "events"] {
            side.run(doc! { "create": collection }).await;
        }
        let capture = Capture::new();
        let begin = capture.begin(&side).await;
        let client = side.set.client().await.unwrap();
        let database = client.database(side.database);
        let text = "x".repeat(100_000);
        for round in 0..3 {
            let mut session = client.start_session().await.unwrap();
            session.start_transaction().await.unwrap();
            for id in 0..120 {
                let collection = database.collection::<Document>(if id % 2 == 0 { "orders" } else { "events" });
                let document = doc! { "_id": i64::try_from(round * 1000 + id).unwrap(), "text": text.clone() };
                collection.insert_one(document).session(&mut session).await.unwrap();
            }
            session.commit_transaction().await.unwrap();
            // Stopped in the middle of it, as like as not.
            let duration = Some(Duration::from_millis(60 * round));
            let options = CaptureOptions { duration, sync_interval: Duration::ZERO, ..capture.options(&side) };
            capture.run(&side, options).await.unwrap();
        }
        capture.catch_up(&side).await;
        assert_recorded(&capture, &side, begin).await;
        assert_eq!(capture.recorded(1).lanes["capture_transaction.orders"].len(), 180, "{release}");
    }
}

#[tokio::test]
async fn the_position_of_an_idle_capture_moves_on_with_the_deployment() {
    let side = Side::new(shared(Release::V6_0_5).await, "capture_idle");
    let capture = Capture::new();
    let begin = capture.begin(&side).await;
    let report = capture.catch_up(&side).await;
    let first = capture.recorded(1).position.unwrap();
    assert!(first.time > begin && report.events == 0);
    capture.catch_up(&side).await;
    assert!(capture.recorded(1).position.unwrap().time > first.time);
}

#[tokio::test]
async fn patterns_hold_for_collections_that_are_born_later_and_renames_into_them() {
    let side = Side::new(shared(Release::V6_0_5).await, "capture_born");
    let capture = Capture::new();
    let selecting = || {
        let mut options = capture.options(&side);
        options.selection.include = vec!["order*".to_owned()];
        options.selection.exclude = vec!["orders_tmp".to_owned()];
        options
    };
    capture.run(&side, CaptureOptions { duration: Some(Duration::ZERO), ..selecting() }).await.unwrap();
    let database = side.open().await;
    for name in ["orders_new", "events", "orders_tmp", "draft"] {
        database.collection::<Document>(name).insert_one(doc! { "_id": 1 }).await.unwrap();
    }
    let rename = doc! { "renameCollection": "capture_born.draft", "to": "capture_born.orders" };
    side.set.client().await.unwrap().database("admin").run_command(rename).await.unwrap();
    let rename = doc! { "renameCollection": "capture_born.events", "to": "capture_born.events2" };
    side.set.client().await.unwrap().database("admin").run_command(rename).await.unwrap();
    capture.catch_up(&side).await;
    let lanes = capture.recorded(1).lanes;
    let names: Vec<_> = lanes.iter().map(|(name, events)| format!("{name}: {}", shown(events).join(", "))).collect();
    assert_eq!(
        names,
        ["capture_born.draft: rename draft", "capture_born.orders_new: create orders_new, insert orders_new 1"]
    );
    side.run(doc! { "dropDatabase": 1 }).await;
}

#[tokio::test]
async fn a_deployment_is_one_stream_and_collections_are_one_each() {
    let set = own(Release::V6_0_5).await;
    let side = Side::new(&set, "capture_scope");
    let uri = set.uri();
    let server = transload::connect::connect(&transload::connect::Uri::read(&uri).unwrap().0, 4).await.unwrap();
    let client = set.client().await.unwrap();
    client.database("one").create_collection("a").await.unwrap();
    client.database("two").create_collection("b").await.unwrap();
    tick(&set).await;
    // The tick is in a third database.
    for (scope, streams) in [("deployment", 1), ("database", 3), ("collection", 3)] {
        let capture_into = Capture::new();
        let mut options = capture_into.options(&side);
        options.selection.default_database = None;
        options.scope = Some(scope.parse().unwrap());
        let begun = CaptureOptions { duration: Some(Duration::ZERO), ..options.clone() };
        let cancel = CancellationToken::new;
        capture(&server, begun, Arc::new(Silent), cancel()).await.unwrap();
        client.database("one").collection::<Document>("a").insert_one(doc! {}).await.unwrap();
        client.database("two").collection::<Document>("b").insert_one(doc! {}).await.unwrap();
        let until = Some(now(&side).await);
        let report = capture(&server, CaptureOptions { until, ..options }, Arc::new(Silent), cancel()).await.unwrap();
        assert_eq!(report.streams.len(), streams, "{scope}");
        let names: Vec<_> = report.namespaces.iter().map(|lane| (lane.namespace.as_str(), lane.events)).collect();
        assert_eq!(
            names.iter().filter(|(name, _)| *name != "beside.tick").collect::<Vec<_>>(),
            [&("one.a", 1), &("two.b", 1)],
            "{scope}"
        );
        let manifest = Manifest::read(&capture_into.directory()).unwrap().unwrap();
        assert_eq!(manifest.streams.len(), streams);
    }
}

/// The token that ended the stream cannot be resumed, only followed.
#[tokio::test]
async fn a_capture_of_a_collection_goes_on_behind_its_drop_and_rename() {
    for release in [Release::V4_2_6, Release::V6_0_5] {
        let side = Side::new(shared(release).await, "capture_ended");
        side.run(doc! { "dropDatabase": 1 }).await;
        side.run(doc! { "create": "orders" }).await;
        tick(side.set).await;
        let capture = Capture::new();
        let scoped = || CaptureOptions { scope: "collection".parse().ok(), ..capture.options(&side) };
        let begin = side.server().await.operation_time().await.unwrap();
        let since = Some(Since::Time(begin));
        let begun = CaptureOptions { since, duration: Some(Duration::ZERO), ..scoped() };
        capture.run(&side, begun).await.unwrap();
        for (round, end) in [doc! { "drop": "orders" }, doc! {}, doc! { "drop": "orders" }].into_iter().enumerate() {
            side.run(doc! { "insert": "orders", "documents": [{ "_id": round as i32 }] }).await;
            if end.is_empty() {
                let to = format!("capture_ended.away{round}");
                let rename = doc! { "renameCollection": "capture_ended.orders", "to": to };
                side.set.client().await.unwrap().database("admin").run_command(rename).await.unwrap();
            } else {
                side.run(end).await;
            }
            // Each time in a run of its own, which ends right behind the end of the stream.
            capture.catch_up(&side).await;
        }
        let lane = capture.recorded(1).lanes.remove("capture_ended.orders").unwrap();
        let watch = Watch::Collection(transload::namespace::Namespace::parse("capture_ended.orders").unwrap());
        let expected = plain(&side, &watch, begin, lane.len()).await;
        assert_eq!(shown(&lane), shown(&expected), "{release}");
        assert!(lane == expected, "{release}: the bytes differ");
        let ends = lane.iter().filter(|event| Event::parse(event).unwrap().name == "invalidate").count();
        assert_eq!(ends, 3, "{release}: {:?}", shown(&lane));
    }
}
