//! What a database holds besides documents: collections with their options, views, index specs.

mod apply;
pub mod index_spec;
mod read;
pub mod sidecar;
mod truth;

pub use apply::{
    IndexFailure, create, create_indexes, drop, existing, in_order_of_dependency, indexes_to_build, read_by_view,
};
pub(crate) use apply::{build, ddl, reason};
pub use read::{Catalog, Entry, LeftOut, Order, read, uuid_of};
pub use truth::{index_specs, unhidden};
