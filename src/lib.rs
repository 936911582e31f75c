//! transload dumps and restores MongoDB without mongo-tools: it reads and writes the servers itself, through an
//! archive format of its own, and says of every copy whether it is exact.
//!
//! # How data flows
//!
//! ```text
//! dump     scan: N cursors, raw batches ─▶ cpu: compress, checksum ─▶ archive: one writer, fsync, rename
//! restore  archive: blocks by index     ─▶ cpu: check, decompress  ─▶ load: M inserters ─▶ catalog: indexes, views
//! capture  changes: a stream, raw replies ─▶ lanes, one thread      ─▶ change log: blocks, checkpoints, fsync
//! replay   change log: blocks           ─▶ lanes: fold, plan       ─▶ writes in order, journal of what was done
//! migrate  capture ∥ scan ─▶ archive ─▶ load, while it grows ─▶ replay ─▶ cutover: drain, mend catalogs, verify
//! verify   two scans, or blocks, by _id ─▶ merge, part by part     ─▶ findings: a line for each that differs
//! ```
//!
//! - [`connect`] reaches a deployment and knows what its errors mean; [`catalog`] is what it holds besides documents;
//!   [`selection`] and [`namespace`] say which of it is meant.
//! - [`scan`] cuts collections into parts and follows a cursor through each, opening it again after its last document
//!   whenever it breaks. Parts are ranges of `_id`s, which any member can go on with; a dump reads a large collection whose `_id`s come
//!   in no order in ranges of one member's records, many times as fast. `load` accounts for every document it sends.
//! - [`archive`] is the sans-I/O crate [`transload_format`] on real files and streams.
//! - [`interop`] knows the files of mongodump; `replace` writes a file anew in one step.
//! - [`changes`] records what happens on a server meanwhile, and applies it to a copy.
//! - `batch` holds documents under one memory budget; `rate` and `brake` hold work back; `at_once` does several things, the largest first; `cpu` computes beside the async runtime;
//!   `timing` sums up where the time goes, for `bench` alone.
//! - The verbs [`dump`], [`restore`], [`changes::capture`], [`changes::replay`], [`verify`], [`preflight`] (`check`), [`inspect`],
//!   [`recover`], [`indexes`], [`bench`](mod@bench) and [`demo`], and [`migrate`], which is made of the others, put these together, tell a [`progress`] listener what they do, and give back a
//!   [`report`]. [`cli`] is the only module that prints.
//! - [`document`] and [`extjson`] read raw BSON by its bytes; [`sandbox`] runs throwaway servers, and [`shop`] is the
//!   data set to try and measure with.
//!
//! Dependencies point down: `cli`, then the verbs, then `scan`, `load`, `archive` and `catalog`, then the rest.
//!
//! # What holds everywhere
//!
//! - A document's bytes are never decoded and encoded again on the way: raw in, raw out. Duplicate keys, odd names,
//!   every BSON type and the order of fields survive because nobody touches them.
//! - Every channel is bounded, and every batch holds a permit of one memory budget: memory does not grow with the data.
//! - A finished archive appears under its name only after index, footer, fsync, rename and the directory's fsync.
//! - Of every document of an archive a restore knows whether it was inserted, was there already, or was refused.
//! - No document and no credential is in any message, but for the `_id` of a document that a target did not take.

#![forbid(unsafe_code)]

pub mod archive;
mod at_once;
mod batch;
pub mod bench;
mod brake;
pub mod catalog;
pub mod changes;
pub mod cli;
pub mod connect;
mod cpu;
pub mod demo;
pub mod document;
pub mod dump;
pub mod error;
pub mod extjson;
mod hex;
pub mod indexes;
pub mod inspect;
pub mod interop;
mod load;
mod lock;
pub mod migrate;
pub mod namespace;
mod plain_json;
pub mod preflight;
pub mod progress;
pub mod rate;
pub mod recover;
mod replace;
pub mod report;
pub mod restore;
pub mod sandbox;
pub mod scan;
pub mod selection;
pub mod shop;
mod timing;
pub mod verify;
