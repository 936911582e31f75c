//! The copy: the source into the archive, and the archive into the target while it grows.
//!
//! ```text
//! scan: N cursors ─▶ archive: one writer ─▶ DIR/copy.tlz ─▶ reader: a thread ─▶ load: M inserters
//! ```
//! The archive is the pipe. Neither end waits for the other but the loader for what is not read yet, and after a kill each goes
//! on where it was: the reader behind the last document that the archive has of each part, the loader behind the blocks
//! that its journal has.

use std::{collections::BTreeMap, sync::Arc};

use tokio_util::sync::CancellationToken;
use transload_format::{ArchiveId, Contents};

use super::{
    Migration,
    beginning::still,
    parts::Parts,
    state::{Copied, Stage},
};
use crate::{
    archive::{ArchiveFile, Destination, GrowingFile, Growth, Sink, Unfinished, new_id, partial_name},
    catalog::{self, Entry, Order},
    changes::replay::note_of_collection,
    connect::Server,
    dump::{self, Cutting, Job, Readers},
    error::{Error, ErrorKind, Result},
    namespace::Namespace,
    progress::News,
    replace::replace,
    report::RestoreReport,
    restore::{
        Existing, IndexPolicy, IndexSource, LoadJournal, LoadWatch, Moving, RestoreOptions, Source, Within, load,
    },
    scan::{PART_BYTES, ReadOrder},
    selection::Selection,
    timing::Timing,
};

/// What messages call the archive.
const NAME: &str = "the copy";

/// Reasons that are told.
const REASONS: usize = 10;

/// What is to be read, and where it goes.
struct Reading {
    entries: Vec<Entry>,
    jobs: Vec<Job>,
    /// The namespaces that need no more reading.
    finished: Vec<u32>,
    since: u64,
    /// The cluster time of the catalog, or a later one.
    floor: u64,
    sink: Sink,
    writer: tokio::task::JoinHandle<Result<crate::archive::Written, crate::archive::Cut>>,
}

impl Migration {
    /// Copies what is not copied yet.
    ///
    /// # Errors
    /// When a server or the disk fails. What was done is kept, and the next call goes on with it.
    pub(super) async fn copy(&self) -> Result<Copied> {
        self.copied_with_care(self.read_and_load()).await
    }

    async fn read_and_load(&self) -> Result<Copied> {
        let begun = std::time::Instant::now();
        let path = self.paths.archive();
        let growth = Growth::default();
        let _given_up = growth.given_up_when_dropped();
        let stop = self.cancel.child_token();
        let (id, end, reading) = if path.exists() {
            growth.finish();
            let archive = ArchiveFile::open_whole(&path)?;
            (archive.contents().header().id, archive.contents().sequence(), None)
        } else {
            let (id, end, reading) = tokio::select! {
                reading = self.begin_or_go_on() => reading?,
                () = stop.cancelled() => return Err(Error::interrupted()),
            };
            (id, end, Some(reading))
        };
        let parts = Parts::read(&self.paths.parts())?.ok_or_else(|| lost(&self.paths.parts()))?;
        self.board.copying(&parts);
        self.sweep_scratches().await?;
        let journal = LoadJournal::open(&self.paths.loaded(), id.to_string(), end)?;
        let options = self.restore_options(self.existing(&journal, &parts).await?);
        let watch: Arc<dyn LoadWatch> = self.board.clone();
        let moving = Moving::new(journal, watch);
        let growing = Source::Stream(NAME, Box::new(GrowingFile::open(&path, growth.clone())?));
        let loading = async {
            let (within, progress) = (self.within(), self.board.of_loading());
            let loaded = load(growing, &self.target, options, within, moving, progress, stop.clone()).await;
            if loaded.is_err() {
                stop.cancel();
            }
            loaded
        };
        let reading = async {
            let Some(reading) = reading else { return Ok(()) };
            let read = self.read(reading, &stop).await;
            match &read {
                Ok(()) => growth.finish(),
                Err(_) => growth.give_up(),
            }
            read
        };
        let (read, loaded) = tokio::join!(reading, loading);
        // If one end has failed, the other was only stopped.
        let report = match (read, loaded) {
            (Err(error), Err(other)) if error.kind() == ErrorKind::Interrupted => return Err(other),
            (Err(error), _) => return Err(error),
            (Ok(()), loaded) => loaded?,
        };
        self.log_repairs(&report)?;
        let archive = ArchiveFile::open(&path)?;
        dump::write_sidecar(&Destination::File { path, replace: false }, archive.contents())?;
        self.write_refused(&report)?;
        Ok(copied(&report, archive.contents(), parts, begun.elapsed().as_secs_f64()))
    }

