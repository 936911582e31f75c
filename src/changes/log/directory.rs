//! Which segments a log has, by the names in its directory; and the removal of those that nobody needs any more.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use super::{LogPlace, failure::damaged};
use crate::{
    archive::partial_name,
    error::{Error, ErrorKind, Result},
    replace::sync_folder,
};

/// The name of a finished segment.
pub(super) fn finished_path(directory: &Path, number: u64) -> PathBuf {
    directory.join(format!("{number:08}.tlz"))
}

/// The name of a segment that is being written.
pub(super) fn partial_path(directory: &Path, number: u64) -> PathBuf {
    partial_name(&finished_path(directory, number))
}

/// The segments of a log.
#[derive(Clone, Debug, Default)]
pub(super) struct Segments {
    /// Whether each of them is finished.
    by_number: BTreeMap<u64, bool>,
}

impl Segments {
    /// Looks into a directory. Other files in it are none of the log's.
    pub(super) fn list(directory: &Path) -> Result<Segments> {
        let fail = |error| Error::io(directory, error);
        let mut by_number = BTreeMap::new();
        for entry in fs::read_dir(directory).map_err(fail)? {
            let name = entry.map_err(fail)?.file_name();
            let Some((number, is_finished)) = name.to_str().and_then(parse) else { continue };
            // While it is renamed, a directory may show both names, or so a listing of it that takes its time.
            let known = by_number.entry(number).or_insert(is_finished);
            *known |= is_finished;
        }
        Ok(Segments { by_number })
    }

    /// The oldest one.
    pub(super) fn first(&self) -> Option<u64> {
        self.by_number.first_key_value().map(|(number, _)| *number)
    }

    /// The newest one, and whether it is finished.
    pub(super) fn last(&self) -> Option<(u64, bool)> {
        self.by_number.last_key_value().map(|(number, is_finished)| (*number, *is_finished))
    }

    /// Whether there are segments behind this one.
    pub(super) fn has_later(&self, number: u64) -> bool {
        self.last().is_some_and(|(last, _)| last > number)
    }

    /// Fails unless the segments follow each other without a gap, and all but the last one are finished.
    pub(super) fn check(&self, directory: &Path) -> Result<()> {
        let Some((last, _)) = self.last() else { return Ok(()) };
        let mut expected = self.first().unwrap_or(last);
        for (number, is_finished) in &self.by_number {
            if *number != expected {
                return Err(missing(directory, expected));
            }
            if !is_finished && *number != last {
                let message = "was never finished, but the log goes on behind it";
                return Err(damaged(&partial_path(directory, *number), message));
            }
            expected = expected.saturating_add(1);
        }
        Ok(())
    }
}

fn parse(name: &str) -> Option<(u64, bool)> {
    let (number, is_finished) = match name.strip_suffix(".partial") {
        Some(name) => (name.strip_suffix(".tlz")?, false),
        None => (name.strip_suffix(".tlz")?, true),
    };
    let is_ours = number.len() >= 8 && number.bytes().all(|byte| byte.is_ascii_digit());
    let value = number.parse().ok().filter(|value| *value > 0)?;
    // One number has one name.
    (is_ours && format!("{value:08}") == number).then_some((value, is_finished))
}

/// A segment that must be there is not.
pub(super) fn missing(directory: &Path, number: u64) -> Error {
    let name = finished_path(directory, number);
    Error::new(ErrorKind::NotFound, "this segment of the change log is missing")
        .at(name.display().to_string())
        .with_hint("put it back if it was moved; without it take a new copy with a new change log")
}

/// Deletes the finished segments before that of `place`, the oldest first, and gives their number. The one that is being
/// written always stays, and so does the last one. Durable when it returns.
///
/// # Errors
/// What the operating system says. Then the log is whole from its oldest remaining segment on.
pub fn prune(directory: &Path, place: LogPlace) -> Result<u64> {
    let segments = Segments::list(directory)?;
    let last = segments.last().map_or(0, |(last, _)| last);
    let mut deleted = 0;
    for (number, is_finished) in &segments.by_number {
        if *number >= place.segment.min(last) || !is_finished {
            break;
        }
        let path = finished_path(directory, *number);
        match fs::remove_file(&path) {
            Ok(()) => deleted += 1,
            // Another one prunes too.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(Error::io(path, error)),
        }
    }
    if deleted > 0 {
        sync_folder(&finished_path(directory, 1)).map_err(|error| Error::io(directory, error))?;
    }
    Ok(deleted)
}
