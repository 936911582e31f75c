//! The one memory budget of a migration: what its stages may hold of documents and events, all of them together.
//!
//! Each stage has a share of its own, and none takes from another's: a replay that waits for its target must not keep the
//! capture from recording, nor a loader the reader before it. What is at work at once is known beforehand, so that the shares of
//! every moment fit into the budget, which the compiler checks.

use crate::{changes::capture, changes::replay, dump, restore, verify};

/// Bytes of documents and events in memory, at most, whatever the stage; with more than the cursors that a copy takes by itself, a block more
/// for each.
const BUDGET: usize = 224 << 20;

/// While documents are copied, or copied anew.
const COPYING: usize = capture::MEMORY + dump::MEMORY + restore::MEMORY;
/// While changes are applied, and both sides compared.
const FOLLOWING: usize = capture::MEMORY + replay::MEMORY + verify::MEMORY;

const _: () = assert!(COPYING <= BUDGET && FOLLOWING <= BUDGET, "the stages of a migration hold more than its budget");
