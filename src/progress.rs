//! How a verb tells what it is doing, without knowing who listens.

use std::fmt::Debug;

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
    /// Something that the user should know, and that does not stop the verb.
    fn warn(&self, message: &str);
}

/// Listens to nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn stage(&self, _: &str, _: Option<u64>, _: Option<u64>) {}
    fn advance(&self, _: u64, _: u64) {}
    fn warn(&self, _: &str) {}
}
