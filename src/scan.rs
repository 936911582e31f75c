//! Reads documents from a server: cuts collections into parts, and follows a cursor through each.

mod parts;
mod read;

pub use parts::{Bounds, PART_BYTES, split};
pub use read::{Delivered, PartScan};
