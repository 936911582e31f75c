//! The cutover: the source at rest, everything of it on the target, catalogs alike, both sides compared.

use std::time::Instant;

use bson::rawdoc;
use tokio_util::sync::CancellationToken;

use super::{
    FENCED, Migration, MigrationReport,
    beginning::still,
    clients::unfenced,
    compare::expires,
    control::{CutoverRequest, Verify},
    copy::reasons,
    status::pair,
};
use crate::{
    archive::ArchiveFile,
    catalog::{self, Catalog},
    changes::replay::{ReplayReport, dead_letters, note_of_collection, settle},
    connect::{Doing, Server},
    error::{Error, ErrorKind, Result},
    namespace::Namespace,
    report::RestoreReport,
    selection::Selection,
};

impl Migration {
    /// Brings the target to where the source is at rest, and compares.
    pub(super) async fn cut_over(&self, request: &CutoverRequest) -> Result<MigrationReport> {
        let begun = Instant::now();
        self.board.stage("cutting over");
        let stop = self.cancel.child_token();
        let work = async {
            let end = self.end(request).await?;
            let drained = self.drain(end, &stop).await?;
            // What is made from here on expires as it will. Written down before: a kill must not leave it so.
            self.change_state(|state| state.expires = true)?;
            // What comes into being meanwhile is not among those that are copied without having been looked at.
            let wanted = self.not_followed().await?;
            self.will_make(&drained.told_of).await?;
            let mut anew = self.copy_anew(wanted).await?;
            self.will_make(&drained.told_of).await?;
            let mut mended = self.mend().await?;
            // What a collection is cannot be changed once it is there, as its collation.
            let unlike = self.unlike(&mended).await?;
            if !unlike.is_empty() {
                // Half of one must not pass for all of it after a kill.
                for namespace in &unlike {
                    note_of_collection(self.paths.directory(), namespace, "it is another collection on the target")?;
                }
                self.will_make(&drained.told_of).await?;
                anew.extend(self.copy_anew(unlike).await?);
                mended.retain(|one| one.failed.is_none());
                mended.extend(self.mend().await?);
            }
            // What an index has refused that is not on the source any more may be there now.
            let drained = self.drain(end, &stop).await?;
            let mut report = self.report(request, end, anew, mended)?;
            report.failed.extend(drained.warnings);
            self.look_how_it_is_spread(&mut report).await?;
            report.cutover_seconds = begun.elapsed().as_secs_f64();
            let mut writes = self.compare(request, &mut report).await?;
            // What was wrong with the copy may have been put right since; nothing but a comparison of everything tells.
            let is_equal = request.verify == Verify::Full && !report.has_differences() && report.failed.is_empty();
            let list = if is_equal { &mut report.warnings } else { &mut report.failed };
            list.extend(self.wrong_with_the_copy());
            // Nobody may have written in the meantime, whatever the comparison says: who still writes, writes on.
            let last = self.source.reading_primary().operation_time().await?;
            let drained = self.drain(last, &stop).await?;
            writes += self.writes_in(&drained).await?;
            report.point_in_time = pair(last);
            if writes > 0 {
                report.failed.push(format!(
                    "{writes} changes were made on the source after the cutover had begun: stop what writes to it"
                ));
            }
            report.dead_letters = dead_letters(&self.paths.dead_letters())?.len() as u64;
            // One may have been lost since: then it was not copied anew, and is not known to be whole either.
            report.not_followed = self.not_recorded().await?.iter().map(ToString::to_string).collect();
            report.ended = bson::DateTime::now().try_to_rfc3339_string().unwrap_or_default();
            report.outcome = report.outcome_so_far();
            Ok(report)
        };
        tokio::select! {
            report = work => report,
            () = self.cancel.cancelled() => Err(Error::interrupted()),
        }
    }

    /// Applies everything up to a time of the source.
    async fn drain(&self, end: u64, stop: &CancellationToken) -> Result<ReplayReport> {
        self.board.step("draining");
        let drained = self.replay(Some(end), stop).await?;
        if drained.reached_end { Ok(drained) } else { Err(Error::interrupted()) }
    }

    /// The source's time after its last write. Never one from before: a fence may have been lifted since.
    async fn end(&self, request: &CutoverRequest) -> Result<u64> {
        let source = self.source.reading_primary();
        if request.fence_source {
            check_fence(&source).await?;
            // Whatever becomes of this process, the next one knows.
            self.change_state(|state| state.fenced = true)?;
            let doing = Doing::new("make the source refuse writes", "setUserWriteBlockMode", "admin");
            source.run("admin", rawdoc! { "setUserWriteBlockMode": 1, "global": true }, &doing).await?;
            self.board.log(None, "the source refuses writes");
        }
        source.operation_time().await
    }

