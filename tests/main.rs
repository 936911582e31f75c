//! The one integration-test binary: it runs real servers, so its tests share them (see `servers`).

// A test that panics is a test that fails.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod bad_indexes;
mod build_progress;
mod capture;
mod catalog;
mod changes;
mod changes_deltas;
mod changes_keys;
mod cli;
mod consistent;
mod copy;
mod distance;
mod dropped_collections;
mod dump_failovers;
mod dump_faults;
mod early_indexes;
mod eventually;
mod fidelity;
mod held_reads;
mod hostile;
mod index_specs;
mod indexes;
mod many_collections;
mod mend;
mod migrate;
mod natural_order;
mod odd_documents;
mod parts;
mod rates;
mod recover;
mod restore;
mod restore_faults;
mod round_trip;
mod router;
mod sandbox;
mod server_binary;
mod servers;
mod stores;
mod stream;
mod users_and_roles;
mod verify;
mod windows;
mod zoo;
