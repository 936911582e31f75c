//! Changes that could not be applied: kept with their reason, so that nothing is lost without a word.
//!
//! The file has a line of JSON for each: the namespace, the key, when and what it was, why it failed, and the raw events in
//! hexadecimal digits. A document with a dead letter is not what it is on the source, so updates that come after are not
//! applied to it but join it here, until an event tells the whole document again. What could not be done to a collection, as
//! an index that was not built, stays until its line is taken out.

use std::{
    collections::HashSet,
    fs::{File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
    sync::Mutex,
};

use serde::{Deserialize, Serialize};

use crate::{
    changes::Event,
    error::{Error, ErrorKind, Result},
    hex::{from_hex, hex},
    namespace::Namespace,
    replace::sync_folder,
};

/// Why an event is not applied that is of no kind that is known.
pub(super) const UNKNOWN: &str = "such an event is not known to this version";

/// A change that was not applied.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeadLetter {
    /// The collection on the source.
    pub namespace: Namespace,
    /// The document's key, as canonical extended JSON; empty for what was to be done to the collection.
    pub key: String,
    /// What happened last to the document: `insert`, `update`, …
    pub operation: String,
    /// When, in the source's cluster time.
    pub time: u64,
    /// Why it was not applied.
    pub reason: String,
    /// The key as the server compares it, in hexadecimal digits.
    pub(super) id: String,
    /// The events, raw, in hexadecimal digits; only in the file, as they are the user's data.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) events: Vec<String>,
    /// Whether the document is whole again since: then it is no letter, but takes back those before it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) healed: bool,
}

impl DeadLetter {
    /// What could not be done to a collection. The same comes to the same letter, however often it is tried.
    pub(super) fn of_collection(event: &Event<'_>, collection: &Namespace, reason: &str) -> Self {
        DeadLetter {
            namespace: collection.clone(),
            key: String::new(),
            operation: event.name.to_owned(),
            time: event.time,
            reason: reason.to_owned(),
            id: hex(format!("{} {reason}", event.time).as_bytes()),
            events: vec![hex(event.raw)],
            healed: false,
        }
    }

    /// All that happens to a collection whose changes cannot be replayed, whatever they are.
    pub(super) fn of_all(collection: &Namespace, reason: &str) -> Self {
        DeadLetter {
            namespace: collection.clone(),
            key: String::new(),
            operation: "insert".to_owned(),
            time: 0,
            reason: reason.to_owned(),
            id: hex(reason.as_bytes()),
            events: Vec::new(),
            healed: false,
        }
    }

    /// Whether it says of a whole collection that it has to be copied anew.
    pub(crate) fn is_of_all(&self) -> bool {
        self.is_of_collection() && self.events.is_empty()
    }

    /// Whether nobody can say what was to be done.
    pub(crate) fn is_unknown(&self) -> bool {
        self.reason == UNKNOWN
    }

    /// Whether it is not about a document.
    pub(crate) fn is_of_collection(&self) -> bool {
        self.key.is_empty()
    }

    /// What a report may show of it.
    pub(super) fn without_events(self) -> Self {
        DeadLetter { events: Vec::new(), ..self }
    }

    /// What takes back the letters about this document: it is whole again.
    pub(super) fn healed(self) -> Self {
        DeadLetter { healed: true, reason: String::new(), events: Vec::new(), ..self }
    }
}

/// The file of dead letters of one work directory.
#[derive(Debug)]
pub(super) struct DeadLetters {
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    file: Option<File>,
    /// The documents that have one.
    dead: HashSet<(Namespace, Vec<u8>)>,
}

impl DeadLetters {
    /// Opens the file at `path`, which need not be there.
    ///
    /// # Errors
    /// When it cannot be read or understood.
    pub(super) fn open(path: &Path) -> Result<Self> {
        cut_tail(path)?;
        let mut dead = HashSet::new();
        for letter in read(path)? {
            dead.insert((letter.namespace, from_hex(&letter.id)));
        }
        let state = State { file: None, dead };
        Ok(DeadLetters { path: path.to_owned(), state: Mutex::new(state) })
    }

