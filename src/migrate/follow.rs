//! Catching up with the source, and following it until somebody asks for a cutover.

use std::{path::Path, sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use super::{
    Ended, Migration, MigrationReport,
    answer::still_fenced,
    control::{CutoverRequest, Wish, another_wish, wish},
    report::Outcome,
    state::Stage,
};
use crate::{
    archive::ArchiveFile,
    changes::replay::{ReplayOptions, ReplayReport, replay},
    error::{Error, ErrorKind, Result},
    replace::remove,
    restore::{Existing, LoadJournal, LoadWatch, Moving, build_unique},
    selection::Selection,
};

/// Seconds behind the source that count as having caught up.
const CAUGHT_UP: u64 = 1;
/// How often it is looked whether the target has caught up.
const LOOK: Duration = Duration::from_millis(200);

impl Migration {
    /// Applies what happened while the copy was made, and builds the indexes that had to wait for it.
    pub(super) async fn catch_up(&self) -> Result<()> {
        self.caught_up_with_care(self.replay_to_the_end_of_the_copy()).await?;
        self.build_what_had_to_wait().await
    }

    async fn replay_to_the_end_of_the_copy(&self) -> Result<()> {
        let end = self.state().copied.map_or(0, |copied| copied.end);
        loop {
            let asked = wish(&self.paths)?;
            if asked == Wish::Pause {
                self.board.stage("paused");
                another_wish(&self.paths, &asked, &self.cancel).await?;
                continue;
            }
            self.board.stage("catching up");
            if self.brakes.target.is_held() {
                let asked = tokio::select! {
                    () = self.brakes.target.turns(false) => Ok(asked),
                    asked = another_wish(&self.paths, &asked, &self.cancel) => asked,
                };
                asked?;
                continue;
            }
            let stop = self.cancel.child_token();
            let replayed = self.replay(Some(end), &stop);
            let asked = async {
                loop {
                    let now = another_wish(&self.paths, &asked, &stop).await?;
                    if now == Wish::Pause {
                        return Ok::<_, Error>(());
                    }
                }
            };
            let mut replayed = std::pin::pin!(replayed);
            tokio::select! {
                replayed = &mut replayed => {
                    return if replayed?.reached_end { Ok(()) } else { Err(Error::interrupted()) };
                }
                () = self.brakes.target.turns(true) => {
                    stop.cancel();
                    let ended = replayed.await;
                    unless_stopped(ended.map(drop), &self.cancel)?;
                }
                asked = asked => {
                    stop.cancel();
                    let ended = replayed.await;
                    unless_stopped(ended.map(drop), &self.cancel)?;
                    asked?;
                }
            }
        }
    }

    async fn build_what_had_to_wait(&self) -> Result<()> {
        self.board.stage("building unique indexes");
        let archive = ArchiveFile::open(&self.paths.archive())?;
        let contents = archive.contents();
        let journal = LoadJournal::open(&self.paths.loaded(), contents.header().id.to_string(), contents.sequence())?;
        let watch: Arc<dyn LoadWatch> = self.board.clone();
        let moving = Moving::new(journal, watch);
        let options = self.restore_options(Existing::Append);
        let progress = self.board.of_loading();
        let failed = tokio::select! {
            failed = build_unique(&archive, &self.target, &options, &moving, &*progress) => failed?,
            () = self.cancel.cancelled() => return Err(Error::interrupted()),
        };
        // The cutover tries once more.
        let failed =
            failed.iter().map(|failure| format!("{} {}: {}", failure.namespace, failure.index, failure.reason));
        let failed: Vec<String> = failed.collect();
        failed.iter().for_each(|failure| self.board.warn(failure));
        self.change_state(|state| {
            if let Some(copied) = &mut state.copied {
                copied.failed.retain(|known| !failed.contains(known));
                copied.failed.extend(failed);
            }
        })?;
        self.board.failed_indexes(self.state().copied.map_or_else(Vec::new, |copied| copied.failed));
        Ok(())
    }

    /// Applies changes: up to a time, or for ever until `stop` is called.
    pub(super) async fn replay(&self, until: Option<u64>, stop: &CancellationToken) -> Result<ReplayReport> {
        let options = ReplayOptions {
            directory: self.paths.directory().to_owned(),
            archive: Some(self.paths.archive()),
            selection: Selection::new(&self.selection)?,
            follow: true,
            until,
            parallel: self.options.parallel,
            keep_log: false,
            retry_dead_letters: false,
            until_cutover: true,
            made: self.made()?,
            sharding: self.sharding.clone(),
        };
        let replayed = replay(&self.target, Some(&self.source), options, self.board.of_replay(), stop.clone()).await?;
        if replayed.refetched > 0 {
            self.change_state(|state| {
                let (refetched, gone) = state.refetched;
                state.refetched = (refetched + replayed.refetched, gone + replayed.gone);
            })?;
        }
        Ok(replayed)
    }

    /// Follows the source until a cutover has come to its end.
    pub(super) async fn follow_until_cutover(&self) -> Result<Ended<'_>> {
        loop {
            if let Stage::CuttingOver { request } = self.state().stage {
                let automatic = self.options.cutover.is_some();
                let cut_over = async || {
                    let report = self.patiently(|| self.cut_over(&request)).await?;
                    self.has_cut_over(&request, report).await
                };
                match cut_over().await {
                    // After one that is not clean, whoever has asked for it may put things right, and ask again.
                    Ok(ended) if ended.report.outcome != Outcome::Clean && !automatic => {}
                    Ok(ended) => return Ok(ended),
                    Err(error) if error.kind() == ErrorKind::Interrupted => return Err(self.with_fence(error)),
                    Err(error) => {
                        if matches!(self.state().stage, Stage::Done { .. }) {
                            return Err(error);
                        }
                        let error = self.with_fence(error);
                        // Whoever hears of it may ask again at once.
                        self.change_state(|state| state.stage = Stage::Following)?;
                        self.answer(&request, &Err(&error))?;
                        if automatic {
                            return Err(error);
                        }
                        self.board.warn(&format!("the cutover has failed: {error}"));
                    }
                }
            }
            self.patiently(|| self.hold_expiry()).await?;
            let asked = wish(&self.paths)?;
            match asked {
                Wish::Cutover(request) => {
                    self.change_state(|state| state.stage = Stage::CuttingOver { request })?;
                    remove(&self.paths.request())?;
                }
                Wish::Pause => {
                    self.board.stage("paused");
                    another_wish(&self.paths, &Wish::Pause, &self.cancel).await?;
                }
                Wish::Nothing => {
                    self.board.stage("following");
                    self.patiently(|| self.follow()).await?;
                }
            }
        }
    }

    /// Says of a cutover that was not brought to its end what it has left behind.
    pub(super) fn with_fence(&self, error: Error) -> Error {
        if self.state().fenced { still_fenced(error) } else { error }
    }

    /// Tells what a cutover has come to. A clean one is the end; after another, the same migration may go on.
    async fn has_cut_over(&self, request: &CutoverRequest, mut report: MigrationReport) -> Result<Ended<'_>> {
        (report.refetched, report.refetched_gone) = self.state().refetched;
        let line = match report.outcome {
            Outcome::Clean => "the cutover is clean",
            Outcome::Incomplete => "the cutover is incomplete",
            Outcome::Different => "the cutover has found differences",
        };
        self.board.log_of_all(line).await;
        if report.outcome != Outcome::Clean {
            self.change_state(|state| state.stage = Stage::Following)?;
            self.answer(request, &Ok(&report))?;
            self.listener.reported(&report);
            return Ok(Ended { report, reverse: None });
        }
        // What an earlier beginning has recorded are this migration's own writes.
        remove_folder(&self.paths.reverse())?;
        // Before anybody hears that the target may take over, and writes to it.
        let reverse = if self.options.reverse_capture { Some(self.capture_target().await?) } else { None };
        self.change_state(|state| state.stage = Stage::Done { report: Box::new(report.clone()) })?;
        self.answer(request, &Ok(&report))?;
        self.board.stage("done");
        self.listener.reported(&report);
        Ok(Ended { report, reverse })
    }

    /// Follows the source until something else is asked for.
    async fn follow(&self) -> Result<()> {
        let stop = self.cancel.child_token();
        let mut replayed = std::pin::pin!(self.replay(None, &stop));
        let asked = async {
            tokio::select! {
                asked = another_wish(&self.paths, &Wish::Nothing, &stop) => asked.map(drop),
                () = self.until_caught_up() => Ok(()),
            }
        };
        tokio::select! {
            replayed = &mut replayed => unless_stopped(replayed.map(drop), &self.cancel)?,
            asked = asked => {
                stop.cancel();
                let ended = replayed.await;
                unless_stopped(ended.map(drop), &self.cancel)?;
                asked?;
            }
        }
        if self.cancel.is_cancelled() {
            return Err(Error::interrupted());
        }
        Ok(())
    }

    /// Asks for the cutover that is to come by itself, once the target has caught up.
    async fn until_caught_up(&self) {
        let Some(request) = &self.options.cutover else { return std::future::pending().await };
        loop {
            tokio::time::sleep(LOOK).await;
            if self.board.lag().is_some_and(|lag| lag <= CAUGHT_UP) {
                let asked = super::request_cutover(self.paths.directory(), request);
                match asked {
                    Ok(()) => return,
                    Err(error) => self.board.warn(&error.to_string()),
                }
            }
        }
    }
}

/// Removes a folder, if it is there.
fn remove_folder(path: &Path) -> Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::io(path, error)),
        _ => Ok(()),
    }
}

/// A replay that was stopped in order to do something else has not failed.
fn unless_stopped(ended: Result<()>, cancel: &CancellationToken) -> Result<()> {
    match ended {
        Err(error) if error.kind() == ErrorKind::Interrupted && !cancel.is_cancelled() => Ok(()),
        ended => ended,
    }
}
