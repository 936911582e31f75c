//! What other processes ask of a migration: files in its directory, which it looks at several times a second.

use std::{fs, path::Path, time::Duration};

use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::{
    directory::Paths,
    state::{Stage, State},
};
use crate::{
    error::{Error, ErrorKind, Result},
    replace::{put_new, remove, replace},
};

/// How often they are looked at.
pub(crate) const LOOK: Duration = Duration::from_millis(100);

/// How the target is compared with the source at a cutover.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verify {
    /// Every document.
    #[default]
    Full,
    /// Some documents of each collection.
    Sample,
    /// How many documents each collection has.
    Counts,
    /// Not at all.
    None,
}

impl std::str::FromStr for Verify {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "full" => Ok(Verify::Full),
            "sample" => Ok(Verify::Sample),
            "counts" => Ok(Verify::Counts),
            "none" => Ok(Verify::None),
            _ => Err(Error::new(ErrorKind::Usage, "is no way to verify: full, sample, counts or none")),
        }
    }
}

impl std::fmt::Display for Verify {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Verify::Full => "full",
            Verify::Sample => "sample",
            Verify::Counts => "counts",
            Verify::None => "none",
        })
    }
}

/// How to cut over.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CutoverRequest {
    /// What the answer is known by.
    pub id: u64,
    /// Whether the source is told to refuse writes (6.0+). Else whoever asks has stopped them.
    pub fence_source: bool,
    /// How to compare.
    pub verify: Verify,
}

/// Asks the migration in a directory to cut over.
///
/// # Errors
/// When none is at work there, or it cannot be written.
pub fn request_cutover(directory: &Path, request: &CutoverRequest) -> Result<()> {
    let paths = Paths::of(directory);
    let place = || paths.directory().display().to_string();
    let alive = paths.is_alive()?;
    let state = State::read(&paths.state())?;
    match state.map(|state| state.stage) {
        Some(Stage::Done { .. }) => {
            return Err(Error::new(ErrorKind::AlreadyExists, "the migration in it is over")
                .with_hint("the same 'transload migrate' command shows what it has come to")
                .at(place()));
        }
        _ if !alive => {
            return Err(Error::new(ErrorKind::NotFound, "no migration is at work in it")
                .with_hint("start it again with the same 'transload migrate' command, and cut over then")
                .at(place()));
        }
        Some(Stage::CuttingOver { .. }) => return Err(under_way().at(place())),
        _ => {}
    }
    let text =
        serde_json::to_vec_pretty(request).map_err(|error| Error::new(ErrorKind::Internal, error.to_string()))?;
    // Of two who ask at once, one is told so.
    match put_new(&paths.request(), &text) {
        Err(_) if paths.request().exists() => Err(under_way().at(place())),
        put => put,
    }
}

/// Holds the replay of the migration in a directory; what happens on the source is recorded meanwhile.
///
/// # Errors
/// When there is no migration there, or it cannot be written.
pub fn pause(directory: &Path) -> Result<()> {
    let paths = Paths::of(directory);
    paths.is_alive()?;
    replace(&paths.paused(), b"")
}

/// Lets the replay go on. Whether it was held.
///
/// # Errors
/// When there is no migration there, or it cannot be written.
pub fn resume(directory: &Path) -> Result<bool> {
    let paths = Paths::of(directory);
    paths.is_alive()?;
    match paths.paused().exists() {
        true => remove(&paths.paused()).map(|()| true),
        false => Ok(false),
    }
}

fn under_way() -> Error {
    Error::new(ErrorKind::AlreadyExists, "a cutover is under way already")
        .with_hint("'transload status' tells where it stands")
}

/// What is asked of this migration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// To go on as it is.
    Nothing,
    /// To hold the replay.
    Pause,
    /// To cut over.
    Cutover(CutoverRequest),
}

/// What is asked now. A cutover goes before a pause.
///
/// # Errors
/// When a request cannot be read. It is taken away then.
pub(crate) fn wish(paths: &Paths) -> Result<Wish> {
    match fs::read(paths.request()) {
        Ok(text) => match serde_json::from_slice(&text) {
            Ok(request) => return Ok(Wish::Cutover(request)),
            Err(error) => {
                remove(&paths.request())?;
                return Err(Error::new(ErrorKind::Damaged, "is no request for a cutover")
                    .with_source(error)
                    .at(paths.request().display().to_string()));
            }
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(Error::io(paths.request(), error)),
    }
    Ok(if paths.paused().exists() { Wish::Pause } else { Wish::Nothing })
}

/// Waits until something else is asked than `known`, or `cancel` is called.
///
/// # Errors
/// As [`wish`].
pub(crate) async fn another_wish(paths: &Paths, known: &Wish, cancel: &CancellationToken) -> Result<Wish> {
    loop {
        tokio::select! {
            () = cancel.cancelled() => return Err(Error::interrupted()),
            () = tokio::time::sleep(LOOK) => {}
        }
        let now = wish(paths)?;
        if now != *known {
            return Ok(now);
        }
    }
}
