//! `report.json`: what a cutover has come to, for who has asked for it in another process.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use super::{
    FENCED, Migration, MigrationReport,
    control::{CutoverRequest, LOOK, Wish, wish},
    directory::{Paths, read_json},
    state::{Stage, State},
};
use crate::{
    error::{Error, ErrorKind, Result},
    preflight::FENCES,
    replace::{remove, replace},
};

/// How long a request may be nowhere, neither asked nor under way nor answered: a restart takes it away with everything else.
const LOST: Duration = Duration::from_secs(10);

/// What a cutover has come to.
#[derive(Debug, Serialize, Deserialize)]
struct Answer {
    /// Of the request.
    id: u64,
    report: Option<MigrationReport>,
    error: Option<String>,
    hint: Option<String>,
    /// Whether it cannot be had in this way, as the source knows no fence.
    #[serde(default)]
    refused: bool,
}

/// Waits for what the cutover with this id comes to.
///
/// # Errors
/// What it fails with, and when the process that was to do it is gone. Usage where the source cannot be told to refuse writes.
pub async fn answer(directory: &Path, id: u64) -> Result<MigrationReport> {
    let paths = Paths::of(directory);
    let mut lost = None;
    loop {
        let alive = paths.is_alive()?;
        if let Some(answer) = read_json(&paths.report())?.filter(|answer: &Answer| answer.id == id) {
            return match answer {
                Answer { report: Some(report), .. } => Ok(report),
                Answer { error, hint, refused, .. } => {
                    let kind = if refused { ErrorKind::Usage } else { ErrorKind::Server };
                    let error = Error::new(kind, error.unwrap_or_else(|| "it has failed".to_owned()));
                    Err(match hint {
                        Some(hint) => error.with_hint(hint),
                        None => error,
                    })
                }
            };
        }
        let state = State::read(&paths.state())?;
        let is_fenced = state.as_ref().is_some_and(|state| state.fenced);
        let stage = state.map(|state| state.stage);
        // It may have ended between the last word and the answer, or because of another request.
        if let Some(Stage::Done { report }) = stage {
            return Ok(*report);
        }
        if !alive {
            let error = Error::new(ErrorKind::Server, "the migration has stopped before the cutover was over")
                .with_hint(
                    "start it again with the same 'transload migrate' command, and ask for the cutover once more",
                )
                .at(directory.display().to_string());
            return Err(if is_fenced { still_fenced(error) } else { error });
        }
        if paths.request().exists() || matches!(stage, Some(Stage::CuttingOver { .. })) {
            lost = None;
        } else if lost.get_or_insert_with(Instant::now).elapsed() > LOST {
            return Err(given_up().at(directory.display().to_string()));
        }
        tokio::time::sleep(LOOK).await;
    }
}

impl Migration {
    /// Writes down what a cutover has come to.
    pub(super) fn answer(&self, request: &CutoverRequest, ended: &Result<&MigrationReport, &Error>) -> Result<()> {
        let unfenced = request.fence_source && self.source.version() < FENCES;
        tell(&self.paths, request, ended, unfenced)
    }
}

/// Tells whoever asked for a cutover, of a process that is gone, that there will be none.
///
/// # Errors
/// When it cannot be written.
pub(super) fn refuse_requests(paths: &Paths) -> Result<()> {
    let asked = match wish(paths) {
        Ok(Wish::Cutover(request)) => Some(request),
        // One that cannot be read is taken away.
        _ => None,
    };
    let Some(request) = asked else { return Ok(()) };
    tell(paths, &request, &Err(&given_up()), false)?;
    remove(&paths.request())
}

/// Adds that the source was told to refuse writes.
pub(super) fn still_fenced(error: Error) -> Error {
    let hint = error.hint().unwrap_or("ask for the cutover once more").to_owned();
    error.with_hint(format!("{hint}; the source was told to refuse writes: {FENCED}"))
}

/// What becomes of a cutover when the process ends that was to do it.
pub(super) fn given_up() -> Error {
    Error::new(ErrorKind::Interrupted, "the process that was to cut over has ended before")
        .with_hint("ask for the cutover once more")
}

fn tell(
    paths: &Paths,
    request: &CutoverRequest,
    ended: &Result<&MigrationReport, &Error>,
    unfenced: bool,
) -> Result<()> {
    let mut answer = Answer { id: request.id, report: None, error: None, hint: None, refused: false };
    match ended {
        Ok(report) => answer.report = Some((*report).clone()),
        Err(error) => {
            answer.error = Some(error.to_string());
            answer.hint = error.hint().map(str::to_owned);
            answer.refused = unfenced && error.kind() == ErrorKind::Usage;
        }
    }
    let text =
        serde_json::to_vec_pretty(&answer).map_err(|error| Error::new(ErrorKind::Internal, error.to_string()))?;
    replace(&paths.report(), &text)
}
