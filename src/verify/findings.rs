//! The file of findings: a line of JSON for each document that differs, and for each part that was compared.
//!
//! ```text
//! verify ─▶ parts, … ─▶ difference, …, part, …                        finished
//! what is compared      what differs in a part, then that it is done  the end
//! ```
//! The lines of a part that was not compared to its end are no findings: whoever goes on with the file leaves them out and
//! compares that part again. A file with no differences in it is removed in the end.

use std::{
    collections::{HashMap, HashSet},
    fs::{File, OpenOptions},
    io::{BufRead, BufReader, BufWriter, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use tempfile::{Builder, NamedTempFile};

use super::{
    counts::Counts,
    line::{Comparison, Difference, Line, Parts},
};
use crate::{
    error::{Error, ErrorKind, Result},
    lock::lock,
    replace::HALF,
};

/// Differences of one part that are looked at at once.
const AT_ONCE: usize = 20_000;

/// A file of findings, under a lock.
#[derive(Debug)]
pub(super) struct Findings {
    path: PathBuf,
    comparison: Comparison,
    file: Mutex<File>,
}

/// What an interrupted comparison has left.
#[derive(Debug, Default)]
pub(super) struct Left {
    /// The parts of each namespace that was begun, by its name on the left.
    pub(super) parts: HashMap<String, Parts>,
    /// The parts that were compared to their ends.
    pub(super) done: HashMap<(String, usize), Done>,
}

/// A part that was compared to its end.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Done {
    pub(super) counts: Counts,
    /// Whether its documents stand in another order on the right.
    pub(super) crossed: bool,
}

impl Done {
    /// Adds another part of the same namespace.
    pub(super) fn add(&mut self, other: Done) {
        self.counts.add(other.counts.compared());
        self.crossed |= other.crossed;
    }
}

impl Findings {
    /// Opens the file at `path` for a comparison, and tells what an interrupted one of the same has left.
    ///
    /// # Errors
    /// When it holds something else, another process writes it, or it cannot be written.
    pub(super) fn open(path: &Path, comparison: Comparison) -> Result<(Self, Left)> {
        let findings = Findings { path: path.to_owned(), comparison, file: Mutex::new(locked(path)?) };
        let left = findings.left()?;
        Ok((findings, left))
    }

    /// What is to be gone on with.
    fn left(&self) -> Result<Left> {
        let mut left = Left::default();
        let mut lines = self.lines()?;
        match lines.next().transpose()? {
            None if std::fs::metadata(&self.path).is_ok_and(|metadata| metadata.len() == 0) => return Ok(left),
            Some(Line::Verify(other)) if other == self.comparison => {}
            // One that has come to nothing.
            Some(Line::Verify(_)) if lines.next().is_none() => return Ok(left),
            _ => {
                return Err(Error::new(
                    ErrorKind::AlreadyExists,
                    "holds something else than findings of this comparison",
                )
                .with_hint("name another file in --differences, or remove this one")
                .at(self.place()));
            }
        }
        for line in lines {
            match line? {
                // It is one of an earlier time.
                Line::Finished => return Ok(Left::default()),
                Line::Verify(_) | Line::Difference(_) => {}
                Line::Parts(parts) => {
                    left.parts.insert(parts.namespace.clone(), parts);
                }
                Line::Part { namespace, part, counts, crossed } => {
                    left.done.insert((namespace, part), Done { counts, crossed });
                }
            }
        }
        Ok(left)
    }

    /// Leaves out what is not gone on with: what is not of these namespaces, and what was found in parts that were not done.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(super) fn keep(&self, namespaces: &HashSet<String>, left: &Left) -> Result<()> {
        let is_done = |namespace: &str, part| left.done.contains_key(&(namespace.to_owned(), part));
        let mut kept = self.anew()?;
        for line in self.lines()? {
            let line = line?;
            let stays = match &line {
                Line::Verify(_) | Line::Finished => false,
                Line::Parts(Parts { namespace, .. }) => namespaces.contains(namespace),
                Line::Difference(Difference { namespace, part, .. }) | Line::Part { namespace, part, .. } => {
                    namespaces.contains(namespace) && is_done(namespace, *part)
                }
            };
            if stays {
                kept.line(&line)?;
            }
        }
        self.put(kept)
    }

    /// Appends lines.
    ///
    /// # Errors
    /// When they cannot be written.
    pub(super) fn append(&self, lines: &[u8]) -> Result<()> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let before = file.metadata().map_err(|error| self.fail(error))?.len();
        file.write_all(lines).map_err(|error| {
            // Half a line would be none, and make those behind it none; without it the file is as it was.
            let _ = file.set_len(before);
            self.fail(error)
        })
    }

    /// Appends one line.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn line(&self, line: &Line) -> Result<()> {
        let mut bytes = Vec::new();
        line.write(&mut bytes)?;
        self.append(&bytes)
    }

    /// All differences, some of one part at a time.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(super) fn differences(&self) -> Result<impl Iterator<Item = Result<Vec<Difference>>> + use<>> {
        let lines = self.lines()?.filter_map(|line| match line {
            Ok(Line::Difference(difference)) => Some(Ok(difference)),
            Ok(_) => None,
            Err(error) => Some(Err(error)),
        });
        let mut lines = lines.peekable();
        Ok(std::iter::from_fn(move || {
            let first = match lines.next()? {
                Ok(first) => first,
                Err(error) => return Some(Err(error)),
            };
            let mut some = vec![first];
            let is_of_them = |one: &Difference, next: &Result<Difference>| {
                next.as_ref().is_ok_and(|next| (&next.namespace, next.part) == (&one.namespace, one.part))
            };
            while some.len() < AT_ONCE {
                let Some(next) = lines.next_if(|next| some.last().is_some_and(|one| is_of_them(one, next))) else {
                    break;
                };
                some.extend(next);
            }
            Some(Ok(some))
        }))
    }

    /// Begins to write the file anew.
    ///
    /// # Errors
    /// What the operating system says.
    pub(super) fn anew(&self) -> Result<Anew> {
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let file = Builder::new()
            .prefix(HALF)
            .tempfile_in(folder.unwrap_or(Path::new(".")))
            .map_err(|error| self.fail(error))?;
        let mut anew = Anew { file: BufWriter::new(file), path: self.path.clone() };
        anew.line(&Line::Verify(self.comparison.clone()))?;
        Ok(anew)
    }

    /// Puts what was written anew in the place of what was there.
    ///
    /// # Errors
    /// What the operating system says.
    pub(super) fn put(&self, anew: Anew) -> Result<()> {
        let file = anew.file.into_inner().map_err(|error| self.fail(error.into_error()))?;
        // Nobody else has it yet.
        lock(file.as_file()).map_err(|error| self.fail(error.into()))?;
        let file = file.persist(&self.path).map_err(|failed| self.fail(failed.error))?;
        *self.file.lock().unwrap_or_else(PoisonError::into_inner) = file;
        Ok(())
    }

    /// Removes the file: nothing differs.
    ///
    /// # Errors
    /// What the operating system says.
    pub(super) fn remove(&self) -> Result<()> {
        std::fs::remove_file(&self.path).map_err(|error| self.fail(error))
    }

    pub(super) fn place(&self) -> String {
        self.path.display().to_string()
    }

    /// The lines of the file; one that a kill has left unfinished was never there.
    fn lines(&self) -> Result<impl Iterator<Item = Result<Line>> + use<>> {
        let mut file = BufReader::new(File::open(&self.path).map_err(|error| self.fail(error))?);
        let (path, mut number) = (self.path.clone(), 0);
        Ok(std::iter::from_fn(move || {
            let mut line = Vec::new();
            number += 1;
            match file.read_until(b'\n', &mut line) {
                Ok(_) if !line.ends_with(b"\n") => None,
                Ok(_) => Some(serde_json::from_slice(&line).map_err(|_| {
                    Error::new(ErrorKind::Damaged, format!("line {number} is no finding"))
                        .with_hint("name another file in --differences; if it was one, remove it and compare anew")
                        .at(path.display().to_string())
                })),
                Err(error) => Some(Err(Error::io(&path, error))),
            }
        }))
    }

    fn fail(&self, error: std::io::Error) -> Error {
        Error::io(&self.path, error)
    }
}

