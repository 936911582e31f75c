//! A move from one database to another while an application writes: capture, dump, restore, replay.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use bson::doc;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use transload::{
    archive::Destination,
    changes::{
        capture::{CaptureOptions, Scope, capture},
        cdc,
        log::{Item, LogOptions, LogReader},
        replay::{ReplayOptions, ReplayReport, replay},
    },
    connect::Server,
    error::{ErrorKind, Result},
    progress::Silent,
    report::CaptureReport,
    selection::{Selection, SelectionOptions},
};

use crate::{
    copy::{Archive, Side},
    eventually::eventually,
};

/// A move, with its work directory and its archive.
pub(crate) struct Move<'a> {
    pub(crate) source: Side<'a>,
    pub(crate) target: Side<'a>,
    pub(crate) archive: Archive,
    pub(crate) folder: TempDir,
    /// Whether the events go to the target.
    pub(crate) through_target: bool,
    /// Whether they go into the database of the copy, and not beside it.
    pub(crate) in_copy: bool,
    /// What one stream watches.
    pub(crate) scope: Option<Scope>,
    /// Whether updates are captured with their documents.
    pub(crate) full_documents: bool,
}

/// A capture at work.
pub(crate) struct Capture {
    task: JoinHandle<Result<CaptureReport>>,
    cancel: CancellationToken,
}

impl Capture {
    /// Waits until it ends by itself.
    pub(crate) async fn end(self) -> Result<CaptureReport> {
        self.task.await.unwrap()
    }

    /// Stops it.
    pub(crate) async fn stop(self) -> CaptureReport {
        self.cancel.cancel();
        self.task.await.unwrap().unwrap()
    }
}

/// Whether a collection holds a capture's events.
fn is_of_events(name: &str) -> bool {
    [cdc::EVENTS, cdc::POSITIONS].contains(&name)
}

impl<'a> Move<'a> {
    pub(crate) fn new(source: Side<'a>, target: Side<'a>) -> Self {
        Move {
            source,
            target,
            archive: Archive::new(),
            folder: tempfile::tempdir().unwrap(),
            through_target: false,
            in_copy: false,
            scope: None,
            full_documents: false,
        }
    }

    pub(crate) fn directory(&self) -> PathBuf {
        self.folder.path().join("work")
    }

    /// The target, with a database beside the copy, so that the copy is nothing but the copy.
    async fn target_of_events(&self) -> Server {
        Side::new(self.target.set, &self.database_of_events()).server().await
    }

    pub(crate) fn database_of_events(&self) -> String {
        if self.in_copy { self.target.database.to_owned() } else { format!("{}_events", self.target.database) }
    }

