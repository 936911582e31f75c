//! Of what time documents are read.

use crate::document::{RawBuilder, kind};

/// The server was told to keep no account of what a majority has (`enableMajorityReadConcern`, before 5.0).
pub(crate) const NO_MAJORITY_READS: i32 = 148;

/// Of what time documents are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AsOf {
    /// All of them as they were at this cluster time.
    Time(u64),
    /// At this time or later, and no write that could still be rolled back: of that no change stream tells, nor of its end.
    After(u64),
    /// The same, of a server that cannot tell what a majority has.
    AfterOfOne(u64),
}

impl AsOf {
    /// The same, where only the member that is asked can be heard.
    pub(crate) fn of_one_member(self) -> Self {
        match self {
            AsOf::After(time) => AsOf::AfterOfOne(time),
            other => other,
        }
    }

    /// Appends the read concern to a find.
    pub(crate) fn append_to(self, find: &mut RawBuilder) {
        let (level, name, time) = match self {
            AsOf::Time(time) => ("snapshot", "atClusterTime", time),
            AsOf::After(time) => ("majority", "afterClusterTime", time),
            AsOf::AfterOfOne(time) => ("local", "afterClusterTime", time),
        };
        find.embed("readConcern", |concern| {
            concern.string("level", level).append_element(kind::TIMESTAMP, name, &time.to_le_bytes());
        });
    }
}