/// A file of findings that is written anew.
#[derive(Debug)]
pub(super) struct Anew {
    file: BufWriter<NamedTempFile>,
    path: PathBuf,
}

impl Anew {
    /// Appends a line.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn line(&mut self, line: &Line) -> Result<()> {
        let mut bytes = Vec::new();
        line.write(&mut bytes)?;
        self.file.write_all(&bytes).map_err(|error| Error::io(&self.path, error))
    }
}

/// The file at `path`, made if it is not there, under a lock of ours.
fn locked(path: &Path) -> Result<File> {
    let fail = |error| Error::io(path, error);
    let written = || {
        Err(Error::new(ErrorKind::AlreadyExists, "another comparison writes it")
            .with_hint("wait for that one, or name another file in --differences")
            .at(path.display().to_string()))
    };
    if std::fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
        return Err(Error::new(ErrorKind::Usage, "is no file").at(path.display().to_string()));
    }
    let file = OpenOptions::new().create(true).append(true).open(path).map_err(fail)?;
    if lock(&file).is_err() {
        return written();
    }
    // Whoever has written it anew meanwhile holds the lock of the new one.
    let (ours, there) = (file.metadata().map_err(fail)?, std::fs::metadata(path).map_err(fail)?);
    if (ours.dev(), ours.ino()) == (there.dev(), there.ino()) { Ok(file) } else { written() }
}
