//! Reads documents from a server: cuts collections into parts, and follows a cursor through each.

mod history;
mod order;
mod parts;
mod read;
mod records;

pub(crate) use history::is_readable_at;
pub(crate) use order::ranges;
pub use order::{Range, ReadOrder};
pub use parts::{Bounds, MOST_PARTS, PART_BYTES, split};
pub(crate) use parts::{between, part_bytes_of};
pub use read::{Delivered, PartScan};
pub(crate) use read::{LARGEST_REPLY, REPLY_BYTES, check_identity};
pub use records::Records;