    /// Makes the catalog of the target what the source's is.
    async fn mend(&self) -> Result<Vec<catalog::Mended>> {
        let selection = Selection::new(&self.selection)?;
        let archive = ArchiveFile::open(&self.paths.archive())?;
        let known = archive.contents().namespaces().iter().map(|one| Namespace::parse(&one.collection.namespace));
        let mut known: Vec<Namespace> = known.collect::<Result<_>>()?;
        // What an earlier cutover has made may have gone since.
        known.extend(self.made()?.into_keys());
        self.sweep_scratches().await?;
        self.board.of_cutover().stage("comparing the catalogs", None, None);
        let (parallel, progress) = (self.options.parallel, self.board.of_cutover());
        let sharding = self.sharding.as_deref();
        let mend =
            || catalog::mend_sharded(&self.source, &self.target, &selection, &known, sharding, parallel, &*progress);
        let mended = still(mend).await?;
        // What a replay could not do to an index or an option is done now, or named among what could not be.
        settle(self.paths.directory(), |letter| {
            letter.is_of_collection() && !letter.is_of_all() && !letter.is_unknown()
        })?;
        for one in &mended {
            match selection.origin(&one.namespace)? {
                Some(source) => self.board.log(Some(&source), &one.to_string()),
                None => self.board.log(None, &one.to_string()),
            }
        }
        Ok(mended)
    }

    /// How many changes a replay has applied that an application makes. Where documents expire, a delete by the server cannot be
    /// told from one by an application.
    pub(super) async fn writes_in(&self, replayed: &ReplayReport) -> Result<u64> {
        // What a collection that was copied anew has already, was written, too.
        let mut writes = replayed.events + replayed.skipped + replayed.barriers;
        if !replayed.deletes_of.is_empty() {
            let entries = self.selected_on_source().await?.entries;
            let expiring = entries.iter().filter(|entry| expires(entry));
            let expired = expiring.filter_map(|entry| replayed.deletes_of.get(&entry.namespace));
            writes = writes.saturating_sub(expired.sum());
        }
        Ok(writes)
    }

    /// What the copy lacked when it was made.
    fn wrong_with_the_copy(&self) -> Vec<String> {
        let copied = self.state().copied.unwrap_or_default();
        let missing = copied.missing.into_iter().map(|missing| format!("not read for the copy: {missing}"));
        let mut wrong: Vec<String> = missing.collect();
        if copied.refused > 0 {
            wrong.push(format!(
                "{} documents of the copy were refused by the target; the first are in {}",
                copied.refused,
                self.paths.refused().display()
            ));
            wrong.extend(copied.rejected);
        }
        wrong
    }

    /// Tells how the target is sharded now.
    async fn look_how_it_is_spread(&self, report: &mut MigrationReport) -> Result<()> {
        if let Some(sharding) = &self.sharding {
            let spread = sharding.spread(&self.target).await?;
            report.sharded = spread.sharded;
            report.failed.extend(spread.failed);
        }
        Ok(())
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
        let archive = ArchiveFile::open(&self.paths.archive())?;
        let mut report = MigrationReport {
            directory: self.paths.directory().display().to_string(),
            source: self.source.place(),
            target: self.target.place(),
            begun: state.begun,
            namespaces: archive.contents().namespaces().len() as u64,
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
        for one in &mended {
            let list = if one.failed.is_some() { &mut report.failed } else { &mut report.mended };
            list.push(one.to_string());
        }
        for again in anew {
            report.copied_anew.extend(again.namespaces.iter().map(|one| one.target.to_string()));
            let refused = again.refused + again.duplicates;
            if refused > 0 {
                report
                    .failed
                    .push(format!("{refused} documents were refused by the target when they were copied anew"));
            }
        }
        if state.fenced && !request.fence_source {
            report.warnings.push(format!("a cutover before this one has had the source refuse writes: {FENCED}"));
        }
        // Which documents they are of, the file tells.
        report.warnings.extend(reasons(letters.iter().map(|one| (one.namespace.to_string(), one.reason.as_str()))));
        Ok(report)
    }

    /// What of the source is compared: what it has now.
    pub(super) async fn selected_on_source(&self) -> Result<Catalog> {
        let selection = Selection::new(&self.selection)?;
        let source = self.source.reading_primary();
        let takes = |namespace: &Namespace| Ok(selection.takes(namespace));
        still(|| catalog::read_those(&source, takes)).await
    }
}

/// Refuses to fence a source that cannot be told to refuse writes.
///
/// # Errors
/// Usage, with what to do instead.
pub(super) async fn check_fence(source: &Server) -> Result<()> {
    let Some(why) = unfenced(source).await else { return Ok(()) };
    Err(Error::new(ErrorKind::Usage, why)
        .with_hint("stop everything that writes to it, and cut over without --fence-source")
        .at(source.place()))
}