    /// The letters about documents of a collection.
    ///
    /// # Errors
    /// When they cannot be read.
    pub(super) fn of_documents(&self, namespace: &Namespace) -> Result<Vec<DeadLetter>> {
        let mut letters = read(&self.path)?;
        letters.retain(|letter| letter.namespace == *namespace && !letter.is_of_collection());
        Ok(letters)
    }

    /// The letters that say of a collection that it has to be copied anew.
    ///
    /// # Errors
    /// When they cannot be read.
    pub(super) fn of_all(&self, namespace: &Namespace) -> Result<Vec<DeadLetter>> {
        let mut letters = read(&self.path)?;
        letters.retain(|letter| letter.namespace == *namespace && letter.is_of_all());
        Ok(letters)
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.state().dead.is_empty()
    }

    /// Whether there is a letter about this document.
    pub(super) fn has(&self, namespace: &Namespace, id: &[u8]) -> bool {
        let state = self.state();
        !state.dead.is_empty() && state.dead.contains(&(namespace.clone(), id.to_vec()))
    }

    /// Adds letters, and takes back those about documents that are whole again; durable when this returns.
    ///
    /// # Errors
    /// When they cannot be written.
    pub(super) fn add(&self, letters: Vec<DeadLetter>) -> Result<()> {
        if letters.is_empty() {
            return Ok(());
        }
        let fail = |error| Error::io(&self.path, error);
        let mut lines = Vec::new();
        for letter in &letters {
            serde_json::to_writer(&mut lines, letter).map_err(|error| {
                Error::new(ErrorKind::Internal, error.to_string()).at(self.path.display().to_string())
            })?;
            lines.push(b'\n');
        }
        let mut state = self.state();
        if state.file.is_none() {
            // What a full disk has cut short, the next one must not join; others may still have something to add.
            cut_tail(&self.path)?;
            let file = OpenOptions::new().create(true).append(true).open(&self.path).map_err(fail)?;
            sync_folder(&self.path).map_err(fail)?;
            state.file = Some(file);
        }
        if let Some(mut file) = state.file.take() {
            file.write_all(&lines).and_then(|()| file.sync_all()).map_err(fail)?;
            state.file = Some(file);
        }
        for letter in letters {
            let document = (letter.namespace, from_hex(&letter.id));
            if letter.healed {
                state.dead.remove(&document);
            } else {
                state.dead.insert(document);
            }
        }
        Ok(())
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Takes away the line that a kill has left unfinished: it was not relied on, and the next one must not join it.
fn cut_tail(path: &Path) -> Result<()> {
    let fail = |error| Error::io(path, error);
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(fail(error)),
    };
    let end = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    if end < bytes.len() {
        let file = OpenOptions::new().write(true).open(path).map_err(fail)?;
        file.set_len(end as u64).and_then(|()| file.sync_all()).map_err(fail)?;
    }
    Ok(())
}

/// The letters of a file that still hold; none where there is no file.
///
/// # Errors
/// When it cannot be read or understood.
pub fn read(path: &Path) -> Result<Vec<DeadLetter>> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::io(path, error)),
    };
    let mut letters = Vec::new();
    for (number, line) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
        match serde_json::from_slice::<DeadLetter>(line) {
            Ok(DeadLetter { healed: true, namespace, id, .. }) => {
                letters.retain(|letter: &DeadLetter| (&letter.namespace, &letter.id) != (&namespace, &id));
            }
            Ok(letter) => letters.push(letter),
            // It is being written.
            Err(_) if !line.ends_with(b"\n") => {}
            Err(_) => {
                let message = format!("line {} is no dead letter", number + 1);
                return Err(Error::new(ErrorKind::Damaged, message)
                    .with_hint("put the line right, or take it out if the document is whole on the target")
                    .at(path.display().to_string()));
            }
        }
    }
    Ok(letters)
}
