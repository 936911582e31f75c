//! `DIR/logs`: what happened when, of the migration and of each collection.

use std::{fs::OpenOptions, io::Write};

use super::directory::{Paths, file_name};
use crate::{
    namespace::{Namespace, printable},
    progress::News,
};

/// Writes a line to the log, and to that of a collection. A log that cannot be written stops nothing.
pub(super) fn log(paths: &Paths, namespace: Option<&Namespace>, line: &str) {
    match namespace {
        None => append(paths, "migrate.log", line),
        Some(namespace) => {
            append(paths, "migrate.log", &format!("{namespace}: {line}"));
            of_collection(paths, namespace, line);
        }
    }
}

/// Writes a line to the log of a collection alone: all of them say the same, or what is of interest to who looks into one.
pub(super) fn of_collection(paths: &Paths, namespace: &Namespace, line: &str) {
    append(paths, &format!("{}.log", file_name(namespace)), line);
}

fn append(paths: &Paths, name: &str, line: &str) {
    let moment = bson::DateTime::now().try_to_rfc3339_string().unwrap_or_default();
    let file = OpenOptions::new().create(true).append(true).open(paths.logs().join(name));
    // Names may hold anything.
    let line = format!("{moment} {}\n", printable(line));
    let _ = file.and_then(|mut file| file.write_all(line.as_bytes()));
}

/// News in words; none where that would be a line too many.
pub(super) fn words(news: &News<'_>) -> Option<String> {
    Some(match news {
        News::PartRead { documents } => format!("a part is read: {documents} documents"),
        News::Indexing { indexes } => format!("indexes are being built: {}", indexes.join(", ")),
        News::Indexed { built, failed, seconds } => {
            let built = (!built.is_empty()).then(|| format!("indexes are built: {}", built.join(", ")));
            let failed = failed.iter().map(|(name, reason)| format!("the index {name} is not built: {reason}"));
            let said: Vec<String> = built.into_iter().chain(failed).collect();
            if said.is_empty() {
                return None;
            }
            format!("{}; it took {seconds:.1} s", said.join("; "))
        }
        News::Created => "it was created on the source, and is made".to_owned(),
        News::Dropped => "it is gone from the source, and is dropped".to_owned(),
        News::Renamed { to } => format!("it was renamed on the source to {to}, and is so on the target"),
        News::Changed { what } => format!("as on the source, {what}"),
        News::DeadLetters { count, reason } => format!("changes could not be applied ({count}): {reason}"),
        News::NotFollowed => "its changes are not followed: it is copied anew at the cutover".to_owned(),
        News::Applied { .. } => return None,
    })
}
