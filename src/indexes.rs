//! The verbs `indexes check` and `indexes repair`: bad index specs where they are, on a server or in a file.
//!
//! Both make a [`Plan`], which has read everything and changed nothing. A check shows it; a repair shows it and carries
//! it out.

mod archive;
mod collection;
mod files;
mod guard;
mod held;
mod journal;
mod journal_file;
mod left_guard;
mod neighbour;
mod place;
mod plan;
mod proof;
mod report;
mod server;
mod sidecar;
mod swap;
mod unfinished;
mod whereabouts;

pub use place::{Place, PlaceKind};
pub use plan::{IndexesOptions, Plan, check_file, plan_file, plan_server};
pub use report::{Action, CheckReport, CheckedIndex, RepairReport, RepairResult, RepairedIndex};
