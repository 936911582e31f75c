//! What a database holds besides documents: collections with their options, views, index specs.

mod apply;
mod build;
pub mod index_spec;
mod prove;
mod read;
pub mod sidecar;
mod truth;

pub use apply::{create, create_all, drop, existing, in_order_of_dependency, read_by_view};
pub use build::{IndexFailure, create_indexes, watch_builds};
pub use prove::{Claim, Footprint, Scratches, prove};
pub use read::{Catalog, Entry, LeftOut, Order, found, is_capped, read, uuid_of};
pub use truth::{index_specs, unhidden};
pub(crate) use {
    apply::ddl,
    build::{build, reason},
    prove::{is_scratch, scratch},
};
