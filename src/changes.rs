//! Changes: what happens on a server while, and after, it is copied.
//!
//! ```text
//! capture  stream: one change stream, resumed for ever ─▶ store: lanes, positions, durable
//! replay   store ─▶ one lane for each namespace: fold ─▶ writes in order ─▶ journal: how far
//! ```
//!
//! A [`store`] is a [`log`] in the work directory, or the [`_cdc`](cdc) collection of the target.
//!
//! An [`event`] is kept raw and whole, in the order in which the server gave it. A lane is the events of one namespace;
//! its order is the order of the source, and nothing ever changes it. Lanes go on side by side; an event about a whole
//! collection, as its drop, is a barrier between what stands before and behind it in the log.

pub mod capture;
pub mod cdc;
pub mod delta;
pub mod event;
pub mod fold;
pub mod key;
pub mod log;
pub mod replay;
pub(crate) mod shelf;
pub mod store;
pub mod stream;
pub mod token;
pub(crate) mod write;

pub use delta::{Applied, Chain, Delta, Nested, Paths, Simple};
pub use event::{Event, Operation};
pub use fold::{Effect, Folded, fold};
pub use key::Key;
pub use store::{Store, StoreReader, StoreWriter};
pub use stream::{ChangeStream, StreamFailure, StreamOptions, Watch};
