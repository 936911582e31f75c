//! The one error of this crate: what went wrong, where, and what the user can do next.
//!
//! Callers tell errors apart by [`ErrorKind`], chosen by what can be done about them, never by their text.
//! A message reads *place: what happened*; the remedy stands apart as the [hint](Error::hint), so that a
//! terminal can put it on a line of its own. Messages never hold documents or credentials.

use std::{error::Error as StdError, fmt, io, path::Path};

use serde::Serialize;

/// A result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What kind of trouble it is, by what the caller can do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ErrorKind {
    /// The request contradicts itself or cannot be understood: change the command.
    Usage,
    /// A database, collection, namespace or file that was asked for is not there.
    NotFound,
    /// Something stands where the result should go: an archive, a collection.
    AlreadyExists,
    /// No server answered, or the connection was lost and did not come back.
    Unreachable,
    /// The server does not accept these credentials.
    Authentication,
    /// The user is known but lacks a privilege.
    Authorization,
    /// The server refused or failed a command.
    Server,
    /// The disk is full.
    NoSpace,
    /// Any other failure of the operating system.
    Io,
    /// The file is no archive of ours.
    NotAnArchive,
    /// The archive needs a newer version of this program.
    NewerVersion,
    /// The archive was never finished.
    Unfinished,
    /// The archive's bytes are not what was written.
    Damaged,
    /// Index specs are not fit for the target, and were not to be repaired.
    BadIndexes,
    /// Stopped on request.
    Interrupted,
    /// Something that this program needs to run its sandbox is not installed.
    MissingTool,
    /// A bug of this program: a worker panicked, an invariant did not hold.
    Internal,
}

/// An error with its place, message, hint and cause.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    places: Vec<String>,
    message: String,
    hint: Option<String>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error of `kind` that says `message`.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Error(Box::new(Inner { kind, places: Vec::new(), message: message.into(), hint: None, source: None }))
    }

    /// An operating-system error at `path`; a full disk gets its own kind.
    pub fn io(path: impl AsRef<Path>, error: io::Error) -> Self {
        let kind = match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorKind::NoSpace,
            io::ErrorKind::NotFound => ErrorKind::NotFound,
            io::ErrorKind::AlreadyExists => ErrorKind::AlreadyExists,
            _ => ErrorKind::Io,
        };
        // The number stays in the cause, for those who ask for it.
        let text = error.to_string();
        let text = text.split(" (os error").next().unwrap_or(&text);
        Error::new(kind, text).at(path.as_ref().display().to_string()).with_source(error)
    }

    /// The user asked to stop.
    pub fn interrupted() -> Self {
        Error::new(ErrorKind::Interrupted, "interrupted")
    }

    /// Puts `place` (a file, a namespace, a host) in front of what is already there.
    #[must_use]
    pub fn at(mut self, place: impl Into<String>) -> Self {
        self.0.places.push(place.into());
        self
    }

    /// Says what the user can do next.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Keeps the error that caused this one.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// The same as another kind of trouble.
    #[must_use]
    pub(crate) fn of_kind(mut self, kind: ErrorKind) -> Self {
        self.0.kind = kind;
        self
    }

    /// What kind of trouble it is.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// What happened, without the place.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// What the user can do next, if anything is known to help.
    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for place in self.0.places.iter().rev() {
            write!(f, "{place}: ")?;
        }
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {self}", self.0.kind)?;
        if let Some(hint) = &self.0.hint {
            write!(f, " (hint: {hint})")?;
        }
        Ok(())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}
