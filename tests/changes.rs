//! Changes that happen while a copy is made, and after: captured, replayed, and held against the source by the servers' own
//! hashes.

mod arriving;
mod extremes;
mod faults;
pub(crate) mod kills;
mod moment;
pub(crate) mod moving;
mod one_time;
mod regressions;
mod through_target;
mod wandering;
mod whole_documents;
pub(crate) mod workload;
