//! The cutover: the source at rest, everything of it on the target, catalogs alike, both sides compared.

use std::{
    fs,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use bson::rawdoc;
use serde::{Deserialize, Serialize};

use super::{
    Migration, MigrationReport, Outcome,
    control::{CutoverRequest, LOOK},
    directory::Paths,
    state::Stage,
    status::pair,
};
use crate::{
    archive::{ArchiveFile, Destination},
    catalog::{self, Entry},
    changes::{
        replay::{dead_letters, settle},
        token,
    },
    connect::{Doing, Version},
    dump::{DumpOptions, dump},
    error::{Error, ErrorKind, Result},
    namespace::Namespace,
    replace::replace,
    report::RestoreReport,
    restore::{Existing, RestoreOptions, Source, restore},
    scan::PART_BYTES,
    selection::Selection,
};

/// The first release that can be told to refuse writes.
const FENCES: Version = Version::new(6, 0, 0);

/// What a cutover has come to, for who has asked for it.
#[derive(Debug, Serialize, Deserialize)]
struct Answer {
    id: u64,
    report: Option<MigrationReport>,
    kind: Option<String>,
    error: Option<String>,
    hint: Option<String>,
}

/// Waits for what the cutover with this id comes to.
///
/// # Errors
/// What it fails with, and when the process that was to do it is gone.
pub async fn answer(directory: &Path, id: u64) -> Result<MigrationReport> {
    let paths = Paths::of(directory);
    loop {
        let alive = paths.is_alive()?;
        if let Some(answer) = read_answer(&paths)?.filter(|answer| answer.id == id) {
            return match answer {
                Answer { report: Some(report), .. } => Ok(report),
                Answer { error, hint, .. } => {
                    let error = Error::new(ErrorKind::Server, error.unwrap_or_else(|| "it has failed".to_owned()));
                    Err(match hint {
                        Some(hint) => error.with_hint(hint),
                        None => error,
                    })
                }
            };
        }
        if !alive {
            return Err(Error::new(ErrorKind::Interrupted, "the migration has stopped before the cutover was over")
                .with_hint("start it again with the same 'transload migrate' command: the cutover goes on")
                .at(directory.display().to_string()));
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn read_answer(paths: &Paths) -> Result<Option<Answer>> {
    match fs::read(paths.report()) {
        Ok(text) => serde_json::from_slice(&text).map(Some).map_err(|error| {
            Error::new(ErrorKind::Damaged, "is not what a migration has written")
                .with_source(error)
                .at(paths.report().display().to_string())
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io(paths.report(), error)),
    }
}

impl Migration {
    /// Writes down what a cutover has come to.
    pub(super) fn answer(&self, request: &CutoverRequest, ended: &Result<&MigrationReport, &Error>) -> Result<()> {
        let mut answer = Answer { id: request.id, report: None, kind: None, error: None, hint: None };
        match ended {
            Ok(report) => answer.report = Some((*report).clone()),
            Err(error) => {
                answer.error = Some(error.to_string());
                answer.hint = error.hint().map(str::to_owned);
            }
        }
        let text =
            serde_json::to_vec_pretty(&answer).map_err(|error| Error::new(ErrorKind::Internal, error.to_string()))?;
        replace(&self.paths.report(), &text)
    }

    /// What the cutover of a migration that is over has come to.
    pub(super) fn last_report(&self) -> Result<MigrationReport> {
        self.board.stage("done");
        read_answer(&self.paths)?.and_then(|answer| answer.report).ok_or_else(|| {
            Error::new(ErrorKind::NotFound, "is missing, although the migration is over").at(self
                .paths
                .report()
                .display()
                .to_string())
        })
    }

    /// Brings the target to where the source is at rest, and compares.
    pub(super) async fn cut_over(&self, request: &CutoverRequest) -> Result<MigrationReport> {
        let begun = Instant::now();
        self.board.stage("cutting over");
        let stop = self.cancel.child_token();
        let work = async {
            let end = self.end(request).await?;
            self.replay(Some(end), &stop).await?;
            let mut anew = self.copy_anew(self.not_followed()?).await?;
            let mut mended = self.mend().await?;
            // What a collection is cannot be changed once it is there, as its collation.
            let unlike = self.unlike(&mended)?;
            if !unlike.is_empty() {
                anew.extend(self.copy_anew(unlike).await?);
                mended.retain(|one| one.failed.is_none());
                mended.extend(self.mend().await?);
            }
            let mut report = self.report(request, end, anew, mended)?;
            report.cutover_seconds = begun.elapsed().as_secs_f64();
            self.compare(request, &mut report).await?;
            if report.outcome_so_far() != Outcome::Clean && !request.fence_source {
                report.warnings.extend(self.written_since(end).await);
            }
            report.ended = bson::DateTime::now().try_to_rfc3339_string().unwrap_or_default();
            report.outcome = report.outcome_so_far();
            Ok(report)
        };
        tokio::select! {
            report = work => report,
            () = self.cancel.cancelled() => Err(Error::interrupted()),
        }
    }

    /// The source's time after its last write.
    async fn end(&self, request: &CutoverRequest) -> Result<u64> {
        if let Stage::CuttingOver { end: Some(end), .. } = self.state().stage {
            return Ok(end);
        }
        let source = self.source.reading_primary();
        if request.fence_source {
            if source.version() < FENCES {
                return Err(Error::new(
                    ErrorKind::Usage,
                    format!("{} cannot be told to refuse writes", source.version()),
                )
                .with_hint("stop everything that writes to it, and cut over without --fence-source")
                .at(source.place()));
            }
            let doing = Doing::new("make the source refuse writes", "setUserWriteBlockMode", "admin");
            source.run("admin", rawdoc! { "setUserWriteBlockMode": 1, "global": true }, &doing).await?;
            self.board.log(None, "the source refuses writes");
        }
        let end = source.operation_time().await?;
        self.change_state(|state| {
            state.stage = Stage::CuttingOver { request: request.clone(), end: Some(end) };
        })?;
        Ok(end)
    }

    /// The collections whose changes could not be followed.
    fn not_followed(&self) -> Result<Vec<Namespace>> {
        let letters = dead_letters(&self.paths.dead_letters())?;
        Ok(letters.into_iter().filter(|letter| letter.is_of_all()).map(|letter| letter.namespace).collect())
    }

    /// The collections of the source that the target has as something else than they are, so that nothing can mend them.
    fn unlike(&self, mended: &[catalog::Mended]) -> Result<Vec<Namespace>> {
        let selection = Selection::new(&self.selection)?;
        let failed = mended.iter().filter(|one| one.failed.is_some() && one.is_of_collection());
        let mut unlike = Vec::new();
        for one in failed {
            unlike.extend(selection.origin(&one.namespace)?);
        }
        Ok(unlike)
    }

    /// Copies collections once more, now that nothing changes them.
    async fn copy_anew(&self, mut wanted: Vec<Namespace>) -> Result<Vec<RestoreReport>> {
        wanted.sort();
        wanted.dedup();
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let source = self.source.reading_primary();
        let mut there = Vec::new();
        for namespace in &wanted {
            if catalog::found(&source, namespace).await?.is_some() {
                there.push(namespace.clone());
            }
        }
        let mut reports = Vec::new();
        if !there.is_empty() {
            let selection = self.selection.only(&there)?;
            let path = self.paths.again();
            let progress = self.board.of_cutover();
            let options = DumpOptions {
                selection: Selection::new(&selection)?,
                destination: Destination::File { path: path.clone(), replace: true },
                codec: self.options.codec,
                parallel: self.options.parallel,
                part_bytes: PART_BYTES,
                users_and_roles: false,
                consistent: false,
            };
            dump(&source, options, Arc::clone(&progress), self.cancel.clone()).await?;
            let options = RestoreOptions { selection, ..self.restore_options(Existing::Drop) };
            let archive = Source::File(ArchiveFile::open_whole(&path)?);
            reports.push(restore(archive, &self.target, options, progress, self.cancel.clone()).await?);
        }
        // Whatever else was wrong with their documents, they are new.
        let is_of_them = |namespace: &Namespace| wanted.contains(namespace);
        settle(self.paths.directory(), |letter| is_of_them(&letter.namespace))?;
        Ok(reports)
    }

    /// Makes the catalog of the target what the source's is.
    async fn mend(&self) -> Result<Vec<catalog::Mended>> {
        let selection = Selection::new(&self.selection)?;
        let archive = ArchiveFile::open(&self.paths.archive())?;
        let known = archive.contents().namespaces().iter().map(|one| Namespace::parse(&one.collection.namespace));
        let known: Vec<Namespace> = known.collect::<Result<_>>()?;
        self.board.of_cutover().stage("comparing the catalogs", None, None);
        let (parallel, progress) = (self.options.parallel, self.board.of_cutover());
        let mended = catalog::mend(&self.source, &self.target, &selection, &known, parallel, &*progress).await?;
        // What a replay could not do to an index or an option is done now, or named among what could not be.
        settle(self.paths.directory(), |letter| letter.is_of_collection() && !letter.is_of_all())?;
        mended.iter().for_each(|one| self.board.log(None, &one.to_string()));
        Ok(mended)
    }

    fn report(
        &self,
        request: &CutoverRequest,
        end: u64,
        anew: Vec<RestoreReport>,
        mended: Vec<catalog::Mended>,
    ) -> Result<MigrationReport> {
        let state = self.state();
        let copied = state.copied.unwrap_or_default();
        let letters = dead_letters(&self.paths.dead_letters())?;
        let mut report = MigrationReport {
            directory: self.paths.directory().display().to_string(),
            source: self.source.place(),
            target: self.target.place(),
            begun: state.begun,
            documents: copied.documents,
            bytes: copied.bytes,
            copy_seconds: copied.seconds,
            point_in_time: pair(end),
            fenced: request.fence_source,
            repaired: copied.repaired,
            dead_letters: letters.len() as u64,
            left_out: copied.left_out,
            warnings: copied.warnings,
            verify: request.verify.to_string(),
            ..MigrationReport::default()
        };
        if copied.refused > 0 {
            report.failed.push(format!("{} documents of the copy were refused by the target", copied.refused));
            report.failed.extend(copied.rejected);
        }
        report.failed.extend(copied.missing.into_iter().map(|missing| format!("not read: {missing}")));
        for one in &mended {
            let list = if one.failed.is_some() { &mut report.failed } else { &mut report.mended };
            list.push(one.to_string());
        }
        for again in anew {
            report.copied_anew.extend(again.namespaces.iter().map(|one| one.target.to_string()));
            let refused = again.refused + again.duplicates;
            if refused > 0 {
                report.failed.push(format!("{refused} documents were refused by the target"));
            }
        }
        for letter in letters.iter().take(10) {
            report.warnings.push(format!("{} {}: {}", letter.namespace, letter.key, letter.reason));
        }
        Ok(report)
    }

    /// What of the source is compared: what it has now.
    pub(super) async fn selected_on_source(&self) -> Result<Vec<Entry>> {
        let selection = Selection::new(&self.selection)?;
        let takes = |namespace: &Namespace| Ok(selection.takes(namespace));
        Ok(catalog::read_those(&self.source.reading_primary(), takes).await?.entries)
    }

    /// A word about writes that came after the end.
    pub(super) async fn written_since(&self, end: u64) -> Option<String> {
        let capture = tokio::time::timeout(Duration::from_secs(5), self.source.operation_time()).await.ok()?.ok()?;
        (capture > end).then(|| {
            format!(
                "the source's time is {} now, and the target stands at {}: if anything was written to the source since, it \
                 is not on the target",
                token::written(capture),
                token::written(end)
            )
        })
    }
}
