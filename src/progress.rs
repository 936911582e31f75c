//! How a verb tells what it is doing, without knowing who listens.

use std::fmt::Debug;

use crate::namespace::Namespace;

/// Listens to a verb at work. Called from many tasks at once, so it must be quick and must not block.
pub trait Progress: Debug + Send + Sync {
    /// A stage begins; `documents` and `bytes` are what it is expected to handle, where that is known.
    fn stage(&self, name: &str, documents: Option<u64>, bytes: Option<u64>);
    /// This much more has been done.
    fn advance(&self, documents: u64, bytes: u64);
    /// What follows a source is so many seconds behind it, in the source's own time.
    fn lag(&self, _seconds: u64) {}
    /// Everything up to this cluster time of a source is applied to its copy.
    fn applied(&self, _time: u64) {}
    /// What becomes of a collection, by its name on the source.
    fn of(&self, _namespace: &Namespace, _news: &News<'_>) {}
    /// What is going on just now; told several times a second by what goes on for long.
    fn moment(&self, _moment: &Moment) {}
    /// Something that the user should know, and that does not stop the verb.
    fn warn(&self, message: &str);
}

/// What becomes of one collection. No key and no document is told.
#[derive(Clone, Copy, Debug)]
pub enum News<'a> {
    /// A part of it is read, or the rest of one.
    PartRead {
        /// How many documents that were.
        documents: u64,
    },
    /// Indexes of it are being built.
    Indexing {
        /// Their names.
        indexes: &'a [String],
    },
    /// That is over.
    Indexed {
        /// What was built.
        built: &'a [String],
        /// What could not be, and why.
        failed: &'a [(String, String)],
        /// How long it took.
        seconds: f64,
    },
    /// Change events are applied to it.
    Applied {
        /// How many.
        events: u64,
    },
    /// It came into being on the source, and is made on the target.
    Created,
    /// It is gone from the source, and from the target.
    Dropped,
    /// It has another name now.
    Renamed {
        /// Which.
        to: &'a Namespace,
    },
    /// It was changed as a whole.
    Changed {
        /// How, in a few words.
        what: &'a str,
    },
    /// Changes of it could not be applied.
    DeadLetters {
        /// How many.
        count: u64,
        /// Why.
        reason: &'a str,
    },
    /// Its changes are not followed, whatever they are.
    NotFollowed,
}

/// What is going on at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Moment {
    /// Change events that are applied a second.
    pub events_per_second: u64,
    /// Some of the collections that are at work.
    pub at_work: Vec<AtWork>,
    /// How many more there are.
    pub more: usize,
}

/// A collection that is at work.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AtWork {
    /// Its name on the source.
    pub namespace: String,
    /// What is done to it, in a word or two.
    pub stage: String,
    /// Bytes that are done.
    pub bytes: u64,
    /// Of about how many, where that is known.
    pub total_bytes: Option<u64>,
}

/// Listens to nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn stage(&self, _: &str, _: Option<u64>, _: Option<u64>) {}
    fn advance(&self, _: u64, _: u64) {}
    fn warn(&self, _: &str) {}
}