    /// Begins the archive, or goes on with what is left of one. Gives its id, and how many blocks of it are known to be whole.
    async fn begin_or_go_on(&self) -> Result<(ArchiveId, u64, Reading)> {
        let path = self.paths.archive();
        if let Some(parts) = Parts::read(&self.paths.parts())? {
            let scanned = path.clone();
            let left = tokio::task::spawn_blocking(move || Unfinished::read(&scanned))
                .await
                .unwrap_or_else(|panic| Err(Error::new(ErrorKind::Internal, format!("a reader died: {panic}"))))?;
            if let Some(left) = left.filter(|left| parts.is_announced(left)) {
                return self.go_on(&parts, left).await;
            }
        }
        if self.paths.loaded().exists() {
            return Err(Error::new(ErrorKind::Damaged, "is missing, and what was loaded is of it")
                .with_hint("put it back, or begin anew with --restart")
                .at(partial_name(&path).display().to_string()));
        }
        self.begin().await
    }

    async fn go_on(&self, parts: &Parts, left: Unfinished) -> Result<(ArchiveId, u64, Reading)> {
        let (entries, jobs) = (parts.entries(&left)?, parts.open(&left));
        let finished = (1..).zip(left.contents.namespaces()).filter(|(_, namespace)| namespace.finished);
        let finished = finished.map(|(id, _)| id).collect();
        let since = left.contents.checkpoint().map_or(0, |checkpoint| checkpoint.cluster_time);
        let (id, end) = (left.contents.header().id, left.contents.sequence());
        let (sink, writer) = Sink::go_on(&self.paths.archive(), self.options.codec, left.contents)?;
        self.board.log(None, &format!("the copy goes on with {} parts", jobs.len()));
        let floor = self.source.reading_primary().operation_time().await?;
        Ok((id, end, Reading { entries, jobs, finished, since, floor, sink, writer }))
    }

    async fn begin(&self) -> Result<(ArchiveId, u64, Reading)> {
        let primary = self.source.reading_primary();
        // What happens from now on is not all in the copy; what happened before is.
        let since = primary.operation_time().await?;
        let selection = Selection::new(&self.selection)?;
        let catalog = still(|| catalog::read(&primary, &selection)).await?;
        // Parts of `_id`s alone can be gone on with by whoever is there, today or tomorrow.
        let cutting = Cutting { part_bytes: PART_BYTES, parts: self.options.parts, order: ReadOrder::Id };
        let jobs = dump::cut(&self.read_source(), &catalog, cutting).await?;
        Parts::of(&catalog, &jobs).write(&self.paths.parts())?;
        let destination = Destination::File { path: self.paths.archive(), replace: true };
        let collections = catalog.entries.iter().map(|entry| entry.collection.clone()).collect();
        let id = new_id()?;
        let (codec, origin) = (self.options.codec, dump::origin(&self.source));
        let (sink, writer) = Sink::begin_as(id, &destination, codec, origin, since, collections, Timing::default())?;
        let floor = primary.operation_time().await?;
        let reading = Reading { entries: catalog.entries, jobs, finished: Vec::new(), since, floor, sink, writer };
        Ok((id, 0, reading))
    }

    /// The source, as the copy reads it.
    fn read_source(&self) -> Server {
        match &self.options.reads {
            Some(reads) => self.source.reading(reads.clone()),
            None => self.source.clone(),
        }
    }

    async fn read(&self, reading: Reading, stop: &CancellationToken) -> Result<()> {
        let Reading { entries, jobs, finished, since, floor, sink, writer } = reading;
        let (directory, board) = (self.paths.directory().to_owned(), Arc::clone(&self.board));
        let when_lost = move |entry: &Entry, error: &Error| {
            board.log(Some(&entry.namespace), error.message());
            // What was dropped or made anew, the changes tell. Where the order is that of the documents, and one of them is gone, it
            // is the same collection.
            if entry.order == Order::Natural {
                let reason =
                    "its documents could not be read to the end in their order: it is copied anew at the cutover";
                note_of_collection(&directory, &entry.namespace, reason)?;
                board.hear(&entry.namespace, &News::NotFollowed);
            }
            Ok(())
        };
        let readers = Readers {
            server: self.read_source(),
            entries,
            finished,
            since,
            floor,
            at_one_time: false,
            when_lost: Some(Arc::new(when_lost)),
            brakes: self.brakes.of_reading(),
            sink: sink.clone(),
            progress: self.board.of_reading(),
        };
        let cursors = self.options.cursors.held_to(self.options.max_rate);
        let read = readers.read(jobs, cursors, stop.clone()).await.map(drop);
        let destination = Destination::File { path: self.paths.archive(), replace: true };
        dump::finish(sink, read, writer, &destination, "the same command goes on with it", stop).await.map(drop)
    }

