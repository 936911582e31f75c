//! The stages of a migration, one after the other, and what is waited for on the way.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{Ended, FENCED, Migration, MigrationReport, Outcome, answer, board::Waiting, control::pause, state::Stage};
use crate::error::{Error, ErrorKind, Result};

/// How long it is waited before what could not be reached is tried again.
const PAUSE: Duration = Duration::from_secs(2);

impl Migration {
    /// All stages that are not done; the capture goes on beside them.
    pub(super) async fn stages(&self) -> Result<MigrationReport> {
        if let Stage::Done { report } = self.state().stage {
            self.listener.reported(&report);
            self.drop_events().await;
            if self.options.reverse_capture {
                self.check_way_back()?;
                self.capture_target().await?.await?;
            }
            return Ok(*report);
        }
        let stop_capture = self.cancel.child_token();
        let (opened, is_open) = tokio::sync::watch::channel(false);
        let capture = self.capture_source(opened, stop_capture.clone());
        let work = async {
            let mut is_open = is_open;
            // Nothing is read before what changes it is recorded.
            let open = is_open.wait_for(|open| *open).await;
            open.map_err(|_| Error::interrupted())?;
            let ended = self.work().await;
            // What is recorded from here on is of no use to this migration any more, or will be recorded again.
            stop_capture.cancel();
            ended
        };
        let mut capture = std::pin::pin!(capture);
        let mut work = std::pin::pin!(work);
        let ended = tokio::select! {
            ended = &mut work => {
                // It commits what it has.
                let _ = capture.await;
                ended?
            }
            captured = &mut capture => match captured {
                Err(error) => return Err(error),
                Ok(()) => return Err(Error::interrupted()),
            },
        };
        if ended.report.outcome == Outcome::Clean {
            self.drop_events().await;
        }
        if let Some(reverse) = ended.reverse {
            self.board.write_down();
            reverse.await?;
        }
        Ok(ended.report)
    }

    async fn work(&self) -> Result<Ended<'_>> {
        self.patiently(|| self.late_writes_end()).await?;
        if self.state().stage == Stage::Copying {
            self.board.stage("copying");
            let copy = async || {
                // Of the last attempt, too.
                self.late_writes_end().await?;
                self.copy().await
            };
            let copied = self.patiently(copy).await?;
            if self.options.pause_after_copy {
                pause(self.paths.directory())?;
            }
            self.has_copied(copied)?;
        }
        if let Some(copied) = self.state().copied {
            self.board.copied(&copied);
        }
        if self.state().stage == Stage::Copied {
            self.patiently(|| self.catch_up()).await?;
            self.change_state(|state| state.stage = Stage::Following)?;
            self.board.log_of_all("caught up with what happened while the copy was made").await;
        }
        self.follow_until_cutover().await
    }

    /// A cutover that was under way when the process before this one ended is asked for anew, or not: whoever asked for it may
    /// have lifted the fence since, or let the application write again.
    pub(super) fn give_up_cutover(&self) -> Result<()> {
        let state = self.state();
        if state.fenced && !matches!(state.stage, Stage::Done { .. }) {
            self.board.warn(&format!("a cutover has had the source refuse writes: {FENCED}"));
        }
        let Stage::CuttingOver { request } = state.stage else { return Ok(()) };
        self.board.warn("the cutover that was under way is given up: ask for it once more");
        self.answer(&request, &Err(&self.with_fence(answer::given_up())))?;
        self.change_state(|state| state.stage = Stage::Following)
    }

    /// Does something until it succeeds, over whatever can be waited for: a server that is not there, a disk that is full.
    pub(super) async fn patiently<T, F: Future<Output = Result<T>>>(&self, work: impl Fn() -> F) -> Result<T> {
        loop {
            match work().await {
                Err(error) if matches!(error.kind(), ErrorKind::Unreachable | ErrorKind::NoSpace) => {
                    self.wait_for(Waiting::Stage, &error, &self.cancel).await?;
                }
                done => {
                    self.board.waits_for(Waiting::Stage, None);
                    return done;
                }
            }
        }
    }

    pub(super) async fn wait_for(&self, who: Waiting, error: &Error, stop: &CancellationToken) -> Result<()> {
        self.board.waits_for(who, Some(error));
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => Ok(()),
            () = stop.cancelled() => Err(Error::interrupted()),
        }
    }
}