    /// Begins the capture, and waits until nothing is missed any more.
    pub(crate) async fn capture(&self) -> Capture {
        let options = CaptureOptions {
            directory: self.directory(),
            selection: SelectionOptions {
                default_database: Some(self.source.database.to_owned()),
                ..SelectionOptions::default()
            },
            scope: self.scope,
            since: None,
            full_documents: self.full_documents,
            sync_interval: Duration::from_millis(20),
            until: None,
            moved_here: None,
            duration: None,
            log: LogOptions { segment_bytes: 1 << 20, ..LogOptions::default() },
            target: if self.through_target { Some(self.target_of_events().await) } else { None },
        };
        let (server, cancel) = (self.source.server().await, CancellationToken::new());
        let stop = cancel.clone();
        let task = tokio::spawn(async move { capture(&server, options, Arc::new(Silent), stop).await });
        let manifest = self.directory().join("capture.json");
        let has_begun = || std::fs::read_to_string(&manifest).is_ok_and(|text| text.contains("\"begun\""));
        while !has_begun() {
            assert!(!task.is_finished(), "{:?}", task.await);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Capture { task, cancel }
    }

    /// Dumps and restores. What the target refuses because the parts are of different times is for the replay to mend.
    pub(crate) async fn copy(&self) {
        // A collection that is dropped or renamed while it is read ends a dump.
        let mut options = self.archive.options();
        options.destination = Destination::File { path: self.archive.path(), replace: true };
        while let Err(error) = self.archive.dump_as(&self.source, options.clone()).await {
            assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
        }
        if !self.in_copy {
            self.target.open().await.drop().await.unwrap();
        }
        self.archive.restore(&self.target).await.unwrap();
    }

    pub(crate) fn options(&self, until: Option<u64>) -> ReplayOptions {
        let rename = format!("{}.*={}.*", self.source.database, self.target.database);
        let selection = SelectionOptions {
            default_database: Some(self.source.database.to_owned()),
            rename: vec![rename],
            ..SelectionOptions::default()
        };
        ReplayOptions {
            directory: self.directory(),
            archive: Some(self.archive.path()),
            selection: Selection::new(&selection).unwrap(),
            follow: true,
            until,
            parallel: 4,
            keep_log: false,
            retry_dead_letters: false,
            sharding: None,
            until_cutover: false,
            made: std::collections::HashMap::new(),
        }
    }

    /// Replays with the source at hand until `cancel` is called, or until a time that is wanted.
    pub(crate) async fn replay(&self, until: Option<u64>, cancel: CancellationToken) -> Result<ReplayReport> {
        self.replay_as(self.options(until), true, cancel).await
    }

    pub(crate) async fn replay_as(
        &self,
        options: ReplayOptions,
        with_source: bool,
        cancel: CancellationToken,
    ) -> Result<ReplayReport> {
        let target = self.target.server().await;
        let source = self.source.server().await;
        replay(&target, with_source.then_some(&source), options, Arc::new(Silent), cancel).await
    }

    /// Holds the target against the source: documents by the servers' own hashes, options, and indexes, whose specs servers
    /// of different releases list in another order of their fields.
    pub(crate) async fn assert_equal(&self) {
        self.assert_equal_but("").await;
    }

    /// The same, but for the documents of one collection.
    pub(crate) async fn assert_equal_but(&self, collection: &str) {
        assert_same_but(&self.source, &self.target, collection).await;
    }

    /// The time up to which the log has everything.
    async fn recorded(&self) -> u64 {
        let mut log = LogReader::open(&self.directory().join("log").join("1")).unwrap();
        let mut last = 0;
        while let Some(item) = log.next().unwrap() {
            if let Item::Checkpoint { position, .. } = item {
                last = position.time;
            }
        }
        last
    }

    /// The source's present time. A write behind it, to another database, lets the stream's position pass it at once: a
    /// server without any writes moves it every ten seconds.
    pub(crate) async fn now(&self) -> u64 {
        let now = self.source.server().await.operation_time().await.unwrap();
        let ticks = self.source.set.client().await.unwrap().database("ticks").collection("ticks");
        ticks.insert_one(doc! { "at": "now" }).await.unwrap();
        now
    }

    /// The source's present time, when the log has everything up to it.
    pub(crate) async fn recorded_now(&self) -> u64 {
        let now = self.now().await;
        eventually("everything up to now is recorded", async || self.recorded().await >= now).await;
        now
    }
}

/// Holds a database against its copy: documents by the servers' own hashes, options, and indexes.
pub(crate) async fn assert_same(source: &Side<'_>, target: &Side<'_>) {
    assert_same_but(source, target, "").await;
}

async fn assert_same_but(source: &Side<'_>, target: &Side<'_>, collection: &str) {
    let (mut expected, mut found) = (source.state().await, target.state().await);
    for state in [&mut expected, &mut found] {
        state.hashes.retain(|name, _| name != collection && !is_of_events(name));
        state.options.retain(|name, _| !is_of_events(name));
        state.indexes.retain(|name, _| !is_of_events(name));
    }
    assert!(!expected.options.is_empty(), "nothing was compared");
    assert_eq!(expected.options, found.options);
    for (name, _) in expected.hashes.iter().filter(|(name, hash)| found.hashes.get(*name) != Some(*hash)) {
        show_difference(source, target, name).await;
    }
    assert_eq!(expected.hashes, found.hashes);
    let sorted = |indexes: &BTreeMap<String, Vec<String>>| {
        let fields = |spec: &String| {
            let mut fields: Vec<String> =
                spec.split(", \"").map(|field| field.trim_matches(['{', '}', ' ', '"']).to_owned()).collect();
            fields.sort();
            fields
        };
        let all = indexes.iter().map(|(name, specs)| {
            let mut specs: Vec<_> = specs.iter().map(fields).collect();
            specs.sort();
            (name.clone(), specs)
        });
        all.collect::<BTreeMap<_, _>>()
    };
    assert_eq!(sorted(&expected.indexes), sorted(&found.indexes));
}

/// Prints the first documents that differ.
async fn show_difference(source: &Side<'_>, target: &Side<'_>, collection: &str) {
    let (expected, found) = (source.documents(collection).await, target.documents(collection).await);
    let shown = |bytes: &Vec<u8>| bson::Document::from_reader(bytes.as_slice()).map(|document| document.to_string());
    for (side, these, others) in [("source", &expected, &found), ("target", &found, &expected)] {
        for document in these.iter().filter(|document| !others.contains(document)).take(5) {
            eprintln!("{collection}: only in the {side}: {:.600}", shown(document).unwrap_or_default());
        }
    }
}
