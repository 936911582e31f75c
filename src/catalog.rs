//! What a database holds besides documents: collections with their options, views, index specs.

mod apply;
mod build;
mod filled;
mod held;
pub mod index_spec;
mod kept;
mod meaning;
mod mend;
mod prove;
mod read;
mod scratch;
pub mod sharding;
pub mod sidecar;
mod size;
mod truth;
mod users_and_roles;
mod watch;

pub use apply::{create, create_all, drop, existing, in_order_of_dependency, read_by_view};
pub use build::{IndexFailure, create_indexes};
pub use mend::{Mended, mend};
pub use prove::{Claim, prove};
pub use read::{Catalog, Entry, LeftOut, Order, found, is_capped, kind_name, options_of, read, uuid_of};
pub use scratch::{Footprint, Scratches};
pub use truth::{index_specs, unhidden};
pub use watch::BuildWatch;
pub(crate) use {
    apply::{ddl, ddl_again},
    build::{build, build_on_empty, drop_indexes, reason},
    filled::{Held, held, is_filled},
    held::{is_unique, never_expiring, without_expiry},
    meaning::{MeantIndex, is_same, meant_indexes, meant_options},
    mend::{hold_expiry, mend_sharded},
    read::{INTERNAL_DATABASES, databases, described, has_id_index, is_copied, is_untold, order, read_those},
    scratch::{is_scratch, new_number, scratch, sweep_left},
    users_and_roles::{ROLES, USERS, is_of_users_or_roles, merge_users_and_roles, users_and_roles},
};
