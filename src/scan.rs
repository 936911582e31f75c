//! Reads documents from a server: cuts collections into parts, and follows a cursor through each.

mod history;
mod parts;
mod read;

pub(crate) use history::is_readable_at;
pub(crate) use parts::between;
pub use parts::{Bounds, PART_BYTES, split};
pub(crate) use read::check_identity;
pub use read::{Delivered, PartScan};
