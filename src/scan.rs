//! Reads documents from a server: cuts collections into parts, and follows a cursor through each.

mod history;
mod order;
mod parts;
mod read;
mod records;

pub(crate) use history::is_readable_at;
pub use order::ReadOrder;
pub(crate) use order::{Range, all_records, ranges};
pub use parts::{Bounds, MOST_PARTS, PART_BYTES, split};
pub(crate) use parts::{between, is_of_natural_order, part_bytes_of};
use read::Broken;
pub use read::{Delivered, PartScan};
pub(crate) use read::{LARGEST_REPLY, REPLY_BYTES, check_identity};
pub(crate) use records::Records;
