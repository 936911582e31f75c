//! The format's tests: one binary.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::unreachable,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    clippy::cast_lossless,
    missing_docs,
    reason = "a test may panic"
)]

mod corpus;
mod damage;
mod forge;
mod growing;
mod invalid;
mod limits;
mod outcome;
mod regressions;
mod round_trip;
mod samples;
mod vectors;
