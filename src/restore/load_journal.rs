//! Which blocks of an archive a target has, for a load that may be killed at any moment and goes on.
//!
//! ```text
//! {"archive":"0123…"}          which archive it is about
//! {"namespace":3,"blocks":[…]} blocks that the target has, acknowledged as the write concern wants it
//! {"anew":3}                   the collection is made anew: what was loaded of it does not count
//! ```
//! A block whose line was lost is loaded once more, which changes nothing.

use std::{
    collections::{HashMap, HashSet},
    fs::{File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use crate::{
    error::{Error, ErrorKind, Result},
    replace::{replace, sync_folder},
};

/// How long a block that is loaded may wait for its line.
const WRITE_EVERY: Duration = Duration::from_millis(250);

/// A line of the file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Line {
    Archive { archive: String },
    Loaded { namespace: u32, blocks: Vec<u64> },
    Anew { anew: u32 },
}

/// Where a load is.
#[derive(Debug)]
pub(crate) struct LoadJournal {
    path: PathBuf,
    archive: String,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    file: Option<File>,
    /// The blocks of each namespace that are loaded.
    loaded: HashMap<u32, HashSet<u64>>,
    /// Those whose lines are not written yet.
    unwritten: HashMap<u32, Vec<u64>>,
    written_at: Instant,
}

impl LoadJournal {
    /// The journal at `path` of a load of the archive with this id, which has no block from the number `end` on; none begins before
    /// [`begin`](Self::begin).
    ///
    /// # Errors
    /// When it cannot be read, or is about another archive; and when a block that was loaded is not in the archive any more. It was on
    /// the disk before it was loaded, so the disk has lost it, and what is read in its place later on would be of another time
    /// than what the target has.
    pub(crate) fn open(path: &Path, archive: String, end: u64) -> Result<Self> {
        let mut state =
            State { file: None, loaded: HashMap::new(), unwritten: HashMap::new(), written_at: Instant::now() };
        let fail = |error| Error::io(path, error);
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(LoadJournal { path: path.to_owned(), archive, state: Mutex::new(state) });
            }
            Err(error) => return Err(fail(error)),
        };
        // The last line may have been torn by a kill.
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        for line in bytes.get(..whole).unwrap_or_default().split_inclusive(|byte| *byte == b'\n') {
            match serde_json::from_slice(line) {
                Ok(Line::Archive { archive: known }) if known == archive => {}
                Ok(Line::Loaded { namespace, blocks }) => {
                    state.loaded.entry(namespace).or_default().extend(blocks);
                }
                Ok(Line::Anew { anew }) => drop(state.loaded.remove(&anew)),
                _ => {
                    return Err(Error::new(ErrorKind::Damaged, "is not about the archive beside it")
                        .with_hint("begin the migration anew, with --restart")
                        .at(path.display().to_string()));
                }
            }
        }
        if let Some(lost) = state.loaded.values().flatten().filter(|block| **block >= end).min() {
            let message = format!("block {lost} was loaded, and the archive beside it, which had it, ends before it");
            return Err(Error::new(ErrorKind::Damaged, message)
                .with_hint("the disk has lost what was synced to it; begin the migration anew, with --restart")
                .at(path.display().to_string()));
        }
        // Written anew: behind a torn line no other could be read.
        let mut lines = vec![Line::Archive { archive: archive.clone() }];
        lines.extend(state.loaded.iter().map(|(namespace, blocks)| {
            let mut blocks: Vec<u64> = blocks.iter().copied().collect();
            blocks.sort_unstable();
            Line::Loaded { namespace: *namespace, blocks }
        }));
        replace(path, &text(&lines, path)?)?;
        state.file = Some(OpenOptions::new().append(true).open(path).map_err(fail)?);
        Ok(LoadJournal { path: path.to_owned(), archive, state: Mutex::new(state) })
    }

    /// Whether the collections were made: from then on what stands under their names is this load's own.
    pub(crate) fn has_begun(&self) -> bool {
        self.state().file.is_some()
    }

    /// The collections are made. Durable when this returns.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub(crate) fn begin(&self) -> Result<()> {
        if self.has_begun() {
            return Ok(());
        }
        let file = OpenOptions::new().create(true).append(true).open(&self.path);
        self.state().file = Some(file.map_err(|error| Error::io(&self.path, error))?);
        self.put(&[Line::Archive { archive: self.archive.clone() }])?;
        sync_folder(&self.path).map_err(|error| Error::io(&self.path, error))
    }

    /// A collection is about to be made anew. Durable when this returns.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn anew(&self, namespace: u32) -> Result<()> {
        let had = self.state().loaded.remove(&namespace).is_some();
        if had { self.put(&[Line::Anew { anew: namespace }]) } else { Ok(()) }
    }

    /// Whether the target has a block.
    pub(crate) fn has(&self, namespace: u32, block: u64) -> bool {
        self.state().loaded.get(&namespace).is_some_and(|blocks| blocks.contains(&block))
    }

    /// How many blocks of a namespace the target has.
    pub(crate) fn blocks(&self, namespace: u32) -> u64 {
        self.state().loaded.get(&namespace).map_or(0, |blocks| blocks.len() as u64)
    }

    /// The target has a block. It is written down within a moment, or with [`write_down`](Self::write_down).
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn note(&self, namespace: u32, block: u64) -> Result<()> {
        let is_time = {
            let mut state = self.state();
            state.loaded.entry(namespace).or_default().insert(block);
            state.unwritten.entry(namespace).or_default().push(block);
            state.written_at.elapsed() >= WRITE_EVERY
        };
        if is_time { self.write_down() } else { Ok(()) }
    }

    /// Writes down what is noted.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn write_down(&self) -> Result<()> {
        let unwritten = {
            let mut state = self.state();
            state.written_at = Instant::now();
            std::mem::take(&mut state.unwritten)
        };
        let lines: Vec<Line> =
            unwritten.into_iter().map(|(namespace, blocks)| Line::Loaded { namespace, blocks }).collect();
        if lines.is_empty() { Ok(()) } else { self.put(&lines) }
    }

    fn put(&self, lines: &[Line]) -> Result<()> {
        let bytes = text(lines, &self.path)?;
        let mut state = self.state();
        let written = match &mut state.file {
            Some(file) => file.write_all(&bytes).and_then(|()| file.sync_data()),
            None => {
                let message = "the load has not begun, or cannot go on";
                return Err(Error::new(ErrorKind::Internal, message).at(self.path.display().to_string()));
            }
        };
        // Half a line may stand there: nothing more is written behind it.
        written.map_err(|error| {
            state.file = None;
            Error::io(&self.path, error)
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn text(lines: &[Line], path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for line in lines {
        serde_json::to_writer(&mut bytes, line)
            .map_err(|error| Error::new(ErrorKind::Internal, error.to_string()).at(path.display().to_string()))?;
        bytes.push(b'\n');
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journal_knows_what_was_loaded_whatever_was_torn() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("copy.loaded");
        let open = |end| LoadJournal::open(&path, "aa".to_owned(), end);
        let journal = open(100).unwrap();
        assert!(!journal.has_begun());
        journal.begin().unwrap();
        journal.note(1, 7).unwrap();
        journal.note(2, 8).unwrap();
        journal.note(2, 50).unwrap();
        journal.write_down().unwrap();
        journal.note(1, 9).unwrap();
        drop(journal);
        // Not written down: it comes once more.
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"{\"namespace\":1,\"blo").unwrap();
        // Nor is it gone on with where the archive has lost what was loaded, now or later.
        for _ in 0..2 {
            let error = open(50).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Damaged);
            assert!(error.to_string().contains("block 50 was loaded"), "{error}");
        }
        let journal = open(51).unwrap();
        assert!(journal.has_begun() && journal.has(1, 7) && journal.has(2, 8) && journal.has(2, 50));
        assert!(!journal.has(1, 9));
        journal.anew(2).unwrap();
        drop(journal);
        let journal = open(20).unwrap();
        assert_eq!((journal.blocks(1), journal.blocks(2)), (1, 0));
        assert!(LoadJournal::open(&path, "bb".to_owned(), 20).is_err());
    }
}
