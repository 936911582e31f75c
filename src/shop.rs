//! The shop: a made-up data set that is the same everywhere, to try and to measure this program with.
//!
//! Real data cannot be shared, and random bytes do not compress. The shop has three collections of the shapes that
//! matter: many small nested documents with object ids, wider ones with string ids, and large ones that do not
//! compress. A document depends on the seed and its number alone, so any range can be made by any task, and a figure
//! measured elsewhere was measured on the same bytes.

mod blobs;
mod events;
mod load;
mod orders;
mod random;
mod words;

pub use load::{load, load_collection};

use self::random::Random;
use crate::document::RawBuilder;

/// The data set for one seed at one scale.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shop {
    /// Another seed, other content of the same shape.
    pub seed: u64,
    /// 1.0 is about 1 GB: 1,000,000 orders, 300,000 events and 15,000 blobs.
    pub scale: f64,
}

/// A collection of the shop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Collection {
    /// Small nested documents of about 470 bytes, with object ids.
    Orders,
    /// Documents of many fields and about 0.9 kB, with string ids.
    Events,
    /// Documents of 16 KiB that do not compress, with integer ids.
    Blobs,
}

impl Shop {
    /// Each collection with the number of its documents, at least one.
    pub fn collections(&self) -> [(Collection, u64); 3] {
        Collection::ALL.map(|collection| {
            let count = (collection.count_at_scale_1() as f64 * self.scale).round();
            // A float becomes an integer by saturation: a scale that is negative or no number gives one document.
            (collection, (count as u64).max(1))
        })
    }

    /// Appends document number `i` of `collection` to `out`, as raw BSON.
    ///
    /// `_id`s ascend with `i`, by every type's own order. Integer ids bound `i` to `i32`, string ids to 12 digits.
    pub fn document(&self, collection: Collection, i: u64, out: &mut Vec<u8>) {
        let mut random = Random::new(self.seed, collection as u64, i);
        let mut document = RawBuilder::behind(std::mem::take(out));
        match collection {
            Collection::Orders => orders::fill(&mut document, i, &mut random),
            Collection::Events => events::fill(&mut document, i, &mut random),
            Collection::Blobs => blobs::fill(&mut document, i, &mut random),
        }
        *out = document.finish();
    }
}

impl Collection {
    /// All of them, the largest number of documents first.
    pub const ALL: [Collection; 3] = [Collection::Orders, Collection::Events, Collection::Blobs];

    /// The collection's name.
    pub fn name(self) -> &'static str {
        match self {
            Collection::Orders => "orders",
            Collection::Events => "events",
            Collection::Blobs => "blobs",
        }
    }

    /// The raw specs of its indexes, `_id`'s aside.
    pub fn indexes(self) -> Vec<Vec<u8>> {
        let spec = |name: &str, fields: &[(&str, i32)]| {
            let key = |key: &mut RawBuilder| {
                for (field, direction) in fields {
                    key.int32(field, *direction);
                }
            };
            RawBuilder::new().embed("key", key).string("name", name).finish()
        };
        match self {
            Collection::Orders => vec![
                spec("customer.id_1", &[("customer.id", 1)]),
                spec("status_1_created_-1", &[("status", 1), ("created", -1)]),
            ],
            Collection::Events => vec![spec("ts_1", &[("ts", 1)])],
            Collection::Blobs => Vec::new(),
        }
    }

    /// The bytes of a document, about.
    fn typical_size(self) -> u64 {
        match self {
            Collection::Orders => 470,
            Collection::Events => 920,
            Collection::Blobs => 16 * 1024,
        }
    }

    fn count_at_scale_1(self) -> u64 {
        match self {
            Collection::Orders => 1_000_000,
            Collection::Events => 300_000,
            Collection::Blobs => 15_000,
        }
    }
}

#[cfg(test)]
mod tests;