    /// What is to become of collections that the target has: those that a load before this one made are its own.
    async fn existing(&self, journal: &LoadJournal, parts: &Parts) -> Result<Existing> {
        if journal.has_begun() {
            return Ok(Existing::Drop);
        }
        // The others were not there when the migration was begun, so it has made them; unless somebody else has since.
        let replaced = self.state().replaced;
        let selection = Selection::new(&self.selection)?;
        let mut filled = Vec::new();
        for (name, ..) in parts.namespaces() {
            let Some(target) = selection.target(&Namespace::parse(name)?)? else { continue };
            if !replaced.contains(&target.to_string()) && catalog::is_filled(&self.target, &target).await? {
                filled.push(target.to_string());
            }
        }
        if filled.is_empty() {
            return Ok(Existing::Drop);
        }
        filled.truncate(10);
        let message =
            format!("somebody has written to the target since the migration was begun: {}", filled.join(", "));
        Err(Error::new(ErrorKind::AlreadyExists, message)
            .with_hint("drop these collections, or begin anew with --restart --drop")
            .at(self.target.place()))
    }

    /// What is the same for all that is loaded.
    pub(super) fn within(&self) -> Within {
        let (number, sharding) = (self.state().number, self.sharding.clone());
        Within { number, sharding, brake: self.brakes.target.clone() }
    }

    /// How the archive is loaded.
    pub(super) fn restore_options(&self, existing: Existing) -> RestoreOptions {
        RestoreOptions {
            selection: self.selection.clone(),
            existing,
            dry_run: false,
            check: false,
            indexes: IndexSource::Beside,
            index_policy: IndexPolicy::Repair,
            users_and_roles: false,
            parallel: self.options.parallel,
            max_rate: None,
        }
    }

    /// Writes down which documents the target has refused: their `_id`s belong in no log and on no screen.
    fn write_refused(&self, report: &RestoreReport) -> Result<()> {
        if report.rejected.is_empty() {
            return Ok(());
        }
        let mut lines = Vec::new();
        for rejected in &report.rejected {
            serde_json::to_writer(&mut lines, rejected)
                .map_err(|error| Error::new(ErrorKind::Internal, error.to_string()))?;
            lines.push(b'\n');
        }
        replace(&self.paths.refused(), &lines)
    }

    /// Puts what was changed of indexes into the logs of their collections.
    fn log_repairs(&self, report: &RestoreReport) -> Result<()> {
        let selection = Selection::new(&self.selection)?;
        let log = |target: &Namespace, line: String| {
            let source = selection.origin(target)?;
            self.board.log(source.as_ref().or(Some(target)), &line);
            Ok::<_, Error>(())
        };
        for index in &report.repaired_indexes {
            for repair in index.repairs.iter().filter(|repair| !repair.kind.is_routine()) {
                log(&index.namespace, format!("the index {} is repaired: {repair}", index.index))?;
            }
        }
        for index in &report.merged_indexes {
            log(&index.namespace, format!("the index {} is not built: {}", index.index, index.reason))?;
        }
        Ok(())
    }

    /// The copy is there.
    pub(super) fn has_copied(&self, copied: Copied) -> Result<()> {
        self.board.copied(&copied);
        copied.warnings.iter().for_each(|warning| self.board.warn(warning));
        self.change_state(|state| {
            state.copied = Some(copied);
            state.stage = Stage::Copied;
        })
    }
}

fn lost(path: &std::path::Path) -> Error {
    Error::new(ErrorKind::Damaged, "is missing").with_hint("begin anew with --restart").at(path.display().to_string())
}

/// Reasons, each once with how often it was one; not the documents that they are of.
pub(super) fn reasons<'a>(all: impl Iterator<Item = (String, &'a str)>) -> Vec<String> {
    let mut counts: BTreeMap<(String, &str), u64> = BTreeMap::new();
    all.for_each(|reason| *counts.entry(reason).or_default() += 1);
    let told = counts.into_iter().take(REASONS);
    told.map(|((namespace, reason), count)| format!("{namespace}, {count} times: {reason}")).collect()
}

fn copied(report: &RestoreReport, contents: &Contents, parts: Parts, seconds: f64) -> Copied {
    let since = contents.checkpoint().map_or(0, |checkpoint| checkpoint.cluster_time);
    let highs = contents.namespaces().iter().flat_map(|namespace| &namespace.parts);
    let highs = highs.filter_map(|part| part.finished.map(|finished| finished.high));
    let repaired = report.repaired_indexes.iter().flat_map(|index| {
        let bad = index.repairs.iter().filter(|repair| !repair.kind.is_routine());
        bad.map(move |repair| format!("{} {}: {repair}", index.namespace, index.index))
    });
    let merged =
        report.merged_indexes.iter().map(|index| format!("{} {}: {}", index.namespace, index.index, index.reason));
    let mut warnings = parts.warnings;
    warnings.extend(report.warnings.iter().cloned());
    Copied {
        end: highs.max().unwrap_or(0).max(since),
        documents: report.inserted,
        bytes: report.bytes,
        refused: report.refused + report.duplicates,
        rejected: reasons(report.rejected.iter().map(|one| (one.namespace.to_string(), one.reason.as_str()))),
        repaired: repaired.chain(merged).collect(),
        failed: report
            .failed_indexes
            .iter()
            .map(|failed| format!("{} {}: {}", failed.namespace, failed.index, failed.reason))
            .collect(),
        left_out: parts.left_out,
        warnings,
        missing: parts.missing,
        seconds,
    }
}
