//! What was changed in an index spec, and why.

use serde::{Deserialize, Serialize};

/// What kind of change it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RepairKind {
    /// An option that no server knows, as Mongoose's `safe`, was removed.
    UnknownOption,
    /// An option without a value was removed.
    Null,
    /// An option of another type than servers take was given theirs, or removed.
    Type,
    /// A value was given the form in which servers list it. Servers take the other form too.
    Form,
    /// When documents expire was decided.
    Expiry,
    /// A value of the key pattern was made what servers took it for.
    KeyValue,
    /// A field that the key pattern names twice was taken out the second time.
    KeyTwice,
    /// A missing or impossible name was made.
    Name,
    /// An option that the target does not know, or not for such an index, was removed.
    Target,
    /// The index serves what another one serves already, and is built once.
    Merged,
    /// An option that does nothing on the target was removed.
    Outdated,
    /// What the source meant without saying so is said.
    Explicit,
}

impl RepairKind {
    /// Whether the index means the same, in other words: nothing was wrong with it.
    pub fn is_routine(self) -> bool {
        matches!(self, RepairKind::Form | RepairKind::Outdated | RepairKind::Explicit)
    }
}

/// A change to an index spec.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Repair {
    /// What kind of change.
    pub kind: RepairKind,
    /// The option, or `key.FIELD`.
    pub field: String,
    /// Its value before, as extended JSON; none if it was not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// Its value now; none if it was removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Why.
    pub reason: String,
}

impl std::fmt::Display for Repair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (&self.before, &self.after) {
            (Some(before), Some(after)) => write!(f, "{} {before} is now {after}", self.field)?,
            (Some(before), None) => write!(f, "{} {before} removed", self.field)?,
            (None, Some(after)) => write!(f, "{} {after} added", self.field)?,
            (None, None) => write!(f, "{}", self.field)?,
        }
        write!(f, ": {}", self.reason)
    }
}
